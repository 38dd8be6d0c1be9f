#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`evaluate --pictures` on a made town: every picture is there, has its size, and shows truth beside prediction.

One frame is predicted as it is, the others as their neighbours are: the one must be the best, with two equal halves.

usage: evaluate_pictures_test.py EVALUATE MAKE_TOWN
"""
import json
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib

evaluate, make_town = sys.argv[1:3]


def run(*arguments, status=0):
    done = subprocess.run([evaluate, *map(str, arguments), "--quiet"], capture_output=True, text=True)
    assert done.returncode == status, (arguments, done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


def read_png(path):
    """(height, width, rows of bytes) of a picture with 8 bits for red, green and blue."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n", path
    at, packed, shape = 8, b"", None
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + size]
        assert zlib.crc32(kind + body) == struct.unpack(">I", data[at + 8 + size : at + 12 + size])[0], path
        if kind == b"IHDR":
            shape = struct.unpack(">IIBBBBB", body)
        packed += body if kind == b"IDAT" else b""
        at += 12 + size
    width, height, *kind = shape
    assert kind == [8, 2, 0, 0, 0], (path, shape)
    raw, step, rows, above = zlib.decompress(packed), 3 * width + 1, [], bytes(3 * width)
    for y in range(height):
        way, line = raw[y * step], bytearray(raw[y * step + 1 : (y + 1) * step])
        if way == 2 and any(line):
            line = bytearray((a + b) & 255 for a, b in zip(line, above))
        elif way == 2:
            line = above
        elif way == 1:
            for x in range(3, len(line)):
                line[x] = (line[x] + line[x - 3]) & 255
        elif way == 3:
            for x in range(len(line)):
                line[x] = (line[x] + ((line[x - 3] if x >= 3 else 0) + above[x]) // 2) & 255
        elif way == 4:
            line[:3] = ((line[x] + above[x]) & 255 for x in range(3))
            for x in range(3, len(line)):
                left, up, corner = line[x - 3], above[x], above[x - 3]
                to_left, to_up, to_corner = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
                nearest = left if to_left <= to_up and to_left <= to_corner else up if to_up <= to_corner else corner
                line[x] = (line[x] + nearest) & 255
        rows.append(bytes(line))
        above = line
    return height, width, rows


def unlike(path, height, width, split=0):
    """The share of pixels in which the halves differ, left and right or above and below; `split`: the gap between."""
    h, w, rows = read_png(path)
    assert (h, w) == (height, width), (path, h, w)
    if split < 0:
        half = (h + split) // 2
        first, second = b"".join(rows[:half]), b"".join(rows[h - half :])
    else:
        half = 3 * ((w - split) // 2)
        first, second = b"".join(r[:half] for r in rows), b"".join(r[-half:] for r in rows)
    assert len(set(first)) > 3, f"{path} is empty"
    pixels = len(first) // 3
    return 0 if first == second else sum(first[3 * i : 3 * i + 3] != second[3 * i : 3 * i + 3] for i in range(pixels)) / pixels


def shown(folder, count):
    """The pictures of a page: all there, and no others."""
    html = (folder / "index.html").read_text()
    files = re.findall(r'<img src="([^"]+)"', html)
    assert len(files) == count and sorted(files) == sorted(p.name for p in folder.glob("*.png")), (files, count)
    scores = [float(s) for s in re.findall(r"<h3>(?:worst|best) \d: .*? (\d\.\d{4})</h3>", html)]
    assert scores[0] <= scores[-1], scores
    return html


def copied(town, out, samples, kind, right):
    """Labels of each frame taken from the next, but those of `right`."""
    for token, s in samples.items():
        source = token if token == right else s["next"] or s["prev"]
        from_file = next((town / kind).glob(f"*/{source}/labels.npz"))
        to = out / from_file.parent.parent.name / token
        to.mkdir(parents=True)
        shutil.copy(from_file, to / "labels.npz")


def detections(tables, samples, right, path):
    """True boxes in `right`; 2 m beside in the others. Each with a score of its own."""
    category = {c["token"]: c["name"] for c in json.loads((tables / "category.json").read_text())}
    of = {i["token"]: category[i["category_token"]] for i in json.loads((tables / "instance.json").read_text())}
    names = {"vehicle.car": "car", "vehicle.truck": "truck", "human.pedestrian.adult": "pedestrian"}
    boxes = {token: [] for token in samples}
    for a in json.loads((tables / "sample_annotation.json").read_text()):
        token, name = a["sample_token"], names.get(of[a["instance_token"]])
        if name is None or a["num_lidar_pts"] == 0:
            continue
        x, y, z = a["translation"]
        boxes[token].append({"sample_token": token, "translation": [x + (token != right) * 2, y, z], "size": a["size"],
                             "rotation": a["rotation"], "velocity": [0, 0], "detection_name": name,
                             "detection_score": 0.9, "attribute_name": ""})
    path.write_text(json.dumps({"meta": {}, "results": boxes}))


with tempfile.TemporaryDirectory() as name:
    out = pathlib.Path(name)
    town = out / "town"
    subprocess.run([make_town, "--out", town, "--split", "val", "--scenes", "1", "--seconds", "3.5", "--height", "56", "--width",
                    "100", "--quiet"], check=True, stdout=subprocess.DEVNULL)
    tables = next(p for p in town.iterdir() if p.name.startswith("v1.0"))
    samples = {s["token"]: s for s in json.loads((tables / "sample.json").read_text())}
    first = next(t for t, s in samples.items() if not s["prev"])
    right = samples[samples[first]["next"]]["next"]

    copied(town, out / "seen", samples, "gts", right)
    occ3d = ("occupancy", "--protocol", "occ3d", "--ground-truth", town / "gts", "--prediction", out / "seen")
    run(*occ3d, "--json", out / "plain.json")
    run(*occ3d, "--json", out / "same.json", "--pictures", out / "occ3d" / "page", "--frames", "1")
    assert (out / "plain.json").read_bytes() == (out / "same.json").read_bytes(), "pictures change no number"
    html = shown(out / "occ3d" / "page", 4)
    assert f"{right}/labels.npz, mIoU 1.0000</h3>" in html, html
    assert unlike(out / "occ3d" / "page" / "best1_perspective.png", 450, 1606, 6) == 0
    assert unlike(out / "occ3d" / "page" / "best1_above.png", 600, 1206, 6) == 0
    assert 0.02 < unlike(out / "occ3d" / "page" / "worst1_perspective.png", 450, 1606, 6) < 0.9
    assert 0.02 < unlike(out / "occ3d" / "page" / "worst1_above.png", 600, 1206, 6) < 0.9
    run(*occ3d, "--pictures", out / "all", "--frames", "4")  # seven frames: four and three
    assert "best3_above.png" in shown(out / "all", 14)
    # Truth is what stays, on the left, when the prediction is another one.
    run(*occ3d[:-1], town / "gts", "--pictures", out / "perfect", "--frames", "4")
    halves = []
    for page in (out / "all", out / "perfect"):
        group, rank = re.search(rf"<h3>(\w+) (\d): [^<]*{first}", shown(page, 14)).groups()
        _, _, rows = read_png(page / f"{group}{rank}_above.png")
        halves.append(([r[:1800] for r in rows], [r[-1800:] for r in rows]))
    assert halves[0][0] == halves[1][0] == halves[1][1] != halves[0][1]

    copied(town, out / "moving", samples, "openocc_v2", right)
    rays = ("rays", "--protocol", "open-occ", "--nuscenes", town, "--ground-truth", town / "openocc_v2")
    run(*rays, "--prediction", out / "moving", "--pictures", out / "rays", "--frames", "1")
    shown(out / "rays", 6)
    assert unlike(out / "rays" / "best1_flow.png", 600, 1206, 6) == 0
    assert unlike(out / "rays" / "worst1_flow.png", 600, 1206, 6) > 0

    folder = next((out / "seen").iterdir()) / first
    for second in range(4):
        shutil.copy(folder / "labels.npz", folder / f"labels_{second}s.npz")
    (out / "foreseen" / folder.parent.name).mkdir(parents=True)
    folder.rename(out / "foreseen" / folder.parent.name / first)
    run("forecast", "--protocol", "sparse-world", "--nuscenes", town, "--ground-truth", town / "gts", "--prediction",
        out / "foreseen", "--pictures", out / "forecast")
    assert "All frames are shown above." in shown(out / "forecast", 3)
    assert unlike(out / "forecast" / "worst1_3s.png", 450, 1606, 6) > 0.02

    detections(tables, samples, right, out / "results.json")
    boxes = ("detection", "--ground-truth", town, "--result", out / "results.json", "--frames", "1")
    run(*boxes, "--pictures", out / "boxes")
    assert f"best 1: town-val-0000/{right}" in shown(out / "boxes", 4)
    near = unlike(out / "boxes" / "best1_above.png", 700, 1406, 6), unlike(out / "boxes" / "best1_cameras.png", 1096, 1448, -12)
    far = unlike(out / "boxes" / "worst1_above.png", 700, 1406, 6), unlike(out / "boxes" / "worst1_cameras.png", 1096, 1448, -12)
    assert near[0] < 0.6 * far[0] and near[1] < 0.6 * far[1] and far[0] < 0.2, (near, far)
    # Tables alone are enough; the page says what it lacks. No box reaches a score of 0.95.
    shutil.rmtree(town / "samples")
    run(*boxes, "--pictures", out / "tables", "--least-score", "0.95")
    html = shown(out / "tables", 2)
    assert "Without LiDAR and pictures" in html and " 0 of " in html and "samples/" in html, html
    assert unlike(out / "tables" / "best1_above.png", 700, 1406, 6) > near[0]

    (out / "file").write_text("")
    said = run(*occ3d, "--pictures", out / "file", status=1)
    assert "cannot make the folder" in said and "--pictures" in said and len(said.splitlines()) == 1, said
    assert "--frames" in run(*occ3d, "--pictures", out / "x", "--frames", "0", status=2)
    (out / "mine").mkdir()
    (out / "mine" / "index.html").write_text("mine")
    said = run(*occ3d, "--pictures", out / "mine", status=1)
    assert "is the page of something else" in said and (out / "mine" / "index.html").read_text() == "mine", said
    assert "color:#" in (out / "all" / "index.html").read_text(), "colours have names"
print("evaluate: pictures are as they should be")

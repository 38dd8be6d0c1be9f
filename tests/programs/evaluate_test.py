#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs `evaluate` on real labels that are known to be right: every task must say so, and bad calls must say why.

usage: evaluate_test.py EVALUATE NUSCENES      exit status 77 (skipped) where the data set is absent
"""
import json
import math
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import zipfile

program, root = sys.argv[1], pathlib.Path(sys.argv[2])
if not (root / "gts").exists():
    print(f"skipped: {root} is absent")
    sys.exit(77)


def run(*arguments, status=0):
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == status, (arguments, done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


def npy(path, kind, shape, data):
    """A file as numpy saves it: `kind` as "|u1"."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {tuple(shape)}, }}".ljust(117) + "\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + data)


def occupancy_volumes(out, scores):
    """Rows against volumes: SurroundOcc in both numberings, nuScenes-Occupancy."""
    rows = [(1, 2, 3, 4), (5, 6, 7, 4), (8, 9, 10, 11), (11, 12, 13, 0), (199, 199, 15, 16)]
    npy(out / "s" / "truth" / "a.npy", "<i8", (len(rows), 4), b"".join(struct.pack("<4q", *r) for r in rows))
    for free, protocol in ((17, "surround-occ"), (0, "surround-occ-dense")):
        volume = bytearray([free]) * (200 * 200 * 16)
        for x, y, z, c in rows:
            volume[(x * 200 + y) * 16 + z] = c
        volume[(5 * 200 + 6) * 16 + 7] = 3  # one of two cars is taken for a bus
        npy(out / "s" / "found" / "a.npy", "|u1", (200, 200, 16), bytes(volume))
        s = scores("occupancy", "--protocol", protocol, "--ground-truth", out / "s" / "truth", "--prediction", out / "s" / "found")
        # Fourteen classes are absent and count as 1; a bus is predicted and absent: 1 as well.
        assert s["car"]["IoU"] == 0.5 and s["driveable_surface"]["IoU"] == 1 and s["bus"]["IoU"] == 1, s
        assert abs(s["mIoU"]["IoU"] - 15.5 / 16) < 1e-15 and s["occupied"]["IoU"] == 1, s
        same = scores("occupancy", "--protocol", protocol, "--ground-truth", out / "s" / "truth", "--prediction", out / "s" / "truth")
        assert same["mIoU"]["IoU"] == 1, same
    # Links in the ground truth, to files and to folders: the predictions are still those of the names.
    (out / "l" / "truth").mkdir(parents=True)
    (out / "l" / "none").mkdir()
    (out / "l" / "truth" / "a.npy").symlink_to(out / "s" / "truth" / "a.npy")
    (out / "l" / "whole").symlink_to(out / "s" / "truth", target_is_directory=True)
    for truth in ("truth", "whole"):
        linked = ("occupancy", "--protocol", "surround-occ-dense", "--ground-truth", out / "l" / truth)
        assert scores(*linked, "--prediction", out / "s" / "found")["car"]["IoU"] == 0.5
        assert "1 of 1 label files have no prediction" in run(*linked, "--prediction", out / "l" / "none", "--quiet", status=1)
    wrong = ("occupancy", "--protocol", "surround-occ", "--ground-truth", out / "s" / "truth", "--prediction", out / "s" / "found", "--quiet")
    assert "no free voxel (class 17 of surround-occ)" in run(*wrong, status=1)
    npy(out / "s" / "found" / "a.npy", "|u1", (16, 200, 200), bytes(volume))
    assert "16 x 200 x 200 voxels instead of 200 x 200 x 16" in run(*wrong, status=1)
    volume[0] = 18
    npy(out / "s" / "found" / "a.npy", "|u1", (200, 200, 16), bytes(volume))
    assert "voxel 0 has class 18, outside 0 .. 17 of surround-occ" in run(*wrong, status=1)

    rows = [(0, 0, 0, 4), (39, 511, 511, 4), (5, 6, 7, 0)]  # z, y, x, class
    npy(out / "o" / "truth" / "a.npy", "<i8", (len(rows), 4), b"".join(struct.pack("<4q", *r) for r in rows))
    volume = bytearray(512 * 512 * 40)
    volume[0] = 4
    volume[(7 * 512 + 6) * 40 + 5] = 9  # noise: not judged
    npy(out / "o" / "found" / "a.npy", "|u1", (512, 512, 40), bytes(volume))
    call = ("--ground-truth", out / "o" / "truth", "--prediction", out / "o" / "found")
    s = scores("occupancy", "--protocol", "open-occupancy", *call)
    assert s["car"]["IoU"] == 0.5 and s["bus"]["IoU"] is None and s["mIoU"]["IoU"] == 0.5 and s["occupied"]["IoU"] == 0.5, s
    s = scores("occupancy", "--protocol", "open-occupancy-sparse-occ", *call)
    assert abs(s["mIoU"]["IoU"] - 1 / 2.00001 / 16) < 1e-15, s
    s = scores("occupancy", "--protocol", "open-occupancy-one-device", *call)
    assert abs(s["mIoU"]["IoU"] - 1 / 2.00001 / 19) < 1e-15 and s["class 17"]["IoU"] == 0, s


def boundaries(out, scores, order):
    """Plans straight ahead at 10 m/s on roads of any width given as files."""
    plans = out / "plans.json"
    plans.write_text(json.dumps({t: [[5 * k, 0] for k in range(1, 7)] for t in order[:-6]}))
    for token, end in zip(order, (1000, 800, 600, 515)):  # 50, 30, 10 m ahead; under the vehicle
        npy(out / "drivable" / f"{token}.npy", "|u1", (1000, 1000), (b"\1" * end + b"\0" * (1000 - end)) * 1000)
    call = ("planning", "--protocol", "omni-drive", "--ground-truth", root, "--result", plans, "--drivable")
    s = scores(*call, out / "drivable")["boundary, any step"]
    assert s == {"1 s": 0.25, "2 s": 0.25, "3 s": 0.5, "mean": 1 / 3}, s
    assert "is none of a town" in run(*call, "town", "--quiet", status=1)
    assert "nowhere is no folder; give --drivable" in run(*call, out / "nowhere", "--quiet", status=1)
    npy(out / "drivable" / f"{order[0]}.npy", "|u1", (10, 10), bytes(100))
    assert "10 x 10 instead of 1000 x 1000 cells" in run(*call, out / "drivable", "--quiet", status=1)

    # A town knows its roads: who drives as it was driven stays on them, who keeps left by 30 m does not.
    make_town, town = pathlib.Path(program).with_name("make_town"), out / "town"
    if not make_town.exists():
        return
    subprocess.run([make_town, "--out", town, "--split", "val", "--scenes", "1", "--seconds", "3.5", "--height", "56", "--width",
                    "100", "--quiet"], check=True, stdout=subprocess.DEVNULL)
    folder = next(p for p in town.iterdir() if p.name.startswith("v1.0"))
    samples = {s["token"]: s for s in json.loads((folder / "sample.json").read_text())}
    poses = {p["token"]: p for p in json.loads((folder / "ego_pose.json").read_text())}
    at = {d["sample_token"]: poses[d["ego_pose_token"]] for d in json.loads((folder / "sample_data.json").read_text())
          if d["is_key_frame"] and "LIDAR_TOP" in d["filename"]}
    driven = {}
    for token in samples:
        w, x, y, z = at[token]["rotation"]
        yaw, begin, path, ahead = math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)), at[token]["translation"], [], token
        while samples[ahead]["next"] and len(path) < 6:
            ahead = samples[ahead]["next"]
            dx, dy = (at[ahead]["translation"][i] - begin[i] for i in range(2))
            path.append([dx * math.cos(yaw) + dy * math.sin(yaw), dy * math.cos(yaw) - dx * math.sin(yaw)])
        if len(path) == 6:
            driven[token] = path
    assert len(driven) == 1, driven
    call = ("planning", "--ground-truth", town, "--result", plans, "--drivable", "town")
    for left, share in ((0, 0), (30, 1), (-30, 1)):
        plans.write_text(json.dumps({t: [[x, y + left] for x, y in p] for t, p in driven.items()}))
        s = scores(*call)
        assert s["boundary, any step"]["3 s"] == share and abs(s["L2 final, m"]["3 s"] - abs(left)) < 0.1, s


with tempfile.TemporaryDirectory() as name:
    out = pathlib.Path(name)
    numbers = out / "numbers.json"

    def scores(*arguments):
        run(*arguments, "--quiet", "--json", numbers)
        return json.loads(numbers.read_text())

    # Labels against themselves.
    gts, moving = root / "gts", root / "openocc_v2"
    perfect = scores("occupancy", "--protocol", "occ3d", "--ground-truth", gts, "--prediction", gts)
    assert perfect["mIoU"]["IoU"] == 1 and perfect["car"]["IoU"] == 1 and perfect["bus"]["IoU"] is None, perfect
    perfect = scores("occupancy", "--protocol", "open-occ", "--ground-truth", moving, "--prediction", moving)
    assert perfect["mIoU"]["IoU"] == 1 and perfect["car"]["IoU"] == 1 and perfect["bus"]["IoU"] is None, perfect
    assert [c for c in perfect][1:4] == ["car", "truck", "trailer"], perfect
    rows = root / "dense_voxels_with_semantic"
    perfect = scores("occupancy", "--protocol", "surround-occ", "--ground-truth", rows, "--prediction", rows)
    assert perfect["mIoU"]["IoU"] == 1, perfect
    occupancy_volumes(out, scores)
    rays = scores("rays", "--protocol", "open-occ", "--nuscenes", root, "--ground-truth", moving, "--prediction", moving)
    assert rays["RayIoU"]["@1"] == 1 and rays["mean"]["AVE tp"] == 0, rays
    unsaid = out / "unsaid"  # a prediction that says nothing
    shutil.copytree(moving, unsaid)
    one = next(unsaid.rglob("labels.npz"))
    arrays = zipfile.ZipFile(one)
    kept = arrays.read("flow.npy")
    npy(out / "semantics.npy", "|u1", (200, 200, 16), b"\xff" * 640000)
    with zipfile.ZipFile(one, "w") as z:
        z.writestr("flow.npy", kept)
        z.write(out / "semantics.npy", "semantics.npy")
    message = run("rays", "--protocol", "open-occ", "--nuscenes", root, "--ground-truth", moving, "--prediction", unsaid,
                  "--quiet", status=1)
    assert "labels.npz: voxel (0, 0, 0) has the class 255, outside 0 .. 16" in message, message

    # A forecast that is right: the labels of the frames that follow. Frame 3 is the last with three seconds to come.
    scene = next(p for p in gts.iterdir())
    samples = {s["token"]: s for s in json.loads((root / "v1.0-mini" / "sample.json").read_text())}
    order = [next(t for t, s in samples.items() if not s["prev"])]
    while samples[order[-1]]["next"]:
        order.append(samples[order[-1]]["next"])
    for i in range(len(order) - 6):
        folder = out / "seen" / scene.name / order[i]
        folder.mkdir(parents=True)
        for second in range(4):
            shutil.copy(scene / order[i + 2 * second] / "labels.npz", folder / f"labels_{second}s.npz")
    boundaries(out, scores, order)
    call = ("forecast", "--protocol", "sparse-world", "--nuscenes", root, "--ground-truth", gts, "--prediction")
    right = scores(*call, out / "seen")
    assert right["mIoU"] == {"0 s": 1, "1 s": 1, "2 s": 1, "3 s": 1, "mean 1-3 s": 1}, right
    # What stays as it is now: right now, wrong later.
    for folder in (out / "seen" / scene.name).iterdir():
        for second in (1, 2, 3):
            shutil.copy(folder / "labels_0s.npz", folder / f"labels_{second}s.npz")
    still = scores(*call, out / "seen")["mIoU"]
    assert still["0 s"] == 1 and 1 > still["1 s"] > still["3 s"] > 0, still

    # A key frame without a forecast is named; --partial leaves it out and says so.
    gone = out / "seen" / scene.name / order[1]
    gone.rename(out / "gone")
    said, judged = run(*call, out / "seen", "--quiet", status=1), len(order) - 6
    assert f"1 of {judged} key frames with three seconds to come have no forecast" in said and str(gone) in said, said
    said = run(*call, out / "seen", "--quiet", "--partial")
    assert f"sparse-world, {judged - 1} samples, 1 without a forecast" in said, said
    (out / "gone").rename(gone)
    assert "without" not in run(*call, out / "seen", "--quiet")

    # Errors name the file and what to do.
    late = out / "seen" / scene.name / order[-1]
    late.mkdir()
    shutil.copy(scene / order[-1] / "labels.npz", late / "labels_0s.npz")
    assert "its scene ends before" in run(*call, out / "seen", "--quiet", status=1)
    (out / "empty").mkdir()
    assert "there is no forecast in" in run(*call, out / "empty", "--quiet", status=1)
    assert "--protocol is required" in run("rays", "--nuscenes", root, "--ground-truth", gts, "--prediction", gts, status=2)
print("evaluate: all tasks agree")

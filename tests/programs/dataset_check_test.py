#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Damages copies of a data set and of a town, and runs the command that `dataset_check` prints with the problem: then
nothing may be wrong any more. The archives that the commands unpack are made of the undamaged copy.

usage: dataset_check_test.py DATASET_CHECK MAKE_TOWN NUSCENES      exit status 77 (skipped) where the data set is absent
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile

program, make_town, source = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
if not (source / "gts").exists() or shutil.which("unzip") is None or shutil.which("bzip2") is None:
    print(f"skipped: {source}, unzip or bzip2 is absent")
    sys.exit(77)
environment = dict(os.environ, PATH=f"{make_town.parent}:{pathlib.Path(program).parent}:{os.environ['PATH']}")


def check(root, *options):
    done = subprocess.run([program, "--quiet", *options, str(root)], capture_output=True, text=True)
    assert done.returncode in (0, 1), (done.returncode, done.stdout, done.stderr)
    assert done.returncode == ("no problems" not in done.stdout), done.stdout
    return re.findall(r"^\d+\. (.*)\n   repair: (.*)$", done.stdout, re.M)


def archives(folder, root):
    """What the publishers offer, of this data set."""
    folder.mkdir()
    contents = {"v1.0-mini.tgz": ("w:gz", ["v1.0-mini", "samples", "maps"]),
                "nuScenes-lidarseg-mini-v1.0.tar.bz2": ("w:bz2", ["lidarseg", "v1.0-mini/lidarseg.json", "v1.0-mini/category.json"]),
                "gts.tar.gz": ("w:gz", ["gts"])}
    for name, (mode, parts) in contents.items():
        with tarfile.open(folder / name, mode, compresslevel=1) as archive:
            for part in parts:
                archive.add(root / part, part)
    for name, part in {"can_bus.zip": "can_bus", "openocc_v2.1.zip": "openocc_v2"}.items():
        with zipfile.ZipFile(folder / name, "w") as archive:
            for f in (root / part).rglob("*"):
                archive.write(f, f.relative_to(root))


def cut(path):
    path.write_bytes(path.read_bytes()[:len(path.read_bytes()) // 2 + 3])


def edit(path, change):
    rows = json.loads(path.read_text())
    change(rows)
    path.write_text(json.dumps(rows))


def first(folder, pattern="*"):
    return next(f for f in sorted(folder.rglob(pattern)) if f.is_file())


def tables(t):
    """Faults of tables: what is done to which of them."""
    def swap(row, field, other):
        row[field] = other

    yield t / "scene.json", lambda r: swap(r[0], "nbr_samples", 99)
    yield t / "scene.json", lambda r: swap(r[0], "last_sample_token", r[0]["first_sample_token"])
    yield t / "instance.json", lambda r: swap(r[0], "first_annotation_token", r[1]["first_annotation_token"])
    yield t / "instance.json", lambda r: swap(r[0], "nbr_annotations", 0)
    yield t / "sample.json", lambda r: swap(next(x for x in r if x["next"]), "next", "")
    yield t / "sample_data.json", lambda r: swap(next(x for x in r if x["prev"]), "prev", "")
    yield t / "sample_annotation.json", lambda r: swap(next(x for x in r if x["next"]), "next", r[0]["token"])
    yield t / "sample_annotation.json", lambda r: swap(r[3], "visibility_token", "7")
    yield t / "category.json", lambda r: r.append(dict(r[0], token="another"))
    yield t / "attribute.json", lambda r: r.append(dict(r[0], token="another"))
    yield t / "attribute.json", lambda r: r.clear()
    yield t / "sensor.json", lambda r: r.append(dict(r[0], token="another"))
    yield t / "map.json", lambda r: r.clear()
    yield t / "lidarseg.json", lambda r: r.pop(0)
    yield t / "lidarseg.json", lambda r: r.append(dict(r[0], token="another"))


def damages(root, version):
    t = root / version
    for path, change in tables(t):
        yield path, lambda path=path, change=change: edit(path, change)
    for path in (t / "ego_pose.json", first(root / "samples/CAM_BACK"), first(root / "samples/LIDAR_TOP"), first(root / "maps"),
                 first(root / "lidarseg"), first(root / "gts"), first(root / "openocc_v2")):
        yield path, lambda path=path: cut(path)
        yield path, path.unlink
    yield first(root / "lidarseg"), lambda: first(root / "lidarseg").write_bytes(bytes(first(root / "lidarseg").stat().st_size))
    yield root / "maps", lambda: shutil.rmtree(root / "maps")
    yield t / "lidarseg.json", (t / "lidarseg.json").unlink


def repaired(root, where, name, damage, *options):
    damage()
    found = check(root, *options)
    assert found, f"nobody saw what was done to {name}"
    what, command = found[0]
    done = subprocess.run(command, shell=True, cwd=where, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, (name, what, command, done.stderr)
    left = check(root, *options)
    assert not left, (name, what, command, left)


with tempfile.TemporaryDirectory() as name:
    out = pathlib.Path(name)
    root, where = out / "nuscenes", out / "archives"
    shutil.copytree(source, root, copy_function=shutil.copyfile)
    for p in [root, *root.rglob("*")]:
        p.chmod(0o755 if p.is_dir() else 0o644)
    (root / "can_bus").mkdir()
    scene = json.loads((root / "v1.0-mini" / "scene.json").read_text())[0]["name"]
    message = {"utime": 1, "accel": [0, 0, 9.8], "rotation_rate": [0, 0, 0], "vel": [5, 0, 0]}
    (root / "can_bus" / f"{scene}_pose.json").write_text(json.dumps([message, message]))
    (root / "can_bus" / f"{scene}_steeranglefeedback.json").write_text(json.dumps([{"utime": 1, "value": 0.1}]))
    (root / "can_bus" / f"{scene}_meta.json").write_text('{"pose": {"message_count": 2}}')
    archives(where, root)
    assert not check(root) and not check(root, "--quick"), check(root)
    count = 0
    for path, damage in list(damages(root, "v1.0-mini")):
        # Tables are read whole even at a glance.
        repaired(root, where, path, damage, *(["--quick"] if path.suffix == ".json" else []))
        count += 1
    for path in sorted((root / "can_bus").iterdir()):
        for damage in (path.unlink, lambda: cut(path), lambda: path.write_text("")):
            if damage == path.unlink and "meta" in path.name:
                continue  # nobody reads it
            repaired(root, where, path, damage, "--quick")
            count += 1
    assert not check(root)

    town = out / "town"
    options = ["--scenes", "1", "--seconds", "1", "--height", "36", "--width", "64", "--lidar-sweeps", "1", "--quiet"]
    subprocess.run([make_town, "--out", town, *options], check=True, stdout=subprocess.DEVNULL)
    assert not check(town), check(town)
    text, splits = first(town / "town"), town / "v1.0-town/splits.json"
    repaired(town, where, text, lambda: (cut(text), splits.unlink()))  # one command mends both
    (town / "sqs_town.txt").write_text("")
    what, command = check(town)[0]
    assert "sqs_town.txt" in what and command.startswith(f"make_town --out {town}_again"), (what, command)
print(f"dataset_check: {count + 2} faults seen and repaired")

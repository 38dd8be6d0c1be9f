#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs `evaluate` on real labels that are known to be right: every task must say so, and bad calls must say why.

usage: evaluate_test.py EVALUATE NUSCENES      exit status 77 (skipped) where the data set is absent
"""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

program, root = sys.argv[1], pathlib.Path(sys.argv[2])
if not (root / "gts").exists():
    print(f"skipped: {root} is absent")
    sys.exit(77)


def run(*arguments, status=0):
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == status, (arguments, done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


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
    rays = scores("rays", "--protocol", "open-occ", "--nuscenes", root, "--ground-truth", moving, "--prediction", moving)
    assert rays["RayIoU"]["@1"] == 1 and rays["mean"]["AVE tp"] == 0, rays

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
    call = ("forecast", "--protocol", "sparse-world", "--nuscenes", root, "--ground-truth", gts, "--prediction")
    right = scores(*call, out / "seen")
    assert right["mIoU"] == {"0 s": 1, "1 s": 1, "2 s": 1, "3 s": 1, "mean 1-3 s": 1}, right
    # What stays as it is now: right now, wrong later.
    for folder in (out / "seen" / scene.name).iterdir():
        for second in (1, 2, 3):
            shutil.copy(folder / "labels_0s.npz", folder / f"labels_{second}s.npz")
    still = scores(*call, out / "seen")["mIoU"]
    assert still["0 s"] == 1 and 1 > still["1 s"] > still["3 s"] > 0, still

    # Errors name the file and what to do.
    late = out / "seen" / scene.name / order[-1]
    late.mkdir()
    shutil.copy(scene / order[-1] / "labels.npz", late / "labels_0s.npz")
    assert "its scene ends before" in run(*call, out / "seen", "--quiet", status=1)
    (out / "empty").mkdir()
    assert "there is no forecast in" in run(*call, out / "empty", "--quiet", status=1)
    assert "--protocol is required" in run("rays", "--nuscenes", root, "--ground-truth", gts, "--prediction", gts, status=2)
print("evaluate: all tasks agree")

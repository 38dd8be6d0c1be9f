#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Golden numbers of the nuScenes devkit for tests/metric/detection_devkit_test.cpp.

usage: golden_metrics_detection.py nuscenes_infos_val_mini.jsonl > tests/metric/golden/detection_devkit.json
       golden_metrics_detection.py pandaset-nuscenes > tests/pipeline/golden/detection_tables.json

The first derives boxes from annotations with as much of the tables as the devkit's filters ask for; the second runs the
devkit on a whole data set in its layout.

Needs nuscenes-devkit (made with 1.2.0, numpy 1.26.4, pyquaternion 0.9.9). The last digits depend on the processor; the
two sets of numbers were made with
  OPENBLAS_CORETYPE=SkylakeX                                                     -> "avx512"
  OPENBLAS_CORETYPE=Haswell NPY_DISABLE_CPU_FEATURES="AVX512F AVX512CD ..."      -> "avx2"
The file holds results only: the test derives the same boxes from the same annotations. Each number is drawn from a
counter, and arithmetic is kept to single rounded operations, so that both sides have the same bits.
"""
import json
import os
import subprocess
import sys

import numpy as np

CLASSES = ["car", "truck", "construction_vehicle", "bus", "trailer", "barrier", "motorcycle", "bicycle", "pedestrian",
           "traffic_cone"]
ATTRIBUTES = ["pedestrian.moving", "pedestrian.sitting_lying_down", "pedestrian.standing", "cycle.with_rider",
              "cycle.without_rider", "vehicle.moving", "vehicle.parked", "vehicle.stopped", ""]


class Draw:
    """Numbers in [0, 1): a 64-bit mix of a counter."""

    def __init__(self):
        self.count = 0

    def __call__(self):
        self.count += 1
        mask = (1 << 64) - 1
        x = (self.count * 0x9E3779B97F4A7C15) & mask
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & mask
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
        x ^= x >> 31
        return (x >> 11) * 2.0 ** -53


def boxes(path, box_class):
    """Ground truth, predictions and racks by sample; the vehicle stands at the origin of each sample's LiDAR frame."""
    draw, truth, found, racks = Draw(), {}, {}, {}
    for line in open(path):
        info = json.loads(line)
        token = info["token"]
        truth[token], found[token], racks[token] = [], [], []
        for box, name, velocity, lidar, radar in zip(info["gt_boxes"], info["gt_names"], info["gt_velocity"],
                                                     info["num_lidar_pts"], info["num_radar_pts"]):
            if name not in CLASSES:
                continue
            x, y, z, length, width, height, yaw = box
            vx, vy = [float("nan") if v is None else v for v in velocity]
            attribute = "" if draw() < 0.1 else ATTRIBUTES[int(draw() * 8)]
            truth[token].append(box_class(
                sample_token=token, translation=(x, y, z), size=(width, length, height), rotation=(1.0, 0.0, 0.0, yaw),
                velocity=(vx, vy), num_pts=int(lidar + radar), detection_name=name, attribute_name=attribute))
            if name in ("bicycle", "motorcycle") and draw() < 0.4:
                racks[token].append({"translation": [x + draw() * 2.0, y, z], "size": [1.5, 3.0, 2.0],
                                     "rotation": [1.0, 0.0, 0.0, yaw], "category_name": "static_object.bicycle_rack"})
            for _ in range(int(draw() * 3.0)):
                other = name if draw() < 0.85 else CLASSES[int(draw() * 10)]
                moved = (x + (draw() - 0.5) * 4.0, y + (draw() - 0.5) * 4.0, z)
                found[token].append(box_class(
                    sample_token=token, translation=moved,
                    size=(width * (0.7 + draw()), length * (0.7 + draw()), height * (0.7 + draw())),
                    rotation=(1.0, draw() - 0.5, draw() - 0.5, yaw + (draw() - 0.5)),
                    velocity=(draw() * 4.0 - 2.0, draw() * 4.0 - 2.0), detection_name=other,
                    attribute_name=attribute if draw() < 0.6 else ATTRIBUTES[int(draw() * 9)],
                    # Scores of two digits: many ties.
                    detection_score=int(draw() * 100.0) / 100.0))
    return truth, found, racks


class FakeNuScenes:
    """As much of the devkit's tables as its filters ask for."""

    def __init__(self, racks):
        self.racks = racks

    def get(self, table, token):
        if table == "sample":
            return {"data": {"LIDAR_TOP": token}, "anns": [(token, i) for i in range(len(self.racks[token]))]}
        if table == "sample_data":
            return {"ego_pose_token": token}
        if table == "ego_pose":
            return {"translation": [0.25, -0.5, 0.0]}
        return self.racks[token[0]][token[1]]


def from_tables(root):
    """Ground truth as the devkit loads it, predictions around it."""
    from nuscenes import NuScenes
    from nuscenes.eval.common.loaders import load_gt_of_sample_tokens
    from nuscenes.eval.detection.data_classes import DetectionBox
    nusc, draw = NuScenes("v1.0-mini", root, verbose=False), Draw()
    truth = load_gt_of_sample_tokens(nusc, [s["token"] for s in nusc.sample], DetectionBox).boxes
    found = {token: [] for token in truth}
    for token, list_of_boxes in truth.items():
        for b in list_of_boxes:
            if draw() < 0.15:
                continue
            moved = tuple(v + (draw() - 0.5) * 2.0 for v in b.translation)
            found[token].append(DetectionBox(
                sample_token=token, translation=moved, size=tuple(v * (0.75 + draw()) for v in b.size),
                rotation=tuple(v + (draw() - 0.5) * 0.25 for v in b.rotation),
                velocity=(draw() * 8.0 - 4.0, draw() * 8.0 - 4.0), detection_name=b.detection_name,
                attribute_name=b.attribute_name if draw() < 0.75 else ATTRIBUTES[int(draw() * 8)],
                detection_score=draw()))
    return truth, found, nusc


def evaluate(path):
    from nuscenes.eval.common.config import config_factory
    from nuscenes.eval.common.data_classes import EvalBoxes
    from nuscenes.eval.common.loaders import add_center_dist, filter_eval_boxes
    from nuscenes.eval.detection.data_classes import DetectionBox
    from nuscenes.eval.detection.evaluate import DetectionEval
    if os.path.isdir(path):
        (truth, found, nusc), racks = from_tables(path), {}
    else:
        truth, found, racks = boxes(path, DetectionBox)
        nusc = FakeNuScenes(racks)
    sides = []
    config = config_factory("detection_cvpr_2019")
    for by_sample in (found, truth):
        side = EvalBoxes()
        for token, list_of_boxes in by_sample.items():
            side.add_boxes(token, list_of_boxes)
        sides.append(filter_eval_boxes(nusc, add_center_dist(nusc, side), config.class_range))
    run = DetectionEval.__new__(DetectionEval)
    run.cfg, run.verbose, (run.pred_boxes, run.gt_boxes) = config, False, sides
    metrics = run.evaluate()[0].serialize()
    counts = {"truth": sum(map(len, truth.values())), "judged_truth": len(run.gt_boxes.all),
              "found": sum(map(len, found.values())), "judged_found": len(run.pred_boxes.all),
              "racks": sum(map(len, racks.values()))}
    for key in ("eval_time", "cfg"):
        del metrics[key]
    return {"counts": counts, **metrics}


def nulls(value):
    if isinstance(value, dict):
        return {str(k): nulls(v) for k, v in value.items()}
    return None if isinstance(value, float) and np.isnan(value) else value


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(nulls(evaluate(sys.argv[1]))))
        sys.exit()
    avx512 = "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL"
    sets = {"avx512": {"OPENBLAS_CORETYPE": "SkylakeX"},
            "avx2": {"OPENBLAS_CORETYPE": "Haswell", "NPY_DISABLE_CPU_FEATURES": avx512}}
    out = {name: json.loads(subprocess.run([sys.executable, __file__, sys.argv[1], "-"], check=True, text=True,
                                           stdout=subprocess.PIPE, env={**os.environ, **extra}).stdout)
           for name, extra in sets.items()}
    json.dump(out, sys.stdout, indent=1)
    print()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads a town that make_town wrote with the official nuScenes devkit, and evaluates detections on it.

usage: check_town_with_devkit.py TOWN --out FOLDER [--seed N] [--compare evaluate.json]

Everything is opened as a user of the devkit would: every table, every link, every key frame's pictures, sweep, boxes,
velocities and lidarseg. Then results are made from the ground truth with noise drawn from the seed, and DetectionEval
judges them. FOLDER gets results.json (the detections), summary.json (the devkit's metrics) and counts.json (what was
read). The same detections by this library:

  evaluate detection --ground-truth TOWN --result FOLDER/results.json --json evaluate.json

and with --compare the two are compared; they must agree to 1e-12. Exit status 0: all good, 1: something differs.

Needs nuscenes-devkit (used with 1.2.0 and numpy 1.26.4).
"""
import argparse
import collections
import json
import os
import sys

import numpy as np

TOLERANCE = 1e-12


def fail(message):
    sys.exit(f"check_town_with_devkit: {message}")


def walk(nusc):
    """Opens what the tables name; returns how much there was."""
    from nuscenes.utils.data_classes import LidarPointCloud
    from PIL import Image
    counts = collections.Counter()
    for scene in nusc.scene:
        token, before = scene["first_sample_token"], ""
        while token:
            sample = nusc.get("sample", token)
            if sample["prev"] != before or sample["scene_token"] != scene["token"]:
                fail(f"sample {token}: prev or scene_token contradicts its scene {scene['name']}")
            for channel, data_token in sample["data"].items():
                path, boxes, intrinsic = nusc.get_sample_data(data_token)
                record = nusc.get("sample_data", data_token)
                if channel.startswith("CAM"):
                    with Image.open(path) as picture:
                        picture.load()
                        if picture.size != (record["width"], record["height"]) or intrinsic.shape != (3, 3):
                            fail(f"{path} has {picture.size} pixels, its record {record['width']} x {record['height']}")
                    counts["boxes seen by cameras"] += len(boxes)
                    continue
                points = LidarPointCloud.from_file(path).points.shape[1]
                counts["points"] += points
                counts["boxes"] += len(boxes)
                for box in boxes:
                    inside = np.isfinite(box.center).all() and (box.wlh > 0).all()
                    velocity = nusc.box_velocity(box.token)
                    counts["boxes with a velocity"] += int(np.isfinite(velocity).all())
                    if not inside:
                        fail(f"annotation {box.token} has no finite centre or no size")
                if hasattr(nusc, "lidarseg"):
                    labels = nusc.get("lidarseg", data_token)["filename"]
                    values = np.fromfile(os.path.join(nusc.dataroot, labels), dtype=np.uint8)
                    if len(values) != points or values.max() >= len(nusc.lidarseg_idx2name_mapping):
                        fail(f"{labels} has {len(values)} labels up to {values.max()} for {points} points")
                    counts["lidarseg labels"] += len(values)
            counts["key frames"] += 1
            before, token = token, sample["next"]
        if before != scene["last_sample_token"]:
            fail(f"scene {scene['name']} ends at {before}, its record says {scene['last_sample_token']}")
    for record in nusc.sample_data:  # sweeps between the key frames
        if not record["is_key_frame"]:
            path = nusc.get_sample_data_path(record["token"])
            counts["sweeps"] += 1
            if record["fileformat"] == "pcd":
                counts["points of sweeps"] += LidarPointCloud.from_file(path).points.shape[1]
    for record in nusc.map:
        counts["pixels of maps"] += record["mask"].mask().size
    for instance in nusc.instance:
        chain, token = 0, instance["first_annotation_token"]
        while token:
            annotation = nusc.get("sample_annotation", token)
            if annotation["instance_token"] != instance["token"]:
                fail(f"annotation {token} is linked to another instance")
            chain, last, token = chain + 1, token, annotation["next"]
        if chain != instance["nbr_annotations"] or last != instance["last_annotation_token"]:
            fail(f"instance {instance['token']} has {chain} annotations, its record {instance['nbr_annotations']}")
    return dict(counts)


def detections(nusc, seed):
    """Ground truth with noise: some boxes lost, some doubled, some made up."""
    from nuscenes.eval.common.loaders import load_gt_of_sample_tokens
    from nuscenes.eval.detection.constants import ATTRIBUTE_NAMES, DETECTION_NAMES
    from nuscenes.eval.detection.data_classes import DetectionBox
    draw = np.random.RandomState(seed)
    truth = load_gt_of_sample_tokens(nusc, [s["token"] for s in nusc.sample], DetectionBox)
    results = {}
    for token in truth.sample_tokens:
        rows = results[token] = []
        for box in truth[token]:
            for _ in range(draw.choice([0, 1, 2], p=[0.15, 0.75, 0.1])):
                spread = draw.choice([0.1, 0.4, 1.5])
                yaw = draw.normal(0, 0.3)
                w, x, y, z = box.rotation
                c, s = np.cos(yaw / 2), np.sin(yaw / 2)
                speed = np.nan_to_num(np.array(box.velocity)) + draw.normal(0, 0.5, 2)
                name = box.detection_name if draw.rand() < 0.95 else draw.choice(DETECTION_NAMES)
                attribute = box.attribute_name if draw.rand() < 0.8 else draw.choice(ATTRIBUTE_NAMES)
                rows.append({"sample_token": token,
                             "translation": list(np.array(box.translation) + draw.normal(0, spread, 3)),
                             "size": list(np.array(box.size) * draw.uniform(0.8, 1.25, 3)),
                             "rotation": [c * w - s * z, c * x - s * y, c * y + s * x, c * z + s * w],
                             "velocity": list(speed), "detection_name": str(name),
                             "detection_score": float(np.exp(-spread) * draw.rand()),
                             "attribute_name": str(attribute)})
    meta = {"use_camera": True, "use_lidar": False, "use_radar": False, "use_map": False, "use_external": False}
    return {"meta": meta, "results": results}


def evaluate(nusc, split, out):
    from nuscenes.eval.common.config import config_factory
    from nuscenes.eval.detection.evaluate import DetectionEval
    run = DetectionEval(nusc, config_factory("detection_cvpr_2019"), os.path.join(out, "results.json"), split,
                        output_dir=os.path.join(out, "devkit"), verbose=False)
    summary = run.evaluate()[0].serialize()
    for key in ("eval_time", "cfg"):
        summary.pop(key, None)
    return summary


def numbers_of(ours):
    """The table of `evaluate --json` under the names of the devkit."""
    errors = dict(zip(["ATE", "ASE", "AOE", "AVE", "AAE"],
                      ["trans_err", "scale_err", "orient_err", "vel_err", "attr_err"]))
    out = {}
    for name, cells in ours.items():
        if name == "protocol":
            continue
        if name == "NDS":
            out["nd_score"] = next(iter(cells.values()))
        elif name == "mean":
            out["mean_ap"] = cells["AP"]
            out.update({f"tp_errors.{e}": cells[k] for k, e in errors.items()})
        else:
            out[f"mean_dist_aps.{name}"] = cells["AP"]
            out.update({f"label_aps.{name}.{d}": cells[f"AP@{d}"] for d in ("0.5", "1", "2", "4")})
            out.update({f"label_tp_errors.{name}.{e}": cells[k] for k, e in errors.items()})
    return out


def flat(summary):
    out = {"nd_score": summary["nd_score"], "mean_ap": summary["mean_ap"]}
    out.update({f"tp_errors.{k}": v for k, v in summary["tp_errors"].items()})
    out.update({f"mean_dist_aps.{k}": v for k, v in summary["mean_dist_aps"].items()})
    for name in summary["label_aps"]:
        out.update({f"label_aps.{name}.{float(d):g}": v for d, v in summary["label_aps"][name].items()})
        out.update({f"label_tp_errors.{name}.{k}": v for k, v in summary["label_tp_errors"][name].items()})
    return out


def compare(theirs, ours):
    """The largest difference; NaN and null are the same."""
    worst = (0.0, "")
    if set(theirs) != set(ours):
        fail(f"one side lacks {sorted(set(theirs) ^ set(ours))[:5]}")
    for key, a in theirs.items():
        b = ours[key]
        a, b = (float("nan") if v is None else float(v) for v in (a, b))
        if np.isnan(a) != np.isnan(b):
            fail(f"{key} is {a} for the devkit and {b} here")
        if not np.isnan(a):
            worst = max(worst, (abs(a - b), key))
    print(f"{len(theirs)} numbers, largest difference {worst[0]:.3g} {worst[1]}")
    return worst[0] <= TOLERANCE


def nulls(value):
    if isinstance(value, dict):
        return {str(k): nulls(v) for k, v in value.items()}
    return None if isinstance(value, float) and np.isnan(value) else value


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("town")
    parser.add_argument("--out", required=True)
    parser.add_argument("--version", default="v1.0-town")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--compare", metavar="JSON", help="what `evaluate detection --json` wrote")
    options = parser.parse_args()
    from nuscenes import NuScenes
    os.makedirs(options.out, exist_ok=True)

    def write(name, value):
        with open(os.path.join(options.out, name), "w") as file:
            json.dump(value, file, indent=1)
            file.write("\n")

    if options.compare:
        with open(os.path.join(options.out, "summary.json")) as file:
            theirs = json.load(file)
        with open(options.compare) as file:
            ours = json.load(file)
        sys.exit(0 if compare(flat(theirs), numbers_of(ours)) else 1)
    with open(os.path.join(options.town, options.version, "splits.json")) as file:
        split = next(iter(json.load(file)))
    nusc = NuScenes(options.version, options.town, verbose=False)
    counts = walk(nusc)
    write("counts.json", counts)
    write("results.json", detections(nusc, options.seed))
    summary = nulls(evaluate(nusc, split, options.out))
    write("summary.json", summary)
    print(", ".join(f"{n} {what}" for what, n in sorted(counts.items())))
    print(f"mAP {summary['mean_ap']:.6f}, NDS {summary['nd_score']:.6f}")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares the numbers of example 13 with those of other evaluators, on predictions that no test holds.

usage: golden_metrics_compare.py detection EVALUATE nuscenes_infos_val_mini.jsonl [SEED]
       golden_metrics_compare.py occupancy EVALUATE [SEED]

detection: writes the annotations of mini_val as a data set in the nuScenes layout (tracks give the velocities, racks are
added), draws predictions of ten kinds and lets the nuScenes devkit (1.2.0) and EVALUATE judge them. Every number must be
equal, but for headings: their last digit depends on the version of pyquaternion, so that they and the NDS may differ by
1e-15. Run with OPENBLAS_CORETYPE=SkylakeX, as for golden_metrics_detection.py.

occupancy: draws volumes and judges them by a plain count in numpy of what each protocol says.
"""
import contextlib
import io
import json
import math
import pathlib
import random
import subprocess
import sys
import tempfile

import numpy as np

CLASSES = {"car": "vehicle.car", "truck": "vehicle.truck", "bus": "vehicle.bus.rigid", "trailer": "vehicle.trailer",
           "construction_vehicle": "vehicle.construction", "pedestrian": "human.pedestrian.adult",
           "motorcycle": "vehicle.motorcycle", "bicycle": "vehicle.bicycle", "traffic_cone": "movable_object.trafficcone",
           "barrier": "movable_object.barrier"}
RANGES = {**dict.fromkeys(list(CLASSES)[:5], 50), **dict.fromkeys(["pedestrian", "motorcycle", "bicycle"], 40),
          **dict.fromkeys(["traffic_cone", "barrier"], 30)}
ATTRIBUTES = ["pedestrian.moving", "pedestrian.sitting_lying_down", "pedestrian.standing", "cycle.with_rider",
              "cycle.without_rider", "vehicle.moving", "vehicle.parked", "vehicle.stopped"]
OF_CLASS = {"pedestrian": ATTRIBUTES[:3], "bicycle": ATTRIBUTES[3:5], "motorcycle": ATTRIBUTES[3:5], "traffic_cone": [""],
            "barrier": [""]}


def attributes_of(name):
    return OF_CLASS.get(name, ATTRIBUTES[5:])


def evaluate(program, *arguments):
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "numbers.json"
        done = subprocess.run([program, *map(str, arguments), "--quiet", "--json", out], capture_output=True, text=True)
        return json.loads(out.read_text()) if done.returncode == 0 else done.stderr.strip()


# ------------------------------------------------------------------------------------------------------------- detection


def write_data_set(root, path, draw):
    from pyquaternion import Quaternion
    infos = [json.loads(line) for line in open(path)]
    scenes = [infos[:40], infos[40:]]
    tables = {name: [] for name in ("sample", "sample_data", "ego_pose", "scene", "sample_annotation", "instance")}
    tables["category"] = [{"token": n, "name": n, "description": ""} for n in [*CLASSES.values(), "static_object.bicycle_rack"]]
    tables["attribute"] = [{"token": n, "name": n, "description": ""} for n in ATTRIBUTES]
    tables["visibility"] = [{"token": "4", "level": "v80-100", "description": ""}]
    tables["log"] = [{"token": "log", "logfile": "log", "vehicle": "", "date_captured": "", "location": "boston-seaport"}]
    tables["map"] = [{"token": "map", "log_tokens": ["log"], "category": "semantic_prior", "filename": "maps/none.png"}]
    channels = ["LIDAR_TOP", "CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_FRONT_LEFT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_BACK_RIGHT"]
    tables["sensor"] = [{"token": c, "channel": c, "modality": "lidar" if c == "LIDAR_TOP" else "camera"} for c in channels]
    tables["calibrated_sensor"] = [{"token": c, "sensor_token": c, "translation": [0.0, 0.0, 1.8], "rotation": [1.0, 0.0, 0.0, 0.0],
                                    "camera_intrinsic": [] if c == "LIDAR_TOP" else np.diag([800.0, 800.0, 1.0]).tolist()}
                                   for c in channels]
    for number, scene in enumerate(scenes):
        name = ["scene-0103", "scene-0916"][number]
        tokens = [i["token"] for i in scene]
        tables["scene"].append({"token": name, "name": name, "description": "", "log_token": "log", "nbr_samples": len(scene),
                                "first_sample_token": tokens[0], "last_sample_token": tokens[-1]})
        last = {}
        for k, info in enumerate(scene):
            t = info["token"]
            neighbours = {"prev": tokens[k - 1] if k else "", "next": tokens[k + 1] if k + 1 < len(tokens) else ""}
            tables["sample"].append({"token": t, "timestamp": info["timestamp"], "scene_token": name, **neighbours})
            tables["ego_pose"].append({"token": t, "timestamp": info["timestamp"], "rotation": info["ego2global_rotation"],
                                       "translation": info["ego2global_translation"]})
            for c in channels:
                tables["sample_data"].append({
                    "token": t + c, "sample_token": t, "ego_pose_token": t, "calibrated_sensor_token": c,
                    "timestamp": info["timestamp"], "fileformat": "", "is_key_frame": True, "height": 900, "width": 1600,
                    "filename": f"samples/{c}/{t}.bin", "prev": neighbours["prev"] and neighbours["prev"] + c,
                    "next": neighbours["next"] and neighbours["next"] + c})
            turn, move = Quaternion(info["ego2global_rotation"]), np.array(info["ego2global_translation"])
            to_ego, up = Quaternion(info["lidar2ego_rotation"]), np.array(info["lidar2ego_translation"])
            for box, kind, track, lidar, radar in zip(info["gt_boxes"], info["gt_names"], info["instance_inds"],
                                                      info["num_lidar_pts"], info["num_radar_pts"]):
                if kind not in CLASSES:
                    continue
                x, y, z, length, width, height, yaw = box
                centre = turn.rotate(to_ego.rotate([x, y, z]) + up) + move
                rotation = turn * to_ego * Quaternion(axis=[0, 0, 1], radians=yaw)
                token = f"{t}-{len(tables['sample_annotation'])}"
                row = {"token": token, "sample_token": t, "instance_token": f"{name}-{track}", "visibility_token": "4",
                       "attribute_tokens": [a for a in [draw.choice(attributes_of(kind))] if a and draw.random() < 0.9],
                       "translation": list(centre), "size": [width, length, height], "rotation": list(rotation.elements),
                       "num_lidar_pts": int(lidar), "num_radar_pts": int(radar), "prev": "", "next": ""}
                if track in last:
                    row["prev"], last[track]["next"] = last[track]["token"], token
                else:
                    tables["instance"].append({"token": f"{name}-{track}", "category_token": CLASSES[kind]})
                last[track] = row
                tables["sample_annotation"].append(row)
                if kind in ("bicycle", "motorcycle") and draw.random() < 0.3:
                    rack = f"rack-{token}"
                    tables["instance"].append({"token": rack, "category_token": "static_object.bicycle_rack"})
                    tables["sample_annotation"].append({
                        **row, "token": rack, "instance_token": rack, "attribute_tokens": [], "prev": "", "next": "",
                        "translation": [centre[0] + draw.uniform(-1, 1), centre[1], centre[2]], "size": [1.5, 3.0, 2.0]})
    for row in tables["instance"]:
        chain = [a["token"] for a in tables["sample_annotation"] if a["instance_token"] == row["token"]]
        row.update(nbr_annotations=len(chain), first_annotation_token=chain[0], last_annotation_token=chain[-1])
    folder = root / "v1.0-mini"
    folder.mkdir(parents=True)
    (root / "maps").mkdir()
    from PIL import Image
    Image.new("L", (8, 8)).save(root / "maps" / "none.png")
    for name, rows in tables.items():
        (folder / f"{name}.json").write_text(json.dumps(rows))


def predictions(kind, truth, egos, racks, draw):
    """{sample: boxes}: `truth` holds boxes of the devkit by sample."""
    out = {}
    for token, boxes in truth.items():
        here, ego = [], egos[token]

        def add(b, name=None, move=(0.0, 0.0), score=None, velocity=None, attribute=None, at=None):
            name = name or b.detection_name
            x, y, z = at or b.translation
            here.append({
                "sample_token": token, "translation": [x + move[0], y + move[1], z],
                "size": [v * draw.uniform(0.7, 1.4) for v in b.size],
                "rotation": [v + draw.uniform(-0.3, 0.3) for v in b.rotation],
                "velocity": velocity or [draw.uniform(-5, 5), draw.uniform(-5, 5)], "detection_name": name,
                "detection_score": draw.random() if score is None else score,
                "attribute_name": draw.choice(attributes_of(name)) if attribute is None else attribute})

        near = lambda s: (draw.gauss(0, s), draw.gauss(0, s))
        for b in boxes:
            if kind == "plain":
                for _ in range(draw.randint(0, 2)):
                    add(b, move=near(1))
            elif kind == "ties":
                for _ in range(draw.randint(0, 3)):
                    add(b, move=near(1), score=draw.choice([0.0, 0.25, 0.5, 1.0]))
            elif kind == "empty samples":
                if sum(map(ord, token)) % 3 == 0:
                    add(b, move=near(0.5))
            elif kind == "all false":
                add(b, move=(5 + 10 * draw.random(), 7.0))
            elif kind == "one class":
                add(b, name="car", move=near(0.3), attribute="vehicle.parked")
            elif kind == "duplicates":
                score = draw.random()
                for _ in range(3):
                    add(b, score=score)
            elif kind == "unknown velocities":
                add(b, move=near(0.6), velocity=draw.choice([[math.nan, math.nan], [0.0, math.nan], None]),
                    attribute=draw.choice(["", *attributes_of(b.detection_name)]))
            elif kind == "at thresholds":
                d = draw.choice([0.5, 1.0, 2.0, 4.0]) * draw.choice([1, 1, 1 - 1e-15, 1 + 1e-15])
                add(b, move=draw.choice([(d, 0.0), (0.0, -d), (d * 0.6, d * 0.8)]))
            elif kind == "at the range":
                angle, name = draw.uniform(0, 2 * math.pi), b.detection_name
                r = RANGES[name] * draw.choice([1, 1, 1 - 2e-16, 1 + 2e-16])
                dx, dy = draw.choice([(r, 0.0), (0.0, r), (r * math.cos(angle), r * math.sin(angle)), (r * 0.6, r * 0.8)])
                add(b, at=(ego[0] + dx, ego[1] + dy, b.translation[2]))
                add(b, move=near(0.4))
            elif kind == "crowded":
                for _ in range(500 // max(1, len(boxes)) + 1):
                    add(b, move=near(2))
        if kind == "racks":
            for r in racks[token]:
                for _ in range(20):
                    w, l = r["size"][0] / 2, r["size"][1] / 2
                    # Also on the border, along the rack's axes as far as they are the world's.
                    shift = draw.choice([(l, 0), (0, w), (-l, w), (draw.uniform(-2, 2), draw.uniform(-2, 2))])
                    b = draw.choice(boxes)
                    add(b, name=draw.choice(["bicycle", "motorcycle", "pedestrian"]), at=r["translation"], move=shift)
            for b in boxes:
                add(b, move=near(0.5))
        draw.shuffle(here)
        out[token] = here[:500]
    return out


KINDS = ["plain", "ties", "empty samples", "all false", "one class", "duplicates", "unknown velocities", "at thresholds",
         "at the range", "crowded", "racks"]


def compare_detection(program, path, seed):
    from nuscenes import NuScenes
    from nuscenes.eval.common.config import config_factory
    from nuscenes.eval.common.loaders import load_gt
    from nuscenes.eval.detection.data_classes import DetectionBox
    from nuscenes.eval.detection.evaluate import DetectionEval
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder) / "data"
        write_data_set(root, path, random.Random(seed))
        nusc = NuScenes("v1.0-mini", str(root), verbose=False)
        with contextlib.redirect_stderr(io.StringIO()):  # progress
            truth = load_gt(nusc, "mini_val", DetectionBox).boxes
        egos = {s["token"]: nusc.get("ego_pose", s["token"])["translation"] for s in nusc.sample}
        racks = {s["token"]: [a for a in map(lambda t: nusc.get("sample_annotation", t), s["anns"]) if a["token"].startswith("rack")]
                 for s in nusc.sample}
        file, total, differ = pathlib.Path(folder) / "results.json", 0, 0
        for number, kind in enumerate(KINDS):
            results = predictions(kind, truth, egos, racks, random.Random(seed * 100 + number))
            meta = dict.fromkeys(["use_camera", "use_lidar", "use_radar", "use_map", "use_external"], False)
            file.write_text(json.dumps({"meta": meta, "results": results}))
            with contextlib.redirect_stderr(io.StringIO()):
                run = DetectionEval(nusc, config_factory("detection_cvpr_2019"), str(file), "mini_val", folder, verbose=False)
            theirs = run.evaluate()[0].serialize()
            ours = evaluate(program, "detection", "--ground-truth", root, "--split", "mini_val", "--result", file)
            if isinstance(ours, str):
                sys.exit(ours)
            pairs = [("NDS", ours["NDS"]["AP"], theirs["nd_score"]), ("mAP", ours["mean"]["AP"], theirs["mean_ap"])]
            names = dict(zip(["ATE", "ASE", "AOE", "AVE", "AAE"], ["trans_err", "scale_err", "orient_err", "vel_err", "attr_err"]))
            pairs += [(e, ours["mean"][e], theirs["tp_errors"][n]) for e, n in names.items()]
            for c in CLASSES:
                pairs.append((f"{c} AP", ours[c]["AP"], theirs["mean_dist_aps"][c]))
                pairs += [(f"{c} AP@{d}", ours[c][f"AP@{d:g}"], theirs["label_aps"][c][d]) for d in (0.5, 1.0, 2.0, 4.0)]
                pairs += [(f"{c} {e}", ours[c][e], theirs["label_tp_errors"][c][n]) for e, n in names.items()]
            bad = 0
            for name, a, b in pairs:
                b = None if isinstance(b, float) and math.isnan(b) else b
                exact = a == b
                close = exact or (a is not None and b is not None and ("AOE" in name or name == "NDS") and abs(a - b) <= 1e-15)
                bad += not close
                if not exact:
                    print(f"  {kind}: {name} {a!r} {b!r}{'' if close else ' DIFFERS'}")
            total, differ = total + len(pairs), differ + bad
            print(f"{kind}: {sum(map(len, results.values()))} boxes, NDS {theirs['nd_score']!r}, {len(pairs)} numbers, {bad} differ")
        over = {t: [b] * (501 if i == 3 else 1) for i, (t, b) in enumerate((t, v[0]) for t, v in results.items() if v)}
        over = {t: [{**b, "sample_token": t} for b in over.get(t, [])] for t in results}
        file.write_text(json.dumps({"meta": meta, "results": over}))
        try:
            DetectionEval(nusc, config_factory("detection_cvpr_2019"), str(file), "mini_val", folder, verbose=False)
            print("the devkit takes 501 boxes")
        except AssertionError:
            print("501 boxes:", evaluate(program, "detection", "--ground-truth", root, "--split", "mini_val", "--result", file))
        print(f"seed {seed}: {total} numbers, {differ} differ")
        return differ


# ------------------------------------------------------------------------------------------------------------- occupancy


def confusion(truth, found, classes, valid):
    h = np.zeros((classes, classes), np.int64)
    np.add.at(h, (truth[valid].astype(np.int64), found[valid].astype(np.int64)), 1)
    return h


def completion(truth, found, free, valid):
    """IoU of "occupied" by sets, not by the confusion matrix."""
    t, f = (truth != free) & valid, (found != free) & valid
    return (t & f).sum(), (t | f).sum()


def draws(draw, shape, classes, free, noise=0.2):
    """A volume that is mostly free, and another that is mostly equal to it; some classes are absent in one or both."""
    present = [c for c in range(classes) if c == free or draw.random() < 0.7] + [free] * 8
    truth = draw.choice(present, size=shape).astype(np.int64)
    other = [c for c in range(classes) if c == free or draw.random() < 0.8]
    found = np.where(draw.random(shape) < noise, draw.choice(other, size=shape), truth)
    return truth, found


def rows_of(volume, free, order):
    at = np.argwhere(volume != free)
    return np.concatenate([at[:, order], volume[tuple(at.T)][:, None]], 1).astype(np.int64)


def compare_occupancy(program, seed):
    draw, bad, total = np.random.default_rng(seed), 0, 0

    def judge(name, arguments, write, count, frames=3):
        """`write(folder, i)` writes one frame and returns (truth, found, valid); `count` scores the confusion matrix."""
        nonlocal bad, total
        with tempfile.TemporaryDirectory() as folder:
            folder, h, both, either = pathlib.Path(folder), 0, 0, 0
            for i in range(frames):
                truth, found, valid, classes, free = write(folder, i)
                h = h + confusion(truth, found, classes, valid)
                b, e = completion(truth, found, free, valid)
                both, either = both + b, either + e
            ours = evaluate(program, "occupancy", *arguments, "--ground-truth", folder / "t", "--prediction", folder / "p")
            ious, mean = count(h)
            values = [v["IoU"] for k, v in ours.items() if k != "protocol"]
            want = [*ious, mean, both / either]
            # The last digit of a mean may depend on the order of its sum.
            good = [a is None and math.isnan(w) or a is not None and (a == w or k >= len(ious) and abs(a - w) < 1e-15)
                    for k, (a, w) in enumerate(zip(values, want))]
            total, bad = total + len(want), bad + (len(want) - sum(good))
            print(f"{name}: {len(want)} numbers, {len(want) - sum(good)} differ, mIoU {mean!r}")

    def by_definition(h, first, last, absent, epsilon=0.0):
        """IoU of classes first .. last; an absent class is left out (nan), 1, or 0 / (0 + epsilon)."""
        ious = []
        for c in range(first, last + 1):
            union = h[c].sum() + h[:, c].sum() - h[c, c]
            if h[c].sum() == 0 and absent != "formula":
                ious.append(math.nan if absent == "out" else 1.0)
            else:
                ious.append(h[c, c] / (union + epsilon) if union + epsilon else math.nan)
        return ious, float(np.nanmean(ious))

    def occ3d(mask):
        def write(folder, i):
            truth, found = draws(draw, (200, 200, 16), 18, 17)
            lidar, camera = (draw.random(truth.shape) < p for p in (0.3, 0.4))
            for side, volume in (("t", truth), ("p", found)):
                path = folder / side / "scene" / f"{i}"
                path.mkdir(parents=True)
                np.savez_compressed(path / "labels.npz", semantics=volume.astype(np.uint8), mask_lidar=lidar.astype(np.uint8),
                                    mask_camera=camera.astype(np.uint8))
            valid = {"camera": camera, "lidar": lidar, "none": np.ones_like(lidar)}[mask]
            return truth, found, valid, 18, 17
        return write

    for mask in ("camera", "lidar", "none"):
        judge(f"occ3d, {mask}", ["--protocol", "occ3d", "--mask", mask], occ3d(mask), lambda h: by_definition(h, 0, 16, "out"))

    def open_occ(folder, i):
        truth, found = draws(draw, (200, 200, 16), 17, 16)
        for side, volume in (("t", truth), ("p", found)):
            path = folder / side / "scene" / f"{i}"
            path.mkdir(parents=True)
            np.savez_compressed(path / "labels.npz", semantics=volume.astype(np.uint8), flow=np.zeros((200, 200, 16, 2), np.float16))
        return truth, found, np.ones(truth.shape, bool), 17, 16

    judge("open-occ", ["--protocol", "open-occ"], open_occ, lambda h: by_definition(h, 0, 15, "out"))

    def surround(dense, own):
        def write(folder, i):
            truth, found = draws(draw, (200, 200, 16), 18, 17)
            (folder / "t").mkdir(exist_ok=True), (folder / "p").mkdir(exist_ok=True)
            np.save(folder / "t" / f"{i}.npy", rows_of(truth, 17, [0, 1, 2]))
            if own:  # in SurroundOcc's own numbers a predicted 0 is free
                found = np.where(found == 0, 17, found)
            volume = np.where(found == 17, 0, found) if own else found
            np.save(folder / "p" / f"{i}.npy", volume.astype(np.uint8) if dense else rows_of(found, 17, [0, 1, 2]))
            return truth, found, truth != 0, 18, 17
        return write

    for protocol, own in (("surround-occ", False), ("surround-occ-dense", True)):
        for dense in (False, True):
            judge(f"{protocol}, {'volumes' if dense else 'rows'}", ["--protocol", protocol], surround(dense, own),
                  lambda h: by_definition(h, 1, 16, "one"))

    def open_occupancy(dense):
        def write(folder, i):
            truth, found = draws(draw, (512, 512, 40), 18, 17)  # 17 stands for free, 0 for noise
            (folder / "t").mkdir(exist_ok=True), (folder / "p").mkdir(exist_ok=True)
            np.save(folder / "t" / f"{i}.npy", rows_of(truth, 17, [2, 1, 0]))
            found = np.where(found == 0, 17, found)
            volume = np.where(found == 17, 0, found)
            np.save(folder / "p" / f"{i}.npy", volume.astype(np.uint8) if dense else rows_of(found, 17, [2, 1, 0]))
            return truth, found, truth != 0, 18, 17
        return write

    for protocol, last, epsilon in (("open-occupancy", 16, 0.0), ("open-occupancy-sparse-occ", 16, 1e-5),
                                    ("open-occupancy-one-device", 19, 1e-5)):
        def count(h, last=last, epsilon=epsilon):
            ious, mean = by_definition(h, 1, 16, "formula", epsilon)
            extra = [0.0] * (last - 16)
            return ious + extra, float(np.nanmean(ious + extra))
        for dense in (False, True):
            judge(f"{protocol}, {'volumes' if dense else 'rows'}", ["--protocol", protocol], open_occupancy(dense), count, 1)

    def kitti(folder, i):
        raw = np.array([0, 10, 11, 15, 18, 20, 30, 31, 32, 40, 44, 48, 49, 50, 51, 70, 71, 72, 80, 81])
        truth, found = draws(draw, (256, 256, 32), 20, 0)
        (folder / "t").mkdir(exist_ok=True), (folder / "p").mkdir(exist_ok=True)
        labels = raw[truth].astype(np.uint16)
        odd = draw.random(truth.shape) < 0.05  # raw classes that are nothing: not judged
        labels[odd] = draw.choice([1, 52, 99], size=odd.sum())
        invalid = draw.random(truth.shape) < 0.3
        labels.tofile(folder / "t" / f"{i:06}.label")
        np.packbits(invalid.ravel()).tofile(folder / "t" / f"{i:06}.invalid")
        raw[found].astype(np.uint16).tofile(folder / "p" / f"{i:06}.label")
        return truth, found, ~odd & ~invalid, 20, 0

    judge("semantic-kitti", ["--protocol", "semantic-kitti"], kitti, lambda h: by_definition(h, 1, 19, "formula", 1e-5), 2)
    print(f"seed {seed}: {total} numbers, {bad} differ")
    return bad


if __name__ == "__main__":
    if sys.argv[1] == "detection":
        sys.exit(compare_detection(sys.argv[2], sys.argv[3], int((sys.argv[4:] or [1])[0])) != 0)
    sys.exit(compare_occupancy(sys.argv[2], int((sys.argv[3:] or [1])[0])) != 0)

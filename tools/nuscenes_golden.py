#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads a data set in the nuScenes format with NumPy and Pillow alone and prints reference numbers as JSON.

    nuscenes_golden.py DATA_ROOT SAMPLE... > tests/data/pandaset_golden.json

Written independently of the C++ reader, from the schema: nothing is shared but the file format.
"""
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

CAMERAS = ["CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_FRONT_LEFT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_BACK_RIGHT"]


def rotation(q):
    w, x, y, z = np.asarray(q, np.float64) / np.linalg.norm(q)
    return np.array([[w*w + x*x - y*y - z*z, 2*(x*y - w*z), 2*(x*z + w*y)],
                     [2*(x*y + w*z), w*w - x*x + y*y - z*z, 2*(y*z - w*x)],
                     [2*(x*z - w*y), 2*(y*z + w*x), w*w - x*x - y*y + z*z]])


def pose(record):
    m = np.eye(4)
    m[:3, :3] = rotation(record["rotation"])
    m[:3, 3] = record["translation"]
    return m


def main():
    root = Path(sys.argv[1])
    version = next(p.parent for p in root.glob("v*/sample.json"))
    tables = {p.stem: {r["token"]: r for r in json.loads(p.read_text())} for p in version.glob("*.json")}
    by_time = sorted(tables["sample"].values(), key=lambda s: s["timestamp"])
    out = {"note": "made by tools/nuscenes_golden.py from PandaSet sequence 002 (Hesai and Scale AI, CC BY 4.0)",
           "boxes_in_all": len(tables["sample_annotation"]), "samples": []}
    for number in map(int, sys.argv[2:]):
        sample = by_time[number]
        files = {}
        for d in tables["sample_data"].values():
            if d["sample_token"] == sample["token"] and d["is_key_frame"]:
                mounted = tables["calibrated_sensor"][d["calibrated_sensor_token"]]
                files[tables["sensor"][mounted["sensor_token"]]["channel"]] = (d, mounted)

        def to_global(channel):
            d, mounted = files[channel]
            return pose(tables["ego_pose"][d["ego_pose_token"]]) @ pose(mounted)

        ref = to_global("LIDAR_TOP")
        points = np.fromfile(root / files["LIDAR_TOP"][0]["filename"], np.float32).reshape(-1, 5)
        xyz = points[:, :3].astype(np.float64)
        xyz = xyz[np.hypot(xyz[:, 0], xyz[:, 1]) >= 3.5]
        views = []
        for channel in CAMERAS:
            d, mounted = files[channel]
            k = np.array(mounted["camera_intrinsic"])
            cam = np.linalg.solve(to_global(channel), ref)
            # 900 x 1600 -> 180 x 320, then the top 4 rows go.
            small = np.diag([0.2, 0.2, 1.0]) @ k
            small[1, 2] -= 4
            p = xyz @ cam[:3, :3].T + cam[:3, 3]
            p = p[(p[:, 2] >= 1) & (p[:, 2] <= 60)]
            uv = np.floor((p @ small.T)[:, :2] / p[:, 2:]).astype(int)
            inside = (uv[:, 0] >= 0) & (uv[:, 0] < 320) & (uv[:, 1] >= 0) & (uv[:, 1] < 176)
            depth = np.full((176, 320), np.inf)
            np.minimum.at(depth, (uv[inside, 1], uv[inside, 0]), p[inside, 2])
            hit = np.isfinite(depth)
            with Image.open(root / d["filename"]) as jpeg:
                pixels = np.asarray(jpeg.convert("RGB")).astype(np.float64)
                # Pillow's bilinear resize widens its triangle on reduction, as ours does.
                resized = np.asarray(jpeg.convert("RGB").resize((320, 180), Image.BILINEAR)).astype(np.float64)[4:]
            views.append({"channel": channel, "timestamp": d["timestamp"], "T_cam_ref": cam.tolist(),
                          "fx": k[0, 0], "fy": k[1, 1], "cx": k[0, 2], "cy": k[1, 2],
                          "mean_rgb": pixels.mean((0, 1)).tolist(), "pixel_450_800": pixels[450, 800].tolist(),
                          "small_mean_rgb": resized.mean((0, 1)).tolist(), "small_88_160": resized[88, 160].tolist(),
                          "depth_pixels": int(hit.sum()), "depth_sum": float(depth[hit].sum())})
        boxes = []
        inverse = np.linalg.inv(ref)
        for a in tables["sample_annotation"].values():
            if a["sample_token"] != sample["token"]:
                continue
            first = tables["sample_annotation"].get(a["prev"], a)
            last = tables["sample_annotation"].get(a["next"], a)
            # Subtracted as integers: seconds since 1970 hold only 0.2 microseconds in double.
            times = [tables["sample"][x["sample_token"]]["timestamp"] for x in (first, last)]
            seconds = (times[1] - times[0]) * 1e-6
            velocity = None
            limit = 1.5 * (2 if first is not a and last is not a else 1)
            if 0 < seconds <= limit:
                v = (np.array(last["translation"]) - np.array(first["translation"])) / seconds
                velocity = (inverse[:3, :3] @ [v[0], v[1], 0])[:2].tolist()
            axis = inverse[:3, :3] @ rotation(a["rotation"]) @ [1, 0, 0]
            width, length, height = a["size"]
            instance = tables["instance"][a["instance_token"]]
            boxes.append({"center": (inverse @ [*a["translation"], 1])[:3].tolist(), "size": [length, width, height],
                          "yaw": float(np.arctan2(axis[1], axis[0])), "velocity": velocity,
                          "category": tables["category"][instance["category_token"]]["name"],
                          "points": a["num_lidar_pts"]})
        moving = max((b for b in boxes if b["velocity"]), key=lambda b: np.hypot(*b["velocity"]))
        out["samples"].append({"number": number, "token": sample["token"], "points": len(points),
                               "point_sum": points.astype(np.float64).sum(0).tolist(), "views": views,
                               "boxes": len(boxes), "with_velocity": sum(b["velocity"] is not None for b in boxes),
                               "center_sum": np.sum([b["center"] for b in boxes], 0).tolist(),
                               "yaw_cos_sum": float(np.sum(np.cos([b["yaw"] for b in boxes]))),
                               "fastest": moving, "first": boxes[0]})
    json.dump(out, sys.stdout, indent=1)
    print()


main()

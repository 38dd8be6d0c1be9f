#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Golden numbers of the occupancy metrics on real labels, for tests/metric/occupancy_golden_test.cpp.

usage: golden_metrics_rays.py FOLDER > tests/metric/golden/occupancy.json
       FOLDER holds occ3d-nuscenes-sample and pandaset-nuscenes

A second implementation in numpy that shares nothing with the library: all rays advance together, distances are kept for
every voxel passed, confusion matrices come from histograms. Predictions are the labels, damaged by a fixed rule.
"""
import json
import math
import pathlib
import sys

import numpy as np

GRID, LOWER, VOXEL = (200, 200, 16), np.array([-40, -40, -1], np.float32), np.float32(0.4)


def damaged(labels, free):
    """Shifts every other row of voxels by one, renames every eleventh voxel, drops and adds some."""
    x, y, z = np.meshgrid(*map(np.arange, GRID), indexing="ij")
    out = labels.copy()
    moved = np.full_like(labels, free)
    moved[1:] = labels[:-1]
    out[y % 2 == 1] = moved[y % 2 == 1]
    renamed = ((7 * x + 3 * y + z) % 11 == 0) & (out != free)
    out[renamed] = (out[renamed].astype(int) + 3) % free
    out[(x + 5 * y + 2 * z) % 13 == 0] = free
    out[(x * 31 + y * 17 + z * 7) % 997 == 0] = 4
    return out


def directions():
    up = [-(math.pi / 2 - math.atan(k + 1)) for k in range(10)]
    while up[-1] < 0.21:
        up.append(2 * up[-1] - up[-2])
    up = np.array(up)[:, None]
    turn = np.radians(np.arange(360))[None, :]
    rays = np.stack([np.cos(up) * np.cos(turn), np.cos(up) * np.sin(turn), np.sin(up) + 0 * turn], -1)
    return rays.reshape(-1, 3).astype(np.float32)


def cast(labels, free, origin):
    """Class, distance and voxel that each ray of the set meets from one origin."""
    rays = directions()
    begin = ((origin - LOWER) / np.float64(VOXEL)).astype(np.float32).astype(np.float64)
    end = ((rays + origin - LOWER) / np.float64(VOXEL)).astype(np.float32).astype(np.float64)
    way = end - begin
    way = way / np.sqrt((way ** 2).sum(1, keepdims=True))
    at = np.broadcast_to(begin.astype(int), way.shape).copy()
    step = np.where(way >= 0, 1, -1)
    with np.errstate(divide="ignore", invalid="ignore"):
        face = np.where(way != 0, (at + (step > 0) - begin) / way, np.inf)
        apart = np.where(way != 0, step / way, np.inf)
    rows = np.arange(len(rays))
    hit, voxel, distance = np.zeros(len(rays), bool), np.zeros((len(rays), 3), int), np.full(len(rays), -1.0)
    entered, done = np.zeros(len(rays), bool), np.zeros(len(rays), bool)
    for _ in range(1001):
        inside = ((at >= 0) & (at < GRID)).all(1)
        done |= entered & ~inside
        entered |= inside
        axis = np.where(face[:, 0] < face[:, 1], np.where(face[:, 0] < face[:, 2], 0, 2),
                        np.where(face[:, 1] < face[:, 2], 1, 2))
        now = inside & ~hit & ~done
        voxel[now], distance[now] = at[now], face[rows, axis][now]
        held = np.clip(at, 0, np.array(GRID) - 1)
        hit |= now & (labels[held[:, 0], held[:, 1], held[:, 2]] != free)
        done |= hit
        if done.all():
            break
        at[rows, axis] += step[rows, axis]
        face[rows, axis] += apart[rows, axis]
    metres = distance.astype(np.float32) * VOXEL
    return labels[voxel[:, 0], voxel[:, 1], voxel[:, 2]], metres, voxel


def origins_of(count):
    return [np.array([0.9858 + 4.0 * i - 12.0, 0.25 * i - 0.75, 1.84]) for i in range(count)]


def rays_of(truth, predicted, free, origins, flow=None, flow_found=None):
    """Per ray that meets something: true class, predicted class, both distances, both flows."""
    out = []
    for origin in origins:
        a, da, va = cast(truth, free, origin)
        b, db, vb = cast(predicted, free, origin)
        keep = a != free
        columns = [a[keep], b[keep], da[keep], db[keep]]
        if flow is not None:
            columns += [flow[va[keep, 0], va[keep, 1], va[keep, 2]], flow_found[vb[keep, 0], vb[keep, 1], vb[keep, 2]]]
        out.append(columns)
    return [np.concatenate(c) for c in zip(*out)]


def ray_metrics(frames, free, movable, half=False):
    def rounded(x):
        return x.astype(np.float16).astype(np.float32) if half else x
    right, truth, predicted = np.zeros((3, free)), np.zeros(free), np.zeros(free)
    tp, all_rays = np.zeros((free, 2)), np.zeros((free, 2))
    for f in frames:
        a, b, da, db = f[:4]
        apart = np.abs(rounded(da) - rounded(db))
        error = np.sqrt(((rounded(f[4]) - rounded(f[5])).astype(np.float64) ** 2).sum(1)) if len(f) > 4 else None
        for k in range(free):
            truth[k] += (a == k).sum()
            predicted[k] += (b == k).sum()
            for d, most in enumerate((1, 2, 4)):
                good = (a == k) & (b == k) & (apart < most)
                right[d, k] += good.sum()
                if most == 2 and k in movable and good.any() and error is not None:
                    tp[k] += error[good].sum(), good.sum()
                    all_rays[k] += error.sum(), len(error)
    with np.errstate(invalid="ignore"):
        iou = right / (truth + predicted - right)
        ave_tp, ave_all = tp[:, 0] / tp[:, 1], all_rays[:, 0] / all_rays[:, 1]
    return {"rays": int(truth.sum()), "truth": truth.tolist(), "predicted": predicted.tolist(), "right": right.tolist(),
            "at": [float(np.nanmean(row)) for row in iou], "ray_iou": float(np.nanmean(iou)),
            "mave_tp": float(np.nanmean(ave_tp)) if np.isfinite(ave_tp).any() else None,
            "mave_all": float(np.nanmean(ave_all)) if np.isfinite(ave_all).any() else None}


def confusion(truth, predicted, mask, classes):
    keep = mask.astype(bool) & (truth < classes)
    return np.histogram2d(truth[keep], predicted[keep], bins=[np.arange(classes + 1) - 0.5] * 2)[0].astype(np.int64)


def occ3d(h):
    with np.errstate(invalid="ignore", divide="ignore"):
        iou = np.diag(h) / (h.sum(0) + h.sum(1) - np.diag(h))
    iou[h.sum(1) == 0] = np.nan
    both = h[:17, :17].sum()
    return {"miou": float(np.nanmean(iou[:17])), "geometric_iou": float(both / (h.sum() - h[17, 17])),
            "iou": [None if np.isnan(v) else float(v) for v in iou]}


def main(folder):
    out = {}
    label = np.load(next((folder / "occ3d-nuscenes-sample").glob("*/labels.npz")))
    truth = label["semantics"]
    predicted = damaged(truth, 17)
    out["occ3d"] = {name: occ3d(confusion(truth, predicted, mask, 18)) for name, mask in
                    (("camera", label["mask_camera"]), ("lidar", label["mask_lidar"]), ("none", np.ones(GRID)))}
    frames = [rays_of(truth, predicted, 17, origins_of(8))]
    out["occ3d_rays"] = ray_metrics(frames, 17, {2, 3, 4, 5, 6, 7, 9, 10})
    total, frames = 0, []
    for path in sorted((folder / "pandaset-nuscenes/openocc_v2").glob("*/*/labels.npz"))[:3]:
        label = np.load(path)
        truth, flow = label["semantics"], label["flow"].astype(np.float32)
        flow[~np.isfinite(flow)] = 0
        predicted = damaged(truth, 16)
        x, y, _ = np.meshgrid(*map(np.arange, GRID), indexing="ij")
        found = flow.copy()
        found[(x + y) % 2 == 0] += np.array([0.25, -0.5], np.float32)
        frames.append(rays_of(truth, predicted, 16, origins_of(3), flow, found))
        total = total + confusion(truth, predicted, np.ones(GRID), 17)
    out["open_occ"] = {"diagonal": np.diag(total).tolist(), "truth": total.sum(1).tolist(),
                       "predicted": total.sum(0).tolist()}
    out["open_occ_rays"] = ray_metrics(frames, 16, set(range(8)))
    out["open_occ_rays_f16"] = ray_metrics(frames, 16, set(range(8)), half=True)
    json.dump(out, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))

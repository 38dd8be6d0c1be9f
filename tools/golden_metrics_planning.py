#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Golden collisions for tests/metric/planning_test.cpp: shapely for polygons, scikit-image and OpenCV for rasters.

usage: golden_metrics_planning.py > tests/metric/golden/planning.json

Scenes are drawn here and stored. Paths and obstacles: metres, x ahead, y left. `filled` holds sums over the cells of
polygons filled by OpenCV.
"""
import json
import math
import random
import sys

import cv2
import numpy as np
from shapely.geometry import Polygon
from skimage.draw import polygon

LENGTH, WIDTH = 4.084, 1.85


def corners(x, y, length, width, yaw):
    turn = np.array([[math.cos(yaw), -math.sin(yaw)], [math.sin(yaw), math.cos(yaw)]])
    box = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]]) * [length / 2, width / 2]
    return box @ turn.T + [x, y]


def by_polygons(path, obstacles):
    points = [(0.0, 0.0)] + path
    still = math.dist(path[0], path[-1]) < 0.5
    out = []
    for t in range(6):
        a, b = points[t], points[min(t + 2, 6)]
        yaw = 0.0 if still else math.atan2(b[1] - a[1], b[0] - a[0])
        x, y = path[t]
        ego = Polygon(corners(x + 0.5 * math.cos(yaw), y + 0.5 * math.sin(yaw), LENGTH, WIDTH, yaw))
        out.append(any(ego.intersects(Polygon(corners(*o[:5]))) for o in obstacles[t]))
    return out


def cells_of(points, cell):
    """On a raster of +-50 m whose constants are in single precision."""
    size, first = np.full(2, cell, np.float32), np.full(2, -50 + cell / 2, np.float32)
    return np.round((points - first + size / 2.0) / size).astype(np.int32)


def raster(obstacles, cell, vehicles_only, ahead_is_down):
    n = round(100 / cell)
    image = np.zeros((n, n))
    for o in obstacles:
        if vehicles_only and not o[5]:
            continue
        at = cells_of(corners(*o[:5]), cell)
        # ST-P3 has the road ahead as rows, OmniDrive as columns: outlines differ in a few cells.
        cv2.fillPoly(image, [at[:, ::-1].copy() if ahead_is_down else at], 1.0)
    return image if ahead_is_down else image.T  # [ahead, left]


def by_raster(path, obstacles, cell, ahead, turning, vehicles_only):
    n, middle = round(100 / cell), (50 - cell / 2) / cell
    box = np.array([[-1, 1], [1, 1], [1, -1], [-1, -1]]) * [LENGTH / 2, WIDTH / 2] + [ahead, 0]
    box = box / cell + middle
    cells = np.stack(polygon(box[:, 0], box[:, 1]), -1)
    out, before = [], (0.0, 0.0)
    for t in range(6):
        used = cells
        dx, dy = path[t][0] - before[0], path[t][1] - before[1]
        if turning:
            yaw = math.atan2(dy, dx) if math.hypot(dx, dy) >= 1 else 0.0
            c, s = math.cos(yaw), math.sin(yaw)
            used = np.round((cells - middle) @ np.array([[c, s], [-s, c]]) + middle).astype(int)
        before = path[t]
        at = np.clip((np.array(path[t]) / np.float64(np.float32(cell)) + used).astype(int), 0, n - 1)
        out.append(bool(raster(obstacles[t], cell, vehicles_only, not turning)[at[:, 0], at[:, 1]].any()))
    return out


def outside(path, rule):
    """Whether the vehicle stands beyond a strip of the raster: now and at each step (OmniDrive's boundary)."""
    a, b, low, high = rule
    row, column = np.mgrid[0:1000, 0:1000]
    drivable = (a * row + b * column >= low) & (a * row + b * column <= high)
    out, before = [], (0.0, 0.0)
    for x, y in [(0.0, 0.0)] + path:
        yaw = float(np.arctan2(y - before[1], x - before[0]))
        image = np.zeros((1000, 1000))
        cv2.fillPoly(image, [cells_of(corners(x + 0.5 + 0.985793, y, 4.08, 1.85, yaw), 0.1)], 1.0)
        before = (x, y)
        out.append(bool(((drivable == 0) & (image == 1)).any()))
    return out


def main():
    draw = random.Random(11)
    scenes = []
    for _ in range(60):
        speed, bend = draw.choice([0.0, 0.02, 1.0, 3.0, 6.0]), draw.uniform(-0.4, 0.4)
        path, x, y, yaw = [], 0.0, 0.0, 0.0
        for _ in range(6):
            yaw += bend * draw.random()
            x, y = round(x + speed * math.cos(yaw), 3), round(y + speed * math.sin(yaw), 3)
            path.append((x, y))
        obstacles = []
        for t in range(6):
            here = []
            for _ in range(3):
                here.append((round(path[t][0] + draw.uniform(-7, 7), 3), round(path[t][1] + draw.uniform(-5, 5), 3),
                             round(draw.uniform(0.5, 7), 3), round(draw.uniform(0.4, 2.5), 3),
                             round(draw.uniform(-3.1, 3.1), 3), draw.random() < 0.7))
            obstacles.append(here)
        scenes.append({"path": path, "obstacles": obstacles, "polygons": by_polygons(path, obstacles),
                       "st_p3": by_raster(path, obstacles, 0.5, 0.5, False, False),
                       "omni_drive": by_raster(path, obstacles, 0.1, 0.5 + 0.985793, True, True)})
    filled = []
    for _ in range(200):
        o = (draw.uniform(-9, 9), draw.uniform(-9, 9), draw.uniform(0, 9), draw.uniform(0, 5), draw.uniform(-3.2, 3.2))
        at = np.round((corners(*o) + 10) / 0.2).astype(np.int32) + 40
        image = np.zeros((200, 200), np.uint8)
        cv2.fillPoly(image, [at[:, ::-1].copy()], 1)
        x, y = np.nonzero(image)
        filled.append({"corners": at.tolist(), "sums": [len(x), int(x.sum()), int(y.sum()), int((x * y).sum())]})
    boundary = []
    for s in scenes + [{"path": [(9.0 * t, 0.5 * t) for t in range(1, 7)]}]:  # the last one drives off the raster
        a, b = draw.randint(-9, 9), draw.choice([-9, -2, 0, 1, 5, 9])
        middle = a * 500 + b * 515
        rule = (a, b, middle - draw.randint(5, 600), middle + draw.randint(5, 600))
        boundary.append({"path": s["path"], "strip": rule, "outside": outside(s["path"], rule)})
    json.dump({"scenes": scenes, "filled": filled, "boundary": boundary}, sys.stdout, separators=(",", ":"))
    print()


if __name__ == "__main__":
    main()

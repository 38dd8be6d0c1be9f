#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Times spconv's CPU path on the frame of the sparse benchmarks, to stand beside `scripts/bench.sh sparse`.

usage: peer_spconv.py BENCHMARK_PC_NPZ [--threads N]      default: 2 threads

Needs PyTorch and spconv (the CPU wheel). Prints, for a 3 x 3 x 3 submanifold convolution of C to C channels, the fastest of
seven runs in milliseconds: with its map built anew, and with the map kept.
"""
import argparse
import time

import numpy as np
import spconv.pytorch as spconv
import torch


def fastest(f, runs=7):
    best = float("inf")
    for _ in range(runs):
        start = time.perf_counter()
        f()
        best = min(best, time.perf_counter() - start)
    return 1e3 * best


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    points = next(iter(np.load(args.file).values()))
    low, high, voxel = np.float32([-80, -80, -2]), np.float32([80, 80, 6]), np.float32(0.1)
    inside = ((points >= low) & (points < high)).all(1)
    cells = np.unique(((points[inside] - low) / voxel).astype(np.int32), axis=0)
    at = torch.from_numpy(np.concatenate([np.zeros((len(cells), 1), np.int32), cells], 1))
    grid = [1600, 1600, 80]
    print(f"{len(cells)} voxels, {args.threads} threads")
    with torch.no_grad():
        for channels in (16, 32, 64, 128):
            x = torch.rand(len(cells), channels)
            layer = spconv.SubMConv3d(channels, channels, 3, bias=False, indice_key="k", algo=spconv.ConvAlgo.Native)
            both = fastest(lambda: layer(spconv.SparseConvTensor(x, at, grid, 1)))
            kept = layer(spconv.SparseConvTensor(x, at, grid, 1))
            kept = kept.replace_feature(x)
            print(f"C {channels:3d}: map and convolution {both:8.1f} ms, convolution {fastest(lambda: layer(kept)):8.1f} ms",
                  flush=True)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Times spconv on the frame of the sparse benchmarks.

usage: peer_spconv.py BENCHMARK_PC_NPZ [--threads N]                       its CPU path; default: 2 threads
       peer_spconv.py BENCHMARK_PC_NPZ --cuda SQS_BENCH_SPARSE_CUDA [--out TABLE.md]

Needs PyTorch and spconv. Without --cuda it prints, for a 3 x 3 x 3 submanifold convolution of C to C channels, the fastest
of seven runs in milliseconds, to stand beside `scripts/bench.sh sparse`: with the map built anew, and with the map kept.

With --cuda it runs the program of `scripts/bench.sh sparse_cuda` and spconv on the same GPU, one after the other, and writes
one table: medians of 50 between CUDA events; spconv in float16 with its implicit GEMM, this library with features stored
in float16 (the net multiplies in float16 and stores float). Maps are made from coordinates on both sides.
"""
import argparse
import time

import numpy as np
import spconv.pytorch as spconv
import torch
from peer_clock import measured, median_on_device, print_table

WIDTHS = (64, 96, 128, 160, 192, 224, 256)  # of the basic net


def fastest(f, runs=7):
    best = float("inf")
    for _ in range(runs):
        start = time.perf_counter()
        f()
        best = min(best, time.perf_counter() - start)
    return 1e3 * best


def frame(file):
    points = next(iter(np.load(file).values()))
    low, high, voxel = np.float32([-80, -80, -2]), np.float32([80, 80, 6]), np.float32(0.1)
    inside = ((points >= low) & (points < high)).all(1)
    cells = np.unique(((points[inside] - low) / voxel).astype(np.int32), axis=0)
    return torch.from_numpy(np.concatenate([np.zeros((len(cells), 1), np.int32), cells], 1)), [1600, 1600, 80]


def on_cpu(at, grid, threads):
    torch.set_num_threads(threads)
    print(f"{len(at)} voxels, {threads} threads")
    for channels in (16, 32, 64, 128):
        x = torch.rand(len(at), channels)
        layer = spconv.SubMConv3d(channels, channels, 3, bias=False, indice_key="k", algo=spconv.ConvAlgo.Native)
        both = fastest(lambda: layer(spconv.SparseConvTensor(x, at, grid, 1)))
        kept = layer(spconv.SparseConvTensor(x, at, grid, 1)).replace_feature(x)
        print(f"C {channels:3d}: map and convolution {both:8.1f} ms, convolution {fastest(lambda: layer(kept)):8.1f} ms",
              flush=True)


def basic_net():
    layers, before = [], 3
    for level, width in enumerate(WIDTHS):
        for _ in range(2):
            layers += [spconv.SubMConv3d(before, width, 3, bias=False, indice_key=f"level{level}"),
                       torch.nn.BatchNorm1d(width), torch.nn.ReLU()]
            before = width
        if level + 1 < len(WIDTHS):
            layers.append(spconv.SparseMaxPool3d(2, 2))
    return spconv.SparseSequential(*layers).cuda().half().eval()


def spconv_on_device(at, grid):
    at = at.cuda()
    times = {}
    for channels in (16, 32, 64, 128):
        x = torch.rand(len(at), channels, device="cuda").half()
        layer = spconv.SubMConv3d(channels, channels, 3, bias=False, indice_key="k").cuda().half()
        both = median_on_device(lambda: layer(spconv.SparseConvTensor(x, at, grid, 1)))
        kept = layer(spconv.SparseConvTensor(x, at, grid, 1)).replace_feature(x)
        times[f"C:{channels}"] = (median_on_device(lambda: layer(kept)), both)
    net, x = basic_net(), torch.rand(len(at), 3, device="cuda").half()
    times["net"] = median_on_device(lambda: net(spconv.SparseConvTensor(x, at, grid, 1)))
    return times


def ours_on_device(program):
    times = {}
    wanted = "sparse/(submanifold/forward|net/basic)/.*fp16.*|sparse/map/submanifold.*"
    for row in measured(program, f"--benchmark_filter={wanted}"):
        name = row["name"].split("/")
        if name[1:3] == ["net", "basic"]:
            times["net"] = row["median_ms"]
        elif "sorted" not in name:
            continue
        elif name[1:3] == ["map", "submanifold"]:
            times["map"] = row["median_ms"]
        elif name[4] == "fp16":  # sparse/submanifold/forward/C:<n>/fp16/cuda/sorted: so stored, not only so multiplied
            times[name[3]] = row["median_ms"]
    return times


def on_device(at, grid, program, out):
    ours = ours_on_device(program)
    with torch.no_grad():
        theirs = spconv_on_device(at, grid)
    lines = [f"{torch.cuda.get_device_name()}, {len(at)} voxels, float16, milliseconds, median of 50", "",
             "| | ours: convolution | map and convolution | spconv: convolution | map and convolution | times faster |",
             "|---|---|---|---|---|---|"]
    for channels in (16, 32, 64, 128):
        key = f"C:{channels}"
        mine = (ours[key], ours[key] + ours["map"])
        cells = [f"{v:.3f}" for v in (*mine, *theirs[key])] + [f"{theirs[key][1] / mine[1]:.2f}"]
        lines.append(f"| 3 x 3 x 3, {channels} channels | " + " | ".join(cells) + " |")
    lines.append(f"| basic net, 14 layers | | {ours['net']:.3f} | | {theirs['net']:.3f} | "
                 f"{theirs['net'] / ours['net']:.2f} |")
    print_table(lines, out)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cuda", metavar="PROGRAM")
    parser.add_argument("--out")
    args = parser.parse_args()
    at, grid = frame(args.file)
    if args.cuda:
        on_device(at, grid, args.cuda, args.out)
    else:
        with torch.no_grad():
            on_cpu(at, grid, args.threads)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs gsplat and this library on the same inputs, on the same GPU, one after the other, and writes one table.

usage: peer_gsplat.py SQS_BENCH_SPLAT_CUDA [--out TABLE.md]

SQS_BENCH_SPLAT_CUDA is the program of `scripts/bench.sh splat_cuda` (build/bench_cuda/benchmarks/sqs_bench_splat_cuda).
Needs PyTorch with CUDA and gsplat. Times are medians of 50 between CUDA events: forward is gsplat's rasterization() with
gradients on, backward is that of (image * weights).sum(), so the peer's autograd is in it, as its users have it.
"""
import argparse
import pathlib
import subprocess
import tempfile

import numpy as np
from peer_clock import measured, median_on_device, print_table


def run_gsplat(folder, workload):
    import torch
    from gsplat import rasterization

    def load(name):
        return torch.from_numpy(np.load(folder / f"{workload}_{name}.npy")).cuda()

    names = ("means", "rotations", "scales", "opacities", "colours")
    inputs = [load(n).requires_grad_() for n in names]
    height, width = (int(v) for v in load("size"))
    poses, intrinsics = load("poses"), load("intrinsics")
    weights = torch.rand(len(poses), height, width, 3, device="cuda") - 0.5
    clip = 3.0 if workload == "W3" else 0.0

    def forward():
        return rasterization(*inputs, poses, intrinsics, width, height, near_plane=0.2, radius_clip=clip, packed=False)[0]

    def step():
        for x in inputs:
            x.grad = None
        (forward() * weights).sum().backward()

    both, ahead = median_on_device(step), median_on_device(forward)
    return ahead, both - ahead, both


def run_ours(program):
    rows = measured(program, "--without_pairs", "--benchmark_filter=^splat/rasterize/")
    # splat/rasterize/<what>/W:<n>[/more]/cuda/iterations:50/manual_time
    return {tuple(r["name"].split("/")[2:4]): r["median_ms"] for r in rows if r["name"].split("/")[4] == "cuda"}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--out")
    args = parser.parse_args()
    import torch

    ours = run_ours(args.program)
    lines = [f"{torch.cuda.get_device_name()}, milliseconds, median of 50", "",
             "| workload | ours: forward | backward | step | gsplat: forward | backward | step "
             "| times faster: forward | backward | step |",
             "|---|---|---|---|---|---|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([args.program, "--export", folder], check=True)
        for n in range(9):
            key = f"W:{n}"
            if ("forward", key) not in ours:
                continue
            mine = [ours[(what, key)] for what in ("forward", "backward", "step")]
            theirs = run_gsplat(pathlib.Path(folder), f"W{n}")
            cells = [f"{v:.3f}" for v in (*mine, *theirs)] + [f"{t / m:.2f}" for t, m in zip(theirs, mine)]
            lines.append(f"| W{n} | " + " | ".join(cells) + " |")
            print(lines[-1], flush=True)
    print_table(lines, args.out)


if __name__ == "__main__":
    main()

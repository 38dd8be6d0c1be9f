#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the umbrella header beside every folder of include/sqs, and sqs.hpp; with --check only compares.

usage: umbrellas.py [--check]

Left out: detail/, CUDA twins, and headers that need a file-format library (those of `data` and of FILES below), so that
sqs.hpp compiles with Eigen and Boost alone.
"""
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent / "include" / "sqs"
# Folders in the order data flows, and what each is about.
FOLDERS = {
    "core": "errors, small algebra, reflection, randomness, profiling, files",
    "memory": "memory spaces, the pool, tape storage",
    "geometry": "rigid transforms and cameras",
    "exec": "executors, parallel loops, matrix products",
    "tensor": "tensors and their files",
    "autodiff": "ops, graphs, parameters, gradient checks, checkpoints",
    "nn": "dense layers",
    "sparse": "sparse voxels",
    "optim": "optimisers and schedules",
    "sensor": "images, cameras, LiDAR, one sample",
    "backbone": "images become features",
    "query": "queries look at features",
    "gaussian": "queries become Gaussians",
    "splat": "Gaussians become images",
    "loss": "images become numbers",
    "metric": "how good it is",
    "model": "whole models",
    "data": "data sets (needs libjpeg and libpng)",
    "pipeline": "training runs",
}
FILES = {"tensor/npz.hpp", "pipeline/ground_truth.hpp", "pipeline/pictures.hpp", "pipeline/sample_source.hpp"}
NOT_IN_SQS = {"data"}


def headers(folder):
    found = sorted(p.relative_to(ROOT).as_posix() for p in (ROOT / folder).glob("*.hpp"))
    return [h for h in found if folder == "data" or h not in FILES]


def umbrella(description, includes):
    lines = ["// SPDX-License-Identifier: Apache-2.0", "#pragma once", "/// \\file", f"/// {description}", ""]
    return "\n".join(lines + [f"#include <sqs/{h}>" for h in includes]) + "\n"


def main():
    wanted = {f"{f}.hpp": umbrella(f"Everything of sqs/{f}: {text}.", headers(f)) for f, text in FOLDERS.items() if headers(f)}
    everything = sorted([f"{f}.hpp" for f in FOLDERS if f"{f}.hpp" in wanted and f not in NOT_IN_SQS] + ["version.hpp"])
    wanted["sqs.hpp"] = umbrella("The library, but for data sets and pictures (which need file-format libraries: data.hpp).", everything)
    stale = [n for n, text in wanted.items() if not (ROOT / n).exists() or (ROOT / n).read_text() != text]
    if "--check" in sys.argv:
        for n in stale:
            print(f"include/sqs/{n} is not up to date; run scripts/umbrellas.py")
        return 1 if stale else 0
    for n in stale:
        (ROOT / n).write_text(wanted[n])
    return 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""What the peer_*.py scripts share: a clock on the device, the results of a benchmark program, the table."""
import json
import pathlib
import subprocess
import tempfile

import numpy as np


def median_on_device(f, runs=50):
    """Milliseconds between two CUDA events, the median of `runs` after 5."""
    import torch

    for _ in range(5):
        f()
    times = []
    for _ in range(runs):
        start, stop = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        f()
        stop.record()
        stop.synchronize()
        times.append(start.elapsed_time(stop))
    return float(np.median(times))


def measured(program, *arguments):
    """Runs a benchmark program; a dictionary for each of its benchmarks."""
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "report.json"
        subprocess.run([program, *arguments, f"--benchmark_out={report}", "--benchmark_out_format=json"], check=True)
        return json.loads(report.read_text())["benchmarks"]


def print_table(lines, file=None):
    """Prints the lines, and writes them to a file if one is given."""
    text = "\n".join(lines) + "\n"
    print(text)
    if file:
        pathlib.Path(file).write_text(text)

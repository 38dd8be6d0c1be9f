#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Calls look_at_data wrongly: one line that says what to do, and nothing is written.

usage: look_at_data_test.py PROGRAM
"""
import pathlib
import subprocess
import sys
import tempfile

with tempfile.TemporaryDirectory() as name:
    file = pathlib.Path(name) / "file"
    file.write_text("mine")
    for out in (file, file / "below"):
        done = subprocess.run([sys.argv[1], "--out", str(out)], capture_output=True, text=True)
        assert done.returncode == 1 and done.stdout == "", done
        assert len(done.stderr.splitlines()) == 1, done.stderr
        for part in ("cannot make the folder", str(out), "give another one to --out"):
            assert part in done.stderr, done.stderr
    assert file.read_text() == "mine"
    done = subprocess.run([sys.argv[1], name + "/absent", "--out", name + "/page"], capture_output=True, text=True)
    assert done.returncode == 1 and "absent" in done.stderr and len(done.stderr.splitlines()) == 1, done
print("look_at_data: wrong calls are explained")

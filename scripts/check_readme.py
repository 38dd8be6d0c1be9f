#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the commands of README.md, so that they cannot go stale.

usage: check_readme.py [FILE...]      (default: README.md)

Every ```sh block that follows a line `<!-- run -->` is run by `sh -e` in a copy of the project's tracked and new files,
and every ```cpp block after `<!-- file: NAME -->` is first written to NAME there. A block that fails fails the check; so
does a file without any block to run.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

PROJECT = pathlib.Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"<!-- (run|file: *(?P<name>\S+)) -->\s*\n```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def copy_project(target):
    """The working tree without what git ignores, as a user would clone it."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=PROJECT,
                            capture_output=True, check=True).stdout.decode().split("\0")
    for name in filter(None, listed):
        source = PROJECT / name
        if source.is_file():
            destination = target / name
            destination.parent.mkdir(parents=True, exist_ok=True)
            destination.write_bytes(source.read_bytes())
            destination.chmod(source.stat().st_mode)


def run_blocks(text, folder):
    """Runs the blocks of one document in `folder`; returns how many ran, or raises."""
    ran = 0
    # Relative to this folder, compiled files are those of the project itself: the compiler cache then knows them.
    environment = dict(os.environ, CCACHE_BASEDIR=str(folder))
    for match in BLOCK.finditer(text):
        if match["name"]:
            (folder / match["name"]).write_text(match["text"], encoding="utf-8")
            continue
        if match["language"] != "sh":
            raise RuntimeError(f"a block marked `run` is ```{match['language']}, not ```sh")
        print(match["text"], end="", flush=True)
        started = time.monotonic()
        result = subprocess.run(["sh", "-e", "-c", match["text"]], cwd=folder, stdin=subprocess.DEVNULL,
                                env=environment)
        print(f"-- exit {result.returncode}, {time.monotonic() - started:.0f} s", flush=True)
        if result.returncode != 0:
            raise RuntimeError("the block above failed")
        ran += 1
    if ran == 0:
        raise RuntimeError("no ```sh block is marked with <!-- run -->")
    return ran


def main():
    files = sys.argv[1:] or ["README.md"]
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch) / "sqs"
        folder.mkdir()
        copy_project(folder)
        for name in files:
            try:
                ran = run_blocks((PROJECT / name).read_text(encoding="utf-8"), folder)
            except RuntimeError as problem:
                print(f"{name}: {problem}")
                return 1
            print(f"{name}: {ran} blocks ran")
    return 0


if __name__ == "__main__":
    sys.exit(main())

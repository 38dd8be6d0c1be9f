#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Uses pretrain_sqs as a user does: wrong arguments, killed runs, other thread counts.

usage: pretrain_test.py PROGRAM MAKE_TOWN
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import time

PROGRAM, MAKE_TOWN = sys.argv[1:3]
SHORT = ["--steps", "9", "--save-every", "2", "--limit-samples", "2", "--eval-samples", "0", "--no-control", "--quiet"]


def run(*options):
    return subprocess.run([PROGRAM, *options], capture_output=True, text=True)


def expect(condition, what):
    if not condition:
        sys.exit(f"FAILED: {what}")
    print(f"ok: {what}")


def wrong_arguments(scratch):
    r = run("--stepz", "3")
    expect(r.returncode == 2 and "did you mean --steps?" in r.stderr, "an unknown option exits 2 and names the nearest")
    r = run("--policy", "smal")
    expect(r.returncode == 2 and "small" in r.stderr, "an unknown policy exits 2 and lists the known ones")
    r = run("--data", f"nuscenes:{scratch}/nowhere", "--out", f"{scratch}/a")
    expect(r.returncode == 1 and "nowhere" in r.stderr and len(r.stderr.strip().splitlines()) == 1, "a missing data set is one line that names it")
    r = run("--data", "kitty", "--out", f"{scratch}/a")
    expect(r.returncode == 1 and "procedural" in r.stderr, "an unknown kind of data lists the known ones")
    r = run("--resume", *SHORT, "--out", f"{scratch}/never")
    expect(r.returncode == 1 and "never" in r.stderr, "resuming where nothing ever ran is an error")
    r = run("--dry-run", *SHORT, "--out", f"{scratch}/dry")
    expect(r.returncode == 0 and "trained numbers" in r.stdout and not (scratch / "dry").exists(), "a dry run prints the model's size and writes nothing")
    for option, value in (("--yaw", "nan"), ("--rgb-weight", "nan"), ("--anchor-rate", "inf"), ("--seed", "-1"), ("--steps", "-3"), ("--limit-samples", "100000000000")):
        r = run(option, value, "--dry-run", "--out", f"{scratch}/a")
        expect(r.returncode == 2 and option in r.stderr and len(r.stderr) < 400, f"{option} {value} is refused")
    (scratch / "bad.toml").write_text("rgb_weight = 0\n")
    r = run("--config", f"{scratch}/bad.toml", "--dry-run", "--out", f"{scratch}/a")
    expect(r.returncode == 2 and "rgb_weight" in r.stderr, "an unknown key of a configuration is refused")
    blocked = scratch / "file"
    blocked.write_text("")
    r = run(*SHORT, "--out", f"{blocked}/out")
    expect(r.returncode == 1 and str(blocked) in r.stderr, "an impossible output folder is an error that names it")
    r = run("--help")
    expect(r.returncode == 0 and len(r.stdout.splitlines()) <= 45, "the help fits a screen")


def results(folder):
    return (folder / "checkpoint.safetensors").read_bytes(), (folder / "metrics.jsonl").read_bytes()


def last_step(folder):
    """The last step in the log, -1 without one."""
    try:
        lines = [line for line in (folder / "metrics.jsonl").read_text().splitlines() if line.endswith("}")]
    except FileNotFoundError:
        return -1
    return json.loads(lines[-1])["step"] if lines else -1


def killed_and_resumed(scratch):
    whole = scratch / "whole"
    begin = time.time()
    r = run(*SHORT, "--threads", "2", "--out", str(whole))
    duration = time.time() - begin
    expect(r.returncode == 0, f"an uninterrupted run of {duration:.1f} s {r.stderr}")
    expect(json.loads((whole / "report.json").read_text())["memory"]["allocations_per_step"] == 0, "its steps allocate nothing")
    broken = scratch / "broken"
    options = [*SHORT, "--out", str(broken)]
    # Killed when the log has reached a step, so that the machine's speed does not matter; first before any checkpoint.
    for kill, reached in enumerate([0, 2, 4, 5, 7]):
        process = subprocess.Popen([PROGRAM, *options, "--threads", str([2, 1, 4, 2, 1][kill])], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and last_step(broken) < reached:
            time.sleep(0.005)
        expect(process.poll() is None, f"run {kill + 1} is alive at step {reached}")
        process.kill()
        process.wait()
        (broken / "checkpoint.safetensors.tmp.4194305.0").write_text("half a file")  # a save cut short by a process long gone
        if kill == 0:
            options.append("--resume")
    r = run(*options, "--threads", "4")
    expect(r.returncode == 0, f"the run after five kills ends well {r.stderr}")
    expect(results(broken) == results(whole), "killed and resumed with other thread counts: checkpoint and log are the same bytes")
    expect(not [p for p in broken.iterdir() if ".tmp" in p.name or p.name.endswith(".next")], "no temporary file is left")
    r = run("--policy", "small", "--seed", "5", "--resume", *SHORT, "--out", str(broken))
    expect(r.returncode == 1 and "sqs.seed" in r.stderr, "another seed cannot continue the run")
    r = run("--resume", *SHORT, "--out", str(broken), "--yaw", "10")
    expect(r.returncode == 1 and "sqs.task" in r.stderr, "another task cannot continue the run")
    expect(results(broken) == results(whole), "and neither changed a file")
    r = run("--config", str(whole / "config.toml"), "--dry-run")
    expect(r.returncode == 0 and "steps=9" in r.stdout.replace(" ", ""), "the resolved configuration is read back")


def corrupt_samples(scratch):
    """A town of four key frames, one picture of the second cut short, trained on the first three."""
    town = scratch / "town"
    subprocess.run([MAKE_TOWN, "--out", str(town), "--scenes", "1", "--seconds", "2", "--height", "112", "--width", "200", "--quiet"], check=True, stdout=subprocess.DEVNULL)
    picture = sorted((town / "samples" / "CAM_FRONT").iterdir())[1]
    whole = picture.read_bytes()
    picture.write_bytes(whole[: len(whole) // 3])
    options = ["--data", f"nuscenes:{town}", "--steps", "9", "--limit-samples", "3", "--eval-samples", "1", "--no-control", "--quiet"]
    for policy in ([], ["--corrupt", "stop"]):
        r = run(*options, *policy, "--out", str(scratch / "stopped"))
        expect(r.returncode == 1 and picture.name in r.stderr and len(r.stderr.strip().splitlines()) == 1, f"a corrupt sample stops the run with one line that names it {policy}")
    r = run(*options, "--corrupt", "replace", "--out", str(scratch / "replaced"))
    said = r.stderr.strip().splitlines()
    expect(r.returncode == 0 and len(said) == 1 and picture.name in said[0] and "the next sample takes its place" in said[0], f"--corrupt replace reports it once and goes on {r.stderr}")
    expect(last_step(scratch / "replaced") == 8, "it trains to the end")
    options += ["--corrupt", "replace", "--save-every", "2"]
    process = subprocess.Popen([PROGRAM, *options, "--threads", "2", "--out", str(scratch / "killed")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and last_step(scratch / "killed") < 4:
        time.sleep(0.005)
    expect(process.poll() is None, "a run with replaced samples is alive at step 4")
    process.kill()
    process.wait()
    r = run(*options, "--resume", "--threads", "1", "--out", str(scratch / "killed"))
    expect(r.returncode == 0 and results(scratch / "killed") == results(scratch / "replaced"), f"killed and resumed: the same bytes {r.stderr}")
    r = run("--corrupt", "maybe", "--out", str(scratch / "a"))
    expect(r.returncode == 2 and "--corrupt" in r.stderr, "another policy is refused")
    for p in (town / "samples" / "CAM_BACK").iterdir():
        p.write_bytes(b"")
    r = run(*options, "--out", str(scratch / "none"))
    expect(r.returncode == 1 and "CAM_BACK" in r.stderr and len(r.stderr) < 4000, "where no sample can be read the run stops")


with tempfile.TemporaryDirectory() as folder:
    wrong_arguments(pathlib.Path(folder))
    killed_and_resumed(pathlib.Path(folder))
    corrupt_samples(pathlib.Path(folder))

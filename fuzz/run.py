#!/usr/bin/env python3
"""Runs each fuzz target of build/fuzz for a while, with as many at a time as there are processors.

What it finds anew is kept in build/fuzz/corpus/NAME, a failing input in build/fuzz/crashes; the seeds stay as they are.
Exits 1 when a target fails; the command that repeats it is printed."""
import argparse
import concurrent.futures
import os
import pathlib
import subprocess
import sys

REPO = pathlib.Path(__file__).resolve().parent.parent


def run(binary, build, seconds):
    name = binary.name.removesuffix("_fuzz")
    found, crashes = build / "corpus" / name, build / "crashes"
    seeds = REPO / "fuzz" / "corpus" / name
    for folder in (found, crashes):
        folder.mkdir(parents=True, exist_ok=True)
    command = [binary, f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1",
               f"-artifact_prefix={crashes}/{name}-", found] + ([seeds] if seeds.is_dir() else [])
    return name, subprocess.run([str(word) for word in command], capture_output=True, text=True, errors="replace")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--build", type=pathlib.Path, default=REPO / "build" / "fuzz")
    parser.add_argument("targets", nargs="*", help="names without _fuzz; default: all")
    options = parser.parse_args()
    wanted = {f"{name}_fuzz" for name in options.targets}
    binaries = sorted(path for path in options.build.glob("**/*_fuzz")
                      if path.is_file() and os.access(path, os.X_OK) and (not wanted or path.name in wanted))
    if not binaries or (wanted and len(binaries) != len(wanted)):
        sys.exit(f"fuzz: no such target in {options.build}: build it first, with make fuzz")
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, result in pool.map(lambda path: run(path, options.build, options.seconds), binaries):
            stats = dict(line.removeprefix("stat::").split(":", 1) for line in result.stderr.splitlines() if line.startswith("stat::"))
            print(f"{name:20} {'ok' if result.returncode == 0 else 'FAILED':6} {stats.get('number_of_executed_units', '?').strip():>10} runs", flush=True)
            if result.returncode != 0:
                failed += 1
                print(result.stderr[-6000:], file=sys.stderr)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

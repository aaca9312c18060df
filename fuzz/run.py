#!/usr/bin/env python3
"""Runs each fuzz target of build/fuzz for some seconds on its committed corpus. New inputs go to build/fuzz/corpus/, crashes stay there."""
import argparse
import pathlib
import subprocess
import sys

REPO = pathlib.Path(__file__).resolve().parents[1]


def run(target, seconds):
    name = target.name.removesuffix("_fuzz")
    grown = REPO / "build" / "fuzz" / "corpus" / name
    grown.mkdir(parents=True, exist_ok=True)
    seeds = REPO / "fuzz" / "corpus" / name
    done = subprocess.run([target, f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1",
                           f"-artifact_prefix={grown.parent}/{name}-", grown, *([seeds] if seeds.is_dir() else [])], capture_output=True, text=True)
    executed = [line.split(":")[-1].strip() for line in done.stderr.splitlines() if "number_of_executed_units" in line]
    print(f"{'ok  ' if done.returncode == 0 else 'FAIL'} fuzz/{name}: {executed[0] if executed else 0} inputs in {seconds} s", flush=True)
    if done.returncode != 0:
        print("\n".join("     | " + line for line in done.stderr.splitlines()[-40:]))
    return done.returncode == 0


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=int, default=60)
    options.add_argument("targets", nargs="*", help="names without _fuzz; all when none is given")
    chosen = options.parse_args()
    targets = sorted(path for path in (REPO / "build" / "fuzz").glob("**/*_fuzz") if path.is_file())
    targets = [target for target in targets if not chosen.targets or target.name.removesuffix("_fuzz") in chosen.targets]
    results = [run(target, chosen.seconds) for target in targets]
    print(f"{results.count(True)} passed, {results.count(False)} failed")
    sys.exit(0 if results and all(results) else 1)


if __name__ == "__main__":
    main()

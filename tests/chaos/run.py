#!/usr/bin/env python3
"""Chaos on the wire (root): faults of all kinds while every kind of packet tries to get out, and a tap on the underlay.

    tests/chaos/run.py --faults --repetitions 100 --labs 4       the table: kind | repetitions | packets that tried | readable
    tests/chaos/run.py --faults -k guardian                      the kinds whose name has that
    tests/chaos/run.py --seconds 3600 --labs 4                   random sequences; each seed is printed
    tests/chaos/run.py --seed 17                                 that sequence again (--length, --everything as then), made shorter when it leaks
    tests/chaos/run.py --replay '[["link down", 0, 0], …]'       these steps: fault, seconds, further steps until it is undone

ADIT_BUILD names the build to try (build/release). Exit 0: nothing was readable, all came back, and the model allows the order of all steps
(docs/model/README.md)."""
import argparse
import json
import multiprocessing
import os
import pathlib
import signal
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "lab"), str(HERE.parent / "model")]

import rounds                                    # noqa: E402
import sequences                                 # noqa: E402
from faults import FAULTS                        # noqa: E402
from site_lab import Leak                        # noqa: E402


def table(rows):
    width = max(len(row.name) for row in rows)
    print(f"{'kind of fault':{width}} | repetitions | packets that tried | readable")
    for row in rows:
        readable = row.skipped or f"LEAK ({len(row.leaks)} of {row.repetitions})" if row.leaks or row.skipped else "0"
        print(f"{row.name:{width}} | {row.repetitions:11} | {sum(row.tried.values()):18} | {readable}")
    tried = sum(sum(row.tried.values()) for row in rows)
    print(f"{len([row for row in rows if row.repetitions])} kinds, {sum(row.repetitions for row in rows)} repetitions, {tried} packets tried, {sum(len(row.leaks) for row in rows)} leaks")
    by_kind = {}
    for row in rows:
        for kind, count in row.tried.items():
            by_kind[kind] = by_kind.get(kind, 0) + count
    print("by kind of packet: " + ", ".join(f"{kind} {count}" for kind, count in sorted(by_kind.items())))


def faults(options):
    chosen = [one for one in FAULTS if all(word in one.name for word in options.k) and not any(word in one.name for word in options.without)]

    def tell(row):
        trouble = "; ".join([*row.leaks, *row.troubles])
        print(f"{time.strftime('%H:%M:%S')} {row.name}: {row.repetitions} repetitions, {sum(row.tried.values())} packets {'— ' + trouble if trouble else ''}", flush=True)

    rows = list(rounds.side_by_side(chosen, options.repetitions, options.labs, options.portion, tell, options.at_most).values())
    table(rows)
    return 1 if any(row.leaks or row.troubles for row in rows) else 0


def one_seed(sites, steps, everything):
    """(what was done, what went wrong or nothing)"""
    walk = sequences.Walk()
    try:
        return sequences.run(sites.get(everything), steps, walk), ""
    except Leak as leak:
        sites.drop()
        return walk, f"LEAK: {leak}\n{told(steps)}"
    except Exception as trouble:
        try:
            sites.drop()
        except Exception as end:
            trouble = f"{trouble}; {end}"
        return walk, f"{type(trouble).__name__}: {trouble}\n{told(steps)}"


def told(steps):
    return f"steps: {json.dumps([step.words() for step in steps])}"


def explain_leak(seed, steps, everything):
    if not sequences.fails(steps, everything):
        return f"seed {seed} alone does not leak again (the seeds before it in this lab may matter)"
    return f"seed {seed}, shortest that leaks: --replay '{json.dumps([step.words() for step in sequences.shortest(steps, everything)])}'"


def roam(number, options, results):
    """Seeds number, number + labs, … until the time is over; three rounds of ten where everything is guarded."""
    sites, end, seed = rounds.Sites(), time.monotonic() + options.seconds, options.first_seed + number
    try:
        while time.monotonic() < end:
            everything = (seed // options.labs) % 10 >= 7
            steps = sequences.draw(seed, options.length, everything, options.without)
            found = one_seed(sites, steps, everything)
            extra = explain_leak(seed, steps, everything) if found[1].startswith("LEAK") and not options.no_shrink else ""
            results.put((seed, *found, extra))
            seed += options.labs
    finally:
        sites.drop()


def random_mode(options):
    results = multiprocessing.Queue()
    workers = [multiprocessing.Process(target=roam, args=(number, options, results)) for number in range(options.labs)]
    whole, seeds, leaks, stuck = sequences.Walk(), 0, [], []
    try:
        for seed, walk, trouble, extra in rounds.gather(workers, results):
            whole.add(walk)
            seeds += 1
            print(f"{time.strftime('%H:%M:%S')} seed {seed}: {walk.acts} acts, {walk.packets()} packets {trouble} {extra}", flush=True)
            if trouble:
                (leaks if walk.readable else stuck).append(seed)
    finally:                                             # also when this is ended
        print("by kind of packet: " + ", ".join(f"{kind} {count}" for kind, count in sorted(whole.tried.items())))
        print(f"{seeds} seeds, {whole.acts} acts, {whole.packets()} packets tried, {whole.readable} readable; {len(leaks)} seeds leaked: {leaks}; {len(stuck)} seeds stuck: {stuck}", flush=True)
    return 1 if leaks or stuck or not whole.acts else 0


def again(options):
    everything = options.everything
    steps = [sequences.Step(*words) for words in json.loads(options.replay)] if options.replay else sequences.draw(options.seed, options.length, everything, options.without)
    sites = rounds.Sites()
    try:
        walk = sequences.run(sites.get(everything), steps)
        print(f"{walk.acts} acts, {walk.packets()} packets tried, 0 readable")
        return 0
    except Leak as leak:
        print(leak)
    finally:
        sites.drop()
    if not options.no_shrink:
        print(f"shortest: --replay '{json.dumps([step.words() for step in sequences.shortest(steps, everything)])}'")
    return 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", action="store_true")
    parser.add_argument("--repetitions", type=int, default=1)
    parser.add_argument("--portion", type=int, default=25, help="repetitions of one kind in a row in one lab")
    parser.add_argument("--at-most", type=int, help="--faults: seconds, after which no lab begins another portion")
    parser.add_argument("-k", action="append", default=[])
    parser.add_argument("--labs", type=int, default=2 * (os.cpu_count() or 1))
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--length", type=int, default=12)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--without", action="append", default=[], help="kinds whose name has that are left out, to go on past a known fault")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--everything", action="store_true", help="--seed, --replay: in the lab where all is guarded")
    parser.add_argument("--replay")
    parser.add_argument("--no-shrink", action="store_true")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("tests/chaos/run.py makes network namespaces: run it as root")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))       # so that labs are taken away
    if options.faults:
        return faults(options)
    if options.replay or options.seed is not None:
        return again(options)
    return random_mode(options)


if __name__ == "__main__":
    sys.exit(main())

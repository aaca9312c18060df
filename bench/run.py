#!/usr/bin/env python3
"""One table, one run: bare veth, Adit, strongSwan's userspace ESP and wireguard-go, each measured in turn, twice round.

    bench/run.py                  everything (about eight minutes)
    bench/run.py --quick          one short round
    bench/run.py --smoke          seconds, and figures that mean nothing: shows that it runs
    bench/run.py adit-udp veth    some subjects
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

import peers
from lab import BUILD, Lab, LabError

GCM = ("encr_algs aes-gcm(128)", "encr_alg aes-gcm encrkey 000102030405060708090a0b0c0d0e0f10111213")
GCM256 = ("encr_algs aes-gcm(256)", "encr_alg aes-gcm encrkey " + bytes(range(36)).hex())
CBC = ("encr_algs aes(256) encr_auth_algs sha512", f"encr_alg aes encrkey {bytes(range(32)).hex()} auth_alg sha512 authkey {bytes(range(64)).hex()}")
CHACHA = ("encr_algs chacha20-poly1305", "encr_alg chacha20-poly1305 encrkey " + bytes(range(36)).hex())

SUBJECTS = {
    "veth": ("bare veth", lambda lab, name: peers.Subject(lab, name)),
    "adit-udp": ("Adit, ESP in UDP, AES-128-GCM", lambda lab, name: peers.Adit(lab, name, *GCM, udp=True)),
    "adit-esp": ("Adit, ESP, AES-128-GCM", lambda lab, name: peers.Adit(lab, name, *GCM)),
    "adit-clear": ("Adit, cleartext tunnel", lambda lab, name: peers.Adit(lab, name)),
    "adit-gcm256": ("Adit, ESP in UDP, AES-256-GCM", lambda lab, name: peers.Adit(lab, name, *GCM256, udp=True)),
    "adit-cbc": ("Adit, ESP in UDP, AES-256-CBC + HMAC-SHA-512", lambda lab, name: peers.Adit(lab, name, *CBC, udp=True)),
    "adit-chacha": ("Adit, ESP in UDP, ChaCha20-Poly1305", lambda lab, name: peers.Adit(lab, name, *CHACHA, udp=True)),
    "strongswan": ("strongSwan userspace ESP, AES-128-GCM", lambda lab, name: peers.StrongSwan(lab, name)),
    "wireguard-go": ("wireguard-go (Debian)", lambda lab, name: peers.WireguardGo(lab, name)),
}


def busy_seconds():
    """CPU seconds of the whole machine that were not idle."""
    fields = [int(x) for x in open("/proc/stat").readline().split()[1:]]
    return (sum(fields[:8]) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


def iperf(subject, options, seconds):
    server = subject.b.popen("iperf3 -s -1", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(0.3)
    before = busy_seconds()
    try:
        done = subject.a.sh(f"iperf3 -c {subject.target} -t {seconds} -J {options}", timeout=seconds + 40)
    finally:
        used = busy_seconds() - before
        if server.poll() is None:
            server.terminate()
        server.wait()
    return json.loads(done.stdout)["end"], used


def tcp(subject, streams, seconds):
    """(Mbit/s received, CPU seconds a gigabyte)"""
    end, used = iperf(subject, f"-P {streams}", seconds)
    received = end["sum_received"]
    return received["bits_per_second"] / 1e6, used / (received["bytes"] / 1e9)


def udp(subject, seconds):
    """1,400-byte IP packets received a second."""
    end, _ = iperf(subject, "-u -b 0 -l 1372", seconds)
    total = end["sum"]
    return (total["packets"] - total["lost_packets"]) / total["seconds"]


def ping(subject, count):
    """(median, 99th percentile) in milliseconds."""
    lines = subject.a.sh(f"ping -n -i 0.01 -c {count} {subject.target}", timeout=60).stdout.splitlines()
    times = sorted(float(line.split("time=")[1].split()[0]) for line in lines if "time=" in line)
    return statistics.median(times), times[int(len(times) * 0.99) - 1]


def measure(subject, seconds):
    one, cpu = tcp(subject, 1, seconds)
    eight, _ = tcp(subject, 8, seconds)
    median, p99 = ping(subject, 100 * seconds)
    return {"tcp1": one, "tcp8": eight, "udp": udp(subject, seconds), "ping": median, "p99": p99, "cpu": cpu}


def print_table(results):
    medians = {name: {key: statistics.median(run[key] for run in runs) for key in runs[0]} for name, runs in results.items() if runs}
    veth, swan = medians.get("veth"), medians.get("strongswan")
    print(f"\n{'':46}{'TCP 1':>10}{'TCP 8':>10}{'UDP 1400':>11}{'ping':>8}{'p99':>8}{'CPU s':>8}{'of':>7}{'times':>9}")
    print(f"{'':46}{'Mbit/s':>10}{'Mbit/s':>10}{'packets/s':>11}{'ms':>8}{'ms':>8}{'per GB':>8}{'veth':>7}{'strongSw':>9}")
    for name, row in medians.items():
        of_veth = f"{row['tcp1'] / veth['tcp1']:.2f}" if veth else "-"
        of_swan = f"{row['tcp1'] / swan['tcp1']:.1f}" if swan else "-"
        print(f"{SUBJECTS[name][0]:46}{row['tcp1']:10,.0f}{row['tcp8']:10,.0f}{row['udp']:11,.0f}{row['ping']:8.3f}{row['p99']:8.3f}"
              f"{row['cpu']:8.2f}{of_veth:>7}{of_swan:>9}")
    return medians


def goals(medians):
    """What the project set itself: ratios, in this run."""
    wanted = [("adit-udp", "strongswan", "tcp1", lambda a, b: a / b, 12, "ESP in UDP, AES-128-GCM, one TCP stream: times strongSwan", True),
              ("adit-udp", "veth", "tcp1", lambda a, b: a / b, 0.3, "the same, of the bare veth", True),
              ("adit-esp", "strongswan", "tcp1", lambda a, b: a / b, 4, "ESP over IP: times strongSwan", True),
              ("adit-udp", "strongswan", "ping", lambda a, b: a / b, 0.2, "ping median, of strongSwan's", False)]
    print()
    for ours, theirs, key, ratio, goal, text, at_least in wanted:
        if ours in medians and theirs in medians:
            value = ratio(medians[ours][key], medians[theirs][key])
            met = value >= goal if at_least else value <= goal
            print(f"{text}: {value:.2f} (goal: {'at least' if at_least else 'at most'} {goal}) {'reached' if met else 'NOT REACHED'}")


def many_tunnels(count):
    """Creating `count` secured tunnels by command, and what the daemon then holds."""
    with Lab() as lab:
        host = lab.host("many")
        host.sh("ip link add net0 type veth peer name net1")
        host.add_address("net0", "192.0.2.1/24")
        host.sh("ip link set net0 up")
        host.start_aditd()
        script = "".join(f"dladm create-iptun -S -T ipv4 -a local=192.0.2.1,remote=198.{18 + i // 65536}.{i // 256 % 256}.{i % 256} t{i} || exit 1\n"
                         for i in range(1, count + 1))
        links = pathlib.Path(host.root / "bin")
        links.mkdir()
        (links / "dladm").symlink_to(BUILD / "bin" / "adit")
        start = time.monotonic()
        host.sh(["env", f"PATH={links}:/usr/sbin:/usr/bin:/sbin:/bin", "sh"], input=script, timeout=600)
        seconds = time.monotonic() - start
        status = open(f"/proc/{host.daemon.pid}/status").read()
        resident = int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024
        print(f"\n{count} secured tunnels, a command each: {seconds:.1f} s; aditd then holds {resident:.0f} MB")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("subjects", nargs="*", help=", ".join(SUBJECTS))
    options.add_argument("--quick", action="store_true", help="one round of two seconds")
    options.add_argument("--smoke", action="store_true", help="one round of a second, twenty tunnels, no goals: only that it runs")
    options.add_argument("--no-micro", action="store_true", help="without the micro-benchmarks and the thousand tunnels")
    chosen = options.parse_args()
    names = chosen.subjects or list(SUBJECTS)
    rounds, seconds = (1, 1) if chosen.smoke else (1, 2) if chosen.quick else (2, 4)
    unmeasured = set()
    results = {name: [] for name in names}
    for _ in range(rounds):                          # A B C A B C: the machine's drift falls on all alike
        for name in names:
            with Lab() as lab:
                try:
                    subject = SUBJECTS[name][1](lab, name)
                    results[name].append(measure(subject, seconds))
                except peers.Absent as absent:
                    print(f"{SUBJECTS[name][0]}: left out, since {absent}.")
                except (LabError, subprocess.TimeoutExpired, ValueError, KeyError) as error:     # no reply to count, no figures in iperf3's
                    print(f"{SUBJECTS[name][0]}: not measured: {error}")
                    unmeasured.add(name)
            print(".", end="", flush=True)
    medians = print_table(results)
    if not chosen.smoke:
        goals(medians)
    if not chosen.no_micro:
        many_tunnels(20 if chosen.smoke else 1000)
        subprocess.run([BUILD / "bench" / "adit_micro", f"--benchmark_min_time={0.001 if chosen.smoke else 0.2}"], check=True)
    ours = sorted(unmeasured - peers.OTHERS)
    if ours:
        sys.exit(f"bench: not measured: {', '.join(ours)}")


if __name__ == "__main__":
    main()

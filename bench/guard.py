#!/usr/bin/env python3
"""What the guard costs: with its layers and without them in turn, on one tunnel that stays up (root).

    bench/guard.py                one TCP stream, 64-byte packets through the tunnel, other packets; 1 and 1,000 networks; one more beside 10,000
    bench/guard.py --smoke        seconds, and figures that mean nothing: shows that it runs
"""
import argparse
import contextlib
import json
import os
import pathlib
import resource
import signal
import statistics
import subprocess
import sys
import time

from tunnels import Varlink
from lab import Lab                                  # found by tunnels

BUILD = pathlib.Path(os.environ.get("ADIT_BUILD", pathlib.Path(__file__).resolve().parents[1] / "build" / "release"))
DRIVER, COST = BUILD / "bench" / "path_driver", BUILD / "bench" / "guard_cost"
BEFORE = pathlib.Path(__file__).resolve().with_name("guard_before.py")
ENDS = (("a", "192.0.2.1", "192.0.2.2", "10.0.1.1", "10.0.2.1"), ("b", "192.0.2.2", "192.0.2.1", "10.0.2.1", "10.0.1.1"))


def run(*words, seconds=60):
    return subprocess.run(list(map(str, words)), check=True, stdout=subprocess.PIPE, text=True, timeout=seconds).stdout


def run_alone(*words, seconds=600):
    """Whatever it starts ends with it: a guardian that it left would hold its output open."""
    return run("unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--", *words, seconds=seconds)


@contextlib.contextmanager
def patience(seconds):
    """Nothing in it waits longer."""
    def enough(*_):
        raise TimeoutError(f"bench/guard.py: not done after {seconds} s")
    signal.signal(signal.SIGALRM, enough)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def end(process):
    """By force, when it does not end by itself."""
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Tunnel:
    """The packet path alone between two namespaces, as bench/path.sh has it; the guard comes and goes beside it."""

    def __init__(self):
        self.names = {letter: f"adit-guard-{letter}-{os.getpid()}" for letter in "ab"}
        self.drivers, self.guards = [], []

    def inside(self, letter, *words):
        return ["ip", "netns", "exec", self.names[letter], *map(str, words)]

    def __enter__(self):
        for name in self.names.values():
            run("ip", "netns", "add", name)
        run("ip", "-n", self.names["a"], "link", "add", "veth0", "type", "veth", "peer", "name", "veth0", "netns", self.names["b"])
        for letter, here, there, _, _ in ENDS:
            for words in (("link", "set", "lo", "up"), ("addr", "add", f"{here}/24", "dev", "veth0"), ("link", "set", "veth0", "up")):
                run("ip", "-n", self.names[letter], *words)
            self.drivers.append(subprocess.Popen(self.inside(letter, DRIVER, "path0", here, there, "udp", "gcm128"), stdout=subprocess.DEVNULL))
        time.sleep(1.5)
        for letter, _, _, near, far in ENDS:
            run("ip", "-n", self.names[letter], "addr", "add", near, "peer", far, "dev", "path0")
            run("ip", "-n", self.names[letter], "route", "add", f"{far[:-1]}0/24", "dev", "path0", "table", "174", "proto", "173")
        return self

    def __exit__(self, *_):
        self.guard(0)
        for driver in self.drivers:
            driver.terminate()
            end(driver)
        for name in self.names.values():
            subprocess.run(["ip", "netns", "del", name])

    def guard(self, networks):
        """Its layers at both ends, closing so many networks; 0: none."""
        for guard in self.guards:
            guard.stdin.close()
            end(guard)
        self.guards = [subprocess.Popen(self.inside(letter, COST, "hold", networks, "path0", here, there, f"{far}/24"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                       for letter, here, there, _, far in ENDS if networks]
        for guard in self.guards:
            if guard.stdout.readline() != "ready\n":
                sys.exit("bench/guard.py: the guard's layers do not stand")

    def tcp(self, seconds):
        """Mbit/s of one stream; CPU milliseconds a gigabyte."""
        before = self.cpu()
        server = subprocess.Popen(self.inside("b", "iperf3", "-s", "-1"), stdout=subprocess.DEVNULL)
        try:
            time.sleep(0.3)
            done = run(*self.inside("a", "iperf3", "-c", "10.0.2.1", "-t", seconds, "-J"))
        finally:
            end(server)
        received = json.loads(done)["end"]["sum_received"]
        return received["bits_per_second"] / 1e6, (self.cpu() - before) / 1e6 / (received["bytes"] / 1e9)

    def cpu(self):
        """Nanoseconds of the drivers, and of all that this program has waited for: on a busy machine steadier than rates."""
        own = resource.getrusage(resource.RUSAGE_CHILDREN)
        drivers = sum(int(pathlib.Path(task, "schedstat").read_text().split()[0]) for driver in self.drivers for task in pathlib.Path(f"/proc/{driver.pid}/task").iterdir())
        return drivers + (own.ru_utime + own.ru_stime) * 1e9

    def received(self):
        return int(run(*self.inside("b", "cat", "/sys/class/net/path0/statistics/rx_packets")))

    def small(self, seconds):
        """64-byte packets that come through in a second, when more are sent; CPU microseconds each, when none is lost."""
        before, start = self.received(), time.monotonic()
        run(*self.inside("a", COST, "send", "10.0.2.1", seconds * 500))
        rate = (self.received() - before) / (time.monotonic() - start)
        cpu, before = self.cpu(), self.received()
        run(*self.inside("a", COST, "send", "10.0.2.1", seconds * 1000, 4000))
        return rate, (self.cpu() - cpu) / 1e3 / max(self.received() - before, 1)


def through_the_tunnel(networks, rounds, seconds):
    results = {(what, guarded): [] for what in ("tcp", "small") for guarded in (False, True)}
    with Tunnel() as tunnel:
        for _ in range(rounds):
            for guarded in (False, True):
                tunnel.guard(networks if guarded else 0)
                run(*tunnel.inside("a", "ping", "-qc", "1", "-W", "2", "10.0.2.1"))
                results["tcp", guarded].append(tunnel.tcp(seconds))
                results["small", guarded].append(tunnel.small(seconds))
    for what, text, unit in (("tcp", "one TCP stream, Mbit/s", "CPU ms a GB"), ("small", "64-byte packets a second", "CPU us each")):
        (rate0, cpu0), (rate1, cpu1) = ([statistics.median(column) for column in zip(*results[what, guarded])] for guarded in (False, True))
        print(f"{networks:6} networks  {text:25} without {rate0:8,.0f}  with {rate1:8,.0f}  times {rate1 / rate0:.3f}"
              f"   {unit:11} {cpu0:8.2f} {cpu1:8.2f}  times {cpu1 / cpu0:.3f}", flush=True)


def by_the_engine(count):
    """Networks closed one by one over varlink: book, plan, guardian, every layer; are the last as quick as the first?"""
    with Lab() as lab:
        host = lab.host("many")
        host.sh("ip link add net0 type veth peer name net1")
        host.sh("ip link set net0 up")
        host.add_address("net0", "192.0.2.1/24")
        host.start_aditd()
        host.adit("dladm create-iptun -S -T ipv4 -a local=192.0.2.1,remote=192.0.2.2 tun0")
        link, times = Varlink(host.run_dir / "adit.sock"), []
        for i in range(count):
            start = time.monotonic()
            link.call("io.adit.guard.Close", network=f"11.{i >> 8}.{i & 255}.0/24", tunnel="tun0")
            times.append((time.monotonic() - start) * 1000)
    part = max(count // 50, 1)
    print(f"closed by the engine, ms each: the first {part} {statistics.median(times[:part]):.2f}, the last of {count} {statistics.median(times[-part:]):.2f}")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--smoke", action="store_true", help="one round of a second, ten networks")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=int, default=2)
    chosen = options.parse_args()
    rounds, seconds = (1, 1) if chosen.smoke else (chosen.rounds, chosen.seconds)
    for networks in (10,) if chosen.smoke else (1, 1000):
        with patience(60 + rounds * 2 * (10 + 5 * seconds)):
            through_the_tunnel(networks, rounds, seconds)
        print(run_alone(COST, "packets", networks, 1 if chosen.smoke else 15, BEFORE), end="", flush=True)
    many = 100 if chosen.smoke else 10000
    print(run_alone(COST, "one-more", many), end="", flush=True)
    with patience(120 + many // 10):
        by_the_engine(many)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Many secured tunnels on one host, made by a program over one varlink connection: how long does it take, is the last as quick to make and
to use as the first, and how long do a start with them and their deletion take? What aditd and the guardian work for each is told apart from
what the kernel does for them.

    bench/tunnels.py                    10,000 tunnels, each with a policy of its own
    bench/tunnels.py -n 1000 --batch 1  all of them by single calls
    bench/tunnels.py --addresses        each with an address and a route too
    bench/tunnels.py --networks         each with a rule for a network of its own, which the guard closes, and a route to it
    bench/tunnels.py --smoke            a few of all kinds, and figures that mean nothing: shows that it runs

The first and the last hundred are made, and deleted, by single calls, what is between by calls of --batch tunnels. Use is a flood of pings,
one after the other, through the first and the last in turn.
"""
import argparse
import json
import os
import pathlib
import re
import signal
import socket
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "lab"))
from lab import Lab                              # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")


class Varlink:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))

    def call(self, method, **parameters):
        self.socket.sendall(json.dumps({"method": method, "parameters": parameters}).encode() + b"\0")
        parts = []
        while not parts or not parts[-1].endswith(b"\0"):
            parts.append(self.socket.recv(1 << 20))
            if not parts[-1]:
                raise SystemExit("the daemon ended")
        answer = json.loads(b"".join(parts)[:-1])
        if "error" in answer:
            raise SystemExit(f"{method}: {answer}")
        return answer["parameters"]


def address(first, number):
    return f"{first}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def inner(number):
    return f"10.0.0.{number % 2 + 1}"             # so that the peer tells the first from the last


def network(number):
    return f"13.{number >> 8 & 255}.{number & 255}.0/24"


def tunnel(number, networks=False):
    rules = f"{{negotiate tunnel raddr {network(number)}}} ipsec {{encr_algs aes-gcm(128)}}\n" if networks else ""
    return {"name": f"tun{number}", "type": "ipv4", "local": "1.2.3.4", "remote": address(5, number), "temporary": False, "secured": True,
            "properties": {"ipsec": rules + ("{negotiate tunnel} ipsec " if networks else "") + "{encr_algs aes-gcm(128)}"}}


def cpu_seconds(pid):
    """Its own, and the kernel's for it, in ticks; and both together to the nanosecond."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    both = sum(int((task / "schedstat").read_text().split()[0]) for task in pathlib.Path(f"/proc/{pid}/task").iterdir())
    return int(fields[11]) / TICKS, int(fields[12]) / TICKS, both / 1e9


def megabytes(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1]) // 1024


def timed(work):
    began = time.monotonic()
    work()
    return time.monotonic() - began


class Work:
    """Of processors since it was begun or told last, of aditd and of the guardian, with what the kernel worked for them."""

    def __init__(self, pids):
        self.pids = pids
        self.then = self.now()

    def now(self):
        return [cpu_seconds(pid) for pid in self.pids]

    def told(self, count):
        then, self.then, words = self.then, self.now(), []
        for who, before, after in zip(("aditd", "the guardian"), then, self.then):
            own, kernel, both = (now - was for now, was in zip(after, before))
            share = f", {100 * kernel / (own + kernel):.0f}% the kernel's" if own + kernel > 0 else ""
            words.append(f"{who} {1000 * both / count:.2f}{share}")
        return f"ms of processor each: {'; '.join(words)}"


class Bench:
    def __init__(self, lab, options):
        self.options, self.host, self.peer = options, lab.host("many"), lab.host("peer")
        lab.wire(self.host, "net0", self.peer, "net0")
        self.host.add_address("net0", "1.2.3.4/24")
        self.peer.add_address("net0", "1.2.3.1/24")
        self.host.sh("ip route add default via 1.2.3.1")
        self.ends = (1, options.n)
        keys = "".join(f"add esp spi {0x1000 + 2 * n + way:#x} src {src} dst {dst} encr_alg aes-gcm encrkey {'5a' * 12}{2 * n + way:016x}\n"
                       for n in self.ends for way, (src, dst) in enumerate((("1.2.3.4", address(5, n)), (address(5, n), "1.2.3.4"))))
        for host in (self.host, self.peer):
            host.write("/etc/inet/secret/ipseckeys", keys, 0o600)
        self.host.start_aditd("--workers", options.workers)
        self.host.adit("svcadm enable ipsec/manual-key")
        self.link = Varlink(self.host.run_dir / "adit.sock")

    def pid(self):
        return self.host.daemon.pid

    def work(self):
        return Work((self.pid(), int((self.host.run_dir / "adit-guard.pid").read_text())))

    def tunnel(self, number):
        return tunnel(number, self.options.networks)

    # What is done for each tunnel after it is made: a name, and the call.
    def steps(self):
        dressed = self.options.addresses or self.options.networks
        if dressed:
            yield "addressed", lambda number: self.link.call("io.adit.addresses.CreateAddr", object=f"tun{number}/v4", type="static",
                                                             local=inner(number), remote=address(11, number))
        if dressed:
            behind = network if self.options.networks else lambda number: address(12, number)
            yield "routed", lambda number: self.link.call("io.adit.routes.Add", words=[behind(number), address(11, number)], persistent=True)

    def single(self, numbers):
        """Milliseconds for each, by what was done."""
        medians, work = {}, self.work()
        made = ("made", lambda number: self.link.call("io.adit.links.CreateIptun", **self.tunnel(number)))
        for what, call in (made, *self.steps()):
            times = [1000 * timed(lambda: call(number)) for number in numbers]
            medians[what] = statistics.median(times)
            print(f"tun{numbers[0]} to tun{numbers[-1]} {what}: {medians[what]:.2f} ms; {work.told(len(numbers))}", flush=True)
        return medians

    def make(self):
        count, batch, single = self.options.n, self.options.batch, self.options.single
        began, work = time.monotonic(), self.work()
        first = self.single(range(1, single + 1))
        for at in range(single + 1, count - single + 1, batch):
            numbers = range(at, min(at + batch, count - single + 1))
            self.link.call("io.adit.links.CreateIptuns", tunnels=[self.tunnel(number) for number in numbers])
            for _, call in self.steps():
                for number in numbers:
                    call(number)
        last = self.single(range(count - single + 1, count + 1))
        for what, before in first.items():
            print(f"{what}: the last {single} take {last[what] / before:.2f} of the first")
        print(f"{count} tunnels made in {time.monotonic() - began:.1f} s; {work.told(count)}; {megabytes(self.pid())} MB, "
              f"{len(os.listdir(f'/proc/{self.pid()}/fd'))} descriptors", flush=True)

    def more(self):
        self.single(range(self.options.n + 1, self.options.n + 2 * self.options.single + 1))

    def start_peer(self):
        for number in self.ends:
            self.peer.add_address("lo", f"{address(5, number)}/32")
        self.peer.start_aditd("--workers", "1")
        self.peer.adit("svcadm enable ipsec/manual-key")
        for number in self.ends:
            self.peer.adit(["dladm", "create-iptun", "-S", "-T", "ipv4", "-a", f"local={address(5, number)},remote=1.2.3.4", f"tun{number}"])
            self.peer.adit(["dladm", "set-linkprop", "-p", "ipsec={encr_algs aes-gcm(128)}", f"tun{number}"])
            self.peer.adit(f"ipadm create-addr -T static -a local={address(11, number)},remote={inner(number)} tun{number}/v4")
            if not (self.options.addresses or self.options.networks):
                self.host.adit(f"ipadm create-addr -T static -a local={inner(number)},remote={address(11, number)} tun{number}/v4")

    def ping(self, number):
        said = self.host.sh(f"ping -q -f -c {self.options.pings} {address(11, number)}", timeout=120).stdout
        assert " 0% packet loss" in said, said
        return float(re.search(r"= [\d.]+/([\d.]+)/", said)[1]) * 1000

    def use(self):
        self.start_peer()
        rows = [[self.ping(number) for number in self.ends] for _ in range(self.options.rounds)]
        first, last = (statistics.median(row[side] for row in rows) for side in (0, 1))
        ratio = statistics.median(row[1] / row[0] for row in rows)
        print(f"a ping through the first {first:.0f} us, through the last {last:.0f} us: {ratio:.2f}", flush=True)

    def idle(self):
        seconds = 1 if self.options.smoke else 10
        work = self.work()
        time.sleep(seconds)
        print(f"doing nothing for a second: {work.told(seconds)}", flush=True)

    def standing(self):
        return self.host.adit("dladm show-link -p -o class,state").stdout.split().count("iptun:up")

    def restart(self):
        began = time.monotonic()
        os.kill(self.pid(), signal.SIGKILL)
        self.host.daemon.wait(timeout=600)  # the kernel lets go of each queue in turn
        print(f"killed: its last queue is let go after {time.monotonic() - began:.1f} s", flush=True)
        began = time.monotonic()
        self.host.start_aditd("--workers", self.options.workers, wait=False)
        self.host.wait_ready(900)
        took = time.monotonic() - began
        work = self.work()
        work.then = [(0, 0, 0)] * 2
        print(f"a start with them: {took:.1f} s; {work.told(self.options.n)}; {self.standing()} are up", flush=True)
        self.link = Varlink(self.host.run_dir / "adit.sock")

    def delete(self):
        count, single = self.options.n, self.options.single
        began, medians = time.monotonic(), []
        for numbers in (range(count, count - single, -1), range(count - single, single, -1), range(single, 0, -1)):
            work = self.work()
            times = [1000 * timed(lambda: self.link.call("io.adit.links.DeleteIptun", name=f"tun{number}", temporary=False, keep_closed=False,
                                                         recursive=True)) for number in numbers]
            if times:
                medians.append(statistics.median(times))
                print(f"tun{numbers[0]} to tun{numbers[-1]} deleted: {medians[-1]:.2f} ms; {work.told(len(numbers))}", flush=True)
        print(f"{count} deleted in {time.monotonic() - began:.1f} s; beside all of them one takes {medians[0] / medians[-1]:.2f} of what it takes "
              "beside few", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=10000)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--addresses", action="store_true")
    parser.add_argument("--networks", action="store_true")
    parser.add_argument("--workers", default="1")
    parser.add_argument("--steps", default="make,use,idle,restart,delete")
    parser.add_argument("--single", type=int, default=100, help="so many at either end are timed one by one")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--pings", type=int, default=2000)
    parser.add_argument("--perf", metavar="STEP", help="record the daemons during this step, into perf.data")
    parser.add_argument("--smoke", action="store_true", help="six tunnels, with networks")
    options = parser.parse_args()
    if options.smoke:
        options.n, options.batch, options.single, options.rounds, options.pings, options.networks = 6, 3, 2, 1, 20, True
    with Lab() as lab:
        bench = Bench(lab, options)
        for step in options.steps.split(","):
            perf = None
            if step == options.perf:
                guardian = (bench.host.run_dir / "adit-guard.pid").read_text().strip()
                perf = subprocess.Popen(["perf", "record", "-q", "-o", "perf.data", "-e", "cpu-clock", "-F", "500", "-g", "-p", f"{bench.pid()},{guardian}"])
            getattr(bench, step)()
            if perf:
                perf.send_signal(signal.SIGINT)
                perf.wait()


if __name__ == "__main__":
    main()

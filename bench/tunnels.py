#!/usr/bin/env python3
"""Many secured tunnels on one host, made by a program over one varlink connection: how long does it take, is the last as quick to make and
to use as the first, and how long do a start with them and their deletion take?

    bench/tunnels.py                    10,000 tunnels, each with a policy of its own
    bench/tunnels.py -n 1000 --batch 1  all of them by single calls
    bench/tunnels.py --addresses        each with an address and a route too
    bench/tunnels.py --networks         each with a rule for a network of its own, which the guard closes

The first and the last hundred are made by single calls, what is between by calls of --batch tunnels. Use is a flood of pings, one after the
other, through the first and the last in turn.
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
SINGLE = 100                                     # so many at either end are timed one by one
ROUNDS, PINGS = 7, 2000


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


def tunnel(number, networks=False):
    rules = f"{{negotiate tunnel raddr 13.{number >> 8 & 255}.{number & 255}.0/24}} ipsec {{encr_algs aes-gcm(128)}}\n" if networks else ""
    return {"name": f"tun{number}", "type": "ipv4", "local": "1.2.3.4", "remote": address(5, number), "temporary": False, "secured": True,
            "properties": {"ipsec": rules + ("{negotiate tunnel} ipsec " if networks else "") + "{encr_algs aes-gcm(128)}"}}


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def nanoseconds(pid):
    """On a processor, of all its threads."""
    return sum(int((task / "schedstat").read_text().split()[0]) for task in pathlib.Path(f"/proc/{pid}/task").iterdir())


def megabytes(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1]) // 1024


def timed(work):
    began = time.monotonic()
    work()
    return time.monotonic() - began


def dress(link, number):
    link.call("io.adit.addresses.CreateAddr", object=f"tun{number}/v4", type="static", local="10.0.0.1", remote=address(11, number))
    link.call("io.adit.routes.Add", words=[address(12, number), address(11, number)], persistent=True)


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
        """Milliseconds of processor so far: of aditd, of the guardian."""
        guardian = int((self.host.run_dir / "adit-guard.pid").read_text())
        return [nanoseconds(pid) / 1e6 for pid in (self.pid(), guardian)]

    def tunnel(self, number):
        return tunnel(number, self.options.networks)

    def single(self, numbers):
        """Milliseconds for each."""
        times, before = [], self.work()
        for number in numbers:
            times.append(1000 * timed(lambda: self.link.call("io.adit.links.CreateIptun", **self.tunnel(number))))
            if self.options.addresses:
                times[-1] += 1000 * timed(lambda: dress(self.link, number))
        worked = [(now - then) / len(numbers) for now, then in zip(self.work(), before)]
        print(f"tun{numbers[0]} to tun{numbers[-1]}: {statistics.median(times):.2f} ms each; {worked[0]:.2f} of aditd's processor time, "
              f"{worked[1]:.2f} of the guardian's", flush=True)
        return times

    def make(self):
        count, batch = self.options.n, self.options.batch
        began, cpu = time.monotonic(), cpu_seconds(self.pid())
        first = self.single(range(1, SINGLE + 1))
        for at in range(SINGLE + 1, count - SINGLE + 1, batch):
            numbers = range(at, min(at + batch, count - SINGLE + 1))
            self.link.call("io.adit.links.CreateIptuns", tunnels=[self.tunnel(number) for number in numbers])
            if self.options.addresses:
                for number in numbers:
                    dress(self.link, number)
        last = self.single(range(count - SINGLE + 1, count + 1))
        print(f"the last {SINGLE} take {statistics.median(last) / statistics.median(first):.2f} of the first")
        print(f"{count} tunnels made in {time.monotonic() - began:.1f} s, {cpu_seconds(self.pid()) - cpu:.1f} s of CPU; {megabytes(self.pid())} MB, "
              f"{len(os.listdir(f'/proc/{self.pid()}/fd'))} descriptors", flush=True)

    def more(self):
        self.single(range(self.options.n + 1, self.options.n + 2 * SINGLE + 1))

    def start_peer(self):
        for number in self.ends:
            self.peer.add_address("lo", f"{address(5, number)}/32")
        self.peer.start_aditd("--workers", "1")
        self.peer.adit("svcadm enable ipsec/manual-key")
        for number in self.ends:
            self.peer.adit(["dladm", "create-iptun", "-S", "-T", "ipv4", "-a", f"local={address(5, number)},remote=1.2.3.4", f"tun{number}"])
            self.peer.adit(["dladm", "set-linkprop", "-p", "ipsec={encr_algs aes-gcm(128)}", f"tun{number}"])
            self.peer.adit(f"ipadm create-addr -T static -a local={address(11, number)},remote=10.0.0.{number % 2 + 1} tun{number}/v4")
            if not self.options.addresses:
                self.host.adit(f"ipadm create-addr -T static -a local=10.0.0.{number % 2 + 1},remote={address(11, number)} tun{number}/v4")

    def ping(self, number):
        said = self.host.sh(f"ping -q -f -c {PINGS} {address(11, number)}", timeout=120).stdout
        assert " 0% packet loss" in said, said
        return float(re.search(r"= [\d.]+/([\d.]+)/", said)[1]) * 1000

    def use(self):
        self.start_peer()
        rows = [[self.ping(number) for number in self.ends] for _ in range(ROUNDS)]
        first, last = (statistics.median(row[side] for row in rows) for side in (0, 1))
        ratio = statistics.median(row[1] / row[0] for row in rows)
        print(f"a ping through the first {first:.0f} us, through the last {last:.0f} us: {ratio:.2f}", flush=True)

    def idle(self):
        cpu = cpu_seconds(self.pid())
        time.sleep(10)
        print(f"doing nothing: {(cpu_seconds(self.pid()) - cpu) * 100:.0f} ms of CPU a second", flush=True)

    def standing(self):
        return self.host.adit("dladm show-link -p -o class,state").stdout.split().count("iptun:up")

    def restart(self):
        self.host.kill_aditd(signal.SIGKILL)
        began = time.monotonic()
        self.host.start_aditd("--workers", self.options.workers, wait=False)
        self.host.wait_ready(900)
        print(f"a start with them: {time.monotonic() - began:.1f} s; {self.standing()} are up", flush=True)
        self.link = Varlink(self.host.run_dir / "adit.sock")

    def delete(self):
        names = [f"tun{number}" for number in range(1, self.options.n + 1)]
        times = [1000 * timed(lambda: self.link.call("io.adit.links.DeleteIptun", name=name, temporary=False, keep_closed=False, recursive=True))
                 for name in reversed(names)]
        print(f"deleted in {sum(times) / 1000:.1f} s; of them the first {statistics.median(times[:SINGLE]):.2f} ms each, the last "
              f"{statistics.median(times[-SINGLE:]):.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=10000)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--addresses", action="store_true")
    parser.add_argument("--networks", action="store_true")
    parser.add_argument("--workers", default="1")
    parser.add_argument("--steps", default="make,use,idle,restart,delete")
    parser.add_argument("--perf", metavar="STEP", help="record the daemons during this step, into perf.data")
    options = parser.parse_args()
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

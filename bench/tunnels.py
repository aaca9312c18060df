#!/usr/bin/env python3
"""Many secured tunnels on one host, made by a program over one varlink connection: how long, and is the last as quick as the first?

    bench/tunnels.py                    10,000 tunnels, each with policy, address and route
    bench/tunnels.py -n 1000 --no-address --no-route
    bench/tunnels.py --batch 500        io.adit.links.CreateIptuns, so many tunnels a call
"""
import argparse
import json
import os
import pathlib
import socket
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "lab"))
from lab import Lab                              # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")


class Varlink:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.rest = b""

    def call(self, method, **parameters):
        self.socket.sendall(json.dumps({"method": method, "parameters": parameters}).encode() + b"\0")
        while b"\0" not in self.rest:
            got = self.socket.recv(1 << 20)
            if not got:
                raise SystemExit("the daemon ended")
            self.rest += got
        answer, self.rest = self.rest.split(b"\0", 1)
        answer = json.loads(answer)
        if "error" in answer:
            raise SystemExit(f"{method}: {answer}")
        return answer["parameters"]


def remote(number):
    return f"5.{number // 65536}.{number // 256 % 256}.{number % 256}"


def inner(number):
    return f"11.{number // 65536}.{number // 256 % 256}.{number % 256}"


def tunnel(number):
    return {"name": f"tun{number}", "type": "ipv4", "local": "1.2.3.4", "remote": remote(number), "temporary": False, "secured": True,
            "properties": {"ipsec": "{encr_algs aes-gcm(128)}"}}


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def make(link, numbers, options):
    if options.batch:
        for at in range(0, len(numbers), options.batch):
            link.call("io.adit.links.CreateIptuns", tunnels=[tunnel(n) for n in numbers[at:at + options.batch]])
    for number in numbers:
        if not options.batch:
            link.call("io.adit.links.CreateIptun", **tunnel(number))
        if options.address:
            link.call("io.adit.addresses.CreateAddr", object=f"tun{number}/v4", type="static", local="10.0.0.1", remote=inner(number))
        if options.route:
            link.call("io.adit.routes.Add", words=[f"12.{number // 65536}.{number // 256 % 256}.{number % 256}", inner(number)], persistent=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-n", type=int, default=10000)
    parser.add_argument("--batch", type=int, default=0)
    parser.add_argument("--no-address", dest="address", action="store_false")
    parser.add_argument("--no-route", dest="route", action="store_false")
    parser.add_argument("--parts", type=int, default=10, help="how many rows")
    parser.add_argument("--workers", default="2")
    parser.add_argument("--perf", help="record the daemon into this file")
    options = parser.parse_args()
    with Lab() as lab:
        host, peer = lab.host("many"), lab.host("peer")
        lab.wire(host, "net0", peer, "net0")
        host.add_address("net0", "1.2.3.4/24")
        host.sh("ip route add default via 1.2.3.1")
        host.start_aditd("--workers", options.workers)
        link, pid = Varlink(host.run_dir / "adit.sock"), host.daemon.pid
        if options.perf:
            import subprocess
            perf = subprocess.Popen(["perf", "record", "-q", "-e", "cpu-clock", "-g", "-p", str(pid), "-o", options.perf])
        size, first, began = options.n // options.parts, None, time.monotonic()
        print(f"{'tunnels':>8} {'ms each':>8} {'CPU ms':>7} {'of first':>8}")
        for part in range(options.parts):
            start, cpu = time.monotonic(), cpu_seconds(pid)
            make(link, range(part * size, (part + 1) * size), options)
            each, used = (time.monotonic() - start) * 1000 / size, (cpu_seconds(pid) - cpu) * 1000 / size
            first = first or each
            print(f"{(part + 1) * size:8} {each:8.2f} {used:7.2f} {each / first:8.2f}", flush=True)
        print(f"{options.n} tunnels in {time.monotonic() - began:.1f} s; descriptors {len(os.listdir(f'/proc/{pid}/fd'))}")
        if options.perf:
            perf.send_signal(2)
            perf.wait()


if __name__ == "__main__":
    main()

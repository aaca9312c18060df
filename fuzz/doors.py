#!/usr/bin/env python3
"""Fuzzes aditd's three servers whole, as a process in a network namespace of its own, and watches its life and memory.

    fuzz/doors.py                          20,000 messages to each server (root: it makes a namespace)
    fuzz/doors.py -n 1000000 varlink       so many, to one of them: varlink, policy, keys
    fuzz/doors.py --seed 7 --build build/asan

Messages are made by the servers' own forms: varlink's from the interfaces that the daemon describes, PF_POLICY's and PF_KEY's of
headers and extensions with the right numbers. Most are then broken at one place: a value of another type, depth, size, a wrong
length, an extension twice, cut or longer. One in fifty comes from a user without privilege. Exits 1 when the daemon ends, stops to
answer or grows; the seed repeats a run."""
import argparse
import json
import os
import pathlib
import random
import re
import select
import socket
import struct
import sys
import time

REPO = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPO / "tests" / "lab"))

NOBODY = 65534
BATCH = 32
ROUND = 10_000                                  # messages; then what they made is taken away and the memory looked at
NAMES = ["v4_a0", "v4_b0", "v6_c0", "t1", "net0", "", "lo", "x" * 300, "v4_a0/v4", "ipv4", "svc:/network/ipsec/policy:default", "*"]
WORDS = NAMES + ["10.0.0.1", "10.0.1.0/24", "1.2.3.4", "5.6.7.8", "2001:db8::1", "::/0", "default", "0.0.0.0", "static", "addrconf", "on", "off", "mtu",
                 "1400", "-1", "hoplimit", "{encr_algs aes-gcm(256)}", "ipsec", "forwarding", "hostmodel", "-net", "-host", "-inet6", "\0", "\u202e\ud7ff", "%n%s", "é" * 50]
NUMBERS = [0, 1, 2, 3, 7, 50, 255, 256, 4500, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63, 2**64 - 1]


def rss(pid):
    """Resident memory in MB."""
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1)) / 1024


class Varlink:
    """io.adit.*, as the daemon describes itself."""
    path, kind = "adit.sock", socket.SOCK_STREAM
    TYPES = {"string": lambda r: r.choice(WORDS), "int": lambda r: r.choice(NUMBERS), "bool": lambda r: r.random() < 0.5}
    # What would stop the run's own clean-up or wait for the world outside.
    LEFT_OUT = {"io.adit.services.Disable", "io.adit.services.Mark"}

    def __init__(self, host, rng):
        self.rng, self.methods = rng, [("org.varlink.service.GetInterfaceDescription", {"interface": "string"}), ("org.varlink.service.GetInfo", {})]
        with connect(host, self) as link:
            for name in self.call(link, "org.varlink.service.GetInfo")["interfaces"][1:]:
                text = self.call(link, "org.varlink.service.GetInterfaceDescription", interface=name)["description"]
                for method, parameters in re.findall(r"method (\w+)\(([^)]*)\)", text):
                    typed = dict(re.findall(r"(\w+): (\S+?)(?:,|$|\s)", parameters.replace("\n", " ") + " "))
                    if f"{name}.{method}" not in self.LEFT_OUT:
                        self.methods.append((f"{name}.{method}", typed))

    @staticmethod
    def call(link, method, **parameters):
        link.sendall(json.dumps({"method": method, "parameters": parameters}).encode() + b"\0")
        answer = b""
        while not answer.endswith(b"\0"):
            answer += link.recv(1 << 16) or b"\0"
        return json.loads(answer[:-1])["parameters"]

    def value(self, kind):
        if kind.startswith("?"):
            return None if self.rng.random() < 0.3 else self.value(kind[1:])
        if kind.startswith("[]"):
            return [self.value(kind[2:]) for _ in range(self.rng.randrange(4))]
        if kind.startswith("[string]"):
            return {self.rng.choice(WORDS): self.value(kind[8:]) for _ in range(self.rng.randrange(3))}
        return self.TYPES.get(kind, lambda r: r.choice(WORDS))(self.rng)

    def anything(self, depth=0):
        made = self.rng.randrange(9)
        if made < 2 and depth < 40:
            return [self.anything(depth + 1) for _ in range(self.rng.randrange(4))]
        if made < 4 and depth < 40:
            return {self.rng.choice(WORDS): self.anything(depth + 1) for _ in range(self.rng.randrange(3))}
        return [None, True, -5, 1.5e300, self.rng.choice(WORDS), self.rng.choice(NUMBERS)][self.rng.randrange(6)]

    def message(self):
        method, types = self.rng.choice(self.methods)
        parameters = {name: self.value(kind) for name, kind in types.items() if not kind.startswith("?") or self.rng.random() < 0.5}
        whole = {"method": method, "parameters": parameters}
        break_at = self.rng.randrange(12)
        if break_at < 5 and parameters:
            parameters[self.rng.choice(list(parameters))] = self.anything()
        elif break_at == 5:
            whole[self.rng.choice(["method", "parameters", "more", "oneway"])] = self.anything()
        elif break_at == 6:
            parameters[self.rng.choice(WORDS)] = self.anything()
        elif break_at == 7 and parameters:
            parameters.pop(self.rng.choice(list(parameters)))
        text = json.dumps(whole).encode()
        if break_at == 8:                         # depth
            deep = self.rng.choice([b"[", b'{"a":', b'[{"":']) * self.rng.choice([10, 31, 33, 1000, 10000])
            text = text.replace(b'"parameters": {', b'"parameters": {"deep":' + deep, 1)
        elif break_at == 9 and self.rng.random() < 0.1:   # size
            text = text[:-2] + b',"long":"' + b"x" * self.rng.choice([60_000, 70_000, 1_000_000]) + b'"}}'
        elif break_at == 10 and self.rng.random() < 0.3:  # noise
            text = bytearray(text)
            text[self.rng.randrange(len(text))] = self.rng.randrange(256)
        return bytes(text) + b"\0"

    @staticmethod
    def tidy(host):
        host.adit("ipsecconf -q -F", check=False)
        for line in host.adit("dladm show-iptun -p -o link", check=False).stdout.split():
            host.adit(["dladm", "delete-iptun", "-r", line], check=False)
        host.adit("adit route -f", check=False)


class Extensions:
    """What PF_POLICY and PF_KEY have in common: a header of 16 bytes, extensions of whole words behind it."""
    kind = socket.SOCK_SEQPACKET

    def __init__(self, host, rng):
        self.rng = rng

    def ext(self, number, body):
        body = body + bytes(-(len(body) + 4) % 8)
        return [number, (len(body) + 4) // 8, body]

    def sockaddr(self):
        if self.rng.random() < 0.7:
            return struct.pack("=HH", socket.AF_INET, 0) + self.rng.choice([b"\x01\x02\x03\x04", b"\x05\x06\x07\x08", bytes(4)]) + bytes(8)
        return struct.pack("=HHI", socket.AF_INET6, 0, 0) + bytes(15) + b"\1" + bytes(4)

    def text(self):
        return self.rng.choice(["", "v4_a0", "v4_b0", "vpn", "svc:/site/vpn:default", "x" * 200, "a\nb"]).encode() + b"\0"

    def mutate(self, header, extensions):
        what = self.rng.randrange(14)
        one = self.rng.choice(extensions) if extensions else None
        if one and what == 0:
            one[1] = self.rng.choice([0, 1, 2, 255, 4096, 65535])
        elif one and what == 1:
            extensions.append(list(one))
        elif one and what == 2:
            one[2] = one[2][:self.rng.randrange(len(one[2]) + 1)]
        elif one and what == 3:
            one[0] = self.rng.choice([0, 1, 14, 30, 200, 255, 300, 65535, self.rng.randrange(65536)])
        elif one and what in (4, 5):
            body = bytearray(one[2])
            for _ in range(self.rng.choice([1, 1, 2, 8])):
                if body:
                    body[self.rng.randrange(len(body))] = self.rng.choice([0, 1, 127, 128, 255, self.rng.randrange(256)])
            one[2] = bytes(body)
        elif one and what == 6:
            one[2] += bytes([self.rng.randrange(256)]) * self.rng.choice([8, 800, 40_000])
            one[1] = (len(one[2]) + 4) // 8 & 0xffff
        elif what == 7:
            header[self.rng.randrange(len(header))] = self.rng.choice([0, 1, 2, 5, 16, 255])
        bodies = b"".join(struct.pack("=HH", length, number) + body for number, length, body in extensions)
        words = min((16 + len(bodies)) // 8, 65535)
        if what == 8:
            words = self.rng.choice([0, 1, 2, 65535, words + 1])
        made = self.pack(header, words) + bodies
        if what == 9:
            made = made[:self.rng.randrange(len(made) + 1)]
        elif what == 10:
            made = self.rng.randbytes(self.rng.choice([1, 15, 16, 64, 5000]))
        return made[:200_000] or b"\0"

    def some(self, makers):
        chosen = [number for number in makers if self.rng.random() < self.chance(number)]
        self.rng.shuffle(chosen)
        return [self.ext(number, makers[number]()) for number in chosen]


class Policy(Extensions):
    path = "pf_policy.sock"

    def chance(self, number):
        return {6: 0.8, 7: 0.8, 10: 0.8, 11: 0.3, 13: 0.5}.get(number, 0.2)

    def pack(self, header, words):
        version, command, error, spdid = header
        return struct.pack("=BBBBHHII", version, command, error, spdid, words, 0, self.rng.choice(NUMBERS) & 0xffffffff, os.getpid())

    def action(self):
        attributes = self.rng.choice([((2, 0), (0x100, 3), (0x101, 2), (0x103, 20), (0x105, 256), (0x106, 256), (1, 0)), ((2, 0), (0x100, 1), (0x101, 0), (1, 0)),
                                      ((2, 0), (0x100, 2), (0x101, 0x20), (1, 0)), ((2, 0), (0x100, 3), (0x101, 6), (0x103, 0), (0x104, 0), (1, 0))])
        count = self.rng.choice([1, 1, 1, 1, 2, 40, 600])
        attributes = (attributes[0], *((*attributes[1:-1], (3, 0)) * count)[:-1], (1, 0))
        return struct.pack("=HH", self.rng.choice([count] * 8 + [count + 1, 65535]), 0) + b"".join(struct.pack("=II", *one) for one in attributes)

    def message(self):
        rng = self.rng
        network = lambda: struct.pack("=BBH", socket.AF_INET, rng.choice([0, 8, 24, 32, 33]), 0) + rng.choice([b"\x0a\0\1\0", b"\x0a\0\0\0", rng.randbytes(4)])
        makers = {1: lambda: rng.randbytes(4), 2: lambda: struct.pack("!HH", rng.choice([0, 53, 65535]), 0), 3: lambda: struct.pack("=Bxxx", rng.choice([1, 6, 17, 58])),
                  4: network, 5: network, 6: self.action,
                  7: lambda: struct.pack("=IIIQ", rng.choice(NUMBERS) & 0xffffffff, rng.choice([0, 1, 2, 3, 7, 7, 7, 0xffffffff]), 0, rng.choice([0, 0, 0, 1, 2, 2**64 - 1])),
                  8: lambda: struct.pack("=IQ", 1, 1), 10: self.text, 11: lambda: struct.pack("=I", rng.choice([0, 0, 1, 2, 3, 255])) + self.text(),
                  12: lambda: struct.pack("=I", 7) + self.text(), 13: lambda: bytes(5), 14: lambda: struct.pack("=IQII", rng.choice([0, 1, 2, 4, 8]), 0, rng.choice([0, 1, 60]), 0)}
        return self.mutate([1, rng.choice([1, 2, 2, 2, 3, 4, 5, 6, 7, 8, 9, 10]), 0, rng.choice([0, 1])], self.some(makers))

    @staticmethod
    def tidy(host):
        host.adit("ipsecconf -q -F", check=False)
        for name in ("vpn", "svc:/site/vpn:default"):
            host.adit(["ipsecconf", "-q", "-N", name, "-F"], check=False)


class Keys(Extensions):
    path = "pf_key.sock"

    def chance(self, number):
        return {1: 0.8, 5: 0.7, 6: 0.8, 8: 0.4, 9: 0.6, 200: 0.2, 202: 0.5}.get(number, 0.1)

    def pack(self, header, words):
        version, kind, error, satype = header
        return struct.pack("=BBBBHHII", version, kind, error, satype, words, 0, self.rng.choice(NUMBERS) & 0xffffffff, os.getpid())

    def message(self):
        rng = self.rng
        address = lambda: struct.pack("=BBH", rng.choice([0, 6, 17]), rng.choice([0, 24, 32, 128]), 0) + self.sockaddr()
        lifetime = lambda: struct.pack("=IQQQ", *(rng.choice([0, 1, 100, 2**31]) for _ in range(4)))
        key = lambda: (lambda bits: struct.pack("=HH", bits, 0) + rng.randbytes((bits + 7) // 8))(rng.choice([64, 128, 160, 256, 288, 512, 4096]))
        makers = {1: lambda: struct.pack("!I", rng.choice([0, 1, 255, 256, 0x1001, 0x1002, 0xffffffff])) + struct.pack("=BBBBI", rng.choice([0, 32, 255]), rng.choice([0, 1, 1, 3]),
                                         rng.choice([0, 3, 5]), rng.choice([0, 12, 20, 20, 13]), rng.choice([0, 1, 0x40000000, 0xffffffff])),
                  2: lifetime, 3: lifetime, 4: lifetime, 5: address, 6: address, 7: address, 8: key, 9: key, 10: lambda: struct.pack("=HHQ", 1, 0, 5) + self.text(),
                  12: lambda: rng.randbytes(20), 13: lambda: bytes(rng.choice([4, 76, 148])), 16: lambda: struct.pack("=III", rng.choice([1, 256, 0x2000]), rng.choice([0x2000, 0x2010]), 0),
                  17: lambda: bytes([2, 3, 0, 0]), 18: lambda: rng.randbytes(rng.choice([4, 60, 124])), 19: lambda: rng.randbytes(12), 20: address, 21: address, 22: address,
                  23: lambda: rng.randbytes(4), 24: lambda: rng.randbytes(12), 25: lambda: rng.randbytes(12), 26: lifetime, 27: lambda: rng.randbytes(20), 28: key, 200: lambda: struct.pack("=HH", rng.choice([0, 0, 1, 9]), 0) + self.text(),
                  201: lambda: struct.pack("=I", rng.choice(NUMBERS) & 0xffffffff), 202: lambda: bytes(5)}
        return self.mutate([2, rng.choice([1, 2, 3, 3, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]), rng.choice([0] * 8 + [1]), rng.choice([0, 2, 3, 3, 3])], self.some(makers))

    @staticmethod
    def tidy(host):
        host.adit("ipseckey flush", check=False)
        for name in ("vpn", "svc:/site/vpn:default"):
            host.adit(["ipseckey", "-N", name, "flush"], check=False)


SERVERS = {"varlink": Varlink, "policy": Policy, "keys": Keys}


def connect(host, server, uid=0):
    from messages import as_user
    made = socket.socket(socket.AF_UNIX, server.kind)
    with as_user(uid):
        made.connect(str(host.run_dir / server.path))
    made.settimeout(30)
    return made


class Sender:
    """One connection that sends and reads as it comes; made anew when the daemon ends it."""

    def __init__(self, host, server, uid):
        self.host, self.server, self.uid, self.answers = host, server, uid, 0
        self.link = connect(host, server, uid)

    def again(self):
        self.link.close()
        self.link = connect(self.host, self.server, self.uid)

    def drain(self, timeout=0.0):
        while select.select([self.link], [], [], timeout)[0]:
            if not self.link.recv(1 << 18):
                return self.again()
            self.answers += 1

    def send(self, message):
        deadline = time.monotonic() + 60
        view = memoryview(message)
        try:
            while view:
                ready = select.select([self.link], [self.link], [], max(0, deadline - time.monotonic()))
                if not any(ready):
                    raise SystemExit(f"doors: {self.server.path} answers no more after 60 s")
                if ready[0]:
                    self.drain()
                if ready[1]:
                    sent = self.link.send(view, socket.MSG_DONTWAIT)
                    view = view[sent:] if self.server.kind == socket.SOCK_STREAM else view[len(view):]
        except BlockingIOError:
            self.drain(0.01)
            return self.send(view)
        except OSError:                          # EMSGSIZE, or it has ended the connection
            self.again()


def run(host, name, count, rng):
    """Returns a row of figures; raises SystemExit when the daemon does what it must not."""
    server = SERVERS[name](host, rng)
    root, user = Sender(host, server, 0), Sender(host, server, NOBODY)
    pid, begun, memory = host.daemon.pid, time.monotonic(), []
    for sent in range(1, count + 1):
        message = server.message()
        (user if rng.random() < 0.02 else root).send(message)
        if sent % BATCH == 0 or sent == count:
            for sender in (root, user):
                try:
                    sender.drain()
                except OSError:
                    sender.again()
            if host.daemon.poll() is not None:
                raise SystemExit(f"doors: aditd ended with {host.daemon.returncode} after {sent} messages to {name}; among the last: {message[:300]!r}\n{host.log()[-3000:]}")
        if sent % ROUND == 0 or sent == count:
            root.again()
            user.again()
            server.tidy(host)
            memory.append(rss(pid))
            print(f"doors: {name} {sent} messages, {time.monotonic() - begun:.0f} s, {memory[-1]:.1f} MB", file=sys.stderr, flush=True)
    host.adit("dladm show-iptun", timeout=30)     # it still answers
    after_first = memory[min(len(memory) // 5, len(memory) - 1)]
    return {"server": name, "messages": count, "answers": root.answers + user.answers, "seconds": round(time.monotonic() - begun), "rss_first_mb": round(memory[0], 1),
            "rss_settled_mb": round(after_first, 1), "rss_last_mb": round(memory[-1], 1), "rss_most_mb": round(max(memory), 1)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], epilog=__doc__.split("\n\n", 1)[1], formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=20_000, dest="count", help="messages to each server")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--build", type=pathlib.Path, default=REPO / "build" / "release")
    parser.add_argument("--growth", type=float, default=48, help="MB that the daemon may grow between a fifth of a run and its end")
    parser.add_argument("servers", nargs="*", choices=[*SERVERS, []], default=[])
    options = parser.parse_args()
    os.environ["ADIT_BUILD"] = str(options.build.resolve())
    # Freed memory that ASan keeps for a while is not growth.
    os.environ["ASAN_OPTIONS"] = ":".join(filter(None, [os.environ.get("ASAN_OPTIONS", "detect_leaks=0"), "quarantine_size_mb=8"]))
    from lab import Lab
    print(f"doors: seed {options.seed}", flush=True)
    with Lab() as lab:
        lab.tmp.chmod(0o755)
        host = lab.host("doors")
        host.add_address("lo", "1.2.3.4/32")
        host.start_aditd("--workers=1")
        host.adit(f"adit namespace create -u {NOBODY} -t v4_* vpn")
        for name in options.servers or SERVERS:
            figures = run(host, name, options.count, random.Random(f"{options.seed} {name}"))
            print(json.dumps(figures), flush=True)
            if figures["rss_last_mb"] - figures["rss_settled_mb"] > options.growth:
                raise SystemExit(f"doors: aditd grows: {figures}")


if __name__ == "__main__":
    main()

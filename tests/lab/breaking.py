"""Breaking things under traffic while the underlay is watched.

    with Breaking(world) as it:
        world.alice.sh("nft flush ruleset")
    it.nothing_readable()
"""
import json
import subprocess
import time

from lab import Seen

# Sends numbered canaries, IPv4 and IPv6 in turn, and writes how many when told to stop.
SENDER = r"""
import socket, sys, time, signal
targets, gap = sys.argv[2:], float(sys.argv[1])
sockets = [(socket.socket(socket.AF_INET6 if ':' in t else socket.AF_INET, socket.SOCK_DGRAM), (t, 4000)) for t in targets]
sent = refused = 0
def stop(*_):
    print(sent, refused, flush=True); sys.exit(0)
signal.signal(signal.SIGTERM, stop)
print('ready', flush=True)
while True:
    for s, to in sockets:
        try:
            s.sendto(b'adit-canary-' * 8, to); sent += 1
        except OSError:
            refused += 1
    time.sleep(gap)
"""
# Counts what arrives on port 4000, both families; prints the number when told to stop.
RECEIVER = r"""
import socket, sys, signal, select
sockets = []
for family, any in ((socket.AF_INET, '0.0.0.0'), (socket.AF_INET6, '::')):
    s = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.bind((any, 4000)); sockets.append(s)
got = 0
def stop(*_):
    print(got, flush=True); sys.exit(0)
signal.signal(signal.SIGTERM, stop)
print('ready', flush=True)
while True:
    for s in select.select(sockets, [], [])[0]:
        s.recv(2000); got += 1
"""


class Traffic:
    """A steady stream of canaries from hosts to the other site, until stop()."""

    def __init__(self, world, gap=0.002, targets=("10.0.1.2", "2001:470:24:c67::2"), sources=None):
        self.receiver = world.bob_host.popen(["python3", "-c", RECEIVER], stdout=subprocess.PIPE, text=True)
        self.receiver.stdout.readline()
        self.senders = [host.popen(["python3", "-c", SENDER, gap, *targets], stdout=subprocess.PIPE, text=True)
                        for host in (sources or (world.alice_host, world.alice))]
        for process in self.senders:
            process.stdout.readline()
        self.started = time.monotonic()

    def stop(self):
        """(sent, refused by the sender's own kernel, received at the other side)"""
        time.sleep(max(0.0, self.started + 1.0 - time.monotonic()))      # so that a leak has its chance
        for process in self.senders:
            process.terminate()
        numbers = [process.communicate(timeout=10)[0].split() for process in self.senders]
        time.sleep(0.3)
        self.receiver.terminate()
        received = int(self.receiver.communicate(timeout=10)[0].split()[-1])
        return sum(int(n[0]) for n in numbers), sum(int(n[1]) for n in numbers), received


class Breaking:
    def __init__(self, world, settle=0.3, **traffic):
        self.world, self.settle, self.options = world, settle, traffic

    def __enter__(self):
        self.capture = self.world.capture()
        self.traffic = Traffic(self.world, **self.options)
        return self

    def __exit__(self, kind, *_):
        time.sleep(self.settle)
        self.sent, self.refused, self.received = self.traffic.stop()
        self.seen = Seen(self.capture.stop())
        return False

    def nothing_readable(self, clear_tunnel=0):
        """The promise. The traffic was really there, so that a leak would have been seen."""
        assert self.sent + self.refused > 100, f"too little was tried: {self.sent} sent, {self.refused} refused"
        assert not self.seen.readable, f"LEAK: {len(self.seen.readable)} readable, first {self.seen.readable[0]} ({self.seen})"
        assert self.seen.clear_tunnel <= clear_tunnel, f"LEAK in the tunnel's clear: {self.seen}"


def link(host, name=None):
    """The link's line of `show-link -s --json`."""
    rows = json.loads(host.adit(f"dladm show-link -s --json {name or host.tunnel}").stdout)
    return rows[0]


def drops(host, reason):
    """Packets dropped for this reason, on any link or before one was found."""
    counted = json.loads(host.adit("adit netstat -s --json").stdout)
    return sum(drop["in"] + drop["out"] for drop in counted["drops"] if drop["reason"] == reason)


def status(host):
    return json.loads(host.adit("adit status --json").stdout)


def witness(host):
    """Packets that the guard stopped, by its nftables counters."""
    return sum(network["stopped_packets"] for network in status(host)["guard"])


def wait_for(condition, seconds=10, what="the condition"):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come true in {seconds} s")

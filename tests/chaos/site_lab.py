"""One lab for many faults in turn: two sites, all kinds of senders, a tap on the transit that was shown to see each of them."""
import json
import re
import signal
import subprocess
import time

import guide
from lab import Lab, LabError, two_sites
from senders import EVERYWHERE, KINDS, PORT, SINK, Senders
from shell import Shell
from steps import Steps
from tap import Tap

LAYERS = ("rule", "lasting", "owned")
TUNNEL = "v4_bob0"
SECOND = "v4_carol0"         # a second tunnel, to an address of Bob's at which nobody answers: a network inside the first one's
CLOSED = ("239.1.0.0/16", "ff05::/16")
VIA, VIA6 = "via 1.2.3.1", "via 2001:db8:1::1 dev net0"
UNDERLAY = f"ip route replace default {VIA}; ip -6 route replace default {VIA6}"


class Leak(AssertionError):
    """So many packets were readable on the underlay."""

    def __init__(self, told, readable):
        super().__init__(told)
        self.readable = readable


class Stuck(AssertionError):
    """What others broke did not come back, or the operator is locked out."""


class Site:
    """`everything`: a default route over the tunnel; all that leaves Alice is guarded."""

    def __init__(self, everything=False):
        self.everything = everything
        self.lab = Lab()
        try:
            self.build()
        except BaseException:
            self.close()
            raise

    def build(self):
        self.world = two_sites(self.lab)
        self.alice, self.transit = self.world.alice, self.world.transit
        self.shell = Shell(self.alice)
        self.alice.etc = self.alice.root / "etc"
        self.alice.steps = self.lab.tmp / "alice.steps"
        self.steps = Steps(self.alice.steps)
        self.lab.sh(f"mount -t tmpfs -o size=2m tmpfs {self.alice.etc}")      # so that a disk can be full
        for folder in ("inet/secret", "dladm", "ipadm"):
            (self.alice.etc / folder).mkdir(parents=True)
        self.make_hostile()
        self.world.bob.add_address("net0", "5.6.7.9/24")
        # What arrives is swallowed: answers to Alice's own underlay address would rightly leave Bob in the clear, and quote what they answer.
        self.world.bob_host.sh("ip addr add 198.51.100.9/32 dev lo")
        self.world.bob.sh("ip route add 198.51.100.9/32 via 10.0.1.2")
        self.sink = self.world.bob_host.popen(["/usr/bin/python3", "-c", SINK, PORT], stdout=subprocess.PIPE, text=True)
        assert self.sink.stdout.readline() == "ready\n", "nobody swallows what arrives"
        self.outside = Shell(self.transit)
        self.tap = Tap(self.transit)
        self.kinds = {**KINDS, **(EVERYWHERE if self.everything else {})}
        self.senders = Senders(self.world, self.kinds)
        self.seen_without_adit = self.control()
        self.senders.stop()
        self.set_up()
        self.senders = Senders(self.world, self.kinds)
        self.readable_before = self.tap.look()[0]

    # ---- the cable between Alice and the transit
    def make_hostile(self):
        self.transit.sysctl("net/ipv4/conf/left/proxy_arp", 1)      # a hostile LAN answers for whatever is asked
        self.transit.sysctl("net/ipv6/conf/left/proxy_ndp", 1)

    def cable_back(self):
        """Its end on Alice is net0 again, whatever others named it, or a new cable where they deleted it; with its addresses and the default routes."""
        _, other_end = self.outside.run("cat /sys/class/net/left/iflink 2>/dev/null")
        _, name = self.shell.run(f"grep -lx '{other_end or None}' /sys/class/net/*/ifindex | cut -d/ -f5")
        if not name:
            self.lab.wire(self.alice, "net0", self.transit, "left")
            self.transit.add_address("left", "1.2.3.1/24", "2001:db8:1::1/64")
            self.transit.sh("ip route add 10.0.0.0/24 via 1.2.3.4")
            self.transit.sh("ip route add 2001:470:24:c66::/64 via 2001:db8:1::4")
            self.make_hostile()
        elif name != "net0":
            self.shell.run(f"ip link set {name} down; ip link set {name} name net0", check=True)
        self.shell.run(f"ip link set net0 up; ip addr replace 1.2.3.4/24 dev net0; ip -6 addr replace 2001:db8:1::4/64 dev net0 nodad; {UNDERLAY}")

    # ---- the positive control
    def control(self, seconds=15):
        """Each kind of sender is seen by the tap while there is no Adit; else a silence later would say nothing."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            seen = self.tap.look()[0]
            if all(seen.get(kind, 0) >= 3 for kind in self.kinds):
                return seen
            time.sleep(0.1)
        raise LabError(f"the tap does not see what it must without Adit: {sorted(set(self.kinds) - set(seen))}; seen {seen}")

    # ---- Adit
    def policy(self):
        return guide.policy(guide.ALICE) + f"{{tunnel {SECOND} negotiate tunnel}}\n    ipsec {guide.GUIDE_PROTECTION}\n"

    def set_up(self):
        guide.set_up(self.world)
        alice = self.alice
        alice.write("/etc/inet/ipsecinit.conf", self.policy())
        alice.adit("svcadm refresh ipsec/policy")
        alice.adit(f"dladm create-iptun -S -T ipv4 -a local=1.2.3.4,remote=5.6.7.9 {SECOND}")
        alice.adit(f"ipadm create-addr -T static -a local=10.0.0.1,remote=10.0.2.1 {SECOND}/v4")
        alice.adit("adit route -p add 10.0.1.128/25 10.0.2.1")
        for network in CLOSED:
            alice.adit(f"adit guard close {network} {TUNNEL}")
        if self.everything:
            alice.adit("adit route -p add default 10.0.1.1")
        self.wait_whole()
        self.files = {path: path.read_bytes() for name in ("dladm/datalink.conf", "ipadm/ipadm.conf", "inet/ipsecinit.conf") if (path := alice.etc / name).exists()}

    def restore_files(self):
        for path, data in self.files.items():
            path.write_bytes(data)

    def tunnel_again(self):
        """The guide's tunnel, after a fault that took it away for good."""
        for command in guide.commands(guide.ALICE)[4:]:
            self.alice.adit(command, check=False)
        for network in CLOSED:
            self.alice.adit(f"adit guard close {network} {TUNNEL}", check=False)
        if self.everything:
            self.alice.adit("adit route -p add default 10.0.1.1", check=False)
        self.alice.adit("svcadm restart ipsec/policy")      # its rules went with it

    def restart_aditd(self):
        if self.alice.daemon is not None:
            self.alice.kill_aditd()
        self.alice.start_aditd()

    def kill_aditd(self, how=signal.SIGKILL):
        if self.alice.daemon is not None:
            self.alice.kill_aditd(how)

    # ---- what stands
    def layers(self):
        """The layers that are there, by the kernel's own word."""
        _, text = self.shell.run("ip rule show pref 0; ip -6 rule show pref 0; nft list tables; ls /sys/class/net")
        standing = {"device"} & set(text.replace(TUNNEL, "device").split())
        if text.count("lookup 174") == 2:
            standing.add("rule")
        if "table inet adit-guard" in text:
            standing.add("lasting")
        if "table inet adit-own" in text:
            standing.add("owned")
        return standing

    def wait_layers(self, seconds=15):
        deadline = time.monotonic() + seconds
        while (missing := {*LAYERS, "device"} - self.layers()):
            if time.monotonic() > deadline:
                raise Stuck(f"after {seconds} s these are not back: {sorted(missing)}\n{self.alice.log()[-1500:]}")
            time.sleep(0.02)

    def traffic_flows(self):
        return self.world.alice_host.ping("10.0.1.2", count=1, wait=1) == 1 and self.world.alice_host.ping("2001:470:24:c67::2", count=1, wait=1) == 1

    def open_what_was_seen(self):
        """What routes of others closed, and is closed yet where these came or went about when a device did (in doubt, closed): the operator opens it."""
        for line in self.alice.adit("adit guard list", check=False).stdout.splitlines():
            if re.fullmatch(r"[0-9a-f:.]+/\d+ +\S+ +\d+ +\S+ seen", line.strip()):
                self.alice.adit(f"adit guard open {line.split()[0]}", check=False)

    def wait_whole(self, seconds=25, meanwhile=lambda: None):
        """Layers, daemon and both families' traffic."""
        self.wait_layers(seconds)
        deadline = time.monotonic() + seconds
        while not self.traffic_flows():
            meanwhile()
            if time.monotonic() > deadline:
                raise Stuck(f"after {seconds} s nothing goes through the tunnel\n{self.state()}")
            time.sleep(0.1)

    def state(self):
        _, text = self.shell.run("ip rule; ip route; ip -6 route; ip route show table 174; ip -6 route show table 174; ip -br link; adit guard list")
        return text + "\n" + self.alice.log()[-2000:]

    def guarded(self):
        return {line.split()[0] for line in self.alice.adit("adit guard list").stdout.splitlines() if re.match(r"[0-9a-f:.]+/\d", line)}

    def do(self, act):
        if callable(act):
            act(self)
        elif act:
            self.shell.run(act.replace("TRANSIT", self.transit.ns))

    def has(self, fault):
        """Whether this kernel can do that."""
        if callable(fault.needs):
            return fault.needs()
        return not fault.needs or self.shell.run(fault.needs)[0] == 0

    # ---- counting
    def tried(self):
        return self.senders.counts()

    def nothing_readable(self, what):
        """Nor is a step refused."""
        readable, protected, samples = self.tap.look()
        new = {kind: count - self.readable_before.get(kind, 0) for kind, count in readable.items() if count > self.readable_before.get(kind, 0)}
        self.readable_before = readable
        if new:
            raise Leak(f"LEAK after {what}: {json.dumps(new)}\nfirst: {samples[:2]}\nlayers now: {sorted(self.layers())}", sum(new.values()))
        self.steps.check(what)
        return protected

    def close(self):
        try:
            if self.alice.daemon is not None:
                self.kill_aditd(signal.SIGTERM)
        finally:
            subprocess.run(["umount", "-l", self.alice.etc], capture_output=True)
            self.lab.close()

"""The proposal's story: a VPN service with dynamic tunnels and an NFS client service, both reloading at random under traffic, while
the operator restarts, disables and flushes what is the operator's. Nobody loses a rule, an SA or a packet to the other, and
nothing leaks.

    alice-host --- alice === vpn0 === bob --- bob-host        the VPN's, as user nobody; rekeyed all the while
                   alice === nfs0 === bob                     the NFS client's; and no NFS in the clear (a rule of the host)

ADIT_STORY_SECONDS says how long; 20 unless said.
"""
import os
import random
import signal
import subprocess
import threading
import time

import pytest

import messages
from breaking import SENDER
from lab import Capture, Seen
from messages import ALL, BYPASS, DROP, Keys, NOBODY, Policy

SECONDS = float(os.environ.get("ADIT_STORY_SECONDS", "20"))
VPN, NFS, SCRATCH = "svc:/site/vpn:default", "svc:/site/nfs:default", "svc:/site/scratch:default"
OPERATORS_FILE = """{ lport 53 } bypass {}
{ rport 53 } bypass {}
{ tunnel op0 negotiate tunnel } ipsec { encr_algs aes-gcm sa shared }
"""
LOW = 100                                        # behind what the operator's files say
TUNNELS = (("vpn0", ("1.2.3.4", "5.6.7.8")), ("nfs0", ("1.2.3.14", "5.6.7.18")))


class Worker(threading.Thread):
    """Does something again and again, at random times, until told to stop; what goes wrong is kept for the test."""

    def __init__(self, least, most):
        super().__init__(daemon=True)
        self.pause, self.failure, self.rounds, self.over = (least, most), None, 0, threading.Event()
        self.random = random.Random(self.__class__.__name__)

    def run(self):
        try:
            while not self.over.wait(self.random.uniform(*self.pause)):
                self.act()
                self.rounds += 1
        except Exception as failure:              # told by end()
            self.failure = failure

    def end(self):
        self.over.set()
        self.join(timeout=60)
        assert not self.is_alive()
        if self.failure:
            raise self.failure
        assert self.rounds > 3, f"{type(self).__name__} did little"


class Service(Worker):
    """Replaces all its rules by what it wants now, in one flip."""

    def __init__(self, host, namespace, uid=0):
        super().__init__(0.05, 0.4)
        self.policy, self.heads = Policy(host, namespace, uid), {}

    def reload(self, wanted):
        """`wanted`: [(head, how)]"""
        self.policy.flush(ALL, messages.STANDBY)
        self.policy.clone()
        self.policy.flush(ALL, messages.STANDBY)
        self.heads = {}
        for head, how in wanted:
            before = self.heads.get(head, 0)
            self.policy.add(head, spdid=messages.STANDBY, **how)
            self.heads[head] = before + (2 if "remote" in how else 4)
        self.policy.flip()

    def in_force(self):
        counted = {}
        for head, namespace, _ in self.policy.dump():
            assert namespace == self.policy.namespace
            counted[head] = counted.get(head, 0) + 1
        return counted


class Vpn(Service):
    """Its tunnels come and go; vpn0 carries traffic and gets new keys: the receiver first, then the sender."""

    def __init__(self, alice, bob):
        super().__init__(alice, VPN, NOBODY)
        self.here, self.there = Keys(alice, VPN, NOBODY), Keys(bob, VPN)
        self.spi, self.live = 0x1000, []
        self.rekey()
        self.reload([("vpn0", {})])

    def rekey(self):
        out, back = self.spi, self.spi + 1
        self.spi += 2
        for spi, pair, order in ((out, ("1.2.3.4", "5.6.7.8"), (self.there, self.here)),
                                 (back, ("5.6.7.8", "1.2.3.4"), (self.here, self.there))):
            key = os.urandom(36)
            for side in order:
                side.add(spi, *pair, key)
        old, self.live = self.live, [out, back]
        if old:
            self.here.delete(old[0], "5.6.7.8")
            self.there.delete(old[1], "1.2.3.4")
            time.sleep(0.4)                       # what is under way arrives
            self.there.delete(old[0], "5.6.7.8")
            self.here.delete(old[1], "1.2.3.4")

    def act(self):
        if self.random.random() < 0.3:
            self.rekey()
        others = self.random.sample(range(1, 9), self.random.randint(0, 5))
        self.reload([("vpn0", {})] + [(f"vpn{number}", {"remote": f"10.{number}.0.0/16"}) for number in others])


class Nfs(Service):
    """A tunnel of its own, and for the host: no NFS around it."""

    NO_CLEAR_NFS = ("", {"action": DROP, "priority": LOW, "remote": "5.6.7.8/32", "protocol": 17, "remote_port": 2049})

    def __init__(self, alice, bob):
        super().__init__(alice, NFS)
        with Keys(bob, NFS) as there, Keys(alice, NFS) as here:
            for spi, pair, order in ((0x2001, ("1.2.3.14", "5.6.7.18"), (there, here)), (0x2002, ("5.6.7.18", "1.2.3.14"), (here, there))):
                key = os.urandom(36)
                for side in order:
                    side.add(spi, *pair, key)
        self.reload([("nfs0", {}), self.NO_CLEAR_NFS])

    def act(self):
        clients = [("", {"action": self.random.choice((DROP, BYPASS)), "priority": LOW - 1, "remote": f"9.9.9.{number}/32"})
                   for number in self.random.sample(range(250), self.random.randint(0, 12))]
        self.reload([("nfs0", {}), self.NO_CLEAR_NFS] + clients)


class Scratch(Worker):
    """Makes and flushes records of its own, rules and SAs, and nothing else."""

    def __init__(self, host):
        super().__init__(0.05, 0.3)
        self.policy, self.keys = Policy(host, SCRATCH), Keys(host, SCRATCH)

    def act(self):
        self.policy.add("scratch0", remote=f"10.200.{self.rounds // 250}.{self.rounds % 250}/32")
        self.keys.add(self.random.randint(0x10000, 0xfffffff), "1.2.3.4", "9.9.9.9", os.urandom(36))
        self.random.choice((self.policy.flush, self.keys.flush))()


class Operator(Worker):
    """What is typed while others work. The last word is that the policy is enabled."""

    def __init__(self, host):
        super().__init__(0.1, 0.6)
        self.host = host

    def act(self):
        self.host.adit(self.random.choice((
            "svcadm restart ipsec/policy", "svcadm disable ipsec/policy", "svcadm enable ipsec/policy", "svcadm refresh ipsec/policy",
            "ipsecconf -F -q", "ipseckey flush", "ipsecconf -L -n")))


def ping(host, target):
    return host.popen(["ping", "-n", "-q", "-i", "0.02", "-W", "5", "-p", b"adit-canary-".hex(), target], stdout=subprocess.PIPE, text=True)


def loss(process):
    """(sent, lost); the last one may still be under way."""
    process.send_signal(signal.SIGINT)
    summary, = [line for line in process.communicate(timeout=20)[0].splitlines() if "received" in line]
    sent, received = int(summary.split()[0]), int(summary.split(",")[1].split()[0])
    return sent, max(0, sent - received - 1)


@pytest.fixture
def story(world):
    """Both sites with both tunnels up; bob's side stands still."""
    world.lab.tmp.chmod(0o755)
    world.alice.add_address("net0", "1.2.3.14/24")
    world.bob.add_address("net0", "5.6.7.18/24")
    for host, mine, other in ((world.alice, 0, 1), (world.bob, 1, 0)):
        host.start_aditd()
        for name, pair in TUNNELS:
            host.adit(f"dladm create-iptun -S -T ipv4 -a local={pair[mine]},remote={pair[other]} {name}")
        inner, nfs = ("10.0.0.1", "10.0.1.1"), ("10.0.77.1", "10.0.77.2")
        host.adit(f"ipadm create-addr -T static -a local={inner[mine]},remote={inner[other]} vpn0/v4")
        host.adit(f"ipadm create-addr -T static -a local={nfs[mine]},remote={nfs[other]} nfs0/v4")
        host.adit(f"adit route -p add 10.0.{other}.0/24 {inner[other]}")
        with Policy(host, VPN) as vpn, Policy(host, NFS) as its:
            if host is world.bob:
                vpn.add("vpn0")
                its.add("nfs0")
    world.alice.write("/etc/inet/ipsecinit.conf", OPERATORS_FILE)
    world.alice.adit("svcadm refresh ipsec/policy")
    world.alice.adit(["adit", "namespace", "create", "-u", "nobody", "-t", "vpn*", "-q", "200", "-k", "20", VPN])
    world.alice.adit(["adit", "namespace", "create", NFS])
    return world


def test_two_services_and_an_operator_do_not_hurt_each_other(story):
    alice, bob = story.alice, story.bob
    vpn, nfs = Vpn(alice, bob), Nfs(alice, bob)
    assert story.alice_host.ping("10.0.1.2", count=5, check=True) and alice.ping("10.0.77.2", count=5, check=True)
    underlay = Capture(story.transit, ("left", "right"))
    flows = [ping(story.alice_host, "10.0.1.2"), ping(alice, "10.0.77.2")]
    clear_nfs = alice.popen(["python3", "-c", SENDER.replace("4000", "2049"), "0.01", "5.6.7.8"], stdout=subprocess.PIPE, text=True)
    workers = [vpn, nfs, Scratch(alice), Operator(alice)]
    for worker in workers:
        worker.start()
    time.sleep(SECONDS)
    for worker in workers:
        worker.end()
    alice.adit("svcadm enable ipsec/policy")
    alice.adit("svcadm refresh ipsec/policy")
    results = [loss(flow) for flow in flows]
    clear_nfs.send_signal(signal.SIGTERM)
    tried = sum(map(int, clear_nfs.communicate(timeout=20)[0].split()[1:]))
    seen = Seen(underlay.stop())

    for sent, lost in results:
        assert sent > 20 * SECONDS and lost == 0, f"{lost} of {sent} packets were lost"
    assert tried > 20 * SECONDS
    assert not seen.readable, f"{seen}: {seen.readable[:3]}"
    assert not seen.clear_tunnel and seen.esp > 0
    for service in (vpn, nfs):
        assert service.in_force() == service.heads
    with Keys(alice, flags=1) as root:
        kept = sorted((spi, name) for spi, name in root.dump() if name != SCRATCH)
    assert kept == sorted([(spi, VPN) for spi in vpn.live] + [(0x2001, NFS), (0x2002, NFS)])
    with Policy(alice) as root:
        assert {rule[0] for rule in root.dump()} == {"", "op0"}
    state = alice.adit("svcs -H -o state ipsec/policy").stdout.strip()
    assert state == "online"

"""Packets that do not go on are counted, each once, and what is wrong is said while it is wrong."""
import json
import re
import signal
import subprocess
import time

import guide
import pytest
import test_forms
from breaking import drops, link, status, wait_for
from lab import two_sites

TARGET = "10.0.1.2"

FLOOD = r"""
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
for i in range(int(sys.argv[2])):
    s.sendto(b'adit-canary-' * 100, (sys.argv[1], 4000))
"""


def flood(host, target, packets):
    host.sh(["python3", "-c", FLOOD, target, str(packets)])


def count_at(host, name, hook, match):
    host.sh("nft -f -", input=f"table inet {name} {{ counter n {{ }}; chain c {{ type filter hook {hook} priority -200; {match} counter name n; }}; }}")


def counted(host, name):
    answer = json.loads(host.sh(f"nft -j list counter inet {name} n").stdout)
    return next(entry["counter"]["packets"] for entry in answer["nftables"] if "counter" in entry)


def settled(host):
    """All counters, once they stand still."""
    before, after = None, json.loads(host.adit("adit netstat -s --json").stdout)
    deadline = time.monotonic() + 20
    while before != after and time.monotonic() < deadline:
        time.sleep(0.5)
        before, after = after, json.loads(host.adit("adit netstat -s --json").stdout)
    return after


def dropped(statistics, side):
    return {drop["reason"]: drop[side] for drop in statistics["drops"] if drop[side]}


def test_the_sums_agree_to_the_packet(up):
    """More than the device's queue takes while alice's daemon sleeps, and more than the socket takes while bob's does."""
    count_at(up.alice, "seen", "forward", "oifname v4_bob0 udp dport 4000")
    count_at(up.bob, "came", "prerouting", "ip protocol esp")
    count_at(up.bob, "inside", "prerouting", "iifname v4_alice0")
    before_a, before_b = settled(up.alice), settled(up.bob)
    up.alice.daemon.send_signal(signal.SIGSTOP)
    flood(up.alice_host, TARGET, 3000)                       # 1,000 find room
    up.alice.daemon.send_signal(signal.SIGCONT)
    settled(up.alice)
    up.bob.daemon.send_signal(signal.SIGSTOP)
    for _ in range(40):                                      # 16 MB find room
        flood(up.alice_host, TARGET, 500)
        time.sleep(0.02)
    time.sleep(0.5)
    up.bob.daemon.send_signal(signal.SIGCONT)
    after_a, after_b = settled(up.alice), settled(up.bob)

    def grown(after, before, key):
        return after["links"][-1][key] - before["links"][-1][key]
    assert after_a["links"][-1]["name"] == "v4_bob0" and after_b["links"][-1]["name"] == "v4_alice0"

    # Alice: what the kernel sent into the tunnel left, or has a reason.
    out_before, out_after = dropped(before_a, "out"), dropped(after_a, "out")
    lost = {reason: out_after[reason] - out_before.get(reason, 0) for reason in out_after}
    assert lost.get("tun_backlog", 0) > 1000, lost
    assert counted(up.alice, "seen") == grown(after_a, before_a, "opackets") + sum(lost.values()), lost
    # Bob: what came from the wire was let in, or has a reason.
    in_before, in_after = dropped(before_b, "in"), dropped(after_b, "in")
    lost = {reason: in_after[reason] - in_before.get(reason, 0) for reason in in_after}
    assert lost.get("socket_backlog", 0) > 100, lost
    assert counted(up.bob, "came") == grown(after_b, before_b, "ipackets") + sum(lost.values()), lost
    # What he says he let in came out of the tunnel.
    assert counted(up.bob, "inside") == grown(after_b, before_b, "ipackets")


# ---- fragments under a rule with ports

PORTS = "{{tunnel {tunnel} negotiate tunnel ulp udp {side} 4000}} ipsec {{encr_algs aes encr_auth_algs sha512 sa shared}}\n"


def only_port_4000(world):
    guide.set_up(world)
    for host, side in ((world.alice, "rport"), (world.bob, "lport")):
        host.write("/etc/inet/ipsecinit.conf", PORTS.format(tunnel=host.tunnel, side=side))
        host.adit("svcadm refresh ipsec/policy")


RECEIVE = r"""
import socket, sys
s = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], 4000)); s.settimeout(5); print('ready', flush=True)
print(len(s.recv(70000)), flush=True)
"""
SEND = r"""
import socket, sys
s = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(*((socket.IPPROTO_IPV6, 23, 0) if ':' in sys.argv[1] else (socket.IPPROTO_IP, 10, 0)))
for _ in range(3):
    s.sendto(b'x' * int(sys.argv[2]), (sys.argv[1], 4000))
"""


@pytest.mark.parametrize("target", [TARGET, "2001:470:24:c67::2"])
def test_fragments_arrive_as_they_were_sent(world, target):
    """Joined they would be too big for the far network, which a sender of IPv6 can do nothing about."""
    only_port_4000(world)
    fragment = "meta protocol ip6 exthdr frag exists" if ":" in target else "ip frag-off & 0x3fff != 0"
    # Behind the tunnel, before anything joins them.
    world.bob.sh("nft -f -", input="table netdev seen { counter n { }; chain c { type filter hook ingress device v4_alice0 priority 0; "
                 f"{fragment} counter name n; }}; }}")
    before = link(world.alice)["opackets"], link(world.bob)["ipackets"]
    receiver = world.bob_host.popen(["python3", "-c", RECEIVE, target], stdout=subprocess.PIPE, text=True)
    receiver.stdout.readline()
    world.alice_host.sh(["python3", "-c", SEND, target, "4000"])
    assert receiver.communicate(timeout=20)[0].strip() == "4000"
    answer = json.loads(world.bob.sh("nft -j list counter netdev seen n").stdout)
    fragments = next(entry["counter"]["packets"] for entry in answer["nftables"] if "counter" in entry)
    after = link(world.alice)["opackets"], link(world.bob)["ipackets"]
    assert fragments == after[0] - before[0] == after[1] - before[1] and fragments >= 6
    assert drops(world.bob, "too_big") == drops(world.alice, "reassembly_timeout") == 0


# ---- sends that fail

def why(host):
    row = next(row for row in status(host)["tunnels"] if row["name"] == host.tunnel)
    return row["state"], row["why_down"]


def events(host, kind):
    return [event for event in status(host)["alerts"] if event["kind"] == kind]


@pytest.mark.parametrize("breaks,mends,reason,says", [
    ("nft add table inet fw; nft 'add chain inet fw c { type filter hook output priority 0; }'; nft add rule inet fw c meta l4proto esp drop",
     "nft delete table inet fw", "send_refused", "Operation not permitted (EPERM)"),
    ("ip route del default", "ip route add default via 1.2.3.1", "send_unreachable", "Network is unreachable (ENETUNREACH)"),
])
def test_a_send_that_fails_is_said_while_it_lasts(up, breaks, mends, reason, says):
    assert why(up.alice) == ("up", "")
    up.alice.sh(["sh", "-c", breaks])
    traffic = up.alice_host.popen(["ping", "-i", "0.05", "-q", TARGET], stdout=subprocess.DEVNULL)
    wait_for(lambda: why(up.alice)[0] == "failing", what="the state")
    assert says in why(up.alice)[1] and "5.6.7.8" in why(up.alice)[1]
    assert drops(up.alice, reason) > 0
    assert len(events(up.alice, "link.send-failed")) == 1 and says in events(up.alice, "link.send-failed")[0]["text"]
    up.alice.sh(["sh", "-c", mends])
    wait_for(lambda: why(up.alice) == ("up", ""), what="the end of it")
    traffic.terminate()
    assert len(events(up.alice, "link.send-failed")) == 1, "told once"


def test_a_route_that_came_back_is_believed_without_traffic(up):
    up.alice.sh("ip route del default")
    up.alice_host.ping(TARGET, wait=1)
    wait_for(lambda: why(up.alice)[0] == "failing", what="the state")
    up.alice.sh("ip route add default via 1.2.3.1")
    assert why(up.alice) == ("up", "")


# ---- a peer that does not match

def test_keys_that_are_not_the_peers(up):
    text = guide.keys().replace(guide.KEYS["bob-to-alice"][1][:8], "00000000")
    up.alice.write("/etc/inet/secret/ipseckeys", text, 0o600)
    up.alice.adit("ipseckey flush")
    up.alice.adit("svcadm refresh ipsec/manual-key")
    traffic = up.bob_host.popen(["ping", "-i", "0.05", "-q", "10.0.0.2"], stdout=subprocess.DEVNULL)
    wait_for(lambda: "integrity check" in why(up.alice)[1], what="the sentence")
    traffic.terminate()
    assert why(up.alice)[0] == "up" and "ipseckey at both ends" in why(up.alice)[1]
    assert len(events(up.alice, "link.peer-failed")) == 1
    wait_for(lambda: why(up.alice)[1] == "", seconds=20, what="the end of it")


def test_an_spi_that_is_not_here(up):
    up.alice.write("/etc/inet/secret/ipseckeys", guide.keys().replace("0x2002", "0x3002"), 0o600)
    up.alice.adit("ipseckey flush")
    up.alice.adit("svcadm refresh ipsec/manual-key")
    trace = up.alice.popen(["adit", "trace", "-d", "-c", "1"], stdout=subprocess.PIPE, text=True)
    traffic = up.bob_host.popen(["ping", "-i", "0.05", "-q", "10.0.0.2"], stdout=subprocess.DEVNULL)
    line = trace.communicate(timeout=20)[0]
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z v4_bob0 in  outer 5\.6\.7\.8 > 1\.2\.3\.4 esp \d+ bytes \| no rule \| spi 0x2002 ", line), line
    assert "DROPPED unknown_spi" in line
    wait_for(lambda: "unknown SPI" in why(up.alice)[1], what="the sentence")
    traffic.terminate()


def test_a_nat_that_changes_the_port(lab):
    world = two_sites(lab)
    test_forms.build(world, **test_forms.FORMS["esp_in_udp_v4"])
    assert world.alice_host.ping(TARGET) > 0
    assert why(world.bob) == ("up", "")
    world.transit.sh("nft -f -", input="table ip nat { chain post { type nat hook postrouting priority srcnat; "
                     "ip saddr 1.2.3.4 udp dport 4500 snat to 1.2.3.4:61001; }; }")
    world.transit.sh(["sh", "-c", "command -v conntrack >/dev/null && conntrack -F || true"])
    traffic = world.alice_host.popen(["ping", "-i", "0.05", "-q", TARGET], stdout=subprocess.DEVNULL)
    wait_for(lambda: "UDP port 61001" in why(world.bob)[1], what="the sentence")
    traffic.terminate()
    assert "NAT" in why(world.bob)[1] and "nat_rport" in why(world.bob)[1]
    assert len(events(world.bob, "link.peer-failed")) == 1


# ---- the tunnel encapsulation limit

def test_no_destination_option_unless_asked_for(lab):
    """Many ways drop IPv6 packets that carry one: this one does."""
    world = two_sites(lab)
    test_forms.build(world, **test_forms.FORMS["esp_gcm_v6"])
    world.transit.sh("nft -f -", input="table ip6 way { chain c { type filter hook forward priority 0; exthdr dst exists drop; }; }")
    assert world.alice_host.ping(TARGET) > 0
    world.alice.adit("dladm set-linkprop -t -p encaplimit=4 v4_bob0")
    assert world.alice_host.ping(TARGET, wait=1) == 0
    world.alice.adit("dladm reset-linkprop -t -p encaplimit v4_bob0")
    assert world.alice_host.ping(TARGET) > 0

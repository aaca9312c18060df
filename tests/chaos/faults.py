"""The kinds of fault: what each does, how it is undone, which layers it breaks by itself.

`act` and `undo` are a script for a root shell on Alice, or a function of the Site. While a fault stands, every kind of packet of senders.py
tries to get out. `breaks`: the layers that are away until put back, `rests_on`: those without which it is out of the promise while it stands; random mode never lets two faults take all layers of a kind of packet
away, which is out of the promise (root, on purpose)."""
import dataclasses
import errno
import os
import re
import signal
import time
from collections.abc import Callable

from lab import BUILD
from site_lab import SECOND, TUNNEL, UNDERLAY, VIA, VIA6

NET, NET6 = "10.0.1.0/24", "2001:470:24:c67::/64"
SEG6 = "encap seg6 mode encap segs 2001:db8:1::1 dev net0"
FROM_LAN, FROM_LAN6 = "ip rule add from 10.0.0.0/24 table 100", "ip -6 rule add from 2001:470:24:c66::/64 table 100"
OUT100 = f"ip route replace default {VIA} table 100; ip -6 route replace default {VIA6} table 100"


@dataclasses.dataclass(frozen=True)
class Fault:
    name: str
    act: str | Callable
    undo: str | Callable = ""
    hold: float = 0.15                     # seconds that it stands
    breaks: frozenset = frozenset()
    rests_on: frozenset = frozenset()      # while it stands, only these layers hold some kind of packet
    everything: bool = False               # in the lab where all is guarded
    whole: bool = False                    # wait until traffic flows again each time, not only until the layers stand
    needs: str | Callable = ""             # a script, or a function, that succeeds where the kernel has what it takes


def breaks(*layers):
    return frozenset(layers)


FAULTS = []


def fault(name, act, undo="", **more):
    FAULTS.append(Fault(name, act, undo, **more))


def repeat(times, script, pause=0.05):
    return f"for i in $(seq {times}); do {script}; sleep {pause}; done"


# ---- nftables
fault("ruleset flushed", "nft flush ruleset", breaks=breaks("lasting"))
fault("ruleset flushed every 50 ms", repeat(10, "nft flush ruleset"), breaks=breaks("lasting"))
fault("lasting table deleted", "nft delete table inet adit-guard", breaks=breaks("lasting"))
fault("lasting table dormant", "nft add table inet adit-guard '{ flags dormant; }'", breaks=breaks("lasting"))
fault("lasting chains flushed", "nft flush table inet adit-guard", breaks=breaks("lasting"))
fault("drop replaced by accept", r"""nft -a list table inet adit-guard | awk '
    $1 == "chain" { chain = $2 } / drop/ && /handle/ { print "replace rule inet adit-guard " chain " handle " $NF " accept" }' | while read -r line; do nft $line; done""",
      breaks=breaks("lasting"))
fault("accept inserted in front", """for chain in $(nft list table inet adit-guard | awk '$1 == "chain" { print $2 }'); do nft insert rule inet adit-guard $chain accept; done""",
      breaks=breaks("lasting"))
fault("elements taken out", r"""for set in net4 net6; do nft flush map inet adit-guard $set || nft flush set inet adit-guard $set; done""", breaks=breaks("lasting"))
SWAP = r"""nft list map inet adit-guard net4 | sed -n 's/.*\(10\.0\.1\.2-10\.0\.1\.127\|10\.0\.1\.0\/24\) : \(0x[0-9a-f]* \. 0x[0-9a-f]*\).*/\1 \2/p' | while read -r net value; do
  nft "delete element inet adit-guard net4 { $net : $value }; add element inet adit-guard net4 { 10.99.1.0/24 : $value }"; done"""
fault("an element swapped", SWAP, breaks=breaks("lasting"))
fault("foreign tables that accept first", """nft add table inet evil
for hook in prerouting input forward output postrouting; do nft add chain inet evil $hook "{ type filter hook $hook priority -400; policy accept; }"; nft add rule inet evil $hook accept; done""",
      "nft delete table inet evil")
fault("owned table attacked", "nft delete table inet adit-own; nft flush table inet adit-own; nft add table inet adit-own '{ flags dormant; }'; nft add table inet adit-own '{ flags owner; }'; true")
fault("outer mark set on everything", """nft add table inet evil; nft add chain inet evil out '{ type route hook output priority -150; }'; nft add rule inet evil out meta mark set 0xad17
nft add chain inet evil pre '{ type filter hook prerouting priority -150; }'; nft add rule inet evil pre meta mark set 0xad17""", "nft delete table inet evil")
fault("masquerade to the underlay", "nft add table ip evil; nft add chain ip evil post '{ type nat hook postrouting priority 100; }'; nft add rule ip evil post masquerade", "nft delete table ip evil")

# ---- rules and routes
fault("guard's rule deleted", "ip rule del pref 0 lookup 174; ip -6 rule del pref 0 lookup 174", breaks=breaks("rule"))
fault("guard's rule deleted, another in its place", f"{OUT100}; ip rule del pref 0 lookup 174; ip rule add pref 0 lookup 100; ip -6 rule del pref 0 lookup 174; ip -6 rule add pref 0 lookup 100",
      "ip rule del lookup 100; ip -6 rule del lookup 100; ip route flush table 100; ip -6 route flush table 100", breaks=breaks("rule"))
fault("rules flushed", "ip rule flush; ip -6 rule flush",
      "ip rule add pref 32766 lookup main; ip rule add pref 32767 lookup default; ip -6 rule add pref 32766 lookup main; " + UNDERLAY, breaks=breaks("rule"))
fault("guard's table flushed", "ip route flush table 174; ip -6 route flush table 174", breaks=breaks("rule"))
fault("throw of the peer deleted", "ip route del throw 5.6.7.8/32 table 174; ip route flush cache")
fault("tunnel's route replaced in the guard's table", f"ip route replace {NET} {VIA} table 174; ip -6 route replace {NET6} {VIA6} table 174", breaks=breaks("rule"))
fault("a more specific route in the guard's table", f"ip route add 10.0.1.2/32 {VIA} table 174; ip -6 route add 2001:470:24:c67::2/128 {VIA6} table 174",
      "ip route del 10.0.1.2/32 table 174; ip -6 route del 2001:470:24:c67::2/128 table 174", breaks=breaks("rule"))
fault("nexthops flushed", "ip nexthop flush")
fault("rule without a priority", f"{OUT100}; {FROM_LAN}; {FROM_LAN6}",
      "ip rule del table 100; ip -6 rule del table 100; ip route flush table 100; ip -6 route flush table 100")
fault("iif rule", f"{OUT100}; ip rule add iif net1 table 100; ip -6 rule add iif net1 table 100", "ip rule del table 100; ip -6 rule del table 100")
fault("fwmark rule", f"{OUT100}; ip rule add fwmark 0xad17 table 100; ip -6 rule add fwmark 0xad17 table 100", "ip rule del table 100; ip -6 rule del table 100")
fault("uid rule", f"{OUT100}; ip rule add uidrange 65534-65534 table 100; ip -6 rule add uidrange 65534-65534 table 100", "ip rule del table 100; ip -6 rule del table 100")
fault("policy routing to another table", f"{OUT100}; ip rule add to {NET} table 100 pref 10; ip -6 rule add to {NET6} table 100 pref 10", "ip rule del table 100; ip -6 rule del table 100")
fault("unicast route in table local", f"ip route add {NET} {VIA} table local; ip -6 route add {NET6} {VIA6} table local", f"ip route del {NET} table local; ip -6 route del {NET6} table local",
      breaks=breaks("rule"))
fault("more specific route", f"ip route add 10.0.1.2/32 {VIA}; ip -6 route add 2001:470:24:c67::2/128 {VIA6}", "ip route del 10.0.1.2/32; ip -6 route del 2001:470:24:c67::2/128")
fault("route with the tunnel's metric", f"""ip -6 route replace {NET6} {VIA6} metric $(ip -6 route show table all {NET6} dev {TUNNEL} | sed -n 's/.*metric \\([0-9]*\\).*/\\1/p' | head -1)
ip route replace {NET} {VIA}""", f"ip -6 route del {NET6} {VIA6}; ip route del {NET} {VIA}")
# Where nf_hooks_lwtunnel cannot be set, what such a route takes is held by the rule and the owned table only (SECURITY.md).
SEG6_HERE = f"ip route add 10.254.0.0/24 {SEG6} table 99 && ip route flush table 99"
fault("SRv6 route", f"ip route add 10.0.1.0/25 {SEG6}; ip -6 route add 2001:470:24:c67::/65 {SEG6}", "ip route del 10.0.1.0/25 dev net0; ip -6 route del 2001:470:24:c67::/65", needs=SEG6_HERE, rests_on=breaks("rule", "owned"))
fault("SRv6 route behind an iif rule", f"ip route add 10.0.1.0/25 {SEG6} table 101; ip rule add iif net1 table 101", "ip rule del table 101; ip route flush table 101", needs=SEG6_HERE, rests_on=breaks("rule", "owned"))
fault("SRv6 route behind a fwmark rule", f"ip route add 10.0.1.0/25 {SEG6} table 101; ip rule add fwmark 0xad17 table 101", "ip rule del table 101; ip route flush table 101", needs=SEG6_HERE, rests_on=breaks("rule", "owned"))
# What a route of others closed stays closed where its device came or went about when it was withdrawn (in doubt, closed): the operator opens it.
OPEN26, OPEN9 = (f"for i in 1 2 3 4 5; do adit guard list | grep -q '{network} .*seen' || break; adit guard open {network} 2>/dev/null && break; sleep 0.2; done"
                 for network in ("10.0.1.0/26", "10.0.9.0/24"))
fault("multipath with one hop outside", f"ip route add 10.0.1.0/26 nexthop {VIA} nexthop dev {TUNNEL}", f"ip route del 10.0.1.0/26; {OPEN26}")
fault("nexthop group outside", f"ip nexthop replace id 71 {VIA} dev net0; ip nexthop replace id 72 group 71; ip route add 10.0.1.0/26 nhid 72", f"ip route del 10.0.1.0/26; ip nexthop del id 72; ip nexthop del id 71; {OPEN26}")
fault("a route of others comes and goes", f"ip route add 10.0.9.0/24 dev {TUNNEL}; ip route add 0.0.0.0/1 dev {TUNNEL} proto bgp", f"ip route del 10.0.9.0/24 dev {TUNNEL}; ip route del 0.0.0.0/1 dev {TUNNEL}; {OPEN9}")
fault("hostile lease", "ip addr add 10.0.1.77/24 dev net0", "ip addr del 10.0.1.77/24 dev net0")
fault("DHCP option 121", f"ip route add 10.0.1.0/25 {VIA}; ip route add 10.0.1.128/25 {VIA}; ip route add 10.0.1.2 dev net0", "ip route del 10.0.1.0/25; ip route del 10.0.1.128/25; ip route del 10.0.1.2 dev net0")

# ---- the tunnel's device
fault("link down", f"ip link set {TUNNEL} down", whole=False)
fault("link down in a loop", repeat(20, f"ip link set {TUNNEL} down", 0.02))
fault("link group 0, then down", f"ip link set {TUNNEL} group 0; ip link set {TUNNEL} down")
fault("link deleted", f"ip link del {TUNNEL}", hold=0.3)
fault("disable_ipv6", f"sysctl -q -w net.ipv6.conf.{TUNNEL}.disable_ipv6=1", lambda site: (site.shell.run(f"sysctl -q -w net.ipv6.conf.{TUNNEL}.disable_ipv6=0"), start(site)))
fault("addresses flushed", f"ip addr flush dev {TUNNEL}")
fault("routes over the tunnel flushed", f"ip route flush dev {TUNNEL}; ip -6 route flush dev {TUNNEL}; ip route flush table 174 dev {TUNNEL}; ip -6 route flush table 174 dev {TUNNEL}")
fault("linkdown routes ignored", f"ip link set {TUNNEL} carrier off; sysctl -q -w net.ipv4.conf.all.ignore_routes_with_linkdown=1 net.ipv6.conf.all.ignore_routes_with_linkdown=1",
      "sysctl -q -w net.ipv4.conf.all.ignore_routes_with_linkdown=0 net.ipv6.conf.all.ignore_routes_with_linkdown=0")
fault("device renamed", f"ip link set {TUNNEL} down; ip link set {TUNNEL} name away0; ip link set away0 up", f"ip link set away0 down; ip link del away0", hold=0.3)
fault("another device with the tunnel's number", f"""i=$(cat /sys/class/net/{TUNNEL}/ifindex); ip link del {TUNNEL}; ip link add evil0 index $i type veth peer name evil1 netns TRANSIT
ip link set evil0 up; ip route add {NET} dev evil0; ip -6 route add {NET6} dev evil0""", "ip link del evil0", hold=0.3)
fault("another device with the tunnel's name", f"ip link del {TUNNEL}; ip link add {TUNNEL} type veth peer name evil1 netns TRANSIT; ip link set {TUNNEL} up; ip route add {NET} dev {TUNNEL}; ip -6 route add {NET6} dev {TUNNEL}",
      f"ip link del {TUNNEL}", hold=0.3)
fault("underlay down and up", f"ip link set net0 down; ip link set net0 up; ip -6 addr add 2001:db8:1::4/64 dev net0 nodad; {UNDERLAY}")
fault("both tunnels deleted", f"ip link del {TUNNEL}; ip link del {SECOND}", hold=0.3)

# ---- sequences of others, as they run when they start
NETWORKD = f"""ip rule show | awk -F: '$1 != 0 && $1 < 32766 {{ print $1 }}' | while read -r p; do ip rule del pref $p; done
ip -6 rule show | awk -F: '$1 != 0 && $1 < 32766 {{ print $1 }}' | while read -r p; do ip -6 rule del pref $p; done
ip route show table all proto static | grep -v 'dev lo' | while read -r r; do ip route del $r; done
ip route flush table 174; ip -6 route flush table 174; ip addr flush dev {TUNNEL}; ip nexthop flush; ip link set {TUNNEL} down; ip link set {TUNNEL} up"""
fault("networkd starts", NETWORKD, UNDERLAY, breaks=breaks("rule"))
DOCKER = """table ip nat {
  chain POSTROUTING { type nat hook postrouting priority 100; ip saddr 172.17.0.0/16 oifname != "docker0" masquerade; };
  chain PREROUTING { type nat hook prerouting priority -100; fib daddr type local tcp dport 80 dnat to 172.17.0.2; }; }
table ip filter {
  chain FORWARD { type filter hook forward priority 0; policy drop; iifname "net1" accept; oifname "net1" accept; ct state established,related accept; }; }"""
fault("docker starts", f"ip link add docker0 type bridge; ip addr add 172.17.0.1/16 dev docker0; ip link set docker0 up; nft '{DOCKER}'; sysctl -q -w net.ipv4.ip_forward=1",
      "nft delete table ip nat; nft delete table ip filter; ip link del docker0")
FIREWALLD = """flush ruleset
table inet firewalld {
  chain filter_FORWARD { type filter hook forward priority 10; policy accept; ct state established,related accept; iifname "net1" accept; oifname "net1" accept; };
  chain filter_INPUT { type filter hook input priority 10; policy accept; ct state established,related accept; };
  chain nat_POSTROUTING { type nat hook postrouting priority 110; oifname "net0" masquerade; }; }"""
fault("firewalld reloads", repeat(4, f"nft '{FIREWALLD}'", 0.04), "nft delete table inet firewalld", breaks=breaks("lasting"))
fault("ufw reloads by iptables-restore", repeat(3, "nft flush ruleset; nft add table ip filter; nft add chain ip filter INPUT '{ type filter hook input priority 0; policy accept; }'", 0.05),
      "nft delete table ip filter", breaks=breaks("lasting"))
fault("saved ruleset loaded again", "nft list ruleset > /tmp/chaos-$$.nft; nft flush ruleset; nft -f /tmp/chaos-$$.nft; rm /tmp/chaos-$$.nft", breaks=breaks("lasting"))
fault("strict reverse path", "sysctl -q -w net.ipv4.conf.all.rp_filter=1; sysctl -q -w net.ipv4.conf.net0.rp_filter=1", "sysctl -q -w net.ipv4.conf.all.rp_filter=0; sysctl -q -w net.ipv4.conf.net0.rp_filter=0")
fault("forwarding off and on", "sysctl -q -w net.ipv4.ip_forward=0; sysctl -q -w net.ipv4.ip_forward=1; sysctl -q -w net.ipv6.conf.all.forwarding=0; sysctl -q -w net.ipv6.conf.all.forwarding=1", UNDERLAY)
fault("tc actions that pass", "tc qdisc add dev net0 clsact; tc filter add dev net0 egress matchall action pass", "tc qdisc del dev net0 clsact", needs="tc qdisc add dev net0 clsact && tc filter add dev net0 egress matchall action pass; x=$?; tc qdisc del dev net0 clsact; exit $x")


# ---- processes
def kill(how=signal.SIGKILL):
    return lambda site: site.kill_aditd(how)


def start(site):
    site.restart_aditd()


def heard(act):
    """Commands, which nobody hears while no aditd lives."""
    def with_aditd(site):
        if site.alice.daemon is None:
            site.alice.start_aditd()
        act(site)
    return with_aditd


def killed_then(script):
    def act(site):
        site.kill_aditd()
        site.shell.run(script)
    return act


def guardian_killed(site):
    site.alice.kill_guardian()


def guardian_killed_often(site):
    for _ in range(5):
        site.alice.kill_guardian()
        time.sleep(0.03)


def guardian_terminated(site):
    site.alice.kill_guardian(signal.SIGTERM)


def stopped(who, script):
    """That process hangs while somebody does this; then it goes on."""
    def act(site):
        pid = site.alice.guardian_pid() if who == "guardian" else site.alice.daemon.pid
        if pid is None:
            return
        os.kill(pid, signal.SIGSTOP)
        try:
            site.shell.run(script)
            time.sleep(0.15)
        finally:
            os.kill(pid, signal.SIGCONT)
    return act


def both_killed(site):
    site.kill_aditd()
    site.alice.kill_guardian()


def other_root(site):
    """Another aditd with a root of its own in the same network, the real one dead."""
    site.kill_aditd()
    other = site.lab.tmp / "other"
    for folder in ("etc/inet/secret", "etc/dladm", "etc/ipadm", "run"):
        (other / folder).mkdir(parents=True, exist_ok=True)
    site.shell.run(f"ADIT_ROOT={other} ADIT_RUNDIR={other}/run timeout 0.7 {BUILD}/bin/aditd >/dev/null 2>&1")


DOWN = f"ip link set {TUNNEL} down"
fault("aditd killed", kill(), start, whole=True)
fault("aditd terminated", kill(signal.SIGTERM), start)
fault("aditd killed, link deleted", killed_then(f"ip link del {TUNNEL}"), start)
fault("aditd killed, link deleted, a rule for what comes from the LAN", killed_then(f"{OUT100}; {FROM_LAN} pref 10; {FROM_LAN6} pref 10; ip link del {TUNNEL}"),
      lambda site: (site.shell.run("ip rule del table 100; ip -6 rule del table 100; ip route flush table 100; ip -6 route flush table 100"), start(site)), hold=0.5)
fault("aditd killed, link down", killed_then(DOWN), start)
fault("aditd killed, ruleset flushed", killed_then("nft flush ruleset"), start, breaks=breaks("lasting"))
fault("aditd killed, rule deleted", killed_then("ip rule del pref 0 lookup 174; ip -6 rule del pref 0 lookup 174"), start, breaks=breaks("rule"))
fault("aditd hangs, link down", stopped("aditd", DOWN))
fault("aditd hangs, rule deleted", stopped("aditd", "ip rule del pref 0 lookup 174; ip -6 rule del pref 0 lookup 174"), breaks=breaks("rule"))
fault("guardian killed", guardian_killed, breaks=breaks("owned"))
fault("guardian killed again and again", guardian_killed_often, breaks=breaks("owned"))
fault("guardian terminated", guardian_terminated, breaks=breaks("owned"))
fault("guardian hangs, ruleset flushed", stopped("guardian", "nft flush ruleset"), breaks=breaks("lasting"))
fault("guardian hangs, link down", stopped("guardian", DOWN))
fault("aditd and guardian killed", both_killed, start, breaks=breaks("owned"))
fault("an aditd of another root", other_root, start)
fault("net0 takes the tunnel's name", lambda site: killed_then(f"ip link del {TUNNEL}; ip link set net0 name {TUNNEL}; {UNDERLAY.replace('net0', TUNNEL)}")(site),
      lambda site: (site.cable_back(), start(site)))


# ---- files, lost or cut, and a start
def file_fault(damage):
    def act(site):
        site.kill_aditd()
        try:
            damage(site.alice.etc)
        except OSError as full:                          # what is cut while the disk is full loses all
            if full.errno != errno.ENOSPC:
                raise
        site.alice.start_aditd()
    return act


def cut(path, part):
    def damage(etc):
        if not (etc / path).exists():                    # lost already
            return
        data = (etc / path).read_bytes()
        size = int(len(data) * part)
        (etc / path).write_bytes(data[:size] if part in (0, 1) else data[:data.rfind(b"\n", 0, size) + 1])
    return damage


def restore_files(site):
    """The operator's files as they were when all was well, for which he makes room; the daemon is started once more."""
    site.kill_aditd()
    make_room(site)
    site.restore_files()
    start(site)


def lose(*paths):
    def damage(etc):
        for path in paths:
            (etc / path).unlink(missing_ok=True)
    return damage


def older_book(etc):
    """An old copy comes back from a backup: the first half of the book's life."""
    cut("adit/guard.book", 0.5)(etc)


fault("datalink.conf lost", file_fault(lose("dladm/datalink.conf")), restore_files)
fault("datalink.conf emptied", file_fault(cut("dladm/datalink.conf", 0)), restore_files)
fault("datalink.conf cut at a line's end", file_fault(cut("dladm/datalink.conf", 0.6)), restore_files)
fault("policy file lost", file_fault(lose("inet/ipsecinit.conf")), restore_files)
fault("guard.book lost", file_fault(lose("adit/guard.book")))
fault("guard.book's copy lost", file_fault(lose("adit/guard.book.copy")))
fault("guard.book cut", file_fault(cut("adit/guard.book", 0.5)))
fault("guard.book older", file_fault(older_book))
fault("both books lost, kernel as it was", lambda site: (site.kill_aditd(), lose("adit/guard.book", "adit/guard.book.copy")(site.alice.etc), site.alice.start_aditd()))
fault("run directory lost", lambda site: (site.kill_aditd(), [(site.alice.run_dir / name).unlink(missing_ok=True) for name in ("guard.book", "active.conf", "datalink.conf")], site.alice.start_aditd()))


# ---- commands of the operator and of users
def plain_of_the_same_name(site):
    """delete-iptun -r -k, then the same name without -S, with its addresses and routes."""
    for command in (f"dladm delete-iptun -r -k {TUNNEL}", f"dladm create-iptun -T ipv4 -a local=1.2.3.4,remote=5.6.7.8 {TUNNEL}",
                    f"ipadm create-addr -T static -a local=10.0.0.1,remote=10.0.1.1 {TUNNEL}/v4", f"adit route add {NET} 10.0.1.1"):
        site.alice.adit(command, check=False)
    site.shell.run(f"ip link set {TUNNEL} up; ip route replace {NET} dev {TUNNEL}; ip -6 route replace {NET6} dev {TUNNEL}")


def secured_again(site):
    site.alice.adit(f"dladm delete-iptun -r -k {TUNNEL}", check=False)
    site.tunnel_again()


def plain_behind_secured(site):
    """An unsecured tunnel whose far end lies behind the secured one; and the secured one goes."""
    for command in ("dladm create-iptun -T ipv4 -a local=10.0.0.1,remote=10.0.1.2 plain0", "ipadm create-addr -T static -a local=10.200.0.1,remote=10.200.0.2 plain0/v4"):
        site.alice.adit(command, check=False)
    site.shell.run(f"ping -I plain0 -n -q -i 0.02 -c 12 -W 1 -p {b'adit-canary-p4'.hex()} 10.200.0.2 >/dev/null & sleep 0.05; {DOWN}; wait")


def delegated_rule(site):
    """A delegated user names the operator's networks, and half the Internet, in rules of its own tunnel."""
    alice = site.alice
    alice.adit("adit namespace create -u nobody -t 'vpn*' -n 10.50.0.0/16 tenant", check=False)
    alice.adit("dladm create-iptun -S -T ipv4 -a local=1.2.3.4,remote=5.6.7.20 vpn0", check=False)
    for network in ("10.0.1.0/25", "8.0.0.0/5", "10.50.1.0/24"):
        alice.sh(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", BUILD / "bin" / "adit", "ipsecconf", "-q", "-N", "tenant", "-a", "-"], check=False,
                 input=f"{{tunnel vpn0 negotiate tunnel raddr {network}}} ipsec {{encr_algs aes-gcm sa shared}}\n")


def tenant_gone(site):
    for command in ("adit namespace delete -r tenant", "dladm delete-iptun -r vpn0"):
        site.alice.adit(command, check=False)


def commands(*words):
    return heard(lambda site: [site.alice.adit(one, check=False) for one in words])


fault("delete-iptun -k, then unsecured of that name", plain_of_the_same_name, heard(secured_again), hold=0.1, whole=True)
fault("unsecured tunnel to a far end behind the secured one", plain_behind_secured, commands("dladm delete-iptun -r plain0"), hold=0)
fault("a delegated user's rules", delegated_rule, heard(tenant_gone))
fault("policy flushed", commands("ipsecconf -F"), commands("svcadm refresh ipsec/policy", "svcadm restart ipsec/policy"))
fault("policy disabled", commands("svcadm disable ipsec/policy"), commands("svcadm enable ipsec/policy"))
fault("keys flushed", commands("ipseckey flush"), commands("svcadm restart ipsec/manual-key"))
fault("tunnel renamed by dladm", commands(f"dladm rename-link {TUNNEL} v4_x0"), commands(f"dladm rename-link v4_x0 {TUNNEL}"))


# ---- little of everything
def few_descriptors(site):
    """Next to none left for aditd, while it must put things back."""
    pid = site.alice.daemon.pid
    before = re.search(r"Max open files +(\d+)", open(f"/proc/{pid}/limits").read())[1]
    site.alice.limit(pid, f"--nofile={len(os.listdir(f'/proc/{pid}/fd'))}:")
    site.shell.run(f"{DOWN}; ip link del {SECOND}; nft flush ruleset; timeout 1 adit guard list >/dev/null; sleep 0.1")
    site.alice.limit(pid, f"--nofile={before}:")


def disk_full(site):
    """etc is a file system of its own (Site) and has not a byte left: nothing can be written while others act."""
    for name, block in (("filler", 4096), ("filler2", 1)):
        with open(site.alice.etc / name, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * block)
            except OSError:
                pass
    site.shell.run(f"adit guard close 10.77.0.0/16 {TUNNEL}; {DOWN}; nft flush ruleset")


def make_room(site):
    for name in ("filler", "filler2"):
        (site.alice.etc / name).unlink(missing_ok=True)


def disk_has_room(site):
    make_room(site)
    commands("adit guard open 10.77.0.0/16")(site)


MEMORY = "/sys/fs/cgroup/memory"


def little_memory(site):
    """aditd in a memory cgroup that has hardly more than it holds; the kernel may well kill it."""
    pid = site.alice.daemon.pid
    group = f"{MEMORY}/{site.lab.prefix}"
    os.makedirs(group, exist_ok=True)
    with open(f"{group}/memory.limit_in_bytes", "w") as file:
        file.write(str(96 << 20))
    with open(f"{group}/cgroup.procs", "w") as file:
        file.write(str(pid))
    site.shell.run(f"{DOWN}; nft flush ruleset; timeout 2 adit guard list >/dev/null")


def memory_again(site):
    group = f"{MEMORY}/{site.lab.prefix}"
    if site.alice.daemon is not None and site.alice.daemon.poll() is None:
        with open(f"{MEMORY}/cgroup.procs", "w") as file:
            file.write(str(site.alice.daemon.pid))
    else:
        site.alice.daemon = None
        start(site)
    os.rmdir(group)


def uptime_jumps(site):
    """Killed, and started where the monotonic clock is months ahead (time namespace)."""
    site.kill_aditd()
    site.alice.start_aditd(before=["unshare", "--time", "--monotonic", "9000000", "--boottime", "9000000"])


fault("no descriptor left", few_descriptors, breaks=breaks("lasting"), whole=True)
fault("disk full", disk_full, disk_has_room, breaks=breaks("lasting"), whole=True)
fault("little memory", little_memory, memory_again, breaks=breaks("lasting"), whole=True, needs=lambda: os.path.exists(f"{MEMORY}/memory.limit_in_bytes"))
fault("monotonic clock jumps at a start", uptime_jumps, start, needs="unshare --time --monotonic 5 true")

# ---- where everything is guarded
fault("all guarded: hostile lease", "ip addr add 198.51.100.77/24 dev net0; ip addr add 10.0.1.77/24 dev net0", "ip addr del 198.51.100.77/24 dev net0; ip addr del 10.0.1.77/24 dev net0", everything=True)
fault("all guarded: halves of everything by a lease", f"ip route add 0.0.0.0/1 {VIA}; ip route add 128.0.0.0/1 {VIA}", "ip route del 0.0.0.0/1; ip route del 128.0.0.0/1", everything=True)
fault("all guarded: default replaced", f"ip route replace default {VIA} metric 0", everything=True)
fault("all guarded: link down", DOWN, everything=True)
fault("all guarded: ruleset flushed", repeat(3, "nft flush ruleset"), breaks=breaks("lasting"), everything=True)
fault("all guarded: rule deleted", "ip rule del pref 0 lookup 174", breaks=breaks("rule"), everything=True)
fault("all guarded: aditd killed, link deleted", killed_then(f"ip link del {TUNNEL}"), start, everything=True)
fault("all guarded: a new LAN comes", "ip link add lan0 type veth peer name lan1; ip addr add 198.51.100.1/24 dev lan0; ip link set lan0 up; ip link set lan1 up", "ip link del lan0", everything=True)

BY_NAME = {one.name: one for one in FAULTS}

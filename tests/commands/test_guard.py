"""adit guard: what the operator may do, with and without a daemon."""
import json
import os
import subprocess
import time

from breaking import status, wait_for
from lab import BUILD


def book(host):
    return [(host.root / path).read_text() for path in ("etc/adit/guard.book", "etc/adit/guard.book.copy")]


def closed_by(text):
    """network -> by whom, as the book's newest line of it says; a start may write the file anew."""
    lines = [line.split() for line in text.splitlines() if line.startswith("net ")]
    return {words[1]: words[3:-1] for words in lines}


def stands(host, network="10.0.1.0/24"):
    return (f"unreachable {network}" in host.sh("ip route show table 174", check=False).stdout,
            network in host.sh("nft list table inet adit-own", check=False).stdout,
            network in host.sh("nft list table inet adit-guard", check=False).stdout)


def test_the_operator_opens_without_the_daemon(up):
    up.alice.kill_aditd()
    offline = up.alice.adit("adit guard open --offline 10.0.1.0/24")
    assert "next start" in offline.stderr
    assert all("10.0.1.0/24" in text and "gone=" in text for text in book(up.alice)), "the record"
    assert stands(up.alice) == (True, True, True), "nothing acts yet"
    # IPv6 at once: the guardian is told.
    network = "2001:470:24:c67::/64"
    assert network in up.alice.sh("nft list table inet adit-guard").stdout
    assert "the guardian was told" in up.alice.adit(f"adit guard open {network}").stderr
    wait_for(lambda: network not in up.alice.sh("nft list ruleset").stdout, what="opening")
    again = up.alice.adit(f"adit guard open {network}", check=False)
    assert again.returncode == 1 and "is not guarded" in again.stderr


def test_closing_and_opening_by_hand(up):
    up.alice.adit("adit guard close 10.0.9.0/24 v4_bob0")
    assert stands(up.alice, "10.0.9.0/24") == (True, True, True)
    assert "v4_bob0 closed" in up.alice.adit("adit guard").stdout
    up.alice.adit("adit guard open 10.0.9.0/24")
    assert stands(up.alice, "10.0.9.0/24") == (False, False, False)
    refused = up.alice.adit("adit guard open 10.0.1.0/24", check=False)
    assert refused.returncode == 1 and "delete that first" in refused.stderr
    assert stands(up.alice) == (True, True, True)
    for words, says in (("close 10.0.9.0/24 nothing0", "not a tunnel"), ("close fe80::/64 v4_bob0", "never leaves its link")):
        refused = up.alice.adit(f"adit guard {words}", check=False)
        assert refused.returncode == 1 and says in refused.stderr


def test_a_late_network_inside_a_closed_one_is_told_and_opened(up):
    up.alice.adit("adit guard close 172.16.0.0/12 v4_bob0")
    for command in ("ip link add late0 type veth peer name late1", "ip link set late0 up", "ip link set late1 up",
                    "ip addr add 172.17.0.1/16 dev late0"):
        up.alice.sh(command)
    wait_for(lambda: "'adit guard inside late0'" in up.alice.adit("adit guard").stderr, what="the network that is cut off")
    up.alice.adit("adit guard inside late0")
    assert "throw 172.17.0.0/16" in up.alice.sh("ip route show table 174").stdout
    assert "late0" not in up.alice.adit("adit guard").stderr
    up.alice.adit("adit guard outside late0")
    assert "throw 172.17.0.0/16" not in up.alice.sh("ip route show table 174").stdout


def test_a_layer_that_does_not_stand_is_told(up):
    up.alice.sh(f"kill -STOP {up.alice.guardian_pid()}")
    try:
        up.alice.sh("ip rule del pref 0 lookup 174")
        told = up.alice.adit("adit guard").stderr
        assert "a layer of the guard does not stand" in told
    finally:
        up.alice.sh(f"kill -CONT {up.alice.guardian_pid()}")
    wait_for(lambda: up.alice.adit("adit guard").stderr == "", what="all layers")


def test_the_guardian_keeps_one_capability(up):
    status = up.alice.sh(f"cat /proc/{up.alice.guardian_pid()}/status").stdout
    sets = {line.split(":")[0]: int(line.split()[1], 16) for line in status.splitlines() if line.startswith("Cap")}
    assert sets["CapEff"] == sets["CapPrm"] == 1 << 12, sets


def test_the_switch_on_the_kernels_command_line(up):
    """A person at the console wants in: for this boot nothing is closed, and everything says so."""
    alice = up.alice
    line = alice.write("/cmdline", "quiet adit.guard=off\n")
    before = [closed_by(text) for text in book(alice)]
    assert all(set(one) == {"10.0.1.0/24", "10.0.1.1/32", "2001:470:24:c67::/64"} for one in before)
    alice.kill_aditd()
    alice.kill_guardian()
    assert stands(alice)[::2] == (True, True), "rule and lasting table outlive them"
    alice.start_aditd(before=["sh", "-c", f'mount --bind {line} /proc/cmdline && exec "$@"', "sh"])
    assert stands(alice) == (False, False, False)
    assert "adit.guard=off" in alice.adit("adit guard").stderr
    shown = alice.adit("adit status").stdout
    assert "NOT closed (adit.guard=off)" in shown and "Missing now:\n  the guard is switched off by adit.guard=off" in shown
    assert "alert: the guard is switched off by adit.guard=off" in alice.log()
    row, = [row for row in status(alice)["tunnels"] if row["name"] == "v4_bob0"]
    assert row["state"] == "down" and "adit.guard=off" in row["why_down"]
    assert json.loads(alice.sh("ip -j link show v4_bob0").stdout)[0]["operstate"] != "UP"
    assert [closed_by(text) for text in book(alice)] == before
    alice.kill_aditd()
    alice.kill_guardian()
    alice.start_aditd()
    assert stands(alice) == (True, True, True)
    wait_for(lambda: up.alice_host.ping("10.0.1.2", count=1, wait=1) == 1, what="traffic after a boot without the switch")


def over_ssh(host, command, source, check=True, typed=None):
    """As typed in an SSH session from `source`; `typed`: there is a terminal, and this is what is typed on it."""
    words = ["env", f"SSH_CONNECTION={source} 50000 1.2.3.4 22", BUILD / "bin" / "adit", *command.split()]
    if typed is None:
        return host.sh(words, check=check)
    leader, follower = os.openpty()
    process = host.popen(words, stdin=follower, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    os.write(leader, typed.encode())
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(words, process.returncode, out, err)


def test_closing_ones_own_ssh_path_asks(up):
    alice, source, network = up.alice, "203.0.113.9", "203.0.113.0/24"
    close = f"guard close {network} v4_bob0"
    refused = over_ssh(alice, close, source, check=False)
    assert refused.returncode == 1 and "from where your own session comes" in refused.stderr and "-y does it" in refused.stderr
    assert stands(alice, network) == (False, False, False)
    asked = over_ssh(alice, close, source, typed="n\n")
    assert asked.returncode == 1 and "close it all the same? [y/N]" in asked.stderr
    assert stands(alice, network) == (False, False, False)
    assert over_ssh(alice, close, source, typed="y\n").returncode == 0
    assert stands(alice, network) == (True, True, True)
    alice.adit(f"adit guard open {network}")
    assert over_ssh(alice, close + " -y", source).stderr == ""
    alice.adit(f"adit guard open {network}")
    assert over_ssh(alice, close, "198.51.100.7").returncode == 0, "somebody else's way in"
    alice.adit(f"adit guard open {network}")
    # By a route, by rules of a file, by rules by hand.
    alice.write("/etc/inet/more.conf", "{tunnel v4_bob0 negotiate tunnel raddr 203.0.113.0/24} ipsec {encr_algs aes encr_auth_algs sha512 sa shared}\n")
    for command in (f"route add {network} 10.0.1.1", f"ipsecconf -q -a {alice.root}/etc/inet/more.conf"):
        refused = over_ssh(alice, command, source, check=False)
        assert refused.returncode == 1 and "from where your own session comes" in refused.stderr, command
        assert stands(alice, network) == (False, False, False), command
    alice.write("/etc/inet/ipsecinit.conf", (alice.root / "etc/inet/ipsecinit.conf").read_text() + (alice.root / "etc/inet/more.conf").read_text())
    refused = over_ssh(alice, "svcadm refresh ipsec/policy", source, check=False)
    assert refused.returncode == 1 and "from where your own session comes" in refused.stderr
    assert alice.adit("svcs -H -o state policy").stdout.strip() == "online"
    assert over_ssh(alice, "svcadm refresh -y ipsec/policy", source).returncode == 0
    assert stands(alice, network) == (True, True, True)


def test_routes_of_a_routing_daemon_with_several_hops(up):
    """One hop into the secured tunnel among others: what the other hops would carry is closed while the route stands."""
    alice = up.alice

    def reasons(network):
        return [row["reasons"] for row in status(alice)["guard"] if row["network"] == network]

    alice.sh("ip nexthop add id 1 via 1.2.3.1 dev net0")
    alice.sh("ip nexthop add id 2 dev v4_bob0")
    alice.sh("ip nexthop add id 3 group 1/2")
    made = {"10.77.0.0/16": "nexthop via 1.2.3.1 dev net0 nexthop dev v4_bob0", "10.78.0.0/16": "nhid 2", "10.79.0.0/16": "nhid 3"}
    for compat in (1, 0):
        alice.sysctl("net/ipv4/nexthop_compat_mode", compat)
        for network, way in made.items():
            alice.sh(f"ip route add {network} proto bgp {way}")
            wait_for(lambda: reasons(network) == [["v4_bob0 seen"]], what=f"{network} by {way}")
            assert stands(alice, network) == (True, True, True)
            assert "dev v4_bob0" in alice.sh(f"ip route get {network.replace('0.0/16', '0.9')}").stdout
            alice.sh(f"ip route del {network}")
            wait_for(lambda: reasons(network) == [], what=f"{network} withdrawn")
    alice.sh("ip nexthop add id 4 via 1.2.3.1 dev net0")
    alice.sh("ip route add 10.80.0.0/16 proto bgp nhid 4")
    time.sleep(1)
    assert reasons("10.80.0.0/16") == []
    alice.sh("ip nexthop replace id 4 dev v4_bob0")
    wait_for(lambda: reasons("10.80.0.0/16") == [["v4_bob0 seen"]], what="the object that leads into the tunnel now")


def test_inside_interfaces_at_boot_without_the_daemon(up):
    """The guardian starts before the network and before aditd: what comes on an inside interface is reachable."""
    alice = up.alice
    alice.adit("adit guard close 172.16.0.0/12 v4_bob0")
    alice.sh("ip link add late0 type veth peer name late1")
    alice.adit("adit guard inside late0")
    alice.kill_aditd()
    alice.kill_guardian()
    alice.sh("ip rule del pref 0 lookup 174")
    alice.sh("ip route flush table 174")
    guardian = alice.popen([BUILD / "bin" / "adit-guard"])
    wait_for(lambda: stands(alice, "172.16.0.0/12") == (True, True, True), what="the guardian")
    for command in ("ip link set late0 up", "ip link set late1 up", "ip addr add 172.17.0.1/16 dev late0", "ip addr add 172.18.0.1/16 dev net0"):
        alice.sh(command)
    wait_for(lambda: "throw 172.17.0.0/16" in alice.sh("ip route show table 174").stdout, what="the inside network")
    assert "throw 172.18.0.0/16" not in alice.sh("ip route show table 174").stdout
    guardian.terminate()
    guardian.wait(timeout=10)

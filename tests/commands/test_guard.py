"""adit guard: what the operator may do, with and without a daemon."""
import json
import os
import subprocess
import time

from breaking import status, wait_for
from lab import BUILD


def book(host):
    return [(host.root / path).read_text() for path in ("etc/adit/guard.book", "etc/adit/guard.book.copy")]


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

"""adit explain follows the outer packet to the wire: where nothing leaves, or comes in, it says so and why. Each is tried too."""
import json

import guide
import pytest
from breaking import wait_for

SOURCE, TARGET = "10.0.0.2", "10.0.1.2"


def explained(host, words):
    return json.loads(host.adit(f"adit explain --json {words}").stdout)


def nft(host, text):
    host.sh("nft -f -", input=text)


def base_chain(hook, rules="", policy="accept", family="inet", name="fw", priority=0):
    return f"table {family} {name} {{ chain c {{ type filter hook {hook} priority {priority}; policy {policy}; {rules}; }}; }}"


def nothing_passes(up):
    return up.alice_host.ping(TARGET, wait=1) == 0


def test_what_leaves_shows_its_way(up):
    about = explained(up.alice, f"{SOURCE} {TARGET}")
    assert about["passes"] and about["verdict"] == "It leaves through v4_bob0, protected."
    assert about["outer"] == {"destination": "default", "gateway": "1.2.3.1", "interface": "net0", "error": ""}
    assert about["not_followed"] == []


def test_the_outer_route_is_gone(up):
    up.alice.sh("ip route del default")
    wait_for(lambda: nothing_passes(up), what="the loss of the way")
    about = explained(up.alice, f"{SOURCE} {TARGET}")
    assert (about["passes"], about["reason"]) == (False, "no_outer_route")
    assert "no route of the underlay leads to 5.6.7.8" in about["verdict"]
    up.alice.sh("ip route add default via 1.2.3.1")
    assert up.alice_host.ping(TARGET) > 0
    assert explained(up.alice, f"{SOURCE} {TARGET}")["passes"]


def test_the_rules_of_routing_are_gone(up):
    up.alice.sh("ip rule flush")
    assert nothing_passes(up)
    about = explained(up.alice, f"-i v4_bob0 10.0.0.1 {TARGET}")
    assert (about["passes"], about["reason"]) == (False, "no_outer_route")


def test_the_underlays_device_is_down(up):
    up.alice.sh("ip link set net0 down")
    about = explained(up.alice, f"{SOURCE} {TARGET}")
    assert not about["passes"] and about["reason"] in ("no_outer_route", "link_down")
    assert nothing_passes(up)


@pytest.mark.parametrize("rules", ["meta l4proto esp drop", "ip daddr 5.6.7.8 ip protocol esp counter reject",
                                   "ip daddr { 5.6.7.0/24, 9.9.9.9 } jump other; }; chain other { meta l4proto { esp, ah } drop"])
def test_a_firewall_drops_esp_on_its_way_out(up, rules):
    nft(up.alice, base_chain("output", rules))
    assert nothing_passes(up)
    about = explained(up.alice, f"{SOURCE} {TARGET}")
    assert (about["passes"], about["reason"]) == (False, "firewall")
    assert about["verdict"].startswith("Its outer packet (ESP 1.2.3.4 > 5.6.7.8) is dropped by the firewall: table inet fw, chain ")
    assert ", rule " in about["verdict"]


def test_a_firewall_drops_what_is_forwarded(up):
    nft(up.alice, base_chain("forward", policy="drop", family="ip", name="filter"))
    assert nothing_passes(up)
    about = explained(up.alice, f"{SOURCE} {TARGET}")
    assert (about["passes"], about["reason"]) == (False, "firewall")
    assert about["verdict"] == "It is dropped by the firewall: table ip filter, chain c, its policy."
    assert explained(up.alice, f"10.0.0.1 {TARGET}")["passes"], "the host's own is not forwarded"


def test_what_cannot_be_followed_is_named(up):
    nft(up.alice, base_chain("output", "meta l4proto esp limit rate over 1/second burst 1 packets drop"))
    about = explained(up.alice, f"{SOURCE} {TARGET}")
    assert about["passes"] and "Not followed: table inet fw, chain c, rule " in about["verdict"] and "may drop it" in about["verdict"]


def test_a_firewall_drops_esp_on_its_way_in(up):
    assert explained(up.alice, f"--in {TARGET} {SOURCE}")["passes"]
    nft(up.alice, base_chain("input", "ip protocol esp drop"))
    assert nothing_passes(up)
    about = explained(up.alice, f"--in {TARGET} {SOURCE}")
    assert (about["passes"], about["reason"]) == (False, "firewall")
    assert "(ESP 5.6.7.8 > 1.2.3.4) is dropped by the firewall: table inet fw, chain c, rule " in about["verdict"]
    assert explained(up.alice, f"{SOURCE} {TARGET}")["passes"], "going out all is well"


def test_a_strict_reverse_path_filter(up):
    """The inner packet comes out of the tunnel, and the way back to its source is elsewhere."""
    up.alice.sysctl("net/ipv4/conf/v4_bob0/rp_filter", 1)
    assert explained(up.alice, f"--in {TARGET} {SOURCE}")["passes"]
    assert up.bob_host.ping(SOURCE) > 0
    up.alice.sh(f"ip route add {TARGET}/32 via 1.2.3.1 table local")       # before the guard's rule
    assert up.bob_host.ping(SOURCE, wait=1) == 0
    about = explained(up.alice, f"--in -i v4_bob0 {TARGET} {SOURCE}")
    assert (about["passes"], about["reason"]) == (False, "rp_filter")
    assert "v4_bob0's reverse-path filter (rp_filter=1)" in about["verdict"]


def test_a_reverse_path_rule_of_the_firewall(up):
    """`fib saddr . iif oif missing drop`, as firewalld has it."""
    nft(up.alice, base_chain("prerouting", "fib saddr . iif oif missing drop", priority=-300))
    assert explained(up.alice, f"--in {TARGET} {SOURCE}")["passes"]
    up.alice.sh("ip route del default")
    about = explained(up.alice, f"--in {TARGET} {SOURCE}")
    assert (about["passes"], about["reason"]) == (False, "firewall")
    assert "table inet fw, chain c, rule " in about["verdict"]
    assert nothing_passes(up)


def test_a_key_of_the_wrong_direction(world):
    """The key that should protect what leaves was loaded as inbound, and the other way round."""
    text = guide.keys().splitlines()
    wrong = "\n".join(f"{line} {'inbound' if at < 3 else 'outbound'}" if line.strip().startswith("authkey") else line
                      for at, line in enumerate(text)) + "\n"
    guide.set_up(world, key_text=guide.keys())
    world.alice.write("/etc/inet/secret/ipseckeys", wrong, 0o600)
    world.alice.adit("ipseckey flush")
    world.alice.adit("svcadm refresh ipsec/manual-key")
    about = explained(world.alice, f"{SOURCE} {TARGET}")
    assert (about["passes"], about["reason"]) == (False, "no_sa")
    assert [sa["why_not"] for sa in about["associations"]] == ["it is for the other direction: it was loaded as inbound"]
    about = explained(world.alice, f"--in {TARGET} {SOURCE}")
    assert not about["passes"]
    assert [sa["why_not"] for sa in about["associations"]] == ["it is for the other direction: it was loaded as outbound"]
    assert world.alice_host.ping(TARGET, wait=1) == 0


def test_no_key_at_all_coming_in(up):
    up.alice.adit("ipseckey flush")
    about = explained(up.alice, f"--in {TARGET} {SOURCE}")
    assert not about["passes"] and "there is no SA from the tunnel's peer" in about["verdict"]


def test_the_local_address_is_gone(up):
    up.alice.sh("ip addr del 1.2.3.4/24 dev net0")
    about = explained(up.alice, f"{SOURCE} {TARGET}")
    assert not about["passes"]
    assert nothing_passes(up)

"""adit explain: what it says is what happens. Each case is explained first, and then tried."""
import json

import guide
import pytest
from breaking import drops

SOURCE, TARGET = "10.0.0.2", "10.0.1.2"


def explained(host, words):
    return json.loads(host.adit(f"adit explain --json {words}").stdout)


def page(host, words):
    """label -> its lines"""
    found, label = {}, ""
    for line in host.adit(f"adit explain {words}").stdout.splitlines():
        label = line[:11].strip() or label
        found.setdefault(label, []).append(line[11:])
    return found


def test_a_packet_that_leaves_protected(up):
    shown = page(up.alice, f"{SOURCE} {TARGET} tcp/443")
    assert shown["packet"] == [f"{SOURCE} > {TARGET}, tcp, port 49152 > 443, forwarded"]
    assert shown["route"] == ["10.0.1.0/24 by 10.0.1.1, v4_bob0"]
    assert shown["guard"] == ["10.0.1.0/24 leaves only through v4_bob0"]
    assert shown["tunnel"] == ["v4_bob0 is up, 1.2.3.4 > 5.6.7.8, secured (-S)"]
    assert shown["rule"] == [f"#INDEX v4_bob0,1, {up.alice.root}/etc/inet/ipsecinit.conf:1",
                             "{ tunnel v4_bob0 negotiate tunnel dir out } ipsec { encr_algs aes-cbc(128..256) encr_auth_algs hmac-sha512(512) sa shared }"]
    assert shown["SA"] == ["ESP SPI 0x2001, aes-cbc(256) hmac-sha512, mature"]
    assert shown["MTU"][0].startswith("1500 underlay - 20 outer header - 78 IPsec at worst = 1402; this SA adds ")
    assert shown["verdict"] == ["It leaves through v4_bob0, protected."]
    assert up.alice_host.ping(TARGET) > 0


def test_the_mtu_is_what_a_ping_finds(up):
    """Whole at `largest`, refused above it."""
    largest = explained(up.alice, f"{SOURCE} {TARGET}")["mtu"]["largest"]
    assert up.alice_host.ping(TARGET, size=largest - 28, options="-M do") == 3
    assert up.alice_host.ping(TARGET, size=largest - 27, options="-M do", wait=1) == 0


def test_six_is_explained_like_four(up):
    about = explained(up.alice, "2001:470:24:c66::2 2001:470:24:c67::2 icmp6")
    assert about["passes"] and not about["clear"] and about["rule"]["index"] == 2
    assert up.alice_host.ping("2001:470:24:c67::2") > 0


def test_without_an_sa(up):
    up.alice.adit("ipseckey flush")
    about = explained(up.alice, f"{SOURCE} {TARGET}")
    assert about["reason"] == "no_sa" and not about["passes"]
    assert about["verdict"] == ("It is held back until a key manager brings an SA, and dropped when none comes: rule 1 "
                                f"({up.alice.root}/etc/inet/ipsecinit.conf:1) of v4_bob0 asks for IPsec, and there is no SA between the "
                                "tunnel's ends.")
    assert up.alice_host.ping(TARGET, wait=1) == 0
    assert explained(up.alice, f"{SOURCE} {TARGET}")["acquiring"]


def test_without_policy_the_tunnel_is_down_and_says_what_opens_it(up):
    up.alice.adit("svcadm disable ipsec/policy")
    shown = page(up.alice, f"{SOURCE} {TARGET}")
    assert "requires security and has no policy" in shown["verdict"][0] and "ipsecconf -a FILE" in shown["verdict"][0]
    assert up.alice_host.ping(TARGET, wait=1) == 0
    tunnel = explained(up.alice, f"-i v4_bob0 {SOURCE} {TARGET}")["tunnel"]
    assert (tunnel["up"], tunnel["secured"], tunnel["policy"]) == (False, True, False)


def test_a_rule_that_drops_and_what_no_rule_matches(up):
    up.alice.write("/etc/inet/ipsecinit.d/50_web.conf", "# no web\n\n{ tunnel v4_bob0 negotiate tunnel raddr 10.0.1.0/24 } drop {}\n")
    (up.alice.root / "etc/inet/ipsecinit.conf").unlink()
    up.alice.adit("svcadm refresh ipsec/policy")
    about = explained(up.alice, f"{SOURCE} {TARGET} udp/domain")
    assert about["reason"] == "rule_drop"
    assert f"({up.alice.root}/etc/inet/ipsecinit.d/50_web.conf:3) of v4_bob0" in about["verdict"]
    before = drops(up.alice, "rule_drop")
    assert up.alice_host.ping(TARGET, wait=1) == 0
    assert drops(up.alice, "rule_drop") > before
    assert explained(up.alice, "2001:470:24:c66::2 2001:470:24:c67::2")["verdict"] == "It is dropped: no rule of v4_bob0 matches it."


def test_a_route_around_the_tunnel_is_stopped_by_the_guard(up):
    up.alice.sh(f"ip route add {TARGET}/32 via 1.2.3.1 table local")       # before the guard's rule
    about = explained(up.alice, f"{SOURCE} {TARGET}")
    assert about["reason"] == "guard" and about["route"]["interface"] == "net0"
    assert about["verdict"].startswith("It is stopped at net0 by the guard: 10.0.1.0/24 leaves only through v4_bob0; ")
    assert up.alice_host.ping(TARGET, wait=1) == 0


def test_the_underlay_is_in_the_clear(up):
    about = explained(up.alice, "1.2.3.4 5.6.7.8 tcp/22")
    assert (about["passes"], about["clear"]) == (True, True)
    assert about["verdict"] == "It leaves over net0 in the clear: no tunnel is on its way, and no guard closes it."


def test_the_hosts_own_rule_is_named(up):
    up.alice.write("/etc/inet/ipsecinit.d/10_host.conf", "{ raddr 5.6.7.8 ulp tcp rport 23 } drop {}\n")
    up.alice.adit("svcadm refresh ipsec/policy")
    about = explained(up.alice, "1.2.3.4 5.6.7.8 tcp/telnet")
    assert about["reason"] == "host_rule"
    assert f"{up.alice.root}/etc/inet/ipsecinit.d/10_host.conf:1) of the host's policy" in about["verdict"]


def test_forwarding_that_is_off(up):
    up.alice.adit("ipadm set-prop -t -p forwarding=off ipv4")
    about = explained(up.alice, f"{SOURCE} {TARGET}")
    assert about["reason"] == "forwarding" and "ipadm set-prop -p forwarding=on ipv4" in about["verdict"]
    assert up.alice_host.ping(TARGET, wait=1) == 0
    assert explained(up.alice, f"10.0.0.1 {TARGET}")["passes"], "the host's own go"


# ---- coming in

def test_what_comes_in_and_under_which_sa(up):
    shown = page(up.alice, f"--in {TARGET} {SOURCE} tcp/50000/443")
    assert shown["packet"] == [f"{TARGET} > {SOURCE}, tcp, port 443 > 50000, forwarded"]
    assert shown["way back"] == ["10.0.1.0/24 by 10.0.1.1, v4_bob0"]
    assert shown["rule"][1].startswith("{ tunnel v4_bob0 negotiate tunnel dir in } ipsec ")
    assert shown["SA"] == ["ESP SPI 0x2002, aes-cbc(256) hmac-sha512, mature"]
    assert "MTU" not in shown
    assert shown["verdict"][0].startswith("It is let in through v4_bob0 when it comes under an SA")
    assert up.alice_host.ping(TARGET) > 0


def test_an_answer_that_is_not_let_in(up):
    """Alice drops what comes back: going out all is well, coming in a rule decides."""
    up.alice.write("/etc/inet/ipsecinit.d/10_in.conf", "{ tunnel v4_bob0 negotiate tunnel raddr 10.0.1.2 dir in } drop {}\n")
    (up.alice.root / "etc/inet/ipsecinit.conf").write_text(
        "{ tunnel v4_bob0 negotiate tunnel raddr 10.0.1.2 dir out } ipsec " + guide.GUIDE_PROTECTION + "\n")
    up.alice.adit("svcadm refresh ipsec/policy")
    assert explained(up.alice, f"{SOURCE} {TARGET}")["passes"]
    about = explained(up.alice, f"--in {TARGET} {SOURCE}")
    assert about["reason"] == "rule_drop" and not about["passes"]
    assert f"{up.alice.root}/etc/inet/ipsecinit.d/10_in.conf:1) of v4_bob0" in about["verdict"]
    before = drops(up.alice, "rule_drop")
    assert up.alice_host.ping(TARGET, wait=1) == 0
    assert drops(up.alice, "rule_drop") > before


def test_what_comes_beside_the_tunnel(up):
    about = explained(up.alice, f"--in {TARGET} 10.0.0.1")
    assert about["passes"] and not about["clear"]
    up.alice.sh(f"ip route add {TARGET}/32 via 1.2.3.1 table local")       # before the guard's rule
    about = explained(up.alice, f"--in {TARGET} 10.0.0.1")
    assert about["reason"] == "guard" and not about["passes"]


@pytest.mark.parametrize("words,says", [
    ("10.0.0.1", "a source, a destination"),
    ("alice 10.0.1.2", "'alice' is not a valid address"),
    ("10.0.0.1 10.0.1.2 tcp", "tcp/PORT"),
    ("10.0.0.1 10.0.1.2 tcp/70000", "'70000' is not a valid port"),
    ("10.0.0.1 10.0.1.2 gre/5", "has no ports"),
    ("10.0.0.1 10.0.1.2 icmp/256", "is not a valid ICMP type"),
    ("10.0.0.1 10.0.1.2 nonsense", "unknown protocol 'nonsense'"),
    ("10.0.0.1 2001:db8::1", "two families"),
    ("-i v4_none0 10.0.0.1 10.0.1.2", "there is no tunnel v4_none0"),
])
def test_bad_questions(world, words, says):
    world.alice.start_aditd()
    done = world.alice.adit(f"adit explain {words}", check=False)
    assert done.returncode in (1, 2) and says in done.stderr

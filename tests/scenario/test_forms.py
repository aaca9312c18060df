"""Tunnels of every outer family, mode and protection between two sites; each both ways with IPv4 and IPv6 inside."""
import json
import subprocess
import time

import guide
import pytest
from breaking import Breaking, link
from lab import Seen, two_sites

OUTER6 = {"alice": ("2001:db8:1::4", "2001:db8:5::8"), "bob": ("2001:db8:5::8", "2001:db8:1::4")}
K1, K2 = guide.KEYS["alice-to-bob"], guide.KEYS["bob-to-alice"]


def build(world, protection, key, protocol="esp", v6=False, extra="", mode="tunnel"):
    """Like guide.set_up, with any outer family and any protection. `key` is what ipseckey is told of algorithms and keys."""
    for host, site in ((world.alice, guide.ALICE), (world.bob, guide.BOB)):
        here, there = OUTER6[host.name] if v6 else (site.outer_local, site.outer_remote)
        a, b = OUTER6["alice"] if v6 else ("1.2.3.4", "5.6.7.8")
        protocols = protocol if isinstance(protocol, list) else [(protocol, key)]
        encap = extra.format(here=here, there=there)
        text = "".join(f"add {kind} spi {spi + n} src {source} dst {destination} {keys} {encap}\n" for n, (kind, keys) in enumerate(protocols)
                       for spi, source, destination in ((0x2001, a, b), (0x3001, b, a)))
        host.write("/etc/inet/secret/ipseckeys", text, 0o600)
        host.write("/etc/inet/ipsecinit.conf", f"{{tunnel {site.tunnel} negotiate {mode}}} ipsec {{{protection}}}\n")
        host.start_aditd()
        for command in guide.commands(site):
            if command.startswith("dladm"):
                command = f"dladm create-iptun -S -T {'ipv6' if v6 else 'ipv4'} -a local={here},remote={there} {site.tunnel}"
            if v6 and "inet6" in command:
                remote = host.adit(f"ipadm show-addr -p -o addr {site.tunnel}/v6").stdout.strip().split("->")[1]
                command = f"adit route -p add -inet6 {site.remote_net6} {remote}"
            host.adit(command)
    world.alice.tunnel, world.bob.tunnel = guide.ALICE.tunnel, guide.BOB.tunnel


GCM = "encr_alg aes-gcm encrkey " + K1[0][:40]
CBC = f"encr_alg aes encrkey {K1[0]} auth_alg sha256 authkey {K2[0]}"
AH = f"auth_alg sha256 authkey {K1[1][:64]}"
UDP = "encap udp nat_loc {here} nat_rem {there} nat_lport 4500 nat_rport 4500"

FORMS = {
    "esp_gcm_v4": dict(protection="encr_algs aes-gcm", key=GCM),
    "esp_gcm_v6": dict(protection="encr_algs aes-gcm", key=GCM, v6=True),
    "esp_cbc_v6": dict(protection="encr_algs aes encr_auth_algs sha256", key=CBC, v6=True),
    "esp_in_udp_v4": dict(protection="encr_algs aes-gcm", key=GCM, extra=UDP),
    "esp_in_udp_v6": dict(protection="encr_algs aes-gcm", key=GCM, extra=UDP, v6=True),
    "esp_transport_v4": dict(protection="encr_algs aes-gcm sa unique", key=GCM, mode="transport"),
    "ah_v4": dict(protection="auth_algs sha256", key=AH, protocol="ah"),
    "ah_v6": dict(protection="auth_algs sha256", key=AH, protocol="ah", v6=True),
    "ah_and_esp_v4": dict(protection="auth_algs sha256 encr_algs aes encr_auth_algs sha256", key="", protocol=[("esp", CBC), ("ah", AH)]),
    "ah_and_esp_v6": dict(protection="auth_algs sha256 encr_algs aes encr_auth_algs sha256", key="", protocol=[("esp", CBC), ("ah", AH)], v6=True),
    "esn_gcm_v4": dict(protection="encr_algs aes-gcm", key=GCM, extra="esn"),
}


@pytest.mark.parametrize("name", FORMS)
def test_form(world, name):
    build(world, **FORMS[name])
    capture = world.capture()
    for target in ("10.0.1.2", "2001:470:24:c67::2"):
        assert world.alice_host.ping(target, count=4) == 4
        assert world.alice_host.ping(target, count=5, size=1300) >= 3     # the first may have to learn the MTU
    for target in ("10.0.0.2", "2001:470:24:c66::2"):
        assert world.bob_host.ping(target, count=3) == 3
    server = world.bob_host.popen("iperf3 -s -1", stdout=subprocess.DEVNULL)
    time.sleep(0.4)
    done = world.alice_host.sh("iperf3 -c 10.0.1.2 -n 20M -J", timeout=60)
    server.wait(timeout=10)
    assert json.loads(done.stdout)["end"]["sum_received"]["bytes"] >= 10_000_000
    seen = Seen(capture.stop())
    assert seen.protected > 50 and seen.clear_tunnel == 0
    if not name.startswith("ah_v"):
        assert not seen.readable
    else:
        assert seen.ah > 50


def test_default_mtu_is_the_references_sum(up):
    assert link(up.alice)["mtu"] == 1402


def test_too_big_packets_get_their_answer(up):
    """DF set, larger than the tunnel: ICMP says the MTU, IPv4 and IPv6."""
    for target in ("10.0.1.2", "2001:470:24:c67::2"):
        done = up.alice_host.sh(f"ping -n -c 2 -M do -s 1450 -W 1 {target}", check=False)
        assert "mtu" in (done.stdout + done.stderr).lower(), done.stdout + done.stderr


def test_the_middles_smaller_mtu_is_learned(lab):
    """A link of 1300 bytes behind the first hop: ICMP too-big about the outer packet lowers the tunnel's MTU."""
    world = two_sites(lab)
    guide.set_up(world)
    world.transit.sh("ip link set right mtu 1400")       # Bob does not know, or his own MTU would bound TCP at once
    with Breaking(world) as it:
        server = world.bob_host.popen("iperf3 -s -1", stdout=subprocess.DEVNULL)
        time.sleep(0.4)
        done = world.alice_host.sh("iperf3 -c 10.0.1.2 -n 5M -J", timeout=60)
        server.wait(timeout=10)
        assert json.loads(done.stdout)["end"]["sum_received"]["bytes"] >= 2_000_000
    it.nothing_readable()
    assert link(world.alice)["mtu"] <= 1302


def test_large_pings_cross_in_fragments(up):
    assert up.alice_host.ping("10.0.1.2", count=3, size=6000, options="-M dont") == 3
    assert up.alice_host.ping("2001:470:24:c67::2", count=6, interval=0.2, size=6000, options="-M dont") >= 4     # the first learns the MTU


def test_mss_is_clamped_to_the_tunnel(up):
    capture = up.bob_host.popen(["tcpdump", "-i", "net0", "-n", "-c", "1", "-l", "--immediate-mode", "tcp[tcpflags] & tcp-syn != 0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    server = up.bob_host.popen("iperf3 -s -1", stdout=subprocess.DEVNULL)
    time.sleep(0.6)
    up.alice_host.sh("iperf3 -c 10.0.1.2 -n 100K", timeout=30)
    server.wait(timeout=10)
    line = capture.communicate(timeout=10)[0]
    assert "mss 1362" in line, line


def test_ecn_and_dscp_are_carried_as_the_rfc_says(up):
    """Inner DSCP is copied outward on 4-in-4; inner ECT reaches the outer header (RFC 6040 normal mode)."""
    capture = up.capture()
    up.alice_host.ping("10.0.1.2", count=3, options="-Q 0x2a")
    packets = capture.stop()
    outer = {packet[1] for packet in packets if packet[9] == 50 and packet[12:16] == bytes([1, 2, 3, 4])}
    assert outer == {0x2a}, outer

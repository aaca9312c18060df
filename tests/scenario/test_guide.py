"""The SmartOS guide and the IPD's listings, typed as written (decisions.md says where the documents slip)."""
import guide
from breaking import Breaking
from lab import Capture, Seen, describe


def test_the_guide_from_end_to_end(up):
    with Breaking(up) as it:
        for target in ("10.0.1.2", "10.0.1.1", "2001:470:24:c67::2"):
            assert up.alice_host.ping(target, count=4) == 4
        for target in ("10.0.0.2", "2001:470:24:c66::2"):
            assert up.bob_host.ping(target, count=4) == 4
        assert up.alice.ping("10.0.1.1", count=3) == 3
    it.nothing_readable()
    assert it.seen.esp > 100


def test_the_guides_listings(up):
    assert up.alice.adit("dladm show-iptun").stdout == (
        "LINK            TYPE  FLAGS  LOCAL               REMOTE\n"
        "v4_bob0         ipv4  s-S    1.2.3.4             5.6.7.8\n")
    assert up.alice.adit("ipadm show-if v4_bob0").stdout.split("\n")[1].split() == ["v4_bob0", "ok", "-mp-------46", "-46"]
    shown = up.alice.adit("ipadm show-addr v4_bob0/").stdout
    assert "v4_bob0/v4        static   ok           10.0.0.1->10.0.1.1" in shown
    assert "v4_bob0/v6        addrconf ok           fe80::102:304->fe80::506:708" in shown
    routes = up.alice.adit("adit netstat -rn").stdout
    assert "Routing Table: IPv4" in routes and "10.0.1.0" in routes and "2001:470:24:c67::/64" in routes


def test_the_policy_lists_as_illumos_does(up):
    listed = up.alice.adit("ipsecconf -L -n").stdout
    rule = "ipsec { encr_algs aes-cbc(128..256) encr_auth_algs hmac-sha512(512) sa shared }"
    assert listed.count(rule) == 4
    assert "{ tunnel v4_bob0 negotiate tunnel dir out }" in listed and "{ tunnel v4_bob0 negotiate tunnel dir in }" in listed
    assert listed.count("#INDEX v4_bob0,") == 4


def test_the_ipds_secured_tunnel(world):
    """sectun0: down at MTU 1402 without policy, its address inaccessible; up with it."""
    world.alice.start_aditd()
    world.alice.adit("dladm create-iptun -T ipv4 -S -a local=1.2.3.4,remote=157.85.1.1 sectun0")
    world.alice.adit("ipadm create-addr -T static -a local=100.64.30.1,remote=100.64.40.1 sectun0/v4")
    assert world.alice.adit("dladm show-iptun").stdout.split("\n")[1] == "sectun0         ipv4  --S    1.2.3.4             157.85.1.1"
    assert world.alice.adit("dladm show-link sectun0").stdout.split("\n")[1].split() == ["sectun0", "iptun", "1402", "down", "--", "--"]
    assert "inaccessible 100.64.30.1->100.64.40.1" in world.alice.adit("ipadm show-addr").stdout
    policy = world.alice.write("/policy", "{\n    tunnel sectun0\n    negotiate tunnel\n} ipsec {\n    encr_algs aes-gcm\n    encr_auth_algs hmac-sha256\n}\n")
    done = world.alice.adit(["ipsecconf", "-q", "-a", str(policy)])
    assert f"{policy}:" in done.stdout + done.stderr, "the second algorithm is not applied, and a warning says so"
    assert world.alice.adit("dladm show-iptun").stdout.split("\n")[1].split()[2] == "s-S"
    assert world.alice.adit("dladm show-link sectun0").stdout.split("\n")[1].split()[2:4] == ["1402", "up"]
    assert "ok           100.64.30.1->100.64.40.1" in world.alice.adit("ipadm show-addr").stdout
    listed = world.alice.adit("ipsecconf -L").stdout
    assert "{ tunnel sectun0 negotiate tunnel dir out } ipsec { encr_algs aes-gcm(128..256) encr_auth_algs hmac-sha256(256) sa shared }" in listed


def test_the_guides_slip_is_refused_with_its_sentence(up):
    done = up.alice.adit("adit route -p add 10.0.0.1/24 10.0.1.1", check=False)
    assert done.returncode == 1
    assert "10.0.0.1/24 is 10.0.0.0/24, this host's own network on net1" in done.stdout + done.stderr


def test_unsecured_tunnel_without_policy_is_a_plain_ip_tunnel(world):
    for host, site in ((world.alice, guide.ALICE), (world.bob, guide.BOB)):
        host.start_aditd()
        for command in guide.commands(site, secured=False):
            if not command.startswith("svcadm"):
                host.adit(command)
    capture = world.capture()
    assert world.alice_host.ping("10.0.1.2", count=3) == 3
    assert world.alice_host.ping("2001:470:24:c67::2", count=3) == 3
    seen = Seen(capture.stop())
    assert seen.clear_tunnel >= 12 and seen.esp == 0
    assert world.alice.adit("dladm show-link v4_bob0").stdout.split("\n")[1].split()[2] == "1480"


def test_disabling_policy_names_the_unsecured_tunnels_that_are_open_now(world):
    world.alice.start_aditd()
    world.alice.write("/etc/inet/ipsecinit.conf", guide.policy(guide.ALICE))
    world.alice.adit("svcadm refresh ipsec/policy")
    world.alice.adit("dladm create-iptun -T ipv4 -a local=1.2.3.4,remote=5.6.7.8 v4_bob0")
    done = world.alice.adit("svcadm disable ipsec/policy")
    assert "v4_bob0" in done.stdout + done.stderr and "clear" in done.stdout + done.stderr


def test_strong_hostmodel_drops_what_comes_in_by_another_interface(up):
    """Alice's private address asked for on the outside."""
    capture = Capture(up.alice, ("net0",))
    up.transit.sh("ip route replace 10.0.0.1/32 via 1.2.3.4")
    assert up.transit.ping("10.0.0.1", count=3, wait=1) == 0
    replies = [packet for packet in capture.stop() if describe(packet)[1] == "10.0.0.1"]
    assert replies == []
    up.alice.adit("ipadm set-prop -p hostmodel=weak ipv4")
    assert "weak" in up.alice.adit("ipadm show-prop -p hostmodel ipv4").stdout

"""One lifecycle: policy is a property of the tunnel, made, renamed and deleted with it, and nothing is readable on the way."""
import json

import guide
import pytest
from breaking import Breaking, wait_for

POLICY = "{encr_algs aes encr_auth_algs sha512 sa shared}"


def make(host, site, value=POLICY):
    """The guide's site without a policy file: the tunnel brings its policy along."""
    (_, _, _), (path, keys, mode) = guide.files(site)
    host.write(path, keys, mode)
    host.start_aditd()
    host.adit("svcadm enable ipsec/manual-key")
    host.adit(["dladm", "create-iptun", "-S", "-T", "ipv4", "-a", f"local={site.outer_local},remote={site.outer_remote}",
               "-p", f"ipsec={value}", site.tunnel])
    plumb(host, site, site.tunnel)
    route(host, site)


def plumb(host, site, tunnel):
    host.adit(f"ipadm create-addr -T static -a local={site.inner_local},remote={site.inner_remote} {tunnel}/v4")
    host.adit(f"ipadm create-addr -T addrconf {tunnel}/v6")


def route(host, site):
    host.adit(f"adit route -p add {site.remote_net} {site.inner_remote}")
    host.adit(f"adit route -p add -inet6 {site.remote_net6} {site.remote_link_local}")


@pytest.fixture
def made(world):
    make(world.alice, guide.ALICE)
    make(world.bob, guide.BOB)
    assert flows(world)
    return world


def flows(world):
    return world.alice_host.ping("10.0.1.2", count=1, wait=1) == 1


def property_of(host, tunnel="v4_bob0"):
    return json.loads(host.adit(f"dladm show-linkprop --json -p ipsec {tunnel}").stdout)[0]["value"]


def test_the_policy_of_a_tunnel_is_its_property_and_no_service_takes_it_away(made):
    alice = made.alice
    assert property_of(alice) == POLICY
    assert alice.adit("dladm show-iptun -p -o flags v4_bob0").stdout.strip() == "s-S"
    listed = alice.adit("ipsecconf -L -n").stdout
    assert listed.count("{ tunnel v4_bob0 negotiate tunnel dir out }") == 2
    assert "svc:/network/iptun:default" in alice.adit("ipsecconf -L -n -v").stdout
    with Breaking(made) as it:
        for action in ("restart", "disable", "enable", "refresh"):
            alice.adit(f"svcadm {action} ipsec/policy")
            alice.adit("ipsecconf -F", check=False)
            assert flows(made), action
        alice.adit(["dladm", "set-linkprop", "-p", "ipsec={negotiate tunnel raddr 10.0.1.0/24} ipsec " + POLICY, "v4_bob0"])
        assert flows(made)
        alice.kill_aditd()
        alice.start_aditd()
        wait_for(lambda: flows(made), what="traffic after the restart")
    it.nothing_readable()
    assert it.received > 0


def test_a_file_gives_the_property_its_text(made, tmp_path):
    alice = made.alice
    alice.write("/etc/inet/bob.policy", "# to Bob\n{negotiate tunnel}\n    ipsec " + POLICY + "\n")
    path = alice.root / "etc/inet/bob.policy"
    alice.adit(["dladm", "set-linkprop", "-p", f"ipsec={path},mtu=1380", "v4_bob0"])
    assert property_of(alice) == "{negotiate tunnel} ipsec " + POLICY
    assert alice.adit("dladm show-link -p -o mtu v4_bob0").stdout.strip() == "1380"
    path.write_text("{negotiate tunnel} ipsec {encr_algs nonesuch}\n")
    refused = alice.adit(["dladm", "set-linkprop", "-p", f"ipsec={path}", "v4_bob0"], check=False)
    assert refused.returncode == 1 and f"{path}:1:37: error" in refused.stderr, refused.stderr
    assert property_of(alice) == "{negotiate tunnel} ipsec " + POLICY
    path.chmod(0o666)
    refused = alice.adit(["dladm", "set-linkprop", "-p", f"ipsec={path}", "v4_bob0"], check=False)
    assert refused.returncode == 1 and "others may write it" in refused.stderr
    path.unlink()
    alice.kill_aditd()
    alice.start_aditd()
    wait_for(lambda: flows(made), what="traffic without the file, whose text is kept")


def test_a_renamed_tunnel_keeps_its_policy_and_shows_nothing(made):
    alice = made.alice
    with Breaking(made) as it:
        refused = alice.adit("dladm rename-link v4_bob0 v4_carol0", check=False)
        assert refused.returncode == 1 and "ipadm delete-addr v4_bob0/v4" in refused.stderr
        alice.adit("ipadm delete-if v4_bob0")
        alice.adit("dladm rename-link v4_bob0 v4_carol0")
        assert alice.adit("dladm show-iptun -p -o link,flags").stdout.strip() == "v4_carol0:s-S"
        assert property_of(alice, "v4_carol0") == POLICY
        plumb(alice, guide.ALICE, "v4_carol0")
        wait_for(lambda: flows(made), what="traffic through the tunnel by its new name")
    it.nothing_readable()
    assert alice.sh("ip -o link show v4_bob0", check=False).returncode != 0


def test_delete_r_takes_all_along_and_k_keeps_the_networks_closed(made):
    alice = made.alice
    refused = alice.adit("dladm delete-iptun v4_bob0", check=False)
    assert refused.returncode == 1
    assert "ipadm delete-addr v4_bob0/v4" in refused.stderr and "adit route -p delete 10.0.1.0/24 10.0.1.1" in refused.stderr
    with Breaking(made) as it:
        alice.adit("dladm delete-iptun -r -k v4_bob0")
    it.nothing_readable()
    for listing in ("dladm show-iptun -p -o link", "ipadm show-addr -p -o addrobj v4_bob0/", "adit route -p show", "ipsecconf -L -n"):
        assert "10.0.1" not in alice.adit(listing, check=False).stdout and "v4_bob0" not in alice.adit(listing, check=False).stdout
    assert "unreachable 10.0.1.0/24" in alice.sh("ip route show table all").stdout
    alice.adit("adit guard open 10.0.1.0/24")
    assert "unreachable 10.0.1.0/24" not in alice.sh("ip route show table all").stdout


@pytest.mark.parametrize("point,command", [
    ("delete:marked", ["dladm", "delete-iptun", "-r", "-k", "v4_bob0"]),
    ("routes:unstored", ["dladm", "delete-iptun", "-r", "-k", "v4_bob0"]),
    ("addresses:taken", ["dladm", "delete-iptun", "-r", "-k", "v4_bob0"]),
    ("delete:unstored", ["dladm", "delete-iptun", "-r", "-k", "v4_bob0"]),
    ("property:stored", ["dladm", "set-linkprop", "-p", "ipsec={negotiate tunnel raddr 10.0.1.0/24} ipsec " + POLICY, "v4_bob0"]),
])
def test_killed_in_the_middle_the_next_start_finishes_it_and_nothing_shows(made, point, command):
    alice = made.alice
    alice.kill_aditd()
    alice.start_aditd(environment={"ADIT_CRASH_AT": point})
    wait_for(lambda: flows(made), what="traffic")
    with Breaking(made) as it:
        assert alice.adit(command, check=False).returncode != 0
        alice.daemon.wait(timeout=20)
        alice.start_aditd()
        if command[1] == "set-linkprop":
            assert property_of(alice).startswith("{negotiate tunnel raddr 10.0.1.0/24}")
            wait_for(lambda: flows(made), what="traffic after the restart")
        else:
            assert alice.adit("dladm show-iptun -p -o link").stdout == ""
            assert "10.0.1.0" not in alice.adit("adit route -p show").stdout
            assert "v4_bob0" not in alice.adit("ipadm show-addr -p -o addrobj").stdout
            assert alice.sh("ip -o link show v4_bob0", check=False).returncode != 0
    it.nothing_readable()


def test_killed_while_renaming_it_has_one_name_and_nothing_shows(made):
    alice = made.alice
    alice.adit("ipadm delete-if v4_bob0")
    alice.kill_aditd()
    alice.start_aditd(environment={"ADIT_CRASH_AT": "rename:device"})
    with Breaking(made) as it:
        assert alice.adit("dladm rename-link v4_bob0 v4_carol0", check=False).returncode != 0
        alice.daemon.wait(timeout=20)
        alice.start_aditd()
        assert alice.adit("dladm show-iptun -p -o link,flags").stdout.strip() == "v4_bob0:s-S"
        plumb(alice, guide.ALICE, "v4_bob0")
        wait_for(lambda: flows(made), what="traffic by the old name")
    it.nothing_readable()

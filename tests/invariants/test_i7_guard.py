"""I7: traffic to the networks behind a secured tunnel leaves only through it, and from them enters only through it."""
import shutil
import time

import guide
import pytest
from breaking import Breaking, wait_for, witness
from lab import BUILD, CANARY, Capture


def kill_then(command):
    def act(world):
        world.alice.kill_aditd()
        world.alice.sh(command)
    return act


def just(command):
    def act(world):
        world.alice.sh(command)
    return act


MISTAKES = {
    "link_down": just("ip link set v4_bob0 down"),
    "link_deleted": just("ip link del v4_bob0"),
    "route_deleted": just("ip route del 10.0.1.0/24 dev v4_bob0 table 174"),
    "ipv6_switched_off": just("sysctl -q -w net.ipv6.conf.v4_bob0.disable_ipv6=1"),
    "route_replaced_v6": just("ip -6 route replace 2001:470:24:c67::/64 via 2001:db8:1::1 metric 512"),
    "routes_flushed": just("ip route flush dev v4_bob0"),
    "addresses_flushed": just("ip addr flush dev v4_bob0"),
    "ignore_linkdown": just("sysctl -q -w net.ipv4.conf.all.ignore_routes_with_linkdown=1"),
    "nft_flush": just("nft flush ruleset"),
    "more_specific_route": just("ip route add 10.0.1.2/32 via 1.2.3.1"),
    "more_specific_route_v6": just("ip -6 route add 2001:470:24:c67::2/128 via 2001:db8:1::1"),
    "policy_routing": just("ip rule add to 10.0.1.0/24 lookup 999"),
    "unreachable_deleted": just("ip route del unreachable 10.0.1.0/24 metric 4294967295 table 174"),
    "rule_deleted": just("ip rule del pref 0 lookup 174"),
    "guard_table_flushed": just("ip route flush table 174"),
    "prefless_rule": just("ip rule add from 10.0.0.0/24 table 999"),
    "table_local_route": just("ip route add 10.0.1.0/25 via 1.2.3.1 table local"),
    "dormant": just("nft add table inet adit-guard '{ flags dormant; }'"),
    "device_out_of_its_group": just("ip link set v4_bob0 group 0"),
    "killed_link_down": kill_then("ip link set v4_bob0 down"),
    "killed_link_deleted": kill_then("ip link del v4_bob0"),
    "killed_nft_flush": kill_then("nft flush ruleset"),
    "killed_more_specific_route": kill_then("ip route add 10.0.1.2/32 via 1.2.3.1"),
    "killed_ignore_linkdown": kill_then("sysctl -q -w net.ipv4.conf.v4_bob0.ignore_routes_with_linkdown=1"),
}


def kill_guardian(world):
    assert world.alice.kill_guardian()


MISTAKES["guardian_killed"] = kill_guardian


@pytest.mark.parametrize("name", MISTAKES)
def test_i7_one_mistake_by_hand_opens_nothing(up, name):
    if name in ("policy_routing", "prefless_rule"):
        up.alice.sh("ip route add default via 1.2.3.1 table 999")
    with Breaking(up) as it:
        MISTAKES[name](up)
        time.sleep(0.7)
    it.nothing_readable()


def test_i7_the_witness_counts_what_was_tried(up):
    """A route in table local is asked before the guard's rule: the tables stop what it leads away, and count."""
    with Breaking(up) as it:
        MISTAKES["table_local_route"](up)
        time.sleep(0.7)
    it.nothing_readable()
    assert witness(up.alice) > 10


def test_i7_routes_of_others_do_not_lead_round_the_tunnel(up):
    """More specific routes and policy routing are not even seen: traffic goes on, protected."""
    up.alice.sh("ip route add default via 1.2.3.1 table 999")
    with Breaking(up) as it:
        MISTAKES["more_specific_route"](up)
        MISTAKES["prefless_rule"](up)
        time.sleep(0.7)
    it.nothing_readable()
    assert it.received > 100


def test_i7_what_was_taken_away_is_put_back(up):
    for mistake in ("nft_flush", "unreachable_deleted", "route_deleted", "link_down"):
        MISTAKES[mistake](up)

    def whole():
        return ("10.0.1.0" in up.alice.sh("nft list ruleset").stdout
                and "unreachable 10.0.1.0/24" in up.alice.sh("ip route show table all").stdout
                and "v4_bob0" in up.alice.sh("ip route show 10.0.1.0/24 table 174").stdout
                and "LOWER_UP" in up.alice.sh("ip -o link show v4_bob0").stdout)
    wait_for(whole, what="guard, route and link")
    wait_for(lambda: up.alice_host.ping("10.0.1.2", count=1, wait=1) == 1, what="traffic")


def test_i7_ipv6_switched_off_and_on_again_comes_back(up):
    up.alice.sh("sysctl -q -w net.ipv6.conf.v4_bob0.disable_ipv6=1")
    time.sleep(1.5)
    up.alice.sh("sysctl -q -w net.ipv6.conf.v4_bob0.disable_ipv6=0")
    wait_for(lambda: up.alice_host.ping("2001:470:24:c67::2", count=1, wait=1) == 1, seconds=15, what="IPv6 traffic")


def test_i7_a_deleted_device_comes_back(up):
    up.alice.sh("ip link del v4_bob0")
    wait_for(lambda: up.alice_host.ping("10.0.1.2", count=1, wait=1) == 1, seconds=15, what="traffic")


def test_i7_from_the_network_only_through_the_tunnel(up):
    """The transit router forges Bob's private addresses on the outside; strong or weak, nothing of it gets in."""
    capture = Capture(up.alice, ("net1",))
    up.transit.sh("ip addr add 10.0.1.77/32 dev left")
    up.transit.sh("ip route add 10.0.0.2/32 via 1.2.3.4 src 10.0.1.77")
    assert up.transit.ping("10.0.0.2", count=5, wait=1, options="-I 10.0.1.77") == 0
    assert [packet for packet in capture.stop() if CANARY in packet] == []
    assert witness(up.alice) >= 5


def test_i7_guard_stands_before_the_route_and_until_after_it(world):
    """The networks are closed from the moment the tunnel has them, without any policy, key or carrier."""
    world.alice.start_aditd()
    world.alice.adit("dladm create-iptun -S -T ipv4 -a local=1.2.3.4,remote=5.6.7.8 v4_bob0")
    world.alice.adit("ipadm create-addr -T static -a local=10.0.0.1,remote=10.0.1.1 v4_bob0/v4")
    world.alice.adit("adit route add 10.0.1.0/24 10.0.1.1")
    with Breaking(world, targets=("10.0.1.2",)) as it:
        world.alice.sh("ip link del v4_bob0")
        world.alice.kill_aditd()
        time.sleep(0.5)
    it.nothing_readable()


def power_cut(host):
    """Nothing of the kernel's state is left, and nothing of the run directory's; no daemon runs."""
    host.kill_aditd()
    host.kill_guardian()
    host.sh(f"ip link del {host.tunnel}")
    host.sh("nft flush ruleset")
    for family in ("-4", "-6"):
        host.sh(f"ip {family} route flush table 174", check=False)
        host.sh(f"ip {family} rule del pref 0 lookup 174", check=False)
    assert "10.0.1" not in host.sh("nft list ruleset").stdout + host.sh("ip route show table all").stdout
    shutil.rmtree(host.run_dir)
    host.run_dir.mkdir()


def nothing_leaves(world):
    with Breaking(world) as it:
        pass
    it.nothing_readable()
    assert it.received == 0


@pytest.mark.parametrize("hurt", ["", "guard.book", "guard.book.copy"])
def test_i7_saved_for_boot_and_loadable(up, hurt):
    """What adit-guard.service loads at boot, before any aditd: also where one copy of the book cannot be read."""
    power_cut(up.alice)
    if hurt:
        garble(up.alice.root / "etc" / "adit" / hurt)
    up.alice.popen([BUILD / "bin" / "adit-guard"])
    wait_for(lambda: "unreachable 10.0.1.0/24" in up.alice.sh("ip route show table 174", check=False).stdout, what="the guardian")
    nothing_leaves(up)


def garble(book):
    book.write_text(book.read_text().replace("\n", "\ngarbage\n", 1))


@pytest.mark.parametrize("hurt", ["guard.book", "guard.book.copy"])
def test_i7_one_copy_of_the_book_is_enough_for_a_start(up, hurt):
    """A line that a disk has changed: aditd ended, and the whole copy beside it closed nothing."""
    power_cut(up.alice)
    garble(up.alice.root / "etc" / "adit" / hurt)
    up.alice.write("/etc/inet/ipsecinit.conf", "")
    up.alice.start_aditd()
    nothing_leaves(up)
    assert "garbage" not in (up.alice.root / "etc" / "adit" / hurt).read_text(), "it is whole again"


@pytest.mark.parametrize("program", ["aditd", "adit-guard"])
def test_i7_where_no_copy_of_the_book_is_whole_its_readable_lines_close(up, program):
    """Nobody knows what the other lines said, so aditd does not start; what can be read is closed by the guardian all the same."""
    power_cut(up.alice)
    for book in ("guard.book", "guard.book.copy"):
        garble(up.alice.root / "etc" / "adit" / book)
    if program == "aditd":
        up.alice.start_aditd(wait=False)
        assert up.alice.daemon.wait(timeout=20) != 0 and "checksum" in up.alice.log()
    else:
        up.alice.popen([BUILD / "bin" / "adit-guard"])
    wait_for(lambda: "unreachable 10.0.1.0/24" in up.alice.sh("ip route show table 174", check=False).stdout, what="the guardian")
    nothing_leaves(up)


def test_i7_a_default_route_over_the_tunnel(up):
    """Everything into the tunnel: the outer packets still find the underlay, and nothing else does."""
    for host, remote in ((up.alice, "10.0.1.1"), (up.bob, "10.0.0.1")):
        host.write("/etc/inet/ipsecinit.conf", guide.policy(guide.ALICE if host is up.alice else guide.BOB))
    up.alice.adit("adit route -p add default 10.0.1.1")
    up.bob_host.sh("ip addr add 203.0.113.1/32 dev lo")
    up.bob.sh("ip route add 203.0.113.1/32 via 10.0.1.2")
    with Breaking(up, targets=("10.0.1.2",)) as it:
        assert up.alice_host.ping("203.0.113.1", count=5) == 5
    it.nothing_readable()
    assert it.received > 100
    with Breaking(up, targets=("203.0.113.1", "10.0.1.2")) as it:
        up.alice.kill_aditd()
        up.alice.sh("ip link set v4_bob0 down")
        time.sleep(0.5)
    it.nothing_readable()


def test_i7_disk_full_while_persisting_changes_nothing(world):
    """A full disk refuses the command whole: no device, no route, no half-written file."""
    disk = world.alice.root / "etc"
    world.lab.sh(f"mount -t tmpfs -o size=256k tmpfs {disk}")
    try:
        for folder in ("inet/secret", "dladm", "ipadm"):
            (disk / folder).mkdir(parents=True)
        world.alice.start_aditd()
        for command in guide.commands(guide.ALICE)[4:6]:
            world.alice.adit(command)
        # The guard's book is a journal: a closing that was taken back leaves two lines that say so.
        before = {path: path.read_bytes() for path in disk.rglob("*") if path.is_file() and "guard.book" not in path.name}
        closed = world.alice.adit("adit guard list --json").stdout
        filler = disk / "filler"
        with open(filler, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 512)
            except OSError:
                pass
        for command in ("dladm create-iptun -S -T ipv4 -a local=1.2.3.4,remote=5.6.7.9 v4_other0", "adit route -p add 10.0.1.0/24 10.0.1.1"):
            done = world.alice.adit(command, check=False)
            assert done.returncode == 1 and "space" in done.stderr.lower(), done
        assert "v4_other0" not in world.alice.sh("ip -o link").stdout
        assert "10.0.1.0/24 via" not in world.alice.sh("ip route").stdout
        assert {path: path.read_bytes() for path in before} == before
        assert world.alice.adit("adit guard list --json").stdout == closed
        filler.unlink()
        world.alice.adit("adit route -p add 10.0.1.0/24 10.0.1.1")
    finally:
        if world.alice.daemon:
            world.alice.kill_aditd()
        world.lab.sh(f"umount {disk}")

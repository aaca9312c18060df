"""I2: a secured tunnel is down from its first instant; carrier comes only with a policy and goes with the last one."""
import itertools
import random

import guide
import pytest
from breaking import Breaking, wait_for
from lab import LabError


def carrier(host, name):
    return "LOWER_UP" in host.sh(f"ip -o link show {name}").stdout


def link_state(host, name):
    return host.adit(f"dladm show-link -p -o state {name}").stdout.strip()


def address_state(host, name):
    return host.adit(f"ipadm show-addr -p -o state {name}/v4").stdout.strip()


def test_i2_down_without_policy_up_with_it_down_again(world):
    alice, site = world.alice, guide.ALICE
    alice.start_aditd()
    for command in guide.commands(site):
        if not command.startswith("svcadm"):
            alice.adit(command)
    with Breaking(world) as it:
        assert link_state(alice, site.tunnel) == "down"
        assert address_state(alice, site.tunnel) == "inaccessible"
        assert not carrier(alice, site.tunnel)
        assert "--S" in alice.adit("dladm show-iptun").stdout
        alice.write("/etc/inet/ipsecinit.conf", guide.policy(site))
        alice.adit("svcadm refresh ipsec/policy")
        assert link_state(alice, site.tunnel) == "up"
        assert address_state(alice, site.tunnel) == "ok"
        assert carrier(alice, site.tunnel)
        assert "s-S" in alice.adit("dladm show-iptun").stdout
        alice.adit("ipsecconf -F -q")
        assert link_state(alice, site.tunnel) == "down"
        assert not carrier(alice, site.tunnel)
    it.nothing_readable()


def test_i2_from_the_moment_a_route_exists_nothing_is_readable(world):
    """Policy never comes: the tunnel, its addresses and its routes are there, and all stays closed."""
    world.alice.start_aditd()
    for command in guide.commands(guide.ALICE):
        if not command.startswith("svcadm"):
            world.alice.adit(command)
    with Breaking(world) as it:
        pass
    it.nothing_readable()
    assert it.received == 0


ORDERS = random.Random(46).sample(list(itertools.permutations(range(5))), 6)


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: "".join(map(str, order)))
def test_i2_any_order_of_commands(world, order):
    """The command groups in any order; one that comes too early is refused and tried again at the end."""
    for host, site in ((world.alice, guide.ALICE), (world.bob, guide.BOB)):
        for path, text, mode in guide.files(site):
            host.write(path, text, mode)
        host.start_aditd()
    groups = [
        lambda site: ["svcadm restart ipsec/policy"],
        lambda site: ["svcadm enable ipsec/manual-key"],
        lambda site: [c for c in guide.commands(site) if c.startswith("dladm")],
        lambda site: [c for c in guide.commands(site) if "create-addr" in c],
        lambda site: [c for c in guide.commands(site) if "route" in c],
    ]
    for host, site in ((world.alice, guide.ALICE), (world.bob, guide.BOB)):
        waiting = [command for group in order for command in groups[group](site)]
        for _ in range(4):
            refused = []
            for command in waiting:
                if host.adit(command, check=False).returncode != 0:
                    refused.append(command)
            waiting = refused
            if not waiting:
                break
        assert not waiting, f"{host.name} still refuses {waiting}"
    with Breaking(world) as it:
        wait_for(lambda: world.alice_host.ping("10.0.1.2", count=1, wait=1) == 1, what="traffic")
    it.nothing_readable()
    assert it.received > 100


def test_i2_traffic_from_before_never_slips_through_while_the_tunnel_is_being_made(world):
    """A secured tunnel made and completed under traffic. What the middle can read ends when the route command returns."""
    for path, text, mode in guide.files(guide.ALICE):
        world.alice.write(path, text, mode)
    world.alice.start_aditd()
    for command in guide.commands(guide.ALICE):
        world.alice.adit(command)
    with Breaking(world) as it:
        world.alice.adit("svcadm restart ipsec/policy")
        with pytest.raises(LabError):
            world.alice.adit(f"dladm create-iptun -S -T ipv4 -a local=1.2.3.4,remote=5.6.7.8 {guide.ALICE.tunnel}")
    it.nothing_readable()

"""Facts of the host that come late, leave, come back, move: the daemon holds them as they are now."""
import guide
from breaking import wait_for


def passes(world):
    return world.alice_host.ping("10.0.1.2", count=1, wait=1) == 1


def flags_of(host, spi):
    return host.adit(f"ipseckey get esp spi {spi} dst 1.2.3.4").stdout


def test_an_underlay_address_that_comes_after_the_keys(world):
    """Every boot with DHCP: keys, policy and tunnel stand, and the address comes minutes later."""
    guide.set_up(world)
    assert passes(world)
    world.alice.kill_aditd()
    world.alice.sh("ip addr del 1.2.3.4/24 dev net0")
    world.alice.start_aditd()
    assert world.alice.adit("dladm show-link -p -o state v4_bob0").stdout.strip() == "down"
    assert "OUTBOUND" in flags_of(world.alice, "0x2002")

    for _ in range(2):  # late, and back again
        world.alice.sh("ip addr add 1.2.3.4/24 dev net0")
        world.alice.sh("ip route replace default via 1.2.3.1")
        wait_for(lambda: passes(world), what="traffic once the address is there")
        assert "INBOUND" in flags_of(world.alice, "0x2002")
        world.alice.sh("ip addr del 1.2.3.4/24 dev net0")
        wait_for(lambda: world.alice.adit("dladm show-link -p -o state v4_bob0").stdout.strip() == "down", what="closed without it")
        assert "OUTBOUND" in flags_of(world.alice, "0x2002")


def test_the_command_that_takes_an_outer_address_away_names_the_tunnel_that_it_shuts(up):
    up.alice.adit("ipadm create-addr -T static -a local=1.2.3.44/24 net0/second")
    up.alice.adit("dladm create-iptun -S -T ipv4 -a local=1.2.3.44,remote=5.6.7.9 -p ipsec='{encr_algs aes-gcm}' second0")
    assert up.alice.adit("dladm show-link -p -o state second0").stdout.strip() == "up"
    done = up.alice.adit("ipadm delete-addr net0/second")
    assert done.stderr.startswith("ipadm: second0 carries nothing: ") and done.stderr.count("\n") == 1, done.stderr

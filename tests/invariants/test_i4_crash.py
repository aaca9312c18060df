"""I4: after SIGKILL device, addresses and routes stay, carrier off, guard on; a restarted daemon passes nothing before its policy."""
import json
import random
import signal
import time

from breaking import Breaking, wait_for


def test_i4_killed_under_traffic_and_started_again(up):
    with Breaking(up) as it:
        up.alice.kill_aditd()
        state = up.alice.sh("ip -o link show v4_bob0").stdout
        assert "LOWER_UP" not in state and "UP" in state
        assert "10.0.1.1" in up.alice.sh("ip -o addr show v4_bob0").stdout
        assert "v4_bob0" in up.alice.sh("ip route show 10.0.1.0/24 table 174").stdout
        assert "unreachable 10.0.1.0/24" in up.alice.sh("ip route show table all").stdout
        assert "10.0.1.0" in up.alice.sh("nft list ruleset").stdout
        time.sleep(0.5)
        up.alice.start_aditd()
        wait_for(lambda: up.alice_host.ping("10.0.1.2", count=1, wait=1) == 1, what="traffic after the restart")
    it.nothing_readable()


def test_i4_killed_again_and_again(up):
    rng = random.Random(4)
    with Breaking(up) as it:
        for _ in range(8):
            up.alice.kill_aditd()
            up.alice.start_aditd(wait=False)
            time.sleep(rng.random() * 0.4)
        up.alice.wait_ready()
        wait_for(lambda: up.alice_host.ping("10.0.1.2", count=1, wait=1) == 1, what="traffic after the kills")
    it.nothing_readable()


def test_i4_restarted_with_its_policy_file_gone(up):
    (up.alice.root / "etc/inet/ipsecinit.conf").unlink()
    with Breaking(up) as it:
        up.alice.kill_aditd()
        up.alice.start_aditd()
        assert up.alice.adit("dladm show-link -p -o state v4_bob0").stdout.strip() == "down"
    it.nothing_readable()
    assert not it.seen.clear_tunnel


def test_i4_restarted_with_its_policy_file_broken(up):
    up.alice.write("/etc/inet/ipsecinit.conf", "{ this is no policy")
    with Breaking(up) as it:
        up.alice.kill_aditd()
        up.alice.start_aditd()
        assert "maintenance" in up.alice.adit("svcs -H -o state ipsec/policy").stdout
    it.nothing_readable()


def test_i4_clean_stop_closes_too(up):
    with Breaking(up) as it:
        assert up.alice.kill_aditd(signal.SIGTERM) == 0
        time.sleep(0.5)
    it.nothing_readable()
    assert "unreachable 10.0.1.0/24" in up.alice.sh("ip route show table all").stdout


def test_i4_everything_is_there_again_after_a_restart(up):
    listings = ("dladm show-iptun", "ipadm show-addr", "adit route -p show", "ipsecconf -L -n", "dladm show-linkprop")
    def listed(listing):
        return [line for line in up.alice.adit(listing).stdout.splitlines() if not line.startswith("#INDEX")]     # a running number
    before = {listing: listed(listing) for listing in listings}
    up.alice.kill_aditd()
    up.alice.start_aditd()
    for listing in listings:
        assert listed(listing) == before[listing], listing
    assert json.loads(up.alice.adit("dladm show-iptun --json").stdout)[0]["secured"]

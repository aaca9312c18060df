"""I1: a packet leaves through a tunnel only by a decision of the tunnel's policy head at that moment."""
import guide
from breaking import Breaking, drops
from lab import Seen


def policy_on_both(world, alice_text, bob_text):
    for host, text in ((world.alice, alice_text), (world.bob, bob_text)):
        host.write("/etc/inet/ipsecinit.conf", text)
        host.adit("svcadm refresh ipsec/policy")


def test_i1_control_without_adit_the_middle_reads_everything(world):
    with Breaking(world) as it:
        pass
    assert it.received > 50 and len(it.seen.readable) > 50, "the capture would not see a leak"


def test_i1_traffic_is_protected(up):
    with Breaking(up) as it:
        pass
    it.nothing_readable()
    assert it.received > 100 and it.seen.protected > 100


def test_i1_what_no_rule_matches_is_dropped(up):
    only = "{{tunnel {t} negotiate tunnel {here} {there}}} ipsec {p}\n"
    policy_on_both(up, only.format(t="v4_bob0", here="laddr 10.0.0.2", there="raddr 10.0.1.2", p=guide.GUIDE_PROTECTION),
                   only.format(t="v4_alice0", here="laddr 10.0.1.2", there="raddr 10.0.0.2", p=guide.GUIDE_PROTECTION))
    with Breaking(up) as it:
        assert up.alice_host.ping("10.0.1.2", count=3) > 0
        assert up.alice_host.ping("10.0.1.1", count=3, wait=1) == 0
    it.nothing_readable()
    assert drops(up.alice, "no_rule") > 0


def test_i1_a_drop_rule_drops_and_says_so(up):
    up.alice.write("/etc/inet/ipsecinit.conf", "{tunnel v4_bob0 negotiate tunnel ulp icmp laddr 10.0.0.2} drop {}\n")
    up.alice.adit("svcadm refresh ipsec/policy")
    with Breaking(up) as it:
        assert up.alice_host.ping("10.0.1.2", count=3, wait=1) == 0
    it.nothing_readable()
    assert drops(up.alice, "rule_drop") > 0


def test_i1_an_explicit_bypass_is_the_only_clear_thing(up):
    text = "{{tunnel {t} negotiate tunnel ulp icmp}} bypass {{}}\n{{tunnel {t} negotiate tunnel}} ipsec {p}\n"
    policy_on_both(up, text.format(t="v4_bob0", p=guide.GUIDE_PROTECTION), text.format(t="v4_alice0", p=guide.GUIDE_PROTECTION))
    capture = up.capture()
    assert up.alice_host.ping("10.0.1.2", count=5, pattern=b"open") > 0
    before = Seen(capture.stop())
    assert before.clear_tunnel >= 10, before          # the echo requests and replies, in the tunnel, as the operator asked
    with Breaking(up) as it:
        pass
    it.nothing_readable(clear_tunnel=20)              # neighbour discovery's ICMP may pass; the UDP canaries may not
    assert it.received > 100

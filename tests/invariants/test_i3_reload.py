"""I3: a policy change is one swap; a text with an error anywhere changes nothing."""
import guide
from breaking import Breaking


def test_i3_five_hundred_reloads_under_traffic(up):
    """Two files in turn, so that each refresh has something to swap: their rules differ in one, and the others move."""
    one = guide.policy(guide.ALICE)
    up.alice.write("/etc/inet/one", one)
    up.alice.write("/etc/inet/two", "{tunnel v4_bob0 negotiate tunnel ulp udp} ipsec " + guide.GUIDE_PROTECTION + "\n" + one)
    with Breaking(up) as it:
        for _ in range(5):
            # a hundred in one shell: the commands' own start-up is the slowest part
            up.alice.sh(["sh", "-c", """cd "$ADIT_ROOT/etc/inet"; for i in $(seq 50); do for file in two one; do
                         cp $file ipsecinit.conf && adit svcadm refresh ipsec/policy || exit 1; done; done"""], timeout=120)
    it.nothing_readable()
    assert it.received >= (it.sent * 0.97), f"reloads lost traffic: {it.sent} sent, {it.received} received"


def test_i3_two_policies_in_turn_under_traffic(up):
    one = guide.policy(guide.ALICE)
    two = "{tunnel v4_bob0 negotiate tunnel ulp udp} ipsec " + guide.GUIDE_PROTECTION + "\n" + one
    up.alice.write("/etc/inet/one.conf", one)
    up.alice.write("/etc/inet/two.conf", two)
    with Breaking(up) as it:
        up.alice.sh(["sh", "-c", 'for i in $(seq 50); do for f in one two; do adit ipsecconf -q -F -a "$ADIT_ROOT/etc/inet/$f.conf" || exit 1; done; done'],
                    timeout=120)
    it.nothing_readable()
    assert it.received >= it.sent * 0.97, f"swaps lost traffic: {it.sent} sent, {it.received} received"


def test_i3_a_broken_file_changes_nothing(up):
    before = up.alice.adit("ipsecconf -L -n").stdout
    up.alice.write("/etc/inet/ipsecinit.conf", guide.policy(guide.ALICE) + "{tunnel v4_bob0 negotiate sideways} bypass {}\n")
    with Breaking(up) as it:
        done = up.alice.adit("svcadm refresh ipsec/policy", check=False)
        assert up.alice.adit("ipsecconf -L -n").stdout == before
    it.nothing_readable()
    assert it.received > 100
    said = done.stdout + done.stderr + up.alice.adit("svcs -x ipsec/policy").stdout
    assert "ipsecinit.conf:3:" in said and "sideways" in said, said


def test_i3_an_error_anywhere_applies_nothing(world):
    world.alice.start_aditd()
    world.alice.write("/etc/inet/bad.conf", guide.policy(guide.ALICE) + "{raddr 1.2.3.4/99} drop {}\n")
    done = world.alice.adit(["ipsecconf", "-q", "-a", f"{world.alice.root}/etc/inet/bad.conf"], check=False)
    assert done.returncode == 1
    assert "bad.conf:3" in done.stderr and "^" in done.stderr, done.stderr
    assert "INDEX" not in world.alice.adit("ipsecconf -L").stdout

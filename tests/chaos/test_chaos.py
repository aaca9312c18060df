"""Each kind of fault once, and ten short random sequences: all kinds of packets try, and nothing is readable (run.py does both for hours)."""
import pathlib
import sys
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "model")]

import sequences                                 # noqa: E402
from faults import FAULTS                        # noqa: E402
from rounds import Sites, repetition             # noqa: E402
from steps import Refused                        # noqa: E402


@pytest.fixture(scope="session")
def all_sites():
    sites = Sites()
    yield sites
    sites.drop()


@pytest.fixture
def sites(all_sites, request):
    """One lab for many tests; one that a test broke is not used again."""
    failed = request.session.testsfailed
    yield all_sites
    if request.session.testsfailed > failed:
        all_sites.drop()


def ordered(faults):
    return sorted(faults, key=lambda one: one.everything)


@pytest.mark.parametrize("fault", ordered(FAULTS), ids=lambda one: one.name.replace(" ", "_"))
def test_chaos_a_fault_lets_nothing_out(sites, fault):
    site = sites.for_fault(fault)
    if not site.has(fault):
        # Not a skip: what the kernel does not have cannot open anything, and that it does not is what was looked at.
        return
    tried = repetition(site, fault)
    assert sum(tried.values()) > 0 and set(tried) == set(site.kinds)


@pytest.mark.parametrize("seed", range(1, 11))
def test_chaos_random_sequence(sites, seed):
    walk = sequences.run(sites.get(), sequences.draw(seed, length=8))
    assert walk.acts >= 3 and walk.packets() > 100


# What once leaked: fault, seconds that follow, further steps until it is undone.
LEAKED = {
    "errors by a rule for the LAN": [("ruleset flushed every 50 ms", 0, 0), ("throw of the peer deleted", 0, 0), ("disable_ipv6", 0, 4), ("rule without a priority", 0.4, 1)],
}


@pytest.mark.parametrize("name", LEAKED, ids=lambda name: name.replace(" ", "_"))
def test_chaos_what_once_leaked(sites, name):
    walk = sequences.run(sites.get(), [sequences.Step(*words) for words in LEAKED[name]])
    assert walk.acts == len(LEAKED[name]) and walk.packets() > 100


def test_chaos_the_tap_sees_every_kind_without_adit(sites):
    """The control on which all others rest: made anew in each lab before Adit starts."""
    site = sites.get()
    assert all(site.seen_without_adit[kind] >= 3 for kind in site.kinds)


def test_chaos_the_steps_are_those_of_the_model(sites):
    """Of a daemon that was just started, everything that counts is there; and a route that comes before its guard is refused."""
    site = sites.get()
    site.restart_aditd()
    site.wait_whole()
    assert site.steps.look() == []
    text = site.alice.steps.read_text()
    life = text[text.rindex("by=aditd start\n"):]
    for step in ("book intact", "loaded 10.0.1.0/24 v4_bob0 operator route", "started", "layer rule up", "layer owned up", "layer lasting up", "device+ v4_bob0 ",
                 "pass+ v4_bob0 ", "policy v4_bob0 on", "carrier v4_bob0 on", "route+ 10.0.1.0/24 v4_bob0"):
        assert step in life, f"{step}\n{life}"
    with open(site.alice.steps, "a") as file:
        file.write("t=1.0 by=aditd route+ 10.99.0.0/16 v4_bob0\n")
    with pytest.raises(Refused, match="route-before-book"):
        site.steps.check("a planted step")
    sites.drop()


def test_chaos_a_leak_is_found(sites):
    """Others take all layers away at once, which is out of the promise: then the same count is not zero."""
    site = sites.get()
    site.kill_aditd()
    site.alice.kill_guardian()
    site.shell.run("nft flush ruleset; ip rule del pref 0 lookup 174; ip link del v4_bob0")
    with pytest.raises(AssertionError, match="LEAK"):
        for _ in range(50):
            site.nothing_readable("everything taken away")
            time.sleep(0.1)
    sites.drop()

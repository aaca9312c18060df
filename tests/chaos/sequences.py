"""Random sequences of faults that overlap: drawn from a seed, run in one lab, and made shorter as long as they still fail."""
import collections
import contextlib
import dataclasses
import random
import time

from faults import BY_NAME, FAULTS
from rounds import Sites
from site_lab import Leak, Stuck

QUIET = 1.2                  # seconds in which daemons that live have put back what was broken


@dataclasses.dataclass(frozen=True)
class Step:
    fault: str
    hold: float              # seconds until the next step
    stays: int               # it is undone after so many further steps

    def words(self):
        return [self.fault, self.hold, self.stays]


def draw(seed, length=12, everything=False, without=()):
    source = random.Random(seed)
    known = [one for one in FAULTS if (everything or not one.everything) and not any(word in one.name for word in without)]
    return [Step(source.choice(known).name, round(source.choice((0, 0, 0.05, 0.2, 0.4)), 2), source.choice((0, 0, 0, 1, 2, 4))) for _ in range(length)]


class Budget:
    """What others may still break without taking every layer of a kind of packet away, which is out of the promise."""

    def __init__(self, site):
        self.site, self.broken, self.since = site, set(), 0.0

    def allows(self, fault, standing):
        """`standing`: the faults that are not undone yet."""
        if not fault.breaks and not fault.rests_on:
            return True
        self.forget_what_is_back()
        left = {"rule", "lasting", "owned"} - self.broken - fault.breaks
        rest = [{"lasting", "owned"}, *(one.rests_on for one in [fault, *standing] if one.rests_on)]      # bound and multicast sockets ask no rule
        if not all(left & layers for layers in rest):
            return False
        self.broken |= fault.breaks
        self.since = time.monotonic()
        return True

    def forget_what_is_back(self):
        alive = self.site.alice.daemon is not None and self.site.alice.guardian_pid() is not None
        if self.broken and alive and time.monotonic() - self.since > QUIET and {"rule", "lasting", "owned"} <= self.site.layers():
            self.broken = set()


@dataclasses.dataclass
class Walk:
    """What was done of a sequence, also of one that came to no good end."""
    acts: int = 0
    tried: collections.Counter = dataclasses.field(default_factory=collections.Counter)        # packets by kind
    readable: int = 0

    def packets(self):
        return sum(self.tried.values())

    def add(self, other):
        self.acts += other.acts
        self.tried.update(other.tried)
        self.readable += other.readable


def run(site, steps, walk=None):
    """The walk, which is also filled where this raises Leak, Stuck or whatever else broke the lab."""
    walk, before = walk or Walk(), site.tried()
    try:
        act_in_turn(site, steps, walk)
    except Leak as leak:
        walk.readable = leak.readable
        raise
    except Exception as trouble:
        look_once_more(site, steps, walk, trouble)
        raise
    finally:
        with contextlib.suppress(Exception):             # senders of a lab that broke
            walk.tried.update(site.tried())
            walk.tried.subtract(before)
    return walk


def act_in_turn(site, steps, walk):
    budget, standing = Budget(site), []
    for number, step in enumerate(steps):
        fault = BY_NAME[step.fault]
        undo_due(site, standing, number)
        if any(one is fault for _, one in standing) or not site.has(fault) or not possible(site, fault) or not budget.allows(fault, [one for _, one in standing]):
            continue
        site.do(fault.act)
        walk.acts += 1
        standing.append((number + step.stays, fault))
        time.sleep(step.hold)
        site.nothing_readable(" | ".join(one.fault for one in steps[:number + 1]))
    undo_due(site, standing, len(steps) + 99)
    if site.alice.daemon is None:
        site.alice.start_aditd()
    site.wait_whole(meanwhile=site.open_what_was_seen)
    site.nothing_readable("the end of " + " | ".join(one.fault for one in steps))


def look_once_more(site, steps, walk, trouble):
    """That something did not come back is no leak; what left meanwhile is."""
    try:
        site.nothing_readable(f"{type(trouble).__name__} in " + " | ".join(one.fault for one in steps))
    except Leak as leak:
        walk.readable = leak.readable
        raise


def undo_due(site, standing, number):
    for due, fault in [item for item in standing if item[0] <= number]:
        site.do(fault.undo)
        standing.remove((due, fault))


def possible(site, fault):
    """An act upon a daemon needs one that lives."""
    return isinstance(fault.act, str) or site.alice.daemon is not None


def fails(steps, everything):
    """The leak that these steps alone make in a new lab, or nothing."""
    sites = Sites()
    try:
        run(sites.get(everything), steps)
    except Leak as leak:
        return str(leak)
    except (Stuck, AssertionError):
        return ""
    finally:
        sites.drop()
    return ""


def shortest(steps, everything, seconds=600):
    """Ever fewer of the steps that still leak; the whole when it does not leak again."""
    deadline, part = time.monotonic() + seconds, max(1, len(steps) // 2)
    while time.monotonic() < deadline:
        for at in range(0, len(steps), part):
            fewer = steps[:at] + steps[at + part:]
            if fewer and fails(fewer, everything):
                steps = fewer
                break
        else:
            if part == 1:
                break
            part //= 2
    return steps

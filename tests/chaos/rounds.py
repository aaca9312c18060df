"""One repetition of one fault, and many of many in labs side by side."""
import collections
import dataclasses
import multiprocessing
import queue
import time

from faults import BY_NAME, Fault
from site_lab import Leak, Site, Stuck

LEAKS_ENOUGH = 3             # of one kind; then its other repetitions say nothing new


def repetition(site, fault):
    """Packets that tried, by kind. Raises Leak, Stuck, or AssertionError when a kind of packet was not tried at all."""
    before = site.tried()
    site.do(fault.act)
    time.sleep(fault.hold)
    site.nothing_readable(fault.name)
    site.do(fault.undo)
    (site.wait_whole if fault.whole else site.wait_layers)()
    site.nothing_readable(f"{fault.name}, undone")
    after = site.tried()
    tried = {kind: after[kind] - before[kind] for kind in after}
    idle = [kind for kind, count in tried.items() if count == 0]
    assert not idle, f"{fault.name}: nothing tried to get out as {', '.join(idle)}"
    return tried


class Sites:
    """The lab that the next fault wants; made when it is asked for, and made anew after one that broke."""

    def __init__(self):
        self.site = None

    def for_fault(self, fault):
        return self.get(fault.everything)

    def get(self, everything=False):
        if self.site is not None and self.site.everything != everything:
            self.drop()
        if self.site is None:
            self.site = Site(everything)
        return self.site

    def drop(self):
        site, self.site = self.site, None
        if site is not None:
            site.close()


@dataclasses.dataclass
class Row:
    """What came of one kind of fault."""
    name: str
    repetitions: int = 0
    tried: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    leaks: list = dataclasses.field(default_factory=list)
    troubles: list = dataclasses.field(default_factory=list)
    skipped: str = ""

    def take(self, other):
        self.repetitions += other.repetitions
        self.tried.update(other.tried)
        self.leaks += other.leaks
        self.troubles += other.troubles
        self.skipped = self.skipped or other.skipped


def repeat(sites, fault: Fault, times):
    row = Row(fault.name)
    for _ in range(times):
        try:
            site = sites.for_fault(fault)
            if not site.has(fault):
                row.skipped = "not possible here (faults.py: needs)"
                return row
            row.tried.update(repetition(site, fault))
        except Leak as leak:
            row.leaks.append(str(leak))
            sites.drop()
        except Exception as trouble:                     # whatever else breaks a lab is told, and the next one tries on
            row.troubles.append(f"{type(trouble).__name__}: {trouble}")
            drop_quietly(sites, row)
        row.repetitions += 1
        if len(row.leaks) + len(row.troubles) >= LEAKS_ENOUGH:
            break
    if row.repetitions and not row.troubles:
        try:
            sites.for_fault(fault).wait_whole()
        except Stuck as stuck:
            row.troubles.append(str(stuck))
            drop_quietly(sites, row)
    return row


def drop_quietly(sites, row):
    try:
        sites.drop()
    except Exception as trouble:
        row.troubles.append(f"at the end of its lab: {trouble}")


def gather(workers, results):
    """What these processes put into `results`, until all have ended. When this one is ended, they are, and take their labs away."""
    for worker in workers:
        worker.start()
    try:
        while True:
            alive = any(worker.is_alive() for worker in workers)        # asked before the look, so that nothing is missed
            try:
                yield results.get(timeout=0.5)
            except queue.Empty:
                if not alive:
                    return
    finally:
        for worker in workers:
            if worker.is_alive():
                worker.terminate()
        for worker in workers:
            worker.join()


def work(jobs, results, until):
    sites = Sites()
    try:
        while time.monotonic() < until:
            try:
                name, times = jobs.get_nowait()
            except queue.Empty:
                return
            results.put(repeat(sites, BY_NAME[name], times))
    finally:
        sites.drop()


def side_by_side(faults, repetitions, labs, portion=25, tell=lambda row: None, seconds=None):
    """name -> Row. Each lab takes a portion of one kind at a time."""
    jobs, results = multiprocessing.Queue(), multiprocessing.Queue()
    for everything in (True, False):
        for at in range(0, repetitions, portion):
            for one in faults:
                if one.everything == everything:
                    jobs.put((one.name, min(portion, repetitions - at)))
    time.sleep(0.5)                                      # the queue's own thread fills it
    until = time.monotonic() + (seconds or 1e9)
    rows = {one.name: Row(one.name) for one in faults}
    for row in gather([multiprocessing.Process(target=work, args=(jobs, results, until)) for _ in range(labs)], results):
        rows[row.name].take(row)
        tell(row)
    jobs.cancel_join_thread()                            # what nobody took
    return rows

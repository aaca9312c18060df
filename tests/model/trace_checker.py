#!/usr/bin/env python3
"""Says whether the model of the guard allows the steps that a real engine logged (ADIT_TRACE_STEPS; the format and the rules: docs/model/README.md).

    tests/model/trace_checker.py FILE…      each refused step: FILE:LINE: rule: why; exit status 1 if there is one, 2 if a file is no trace
"""
import argparse
import collections
import ipaddress
import re
import sys

LAYERS = ("rule", "owned", "lasting")
OPENINGS = ("open", "release", "delete", "withdraw", "rename", "undo")
SOURCES = ("address", "route", "policy", "rule-gone", "seen", "standing", "kept", "closed")
LINE = re.compile(r"t=(\d+\.\d+) by=(\S+) (.+)")

Entry = collections.namedtuple("Entry", "network tunnel who source")
Record = collections.namedtuple("Record", "id why tunnel who source at")
Refusal = collections.namedtuple("Refusal", "line rule why")


class BadTrace(Exception):
    """Not a trace: a line that the format does not know."""


def network(text):
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise BadTrace(f"{text}: {error}") from None


def within(inner, outer):
    return inner.version == outer.version and inner.subnet_of(outer)


class Held:
    """What the checker knows of an entry of the book."""

    def __init__(self, at, temporary=False, loaded=False):
        self.at, self.temporary = at, temporary
        self.whole = loaded                  # all layers have closed it once for its tunnel
        self.placed = at if loaded else None           # since this line it is no unfinished command: a way stood, or a start found it

    def place(self, at):
        self.placed = self.placed or at


class Start:
    """A start that goes on: what the book held when it began, and what the process has read of it."""

    def __init__(self, book):
        self.book, self.read, self.adopted, self.state = set(book), set(), set(), "intact"


class Checker:
    """One machine (a network namespace with its disk), from a first start with whatever book it finds."""

    def __init__(self):
        self.at, self.refusals, self.blind = 0, [], False
        self.forget()

    def forget(self):
        self.book, self.records, self.left = {}, {}, {}
        self.allowed = collections.defaultdict(set)
        self.reset_kernel()
        self.starts = {}

    def reset_kernel(self):
        self.layers = {layer: set() for layer in LAYERS}         # what each is known to close
        self.standing = {layer: None for layer in LAYERS}        # None: this life has not looked
        self.ways, self.devices, self.passing = set(), {}, {}
        self.policies, self.carriers = set(), set()

    def refuse(self, rule, why):
        self.refusals.append(Refusal(self.at, rule, why))

    # ---- reading

    def feed(self, lines):
        torn = None
        for text in lines:
            self.at += 1
            whole = text.endswith("\n")
            match = LINE.fullmatch(text.rstrip("\n"))
            if torn and not (match and match[3].startswith("lost ")):
                raise BadTrace(f"line {torn}: not a step")
            torn = None
            if not match or not whole:
                torn = self.at           # half a line: the file's end, or a disk that was full, which the next line tells
                continue
            self.step(match[2], match[3].split(" "))
        if not self.at or torn == 1:
            raise BadTrace("it has no step")
        return self.refusals

    def step(self, who, words):
        name, arguments = words[0], words[1:]
        method = STEPS.get(name)
        if not method:
            raise BadTrace(f"line {self.at}: {name}: no such step")
        if self.blind and (name, who) != ("start", "aditd"):
            return
        self.blind = False
        try:
            method(self, who, *arguments)
        except TypeError as error:
            if "argument" not in str(error):
                raise
            raise BadTrace(f"line {self.at}: {name}: {error}") from None
        except (KeyError, BadTrace) as error:
            raise BadTrace(f"line {self.at}: {name}: {error}") from None

    # ---- lives of processes

    def start(self, who):
        self.end_of_life(who)
        self.starts[who] = Start(self.book)
        if who == "aditd":
            for held in self.book.values():
                held.place(self.at)
                held.whole = True

    def end_of_life(self, who):
        """What was seen of the kernel by one life is looked at again by the next before it acts upon it."""
        self.starts.pop(who, None)
        if who == "aditd":
            for layer in LAYERS:
                self.standing[layer], self.layers[layer] = None, set()
            self.ways, self.passing = set(), {}
            self.policies, self.carriers = set(), set()       # the kernel takes the carrier when the process is gone

    def stop(self, who):
        self.end_of_life(who)

    def boot(self, who):
        self.reset_kernel()
        self.starts = {}
        for entry in [entry for entry, held in self.book.items() if held.temporary]:
            del self.book[entry]

    def lost(self, who, count):
        """Steps are missing: nothing is judged until the next start tells anew what stands."""
        int(count)
        self.forget()
        self.blind = True

    def note_state(self, who, state):
        if state not in ("intact", "older", "missing"):
            raise BadTrace(f"{state}: no state of a book")
        self.reading(who).state = state

    def reading(self, who):
        if who not in self.starts:
            self.refuse("start-order", "outside a start: the book is read between `start` and `started`")
            self.starts[who] = Start(self.book)
        return self.starts[who]

    def loaded(self, who, net, tunnel, maker, source, temporary=None):
        self.temporary_or_nothing(temporary)
        entry = self.entry(net, tunnel, maker, source)
        start = self.reading(who)
        start.read.add(entry)
        if entry not in self.book:
            if entry in self.left and start.state == "intact":
                self.refuse("book-came-back", f"{net} of {tunnel} left by record {self.left[entry]}, and an intact book holds it again")
            self.book[entry] = Held(self.at, temporary == "temporary", loaded=True)

    def adopted(self, who, net):
        start = self.reading(who)
        if start.state == "intact":
            self.refuse("adopted-beside-book", f"{net} was taken from the kernel although the book is intact")
        start.adopted.add(network(net))

    def started(self, who):
        start = self.reading(who)
        del self.starts[who]
        for entry in start.book - start.read:
            if entry in self.book:
                self.not_read(entry, start, who)
        for net in sorted(start.adopted, key=str):
            if who == "aditd" and not any(entry.network == net for entry in self.book):
                self.refuse("start-dropped", f"{net} stood in the kernel and is not in the book after the start")

    def not_read(self, entry, start, who):
        held_on = entry.network in start.adopted and (who != "aditd" or any(
            other.network == entry.network and other in start.read for other in self.book))
        if not held_on and not self.recorded(entry):   # a record whose last line a kill swallowed
            self.refuse("start-dropped", f"the start has lost {entry.network} of {entry.tunnel} ({entry.who}, {entry.source}): no record")
        if who == "aditd":                             # the book is its own; the guardian only reads it
            del self.book[entry]

    # ---- the book

    def entry(self, net, tunnel, who, source):
        if source not in SOURCES:
            raise BadTrace(f"{source}: no source of an entry")
        if who not in ("operator", "others") and not who.startswith("user:"):
            raise BadTrace(f"{who}: nobody who makes entries")
        return Entry(network(net), tunnel, who, source)

    @staticmethod
    def temporary_or_nothing(word):
        if word not in (None, "temporary"):
            raise BadTrace(f"{word}: not `temporary`")

    def book_plus(self, who, net, tunnel, maker, source, temporary=None):
        self.temporary_or_nothing(temporary)
        entry = self.entry(net, tunnel, maker, source)
        inside = any(within(entry.network, prefix) for prefix in self.allowed[maker])
        if maker.startswith("user:") and not inside:
            self.refuse("beyond-delegation", f"{maker} closes {net}, which root did not delegate to it")
        if source == "seen" and not inside:
            self.refuse("seen-for-good", f"{net} was only seen and is in no prefix that the operator named: closed while it stands, not for good")
        if source == "standing" and entry.network.prefixlen <= 1:
            self.refuse("seen-default", f"{net}, seen from others, would close half of all there is or more")
        if who in self.starts:
            self.starts[who].read.add(entry)
        if entry not in self.book:
            held = Held(self.at, temporary == "temporary", loaded=who in self.starts)
            # One reason in another's place: what the layers closed for the tunnel they close still.
            held.whole = held.whole or any(self.book[other].whole for other in self.others(entry) if other.tunnel == tunnel)
            self.book[entry] = held
            self.left.pop(entry, None)

    def writes(self, who, net, tunnel, maker, source):
        """Killed before its `book+`, the entry may be there, though it left before."""
        self.left.pop(self.entry(net, tunnel, maker, source), None)

    def objection(self, entry, record):
        """(rule, why) that this record does not let this entry leave; None: it does."""
        held, net = self.book[entry], entry.network
        if record.at < held.at:
            return "stale-record", f"{net} of {entry.tunnel} came into the book after record {record.id}, which cannot let it leave"
        if record.tunnel not in ("*", entry.tunnel) or record.source not in ("*", entry.source):
            return "foreign-record", f"record {record.id} is about {record.tunnel} {record.source}, not {entry.tunnel} {entry.source}"
        if record.who not in (entry.who, "operator"):
            return "foreign-record", f"record {record.id} is by {record.who}; the entry is by {entry.who}"
        if record.why == "undo" and held.placed and held.placed < record.at and not self.others(entry):
            return "undo-of-kept", f"{net} of {entry.tunnel} is undone, but its way stood before: that is no failed command, it is a hold given back"
        if record.why == "rename" and not any(other.network == net and other.tunnel != entry.tunnel for other in self.book):
            return "rename-opens", f"{net} leaves with the old name and no other holds it"
        if record.why == "withdraw" and entry.source != "standing":
            return "withdraw-of-kept", f"{net} is not an entry that lasts only while a route of others stands"
        return None

    def others(self, entry):
        """What else holds the network: with these it stays closed."""
        return [other for other in self.book if other.network == entry.network and other != entry]

    def recorded(self, entry):
        return any(not self.objection(entry, record) for record in self.records.get(entry.network, []))

    def record(self, who, id_, why, net, tunnel, maker, source):
        if why not in OPENINGS:
            raise BadTrace(f"{why}: no kind of opening")
        if who not in ("aditd", "guardian", "console"):
            raise BadTrace(f"{who}: keeps no book")
        if source != "*" and source not in SOURCES:
            raise BadTrace(f"{source}: no source of an entry")
        if who == "aditd" and why in ("open", "release", "delete") and not self.standing["owned"]:
            self.refuse("guardian-away", f"{net} is to be released while the guardian is away or does not answer")
        self.records.setdefault(network(net), []).append(Record(id_, why, tunnel, maker, source, self.at))

    def book_minus(self, who, net, tunnel, maker, source, record):
        entry = self.entry(net, tunnel, maker, source)
        key, _, id_ = record.partition("=")
        if key != "record":
            raise BadTrace(f"{record}: not record=ID")
        if entry not in self.book:
            self.refuse("book-unknown", f"{net} of {tunnel} leaves the book and was not in it")
            return
        found = [one for one in self.records.get(entry.network, []) if one.id == id_]
        if not found:
            self.refuse("no-record", f"{net} of {tunnel} leaves the book, and no record {id_} was written before")
        else:
            self.leaves(entry, next((one for one in found if not self.objection(entry, one)), found[-1]))      # one change, many entries
        del self.book[entry]
        self.left[entry] = id_

    def leaves(self, entry, record):
        if objection := self.objection(entry, record):
            self.refuse(*objection)
        others = any(other != entry and other.tunnel == entry.tunnel and within(entry.network, other.network) for other in self.book)
        if record.why in ("release", "delete") and not others and (entry.network, entry.tunnel) in self.ways:
            self.refuse("guard-before-route", f"{entry.network} leaves the book while a route into {entry.tunnel} stands")

    def allow(self, who, maker, prefix):
        self.allowed[maker].add(network(prefix))

    def disallow(self, who, maker, prefix):
        self.allowed[maker].discard(network(prefix))

    # ---- layers

    def layer(self, who, layer, what, net=None):
        if layer not in LAYERS or what not in ("up", "down", "opens"):
            raise BadTrace(f"{layer} {what}: no such layer or act")
        if what == "up":
            self.standing[layer] = True
            if net:
                self.layers[layer].add(network(net))
            else:
                self.layers[layer] = {entry.network for entry in self.book}
            for entry, held in self.book.items():
                held.whole = held.whole or not self.not_closed_by(entry.network, LAYERS)
        elif what == "down":
            self.standing[layer], self.layers[layer] = False, set()
        else:
            self.opens(layer, network(net or ""))

    def opens(self, layer, net):
        self.layers[layer].discard(net)
        for entry in [entry for entry in self.book if entry.network == net]:
            if not self.recorded(entry):
                self.refuse("acted-before-record", f"the {layer} layer lets {net} go, which {entry.tunnel} holds ({entry.who}, {entry.source}): no record")

    def not_closed_by(self, net, layers, told=False):
        """`told`: a layer that this life found broken does; one that it has not looked at does not."""
        return ", ".join(layer for layer in layers if not (any(within(net, closed) for closed in self.layers[layer])
                                                           or (told and self.standing[layer] is False)))

    # ---- tunnels

    def device_plus(self, who, tunnel, index, kind):
        if kind not in ("secured", "plain"):
            raise BadTrace(f"{kind}: neither secured nor plain")
        if kind == "plain" and int(index) in self.passing:
            self.refuse("plain-passes", f"{tunnel} is not secured and has the index {index}, which the guard lets pass")
        self.devices[tunnel] = (int(index), kind)
        self.no_device(tunnel)

    def device_minus(self, who, tunnel, index):
        if self.devices.get(tunnel, (None,))[0] == int(index):
            del self.devices[tunnel]
        self.no_device(tunnel)

    def no_device(self, tunnel):
        """Gone, or made anew: what stood on it went with it."""
        self.carriers.discard(tunnel)
        self.ways = {(net, other) for net, other in self.ways if other != tunnel}

    def pass_plus(self, who, tunnel, index):
        if self.devices.get(tunnel) != (int(index), "secured"):
            self.refuse("plain-passes", f"the guard lets {tunnel} ({index}) pass, which is no secured tunnel of that index")
        self.passing[int(index)] = tunnel

    def pass_minus(self, who, tunnel, index):
        self.passing.pop(int(index), None)

    def policy(self, who, tunnel, what):
        if self.on_or_off(what):
            self.policies.add(tunnel)
            return
        if self.secured(tunnel) and tunnel in self.carriers:
            self.refuse("carrier-without-policy", f"{tunnel} loses its rules while its carrier is on")
        self.policies.discard(tunnel)

    def carrier(self, who, tunnel, what):
        if not self.on_or_off(what):
            self.carriers.discard(tunnel)
            return
        self.carriers.add(tunnel)
        if not self.secured(tunnel):
            return
        if tunnel not in self.policies:
            self.refuse("carrier-without-policy", f"{tunnel} gets its carrier before it has rules")
        for net in sorted({entry.network for entry in self.book if entry.tunnel == tunnel}, key=str):
            missing = self.not_closed_by(net, ("rule", "lasting"), told=True)
            if missing:
                self.refuse("carrier-before-layers", f"{tunnel} gets its carrier before {net} is closed by: {missing}")

    def secured(self, tunnel):
        return self.devices.get(tunnel, (0, "secured"))[1] == "secured"

    @staticmethod
    def on_or_off(what):
        if what not in ("on", "off"):
            raise BadTrace(f"{what}: neither on nor off")
        return what == "on"

    def route_plus(self, who, net, tunnel):
        way = network(net)
        self.ways.add((way, tunnel))
        if not self.secured(tunnel):
            return
        holds = [entry for entry in self.book if entry.tunnel == tunnel and within(way, entry.network)]
        if not holds:
            self.refuse("route-before-book", f"a route to {net} leads into {tunnel}, and the book does not hold it")
            return
        entry = max(holds, key=lambda one: one.network.prefixlen)
        again = any(self.book[one].whole for one in holds if one.network == entry.network)
        # What is put back need not wait for the guardian, nor for a layer that cannot be put back at the moment.
        missing = self.not_closed_by(entry.network, ("rule", "lasting"), told=True) if again else self.not_closed_by(entry.network, LAYERS)
        if missing:
            self.refuse("route-before-layers", f"a route to {net} leads into {tunnel} before {entry.network} is closed by: {missing}")
        for one in holds:
            if one.network == entry.network:
                self.book[one].place(self.at)

    def route_minus(self, who, net, tunnel):
        self.ways.discard((network(net), tunnel))


STEPS = {
    "start": Checker.start, "book": Checker.note_state, "loaded": Checker.loaded, "adopted": Checker.adopted,
    "started": Checker.started, "stop": Checker.stop, "crash": Checker.stop, "boot": Checker.boot, "lost": Checker.lost,
    "writes": Checker.writes, "book+": Checker.book_plus, "book-": Checker.book_minus, "record": Checker.record,
    "allow": Checker.allow, "disallow": Checker.disallow, "layer": Checker.layer,
    "device+": Checker.device_plus, "device-": Checker.device_minus, "pass+": Checker.pass_plus, "pass-": Checker.pass_minus,
    "policy": Checker.policy, "carrier": Checker.carrier, "route+": Checker.route_plus, "route-": Checker.route_minus,
}


def check(lines):
    """The refused steps of a trace, in order; none: the model allows it. BadTrace: it is none."""
    return Checker().feed(lines)


def check_file(path):
    with open(path, encoding="ascii", errors="strict") as file:
        return check(file)


def main():
    parser = argparse.ArgumentParser(description="Does the model of the guard allow what an engine did?")
    parser.add_argument("file", nargs="+")
    status = 0
    for path in parser.parse_args().file:
        try:
            refusals = check_file(path)
        except (BadTrace, OSError, UnicodeDecodeError) as error:
            print(f"{path}: not a trace: {error}", file=sys.stderr)
            return 2
        for refusal in refusals:
            print(f"{path}:{refusal.line}: {refusal.rule}: {refusal.why}")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())

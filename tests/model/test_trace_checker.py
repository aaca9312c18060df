"""The trace checker allows what the model allows, and refuses each wrong order by its own rule: a hand-made trace for every rule."""
import pathlib
import re
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import trace_checker

REPO = pathlib.Path(__file__).resolve().parents[2]

START = """\
start
book intact
started
layer rule up
layer lasting up
layer owned up
device+ bob0 7 secured
pass+ bob0 7
"""
CLOSED = """\
book+ 10.0.1.0/24 bob0 operator route
layer rule up 10.0.1.0/24
layer lasting up 10.0.1.0/24
layer owned up 10.0.1.0/24
"""
ROUTED = CLOSED + "route+ 10.0.1.0/24 bob0\n"
OPENED = """\
layer rule opens 10.0.1.0/24
layer lasting opens 10.0.1.0/24
layer owned opens 10.0.1.0/24
"""
RELEASED = "route- 10.0.1.0/24 bob0\nrecord 1 release 10.0.1.0/24 bob0 operator *\n" + OPENED
LEFT = RELEASED + "book- 10.0.1.0/24 bob0 operator route record=1\n"
AGAIN = "start\nbook intact\nloaded 10.0.1.0/24 bob0 operator route\nstarted\nlayer rule up\nlayer lasting up\ndevice+ bob0 7 secured\n"
MISSING = "start\nbook missing\nadopted 10.0.1.0/24\nbook+ 10.0.1.0/24 bob0 operator kept\nstarted\n"


def lines_of(steps, who="aditd"):
    """Whole lines; a step that names its process (`guardian: start`) is by that one."""
    lines = []
    for number, step in enumerate(steps.strip().splitlines()):
        by, colon, rest = step.partition(": ")
        lines.append(f"t={number}.000000000 by={by if colon else who} {rest if colon else step}\n")
    return lines


def rules(steps):
    return [refusal.rule for refusal in trace_checker.check(lines_of(steps))]


ALLOWED = {
    "closed, routed, unrouted, recorded, opened": START + ROUTED + LEFT,
    "rules before carrier, carrier off before rules": START + ROUTED + "policy bob0 on\ncarrier bob0 on\ncarrier bob0 off\npolicy bob0 off",
    "a plain tunnel has no rules and no guard": START + "device+ plain0 9 plain\ncarrier plain0 on\nroute+ 10.0.7.0/24 plain0",
    "killed and started anew": START + ROUTED + AGAIN + "route+ 10.0.1.0/24 bob0",
    "killed between the book's write and its line": START + ROUTED + RELEASED + START,
    "killed between an entry's write and its line": START + AGAIN,
    "a way put back while the guardian is away": START + ROUTED + "layer owned down\nroute- 10.0.1.0/24 bob0\nroute+ 10.0.1.0/24 bob0",
    "a way put back while a layer cannot be": START + ROUTED + "layer lasting down\nroute- 10.0.1.0/24 bob0\nroute+ 10.0.1.0/24 bob0",
    "a more specific route in a closed network": START + ROUTED + "route+ 10.0.1.128/25 bob0",
    "a more specific network that its tunnel carries before its own layers close it":
        START + ROUTED + "book+ 10.0.1.128/25 bob0 operator policy\nroute+ 10.0.1.128/25 bob0",
    "a reason is undone, and another holds the network": START + ROUTED + "book+ 10.0.1.0/24 bob0 operator kept\nroute- 10.0.1.0/24 bob0\nroute+ 10.0.1.0/24 bob0\n"
                                                         "record 1 undo 10.0.1.0/24 bob0 operator kept\nbook- 10.0.1.0/24 bob0 operator kept record=1",
    "a change of reasons that the guardian did not take is undone, and the way put back":
        START + ROUTED + "writes 10.0.1.0/24 bob0 operator kept\nrecord 1 delete 10.0.1.0/24 bob0 operator route\nbook+ 10.0.1.0/24 bob0 operator kept\n"
        "book- 10.0.1.0/24 bob0 operator route record=1\nlayer owned down\nrecord 2 undo 10.0.1.0/24 bob0 operator kept\n"
        "book+ 10.0.1.0/24 bob0 operator route\nbook- 10.0.1.0/24 bob0 operator kept record=2\nroute+ 10.0.1.0/24 bob0",
    "killed between an entry's write and its line, though it left before": START + ROUTED + LEFT + "writes 10.0.1.0/24 bob0 operator route\n" + AGAIN,
    "a command that failed at its first try is undone":
        START + "book+ 10.0.1.0/24 bob0 operator route\nlayer rule up 10.0.1.0/24\nlayer owned down\nrecord 1 undo 10.0.1.0/24 bob0 operator *\n"
        "layer rule opens 10.0.1.0/24\nbook- 10.0.1.0/24 bob0 operator route record=1",
    "undone by the next life, which finds the record":
        START + "book+ 10.0.1.0/24 bob0 operator route\nrecord 1 undo 10.0.1.0/24 bob0 operator *\n" + AGAIN +
        "layer rule opens 10.0.1.0/24\nbook- 10.0.1.0/24 bob0 operator route record=1",
    "renamed": START + CLOSED + "book+ 10.0.1.0/24 new0 operator route\nrecord 1 rename 10.0.1.0/24 bob0 operator *\n"
               "book- 10.0.1.0/24 bob0 operator route record=1",
    "deleted and kept": START + CLOSED + "device- bob0 7\nbook+ 10.0.1.0/24 bob0 operator kept\nrecord 1 delete 10.0.1.0/24 bob0 operator route\n"
                        "book- 10.0.1.0/24 bob0 operator route record=1",
    "the guardian opens without aditd":
        START + ROUTED + "crash\nguardian: record g1 open 10.0.1.0/24 * operator *\n" + OPENED.replace("layer", "guardian: layer") +
        "guardian: book- 10.0.1.0/24 bob0 operator route record=g1",
    "opened at the console, offline, while nothing runs":
        START + ROUTED + "crash\nguardian: crash\nconsole: record c1 open 10.0.1.0/24 * operator *\n"
        "console: book- 10.0.1.0/24 bob0 operator route record=c1\n" + START,
    "a delegated user inside its prefix": START + "allow user:vpn 10.8.0.0/16\nbook+ 10.8.1.0/24 vpn0 user:vpn policy",
    "a record is final, though the guardian dies": START + ROUTED + RELEASED.replace(OPENED, "layer owned down\n" + OPENED) +
                                                   "book- 10.0.1.0/24 bob0 operator route record=1",
    "the guardian holds what stands, the book is written later": START + ROUTED + "guardian: start\nguardian: book missing\nguardian: adopted 10.0.1.0/24\n"
                                                                 "guardian: started\n" + LEFT,
    "a seen route inside a named prefix": START + "allow others 10.9.0.0/16\nbook+ 10.9.1.0/24 bob0 others seen",
    "a seen route outside, while it stands": START + "book+ 192.0.2.0/24 bob0 others standing\nrecord 1 withdraw 192.0.2.0/24 bob0 others *\n"
                                             "book- 192.0.2.0/24 bob0 others standing record=1",
    "a missing book is made of what stands": START + ROUTED + MISSING,
    "a temporary tunnel is forgotten at boot": START + CLOSED.replace("operator route", "operator route temporary") + "boot\n" + START,
    "also one whose line a kill swallowed":
        START + "writes 10.0.1.0/24 bob0 operator route\n" + AGAIN.replace("operator route", "operator route temporary") + "boot\n" + START,
    "a full disk swallowed steps": START + ROUTED + "lost 3\nbook- 10.0.5.0/24 bob0 operator route record=9\n" + START,
    "one of two entries leaves, the route stays": START + ROUTED + "book+ 10.0.1.0/24 bob0 operator policy\nrecord 1 release 10.0.1.0/24 bob0 operator policy\n"
                                                  "book- 10.0.1.0/24 bob0 operator policy record=1",
    "a second life of the guardian": START + ROUTED + "guardian: start\nguardian: book intact\nguardian: loaded 10.0.1.0/24 bob0 operator route\n"
                                     "guardian: started\nguardian: layer owned up",
}

REFUSED = {
    "no-record": [
        START + ROUTED + "route- 10.0.1.0/24 bob0\nbook- 10.0.1.0/24 bob0 operator route record=1",          # today's put-back that fails
        START + ROUTED + "route- 10.0.1.0/24 bob0\nbook- 10.0.1.0/24 bob0 operator route record=-",
    ],
    "acted-before-record": [
        START + ROUTED + "route- 10.0.1.0/24 bob0\n" + OPENED + "record 1 release 10.0.1.0/24 bob0 operator *\nbook- 10.0.1.0/24 bob0 operator route record=1",
        START + CLOSED + "book+ 10.0.1.0/24 bob0 user:vpn policy\nrecord 1 release 10.0.1.0/24 bob0 user:vpn *\nlayer rule opens 10.0.1.0/24",
        START + CLOSED + "book+ 10.0.1.0/24 bob0 operator kept\nrecord 1 delete 10.0.1.0/24 bob0 operator route\nlayer rule opens 10.0.1.0/24",
        START + ROUTED + "route- 10.0.1.0/24 bob0\nrecord 1 undo 10.0.1.0/24 bob0 operator *\nlayer rule opens 10.0.1.0/24",
        START + ROUTED + "guardian: layer owned opens 10.0.1.0/24",                # what nobody has asked it for
    ],
    "stale-record": [START + ROUTED + LEFT + CLOSED + "book- 10.0.1.0/24 bob0 operator route record=1"],
    "foreign-record": [
        START + CLOSED + "record 1 release 10.0.1.0/24 other0 operator *\nbook- 10.0.1.0/24 bob0 operator route record=1",
        START + CLOSED + "record 1 release 10.0.1.0/24 bob0 user:vpn *\nbook- 10.0.1.0/24 bob0 operator route record=1",
        START + CLOSED + "record 1 release 10.0.2.0/24 bob0 operator *\nrecord 2 release 10.0.1.0/24 bob0 others *\nbook- 10.0.1.0/24 bob0 operator route record=2",
        START + CLOSED + "record 1 delete 10.0.1.0/24 bob0 operator address\nbook- 10.0.1.0/24 bob0 operator route record=1",
    ],
    "undo-of-kept": [
        START + ROUTED + "route- 10.0.1.0/24 bob0\nrecord 1 undo 10.0.1.0/24 bob0 operator *\nbook- 10.0.1.0/24 bob0 operator route record=1",
        START + CLOSED + AGAIN + "layer owned up\nrecord 1 undo 10.0.1.0/24 bob0 operator *\nbook- 10.0.1.0/24 bob0 operator route record=1",
    ],
    "rename-opens": [START + CLOSED + "record 1 rename 10.0.1.0/24 bob0 operator *\nbook- 10.0.1.0/24 bob0 operator route record=1"],
    "withdraw-of-kept": [START + CLOSED + "record 1 withdraw 10.0.1.0/24 bob0 operator *\nbook- 10.0.1.0/24 bob0 operator route record=1"],
    "guard-before-route": [START + ROUTED + "record 1 release 10.0.1.0/24 bob0 operator *\nbook- 10.0.1.0/24 bob0 operator route record=1"],
    "guardian-away": [START + ROUTED + "layer owned down\n" + LEFT, START + ROUTED + AGAIN + LEFT],
    "book-unknown": [START + "record 1 release 10.0.1.0/24 bob0 operator *\nbook- 10.0.1.0/24 bob0 operator route record=1"],
    "start-dropped": [
        START + ROUTED + START,                                                            # datalink.conf lost, the guard's entry with it
        START + ROUTED + "boot\n" + START,
        START + AGAIN + "boot\n" + START,
        START + ROUTED + AGAIN.replace("operator route", "operator route temporary") + "boot\n" + START,      # it was for good
        START + ROUTED + "guardian: start\nguardian: book intact\nguardian: started",     # the guardian read half a book
        START + ROUTED + "start\nbook missing\nstarted",
        START + ROUTED + "start\nbook missing\nadopted 10.0.1.0/24\nstarted",
    ],
    "start-order": ["loaded 10.0.1.0/24 bob0 operator route", START + "book older"],
    "book-came-back": [START + ROUTED + LEFT + AGAIN],
    "adopted-beside-book": [START + ROUTED + LEFT + MISSING.replace("missing", "intact")],
    "beyond-delegation": [
        START + "book+ 8.0.0.0/5 vpn0 user:vpn policy",
        START + "allow user:vpn 10.8.0.0/16\nbook+ 10.0.0.0/8 vpn0 user:vpn policy",
        START + "allow user:other 10.8.0.0/16\nbook+ 10.8.1.0/24 vpn0 user:vpn policy",
        START + "allow user:vpn 10.8.0.0/16\ndisallow user:vpn 10.8.0.0/16\nbook+ 10.8.1.0/24 vpn0 user:vpn policy",
    ],
    "seen-for-good": [START + "book+ 192.0.2.0/24 bob0 others seen"],
    "seen-default": [START + f"book+ {net} bob0 others standing" for net in ("0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "::/0", "8000::/1")],
    "route-before-book": [START + "route+ 10.0.1.0/24 bob0", START + ROUTED + "route+ 10.0.0.0/23 bob0",
                          START + "device+ other0 8 secured\n" + CLOSED + "route+ 10.0.1.0/24 other0"],
    "route-before-layers": [
        *[START + CLOSED.replace(f"layer {layer} up 10.0.1.0/24\n", "") + "route+ 10.0.1.0/24 bob0" for layer in trace_checker.LAYERS],
        START + CLOSED.replace("owned up 10.0.1.0/24", "owned down") + "route+ 10.0.1.0/24 bob0",      # the guardian hangs: nothing new is made
        START + ROUTED + AGAIN.replace("layer lasting up\n", "") + "route+ 10.0.1.0/24 bob0",
        START + "device+ other0 8 secured\n" + ROUTED + "layer owned down\nbook+ 10.0.1.0/24 other0 operator route\nroute+ 10.0.1.0/24 other0",
    ],
    "carrier-without-policy": [
        START + ROUTED + "carrier bob0 on",
        START + ROUTED + "policy bob0 on\ncarrier bob0 on\npolicy bob0 off",
        START + ROUTED + "policy bob0 on\ncarrier bob0 on\n" + AGAIN + "carrier bob0 on",      # what an earlier life had attached
    ],
    "carrier-before-layers": [START + ROUTED + AGAIN.replace("layer rule up\n", "") + "policy bob0 on\ncarrier bob0 on"],
    "plain-passes": [
        START + "device+ plain0 9 plain\npass+ plain0 9",
        START + "pass+ bob0 8",
        START + "device- bob0 7\ndevice+ bob0 7 plain",                                    # the index is given out again
    ],
}


@pytest.mark.parametrize("name", ALLOWED)
def test_what_the_model_allows_is_allowed(name):
    assert rules(ALLOWED[name]) == []


@pytest.mark.parametrize("rule, steps", [(rule, steps) for rule, traces in REFUSED.items() for steps in traces],
                         ids=[f"{rule}-{number}" for rule, traces in REFUSED.items() for number in range(len(traces))])
def test_a_planted_wrong_order_is_refused(rule, steps):
    assert rule in rules(steps)


def test_each_rule_is_tried_and_told_in_the_readme():
    source = (REPO / "tests/model/trace_checker.py").read_text()
    named = set(re.findall(r'(?:self\.refuse\(|return )"([a-z-]+)", f?"', source))
    assert named == set(REFUSED)
    readme = (REPO / "docs/model/README.md").read_text()
    assert {rule for rule in named if f"`{rule}`" not in readme} == set()
    assert {step for step in trace_checker.STEPS if not re.search(rf"`{re.escape(step)}[ `]", readme)} == set()


@pytest.mark.parametrize("text", ["", "hello\nhello\n", "t=1.0 by=aditd jump\n", "t=1.0 by=aditd layer rule sideways\n", "t=1.0 by=aditd route+ 10.0.1.1/24 bob0\n",
                                  "t=1.0 by=aditd book+ 10.0.1.0/24\n", "t=1.0 by=aditd started now\n", "t=1.0 by=aditd layer rule opens\n",
                                  "t=1.0 by=aditd\nt=1.0 by=aditd start\n"])
def test_what_is_no_trace_is_refused_as_such(text, tmp_path):
    file = tmp_path / "steps"
    file.write_text(text)
    done = subprocess.run([sys.executable, REPO / "tests/model/trace_checker.py", file], capture_output=True, text=True)
    assert done.returncode == 2 and "not a trace" in done.stderr


def test_the_command_names_file_line_and_rule(tmp_path):
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_text("".join(lines_of(START + ROUTED)))
    bad.write_text("".join(lines_of(START + "route+ 10.0.1.0/24 bob0")))
    command = [sys.executable, str(REPO / "tests/model/trace_checker.py")]
    assert subprocess.run([*command, good], capture_output=True).returncode == 0
    done = subprocess.run([*command, good, bad], capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout.startswith(f"{bad}:9: route-before-book: ")


def test_the_example_that_the_engine_writes_is_allowed():
    assert trace_checker.check_file(REPO / "docs/model/example.steps") == []


def test_half_a_line_at_the_end_is_a_kill_and_in_the_middle_a_full_disk():
    whole = lines_of(START + ROUTED)
    assert trace_checker.check(whole + ["t=9.0 by=ad"]) == []
    assert trace_checker.check(whole + ["t=9.0 by=ad\n", "t=9.0 by=aditd lost 2\n"] + lines_of(START)) == []
    with pytest.raises(trace_checker.BadTrace):
        trace_checker.check(whole + ["t=9.0 by=ad\n"] + lines_of(START))

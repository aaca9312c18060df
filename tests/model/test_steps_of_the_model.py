"""The trace checker and the model say the same: random walks through guard.pml are traces that the checker allows, and the way to the leak of a faulty variant
is one that it refuses."""
import shutil
import subprocess

import pytest

import trace_checker
from checker import MODELS, violated


def steps(tmp_path, *arguments):
    """What a walk prints, as a trace."""
    done = subprocess.run(["spin", "-T", *arguments, "guard.pml"], cwd=tmp_path, capture_output=True, text=True, check=True)
    words = [line.split(" ", 1) for line in done.stdout.splitlines() if line.startswith(("aditd ", "guardian ", "console "))]
    return [f"t={at}.000000000 by={who} {step}\n".replace("NET", "10.0.1.0/24") for at, (who, step) in enumerate(words)]


@pytest.mark.parametrize("others", ["RULES DEVICE", "PACED BOOK BOOT USER", "PACED BOOK BOOT USER CONSOLE", "USER CONSOLE DEVICE"])
def test_what_the_model_does_the_checker_allows(tmp_path, others):
    shutil.copy(MODELS / "guard.pml", tmp_path)
    seen = set()
    for seed in range(1, 21):
        trace = steps(tmp_path, "-DSTEPS", *(f"-D{word}" for word in others.split()), f"-n{seed}", "-u4000")[:-1]      # the walk may end in a line
        assert trace_checker.check(trace) == [], "".join(trace)
        seen |= {line.split()[2] for line in trace}
    assert {"start", "book", "loaded", "started", "crash", "book+", "record", "layer", "book-", "device+", "pass+", "route+", "route-"} <= seen


UNRECORDED = {"no-record", "stale-record"}      # the model's records have no numbers: an earlier one may bear the same name
REFUSED = {
    "START_OPENS BOOK": UNRECORDED,
    "BELIEVES_LOST BOOK": {"start-dropped"},
    "PUTBACK_OPENS DEVICE": UNRECORDED,
    "DELEGATE_OPENS USER": UNRECORDED,
    "ACT_BEFORE_RECORD": {"acted-before-record"},
    "ADOPT_ALWAYS BOOK": {"adopted-beside-book"},
    "NAME_PROOF DEVICE": {"plain-passes"},
    "ROUTE_FIRST DEVICE": {"route-before-layers"},
}


@pytest.mark.parametrize("variant", REFUSED)
def test_what_leads_the_model_to_a_leak_the_checker_refuses(tmp_path, variant):
    # Not stopped at the door where the step itself would stop the walk before it is told.
    words = ["STEPS", "PACED", *([] if variant.startswith("ADOPT") else ["PACKETS_ONLY"]), *variant.split()]
    assert violated(tmp_path, "guard.pml", *words) is not None
    trace = steps(tmp_path, *(f"-D{word}" for word in words), "-t")
    refusals = trace_checker.check(trace)
    assert refusals and refusals[0].rule in REFUSED[variant], "".join(trace)

"""Runs SPIN's checker on a model of docs/model."""
import pathlib
import re
import shutil
import subprocess

MODELS = pathlib.Path(__file__).resolve().parents[2] / "docs" / "model"


def violated(tmp_path, model, *defines, cycles=False):
    """What the checker finds first in a variant of the model: the name or text of an assertion, `invalid end state`, `non-progress cycle`; None: it
    went through every state and nothing is wrong."""
    shutil.copy(MODELS / model, tmp_path / model)
    subprocess.run(["spin", *(f"-D{word}" for word in defines), "-a", model], cwd=tmp_path, check=True, capture_output=True)
    subprocess.run(["cc", "-O2", "-DNP" if cycles else "-DSAFETY", "-DCOLLAPSE", "-DMEMLIM=2000", "-o", "pan", "pan.c"], cwd=tmp_path, check=True,
                   capture_output=True)
    done = subprocess.run(["./pan", *(["-l"] if cycles else []), "-m2000000"], cwd=tmp_path, check=True, capture_output=True, text=True)
    count = re.search(r"errors: (\d+)", done.stdout)
    assert count, done.stdout
    if count[1] == "0":
        assert "too small" not in done.stdout and "Search not completed" not in done.stdout, done.stdout
        return None
    found = re.search(r"pan:1: (?:assertion violated +(?:!\((\w+)\)|(.+?)) \(at|(invalid end state|non-progress cycle))", done.stdout)
    return next(text for text in found.groups() if text)

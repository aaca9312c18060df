"""The checked model of a tunnel's life (docs/model/): it holds as designed, and each missing step opens the leak it should."""
import pathlib
import shutil
import subprocess

import pytest

MODEL = pathlib.Path(__file__).resolve().parents[2] / "docs" / "model" / "tunnel.pml"


def leaks(tmp_path, *defines):
    """Runs the model checker on a variant; True when it finds a packet in the clear."""
    shutil.copy(MODEL, tmp_path / "tunnel.pml")
    subprocess.run(["spin", *defines, "-a", "tunnel.pml"], cwd=tmp_path, check=True, capture_output=True)
    subprocess.run(["cc", "-O2", "-DSAFETY", "-o", "pan", "pan.c"], cwd=tmp_path, check=True, capture_output=True)
    done = subprocess.run(["./pan", "-m900000"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert "max search depth too small" not in done.stdout
    errors = [line for line in done.stdout.splitlines() if "errors:" in line]
    assert errors, done.stdout
    return "errors: 0" not in errors[0]


@pytest.mark.parametrize("faults", ["4", "6"])
def test_as_designed_nothing_leaks(tmp_path, faults):
    assert not leaks(tmp_path, f"-DFAULTS={faults}")


@pytest.mark.parametrize("missing", [["-DNO_UNREACHABLE"], ["-DNO_GUARD"], ["-DNO_EARLY_GUARD"], ["-DROUTE_FIRST"],
                                     ["-DDEVICE_NOT_PERSISTENT", "-DNO_UNREACHABLE"]], ids="+".join)
def test_a_missing_step_leaks(tmp_path, missing):
    assert leaks(tmp_path, *missing)


@pytest.mark.parametrize("harmless", ["-DCARRIER_ON_ATTACH", "-DNO_REASSERT", "-DDEVICE_NOT_PERSISTENT"])
def test_what_only_misleads_does_not_leak(tmp_path, harmless):
    assert not leaks(tmp_path, harmless)

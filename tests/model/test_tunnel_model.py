"""The checked model of a tunnel's life (docs/model/): it holds as designed, and each missing step opens the leak it should."""
import pytest

from checker import violated


@pytest.mark.parametrize("faults", ["4", "6"])
def test_as_designed_nothing_leaks(tmp_path, faults):
    assert violated(tmp_path, "tunnel.pml", f"FAULTS={faults}") is None


@pytest.mark.parametrize("missing", ["NO_UNREACHABLE", "NO_GUARD", "NO_EARLY_GUARD", "ROUTE_FIRST", "DEVICE_NOT_PERSISTENT NO_UNREACHABLE"])
def test_a_missing_step_leaks(tmp_path, missing):
    assert "promised" in violated(tmp_path, "tunnel.pml", *missing.split())


@pytest.mark.parametrize("harmless", ["CARRIER_ON_ATTACH", "NO_REASSERT", "DEVICE_NOT_PERSISTENT"])
def test_what_only_misleads_does_not_leak(tmp_path, harmless):
    assert violated(tmp_path, "tunnel.pml", harmless) is None

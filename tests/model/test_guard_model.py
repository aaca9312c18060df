"""The checked model of the guard (docs/model/guard.pml): as designed nothing is wrong, and each missing step opens the leak, or the lock-out, it should."""
import pytest

from checker import violated

SLICES = ["RULES BOOT", "DEVICE BOOK USER BOOT", "BOOK USER BOOT CONSOLE", "DEVICE USER CONSOLE", "SEEN BOOT CONSOLE"]
PACED = ["RULES DEVICE BOOK BOOT", "RULES CONSOLE", "BOOK USER BOOT CONSOLE", "DEVICE USER"]


@pytest.mark.parametrize("others", SLICES)
def test_no_packet_leaks_beside_a_layer_and_no_entry_leaves_without_a_record(tmp_path, others):
    assert violated(tmp_path, "guard.pml", *others.split()) is None


@pytest.mark.parametrize("others", PACED)
def test_no_packet_leaks_at_all_when_what_is_broken_is_put_back_before_the_next_act(tmp_path, others):
    assert violated(tmp_path, "guard.pml", "PACED", *others.split()) is None


@pytest.mark.parametrize("others", ["CONSOLE BOOK", "RULES DEVICE PACED"])
def test_aditd_and_guardian_do_not_undo_each_other_for_ever(tmp_path, others):
    assert violated(tmp_path, "guard.pml", *others.split(), cycles=True) is None


MISSING = {
    "PREF5 RULES": "leak_beside_a_layer",
    "NO_LWT RULES": "leak_beside_a_layer",
    "MARK_ALONE": "leak_beside_a_layer",
    "NAME_PROOF DEVICE": "leak_beside_a_layer",
    "ROUTE_FIRST PACED DEVICE": "leak",
    "NO_EARLY_GUARD PACED BOOT": "leak",
    "NO_REORDER RULES": "layer_not_put_back",
    "START_OPENS BOOK": "entry_left_without_record",
    "START_OPENS BOOK PACED PACKETS_ONLY": "leak",
    "BELIEVES_LOST BOOK": "entry_left_without_record",
    "BELIEVES_LOST BOOK PACED PACKETS_ONLY": "leak",
    "PUTBACK_OPENS DEVICE": "entry_left_without_record",
    "PUTBACK_OPENS DEVICE PACED PACKETS_ONLY": "leak",
    "DELEGATE_OPENS USER": "entry_left_without_record",
    "DELEGATE_OPENS USER PACED PACKETS_ONLY": "leak",
    "ACT_BEFORE_RECORD": "acted_before_record",
    "ACT_BEFORE_RECORD PACED PACKETS_ONLY": "leak",
    "ADOPT_ALWAYS BOOK": "kernel_believed_beside_book",
    "OUTPUT_CHECK": "dnat_stopped",
    "NO_LINK_RULES": "dhcp_or_nd_stopped",
    "THROW_LAST": "outer_packet_stopped",
    "SEEN_FOREVER SEEN": "seen_route_closes_for_good",
    "DOOR_BY_ADITD CONSOLE": "operator_locked_out",
}


@pytest.mark.parametrize("variant", MISSING)
def test_a_missing_step_is_found(tmp_path, variant):
    assert violated(tmp_path, "guard.pml", *variant.split()) == MISSING[variant]


def test_the_readme_tells_each_variant():
    from checker import MODELS
    readme = (MODELS / "README.md").read_text()
    assert {variant.split()[0] for variant in MISSING if f"`-D{variant.split()[0]}`" not in readme} == set()

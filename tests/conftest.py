import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "lab"))

import guide                                    # noqa: E402
from lab import Lab, two_sites                  # noqa: E402


@pytest.fixture
def lab():
    with Lab() as made:
        yield made


@pytest.fixture
def world(lab):
    """The five hosts; no daemon runs yet."""
    return two_sites(lab)


@pytest.fixture
def up(world):
    """Both sites set up as the guide says, secured, and traffic flowing."""
    guide.set_up(world)
    assert world.alice_host.ping("10.0.1.2", count=5, check=True) > 0
    return world


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed lab test shows what the daemons said."""
    report = (yield).get_result()
    world = item.funcargs.get("world") if hasattr(item, "funcargs") else None
    if report.failed and world is not None:
        for host in (world.alice, world.bob):
            if host.log():
                report.sections.append((f"aditd on {host.name}", host.log()[-4000:]))

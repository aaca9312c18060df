"""packaging/rooms: a house that stands is passed, and each thing that is wrong is planted and seen refused."""
import pathlib
import re
import shutil
import subprocess

import pytest

REPO = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def house(tmp_path):
    """A copy of what the tool reads."""
    for name in ("CMakeLists.txt", "ARCHITECTURE.md", "src", "include", "packaging"):
        copy = shutil.copytree if (REPO / name).is_dir() else shutil.copy
        copy(REPO / name, tmp_path / name)
    return tmp_path


def rooms(house, *options):
    done = subprocess.run([REPO / "packaging" / "rooms", *options, house], capture_output=True, text=True)
    return done.returncode, done.stderr


def plant(house, path, line):
    file = house / path
    file.write_text((file.read_text() if file.exists() else "") + line + "\n")


def test_the_house_stands(house):
    assert rooms(house) == (0, "")


@pytest.mark.parametrize("path, line, says", [
    ("src/cli/planted.cpp", '#include "datapath/worker.h"', 'src/cli/planted.cpp:1: room cli includes "datapath/worker.h", and does not state datapath'),
    ("src/server/planted.h", '  #  include "links/files/link_file.h"', "does not state links/files"),
    ("src/net/planted.cpp", '#include "links/links.h"', "the arrow runs back up"),
    ("src/net/planted_test.cpp", '#include "links/links.h"', "the arrow runs back up"),
    ("src/links/files/planted.h", '#include "links/links.h"', 'room links/files includes "links/links.h", and links stands below it'),
    ("src/links/planted.cpp", '#include "linux/platform/testing/fake_platform.h"', "which only tests may"),
    ("src/cli/planted.cpp", '#include "nowhere/links.h"', "is in no room"),
])
def test_a_wrong_include_is_refused(house, path, line, says):
    plant(house, path, line)
    status, said = rooms(house)
    assert status == 1 and says in said


def test_a_circle_of_files_is_refused(house):
    for one, other in (("a", "b"), ("b", "c"), ("c", "a")):
        plant(house, f"src/net/planted{one}.cpp", f'#include "net/planted{other}.h"')
        plant(house, f"src/net/planted{one}.h", "#pragma once")
    status, said = rooms(house)
    assert status == 1 and "in a circle: net/planteda -> net/plantedb -> net/plantedc" in said


def test_a_room_that_is_too_large_is_refused(house):
    plant(house, "src/net/planted.cpp", "\n" * 3000)
    status, said = rooms(house)
    assert status == 1 and "room net has" in said and "split it" in said


def test_a_stated_room_that_nobody_includes_is_refused(house):
    text = (house / "CMakeLists.txt").read_text()
    (house / "CMakeLists.txt").write_text(text.replace("DEPS base linux/platform guard/book control", "DEPS base esp linux/platform guard/book control"))
    status, said = rooms(house)
    assert status == 1 and "room guard states esp, and no file of it includes any" in said


def test_a_room_that_does_not_say_what_it_is_is_refused(house):
    (house / "src/net/README.md").write_text("# something else\n")
    status, said = rooms(house)
    assert status == 1 and 'src/net/README.md does not begin with "# net: "' in said


def test_the_document_holds_what_the_tool_prints(house):
    text = (house / "ARCHITECTURE.md").read_text()
    (house / "ARCHITECTURE.md").write_text(re.sub(r"(\| `src/net/` .*) \| base \|", r"\1 | base, esp |", text))
    assert rooms(house)[0] == 1
    assert rooms(house, "--write") == (0, "")
    assert (house / "ARCHITECTURE.md").read_text() == text

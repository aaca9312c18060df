"""SECURITY.md names a test for each thing it says is true, and every test that it names is there."""
import re

import pytest
from lab import REPO

TEXT = (REPO / "SECURITY.md").read_text()
SECTIONS = dict(re.findall(r"^## (.+)\n((?:(?!^## ).*\n?)*)", TEXT, re.M))


def cited(text):
    return set(re.findall(r"`([A-Z]\w*\.[A-Z]\w*|test_\w+)`", text))


def written():
    names = set()
    for folder in ("src", "apps"):
        for file in (REPO / folder).rglob("*_test.cpp"):
            names |= {".".join(pair) for pair in re.findall(r"^TEST(?:_[FP])?\(\s*(\w+),\s*(\w+)\)", file.read_text(), re.M)}
    for file in (REPO / "tests").rglob("test_*.py"):
        names |= set(re.findall(r"^def (test_\w+)\(", file.read_text(), re.M))
    return names


def test_every_cited_test_is_there():
    names = written()
    assert len(names) > 500 and len(cited(TEXT)) > 50
    assert sorted(cited(TEXT) - names) == []


def test_every_cited_file_is_there():
    files = re.findall(r"`((?:tests|docs|src)/[\w./]+)`", TEXT)
    assert len(files) > 2 and [file for file in files if not (REPO / file).exists()] == []


@pytest.mark.parametrize("section", ("What is promised", "The guard", "Who attacks what"))
def test_each_row_names_its_tests(section):
    rows = [line for line in SECTIONS[section].splitlines() if line.startswith("|")]
    assert len(rows) > 8 and re.fullmatch(r"[|-]+", rows[1])
    assert [row for row in rows[2:] if not cited(row)] == []

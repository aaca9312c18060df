"""What a comment cites is in the repository: each `policy.md §2.3` and each `decision 7` leads to a heading or a row."""
import pathlib
import re
import subprocess

import pytest

REPO = pathlib.Path(__file__).resolve().parents[2]
SECTION = re.compile(r"(?<![\w/.-])((?:docs/(?:reference/)?)?[a-z][a-z_-]+[a-z]\.md)(?:,? §§? ?(\d+(?:\.\d+)*))?")
DECISION = re.compile(r"\b(?:decisions?\.md|decisions?) (\d+)\b")


def sources():
    done = subprocess.run(["git", "ls-files", "src", "apps", "include", "tests", "fuzz", "bench", "docs", "man", "cmake", "examples", "Makefile", "CMakeLists.txt"],
                          cwd=REPO, capture_output=True, text=True, check=True)
    return [name for name in done.stdout.split() if name != "tests/house/test_citations.py" and not name.startswith("fuzz/corpus")]


def document(name):
    found = [place for place in (REPO / name, REPO / "docs" / name, REPO / "docs/reference" / name) if place.is_file()]
    return found[0] if found else None


def has_section(path, number):
    return re.search(rf"^#+ {re.escape(number)}\.? ", path.read_text(), re.M) is not None


def has_decision(number):
    return f"\n| {number} |" in (REPO / "docs/decisions.md").read_text()


def citations():
    """(where, document or None, section or None, decision or None)"""
    for name in sources():
        for number, line in enumerate((REPO / name).read_text(errors="replace").splitlines(), 1):
            for found in SECTION.finditer(line):
                yield f"{name}:{number}", found[1], found[2], None
            for found in DECISION.finditer(line):
                yield f"{name}:{number}", None, None, found[1]


def test_every_citation_leads_somewhere():
    wrong, seen = [], 0
    for where, name, section, decision in citations():
        seen += 1
        if decision is not None:
            if not has_decision(decision):
                wrong.append(f"{where}: there is no decision {decision} in docs/decisions.md")
        elif (path := document(name)) is None:
            wrong.append(f"{where}: {name} is not in the repository")
        elif section is not None and not has_section(path, section):
            wrong.append(f"{where}: {path.relative_to(REPO)} has no section {section}")
    assert seen > 50, "the test reads what it should"
    assert wrong == []


@pytest.mark.parametrize("line, found", [
    ("// RFC 4301; see policy.md §3.2.", [("policy.md", "3.2")]),
    ("// (links-and-addresses.md §1.7)", [("links-and-addresses.md", "1.7")]),
    ("`docs/reference/pf_key.md`", [("docs/reference/pf_key.md", None)]),
    ("std::swap(states_.md);", []),
])
def test_citations_are_found(line, found):
    assert [(name, section or None) for name, section in SECTION.findall(line)] == found

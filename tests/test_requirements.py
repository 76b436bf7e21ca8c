"""Every requirement of rfc_notes/ is kept by a function that exists and shown kept by a test, and none is made up."""

from __future__ import annotations

from pathlib import Path

import pytest
from requirement_ids import ID, markers, problems, requirements

from mustaple.core.verdict import Code

ROOT = Path(__file__).parent.parent
NOTES = ROOT / "rfc_notes"

NOTE = "### RFC7633-4.1-1\nRead the list.\n\nKept by: `certtools.feature.read_features`\n"
TEST = "import pytest\n@pytest.mark.requirement('RFC7633-4.1-1')\ndef test_it():\n    pass\n"

# name: the note, the test file, and what must be said of them.
BREAKS = {
    "an id has no test": (NOTE, "def test_it():\n    pass\n", "no test carries RFC7633-4.1-1"),
    "a marker names no id": (NOTE, TEST + TEST.replace("4.1-1", "4.1-2"), "no note defines RFC7633-4.1-2"),
    "the second id of a marker is unknown": (
        NOTE,
        TEST.replace("'RFC7633-4.1-1'", "'RFC7633-4.1-1', 'RFC7633-9-9'"),
        "no note defines RFC7633-9-9",
    ),
    "a marker for a whole module names no id": (
        NOTE,
        TEST + "pytestmark = [pytest.mark.requirement('RFC7633-9-9')]\n",
        "no note defines RFC7633-9-9",
    ),
    "a marker of one parameter names no id": (
        NOTE,
        TEST + "X = pytest.param(1, marks=pytest.mark.requirement('RFC7633-9-9'))\n",
        "no note defines RFC7633-9-9",
    ),
    "a marker computes its id": (NOTE, TEST + "X = pytest.mark.requirement(NAME)\n", "plain strings"),
    "a marker is empty": (NOTE, TEST + "X = pytest.mark.requirement()\n", "plain strings"),
    "an id is defined twice": (NOTE + NOTE, TEST, "RFC7633-4.1-1 is defined twice"),
    "a function is not there": (NOTE.replace("read_features", "reed_features"), TEST, "which is not there"),
    "a module is not there": (NOTE.replace("certtools.", "certstools."), TEST, "which is not there"),
    "what keeps it is no function": (NOTE.replace("read_features", "OID_DER_NOT"), TEST, "which is not there"),
    "nothing keeps it": ("### RFC7633-4.1-1\nRead the list.\n", TEST, "does not say what keeps it"),
    "it asks nothing": (NOTE.replace("Read the list.\n", ""), TEST, "does not say what it asks"),
    "the id has no number": (NOTE.replace("4.1-1", "4.1"), TEST.replace("4.1-1", "4.1"), "is no id of the form"),
    "the id is a draft's": (
        NOTE.replace("RFC7633", "EXPECT-STAPLE"),
        TEST.replace("RFC7633", "EXPECT-STAPLE"),
        "belongs in expect-staple.md",
    ),
    "the id is another RFC's": (
        NOTE.replace("7633", "6066"),
        TEST.replace("7633", "6066"),
        "belongs in 6066.md",
    ),
}


def said(folder: Path, note: str, test: str) -> list[str]:
    """What is said of one note, 7633.md, and one test file."""
    (folder / "notes").mkdir()
    (folder / "tests").mkdir()
    (folder / "notes/7633.md").write_text(note)
    (folder / "tests/test_it.py").write_text(test)
    return list(problems(folder / "notes", folder / "tests"))


def test_every_requirement_is_kept_and_tested() -> None:
    assert requirements(NOTES)
    assert markers(ROOT / "tests")
    found = list(problems(NOTES, ROOT / "tests"))
    assert not found, "\n".join(found)


def test_a_note_and_its_test_that_keep_the_convention_are_not_flagged(tmp_path: Path) -> None:
    assert not said(tmp_path, NOTE, TEST)


@pytest.mark.parametrize(("note", "test", "words"), BREAKS.values(), ids=BREAKS)
def test_a_break_of_the_convention_is_flagged(tmp_path: Path, note: str, test: str, words: str) -> None:
    found = said(tmp_path, note, test)
    assert len(found) == 1
    assert words in found[0]


def test_the_index_lists_every_note() -> None:
    index = (NOTES / "README.md").read_text(encoding="utf-8")
    assert [
        note.name for note in NOTES.glob("*.md") if note.name != "README.md" and f"]({note.name})" not in index
    ] == []


@pytest.mark.parametrize("code", Code, ids=lambda code: code.value)
def test_the_clause_of_a_reason_is_one_that_a_note_explains(code: Code) -> None:
    _, rfc, section = code.rule.clause.replace("§", "").split()[:3]
    note = NOTES / f"{rfc}.md"
    if not note.exists():
        assert rfc in {"5280", "9525"}, "the path and the name are OpenSSL's and service-identity's"
        return
    parts = [ID.fullmatch(requirement.id) for requirement in requirements(NOTES) if requirement.note == note]
    assert section in {part["section"] for part in parts if part}

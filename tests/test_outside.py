"""The corpus before judges of other making: what they say differs from ours where it is known to, and nowhere else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import house
import pytest
from requirement_ids import requirements

from mustaple.cli import app as cli
from mustaple.lab.cases import cases, find
from mustaple.lab.outside.comparing import compare
from mustaple.lab.outside.judges import JUDGES, judges_here
from mustaple.report.outside_known import parse_known, surprises
from mustaple.report.outside_markdown import outside_markdown
from mustaple.report.outside_run import OutsideRun

if TYPE_CHECKING:
    from pathlib import Path

DIVERGENCES = house.ROOT / "docs/divergences.toml"
PAGE = house.ROOT / "docs/outside.md"
PEERS = {
    "openssl": ("openssl", "libfaketime"),
    "ocsptool": ("ocsptool", "libfaketime"),
    "jsse": ("java", "javac"),
    "pyhanko": (),
    "go": ("go", "golang.org/x/crypto"),
}
EVERYBODY = [peer for peers in PEERS.values() for peer in peers]
KNOWN = parse_known(DIVERGENCES.read_text(encoding="utf-8"), "docs/divergences.toml")


@pytest.fixture(scope="module")
def run() -> OutsideRun:
    """All cases before all judges that are here."""
    return compare(cases(), judges_here())


@pytest.mark.timeout(300)  # the first test waits for all judges, and Go is built
@pytest.mark.parametrize("judge", [pytest.param(name, marks=pytest.mark.peer(*peers)) for name, peers in PEERS.items()])
def test_a_judge_differs_from_ours_where_it_is_known_to_and_nowhere_else(run: OutsideRun, judge: str) -> None:
    own = [each for each in run.compared if each.judge == judge]
    assert len(own) > 140
    assert {each.agrees for each in own} == {True, False}
    assert {each.theirs for each in own} >= {"good", "revoked", "refused"}
    one = OutsideRun({judge: run.judges[judge]}, own, run.without, {judge: run.not_put[judge]})
    assert surprises(one, KNOWN) == []


@pytest.mark.peer(*EVERYBODY)
def test_the_page_is_what_make_outside_writes(run: OutsideRun) -> None:
    assert outside_markdown(run, KNOWN) == PAGE.read_text(encoding="utf-8")


def test_every_judge_has_its_test_and_its_version() -> None:
    assert list(PEERS) == [judge.name for judge in JUDGES] == list(KNOWN.judges)


def test_each_divergence_has_clauses_that_there_are() -> None:
    there = {requirement.id for requirement in requirements(house.ROOT / "rfc_notes")}
    assert {clause for kind in KNOWN.classes for clause in kind.clauses} <= there
    assert len({kind.name for kind in KNOWN.classes}) == len(KNOWN.classes)
    for _, case in KNOWN.outcomes:
        find(case)


# --- the command


def test_the_command_shows_them_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["cases", "outside", "--judge", "pyhanko", "freshness/too-old", "freshness/expired"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "case               ours     pyhanko",
        "freshness/too-old  refused  good",
        "pyhanko: 2 asked, 1 differ from ours",
    ]


def test_json_says_what_was_asked_and_why_the_rest_was_not(capsys: pytest.CaptureFixture[str]) -> None:
    named = ["freshness/too-old", "crl/good", "wire13/twice-in-entry"]
    assert cli.run(["cases", "outside", "--judge", "pyhanko", "--json", *named]) == 0
    said = json.loads(capsys.readouterr().out)
    found = [(each["case"], each["ours"], each["theirs"]) for each in said["compared"]]
    assert found == [("freshness/too-old", "refused", "good")]
    assert said["not_compared"]["cases"] == {"wire13/twice-in-entry": "it is about the handshake"}
    assert said["not_compared"]["judges"] == {"pyhanko": {"crl/good": "it is asked about no CRL"}}


@pytest.mark.parametrize(("outcome", "code"), [("good", 0), ("crash", 1)])
def test_what_is_not_as_known_is_an_exit_code(
    tmp_path: Path, outcome: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    known = tmp_path / "known.toml"
    known.write_text(
        "measured = 2026-11-22\njudges = {}\n"
        "[[class]]\nname = 'age'\nclauses = ['RFC6960-3.2-5']\nwhy = 'it has no greatest age'\n"
        f"[[class.divergence]]\njudge = 'pyhanko'\noutcome = '{outcome}'\ncases = ['freshness/too-old']\n"
    )
    assert cli.run(["cases", "outside", "--judge", "pyhanko", "freshness/too-old", "--known", str(known)]) == code
    said = "changed: pyhanko says good to freshness/too-old, known is crash\n" if code else ""
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--judge", "nobody"], "no judge is called 'nobody'; there are openssl, ocsptool, jsse, pyhanko, go"),
        (["--markdown"], "--markdown needs --known"),
        (["--known", "/nowhere/known.toml"], "cannot read /nowhere/known.toml"),
        (["freshness/expird"], "is it freshness/expired"),
    ],
)
def test_what_cannot_be_asked_is_said(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["cases", "outside", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_without_the_programs_it_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cli.run(["cases", "outside", "--judge", "jsse", "status/revoked"]) == 2
    assert "the judge jsse needs java, which is not here" in capsys.readouterr().err

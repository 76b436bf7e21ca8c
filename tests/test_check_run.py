"""What a run of `mustaple check` consists of, and how a terminal shows it."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from check_runs import DAY, World, rendered, run_of, summed

from mustaple.core.errors import NetworkError, RefusedError
from mustaple.core.expectation import Expectation
from mustaple.report.check_report import reporter_for
from mustaple.report.check_run import Ending, Format, TargetResult, dies_at, dying, staples_die_at
from mustaple.report.verdict_text import verdict_text

if TYPE_CHECKING:
    from datetime import datetime


@pytest.fixture(scope="module")
def results(at: datetime) -> list[TargetResult]:
    """One target of each kind."""
    return World(at).results()


def test_a_result_is_a_verdict_or_a_problem(at: datetime) -> None:
    verdict = World(at).verdict("revoked")
    refused = TargetResult.of("a:1", RefusedError(verdict), 1.0)
    assert (refused.verdict, refused.ending, refused.code, refused.exit_code) == (verdict, Ending.REFUSED, "revoked", 1)
    gone = TargetResult.of("a:1", NetworkError("nobody there"), 1.0)
    assert (gone.verdict, gone.ending, gone.problem, gone.exit_code) == (None, Ending.NO_ANSWER, "nobody there", 3)
    broken = TargetResult.of("a:1", KeyError("x"), 1.0)
    assert (broken.ending, broken.problem, broken.exit_code) == (Ending.INTERNAL_ERROR, "KeyError: 'x'", 4)
    good = TargetResult.of("a:1", World(at).verdict("good"), 1.0)
    assert (good.ending, good.code, good.exit_code, good.warnings) == (Ending.ACCEPTED, None, 0, ())


@pytest.mark.parametrize(
    ("staple", "expected", "exit_code"),
    [
        ("good", "accepted", 0),
        ("good", "refused", 1),
        ("revoked", "refused", 0),
        ("revoked", "refused:revoked", 0),
        ("revoked", "refused:expired", 1),
        ("revoked", "accepted", 1),
    ],
)
def test_what_is_expected_is_what_counts(at: datetime, staple: str, expected: str, exit_code: int) -> None:
    result = TargetResult.of("a:1", World(at).verdict(staple), 1.0, expectation=Expectation.parse(expected))
    assert (result.exit_code, result.as_expected) == (exit_code, exit_code == 0)


def test_a_refusal_that_is_expected_is_not_met_by_silence() -> None:
    expectation = Expectation.parse("refused")
    assert TargetResult.of("a:1", NetworkError("x"), 1.0, expectation=expectation).exit_code == 3


@pytest.mark.parametrize(
    ("endings", "fails", "only_reports"),
    [
        ([], 0, 0),
        (["accepted"], 0, 0),
        (["accepted", "no-answer"], 3, 3),
        (["no-answer", "refused", "accepted"], 1, 3),
        (["refused"], 1, 0),
        (["refused", "internal-error", "no-answer"], 4, 4),
    ],
)
def test_the_worst_decides_the_exit_code(at: datetime, endings: list[str], fails: int, only_reports: int) -> None:
    world = World(at)
    came = {
        "accepted": world.verdict("good"),
        "refused": world.verdict(None),
        "no-answer": NetworkError("x"),
        "internal-error": TypeError("x"),
    }
    run = [TargetResult.of("a:1", came[ending], 1.0) for ending in endings]
    assert summed(run).exit_code == fails
    assert summed(run, report_only=True).exit_code == only_reports


def test_the_sum_counts_endings_codes_and_warnings(results: list[TargetResult]) -> None:
    summary = summed(results)
    assert [*summary.endings.values()] == [4, 6, 1, 1]
    assert summary.codes == {"revoked": 2, "expired": 2, "promise-broken": 1, "malformed": 1}
    assert (summary.total, summary.unexpected, summary.warnings) == (12, 8, 1)


def test_what_dies_soon_is_warned_of_and_what_is_dead_is_not(at: datetime) -> None:
    verdict = World(at).verdict("dying")
    (warning,) = dying(verdict, DAY)
    assert (warning.what, warning.subject, warning.left) == ("staple", "CN=site.test", timedelta(hours=3))
    assert dying(verdict, timedelta(hours=2)) == ()
    assert [each.what for each in dying(verdict, 61 * DAY)] == ["staple", "certificate"]
    assert [each.subject for each in dying(verdict, 901 * DAY)][-1] == "CN=root"
    assert dies_at(verdict) == staples_die_at(verdict) == at + timedelta(hours=3)
    dead = World(at).verdict("expired")
    assert dying(dead, DAY) == ()
    unstapled = World(at).verdict(None)
    assert (dies_at(unstapled), staples_die_at(unstapled)) == (at + 60 * DAY, None)


def test_one_target_reads_as_its_verdict_does(at: datetime) -> None:
    result = TargetResult.of("site.test:443", World(at).verdict("good"), 1.0)
    assert result.verdict is not None
    assert rendered(Format.TEXT, at, [result]) == verdict_text(result.verdict, "site.test:443") + "\n"
    warned = TargetResult.of("a:1", World(at).verdict("dying"), 1.0, expectation=Expectation(), warn_before=DAY)
    assert rendered(Format.TEXT, at, [warned]).splitlines()[-2:] == [
        "  warning: the staple of CN=site.test dies in 3 h, at 2026-06-01 15:00 UTC",
        "  as expected: accepted",
    ]
    gone = TargetResult.of("a:1", NetworkError("a:1: connection refused"), 1.0)
    assert rendered(Format.TEXT, at, [gone]) == "no-answer: a:1\n  a:1: connection refused\n"


def test_many_targets_are_a_table_with_totals(at: datetime, results: list[TargetResult]) -> None:
    lines = rendered(Format.TEXT, at, results).splitlines()
    rows = [re.split(r"  +", line) for line in lines if not line.startswith(" ")][: len(results) + 1]
    assert rows[:4] == [
        ["OUTCOME", "CODE", "DIES IN", "TARGET"],
        ["accepted", "–", "3 d 23 h", "good.test:443"],
        ["accepted", "–", "3 h", "dying.test:443"],
        ["accepted", "–", "60 d", "ignored.test:443"],
    ]
    assert ["refused", "expired", "dead", "expired.test:443"] in rows
    assert ["no-answer", "–", "–", "gone.test:443"] in rows
    assert len({line.index(row[-1]) for line, row in zip(lines, rows[:2], strict=False)}) == 1
    assert "      to do: make the server staple; see `mustaple fetch`" in lines
    assert "    NOT as expected: refused:revoked" in lines
    assert lines[-4:] == [
        "12 targets in 2.5 s: 4 accepted, 6 refused, 1 no-answer, 1 internal-error",
        "refused for revoked 2, expired 2, promise-broken 1, malformed 1",
        "8 not as wanted",
        "1 about to die",
    ]
    only = rendered(Format.TEXT, at, results, report_only=True)
    assert "would have been refused for revoked 2" in only


def test_rows_come_with_the_results(at: datetime, results: list[TargetResult]) -> None:
    for form in (Format.TEXT, Format.JSON, Format.SARIF, Format.GITHUB):
        reporter = reporter_for(form)
        list(reporter.begin(run_of(at, results)))
        assert "revoked.test" in "".join(reporter.add(results[3])), form

"""The grade of a TLS client for a terminal: what it is, by how much, and where it deviates."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final

from mustaple.report.grade_client import Outcome
from mustaple.report.plain import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mustaple.report.grade_client import GradeReport

MEANING: Final = {
    "ignore": "it looks at no evidence of revocation",
    "soft-fail": "it refuses what is known to be revoked, and accepts where it cannot find out",
    "must-staple": "it holds a certificate to its promise of a staple, and is soft otherwise",
    "hard-fail": "it accepts no certificate of a server without good evidence",
    "strict": "it accepts no chain without a good staple for every certificate",
}
WEIGHT: Final = {
    "must": "an RFC forbids it, or a thief of the key gets in",
    "should": "an RFC advises against it, or honest servers suffer",
    "curious": "no text settles it",
}
_VERB: Final = {Outcome.ACCEPT: "accepts", Outcome.REFUSE: "refuses", Outcome.CRASH: "crashes", Outcome.HANG: "hangs"}
_MOST_SKIPPED: Final = 3  # ids that are named for each reason


def summary_line(report: GradeReport) -> str:
    """What the client is, in one line."""
    share = report.agreement[report.profile]
    return f"{report.client}: {report.profile} ({share:.0%} of the judged cases, weighted): {MEANING[report.profile]}"


def counts_line(report: GradeReport) -> str:
    """How often it did what."""
    counted = ", ".join(f"{number} {outcome}" for outcome, number in report.totals.items() if number)
    asked = f"; it asked the CA {report.requests} time{'s' * (report.requests != 1)}" if report.requests else ""
    return f"{len(report.cases)} case{'s' * (len(report.cases) != 1)} in {report.seconds:.0f} s: {counted}{asked}"


def grade_text(report: GradeReport) -> str:
    """The whole report; each line is harmless to a terminal."""
    lines = [summary_line(report)]
    if report.client_version is not None:
        lines.append(f"  {report.client_version}")
    lines += ["", *_agreement(report), "", *_deviations(report), *_skipped(report), *_changes(report)]
    lines.append(counts_line(report))
    return "\n".join(map(printable, lines)) + "\n"


def _agreement(report: GradeReport) -> Iterator[str]:
    yield "agreement with each policy"
    for preset, share in report.agreement.items():
        mark = "  <- nearest" if preset == report.profile else ""
        yield f"  {preset:<12} {share:>6.1%}{mark}"


def _deviations(report: GradeReport) -> Iterator[str]:
    against = f"measured against {report.measured_against}"
    if not report.deviations:
        yield f"{against}, it deviates in no case"
        yield ""
        return
    number = len(report.deviations)
    yield f"{against}, it deviates in {number} case{'s' * (number != 1)}"
    wide = max(len(each.id) for each in report.deviations)
    for importance, meaning in WEIGHT.items():
        own = [each for each in report.deviations if each.importance == importance]
        if own:
            yield f"  {importance}: {meaning}"
        for each in own:
            reason = f" ({each.code.value})" if each.code is not None else ""
            stricter = ", as a stricter policy would" if each.kind == "stricter" else ""
            did = f"{_VERB[each.outcome]}, should {each.expected}{reason}{stricter}"
            yield f"    {each.id:<{wide}}  {did}, {each.clause}"
    yield ""


def _skipped(report: GradeReport) -> Iterator[str]:
    skipped = sorted((each for each in report.cases if not each.judged), key=lambda each: each.detail)
    for reason, group in groupby(skipped, key=lambda each: each.detail):
        ids = [each.id for each in group]
        named = ", ".join(ids[:_MOST_SKIPPED]) + (" …" if len(ids) > _MOST_SKIPPED else "")
        yield f"skipped {len(ids)}, {reason}: {named}"
    if skipped:
        yield ""


def _changes(report: GradeReport) -> Iterator[str]:
    if report.changes is None:
        return
    if not report.changes:
        yield "as in the baseline"
    for each in report.changes:
        yield f"changed: {each.id or 'the profile'}: {each.before} before, {each.now} now"

"""The grade of a TLS client as JUnit XML: a test for each case, a deviation is its failure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape, quoteattr

from mustaple.report.grade_client import Outcome
from mustaple.report.grade_client_text import counts_line, summary_line
from mustaple.report.plain import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mustaple.report.grade_client import Change, GradedCase, GradeReport

CLASS: Final = "mustaple.grade.client"
_FAULTS: Final = frozenset({Outcome.CRASH, Outcome.HANG})


def grade_junit(report: GradeReport) -> str:
    """The whole document. With a baseline only what changed fails; without, what is neither stricter nor curious."""
    changes = {each.id: each for each in report.changes} if report.changes is not None else None
    cases = [_case(case, changes) for case in report.cases]
    if changes is not None and None in changes:
        cases.insert(0, _profile(changes[None]))
    counts = {kind: sum(f"<{kind} " in case for case in cases) for kind in ("failure", "error", "skipped")}
    return "".join(
        (
            '<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n',
            f'  <testsuite name="{CLASS}" package="mustaple" id="0" hostname="localhost"',
            f' timestamp="{report.at:%Y-%m-%dT%H:%M:%S}" tests="{len(cases)}" failures="{counts["failure"]}"',
            f' errors="{counts["error"]}" skipped="{counts["skipped"]}" time="{report.seconds:.3f}">\n',
            f"    <properties>\n{''.join(_properties(report))}    </properties>\n",
            *cases,
            f"    <system-out>{escape(printable(summary_line(report)))}\n{escape(printable(counts_line(report)))}\n",
            "</system-out>\n    <system-err/>\n  </testsuite>\n</testsuites>\n",
        )
    )


def _properties(report: GradeReport) -> Iterator[str]:
    known = {
        "client": report.client,
        "client_version": report.client_version or "unknown",
        "profile": report.profile,
        "measured_against": report.measured_against,
        "version": report.version,
    }
    for name, value in known.items():
        yield f'      <property name="mustaple.{name}" value={quoteattr(printable(value))}/>\n'


def _case(case: GradedCase, changes: dict[str | None, Change] | None) -> str:
    return _element(case.id, case.seconds, _inner(case, changes))


def _profile(change: Change) -> str:
    message = f"{change.before} in the baseline, {change.now} now"
    return _element("profile", 0.0, f'<failure type="changed" message="{message}"></failure>')


def _element(name: str, seconds: float, inner: str) -> str:
    return f'    <testcase name="{name}" classname="{CLASS}" time="{seconds:.3f}">{inner}</testcase>\n'


def _inner(case: GradedCase, changes: dict[str | None, Change] | None) -> str:
    told = f"{case.outcome}, should {case.expected}; {case.clause} ({case.importance})"
    if changes is not None:
        if case.id not in changes:
            return ""
        change = changes[case.id]
        kind, told = "changed", f"{change.before} in the baseline, {change.now} now; {told}"
    elif not case.judged:
        return f"<skipped message={quoteattr(printable(case.detail))}></skipped>"
    elif not case.fails:
        return ""
    else:
        kind = case.code.value if case.code is not None else case.outcome.value
    tag = "error" if case.outcome in _FAULTS else "failure"
    said = escape("\n".join(map(printable, (*case.description.splitlines(), case.detail))))
    return f'<{tag} type="{kind}" message={quoteattr(told)}>{said}</{tag}>'

"""A run of `mustaple check` for a terminal: one target as its verdict reads, many as a table with totals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mustaple.core.verdict import Code
from mustaple.report.check_run import Ending, dies_at
from mustaple.report.plain import printable
from mustaple.report.verdict_text import span_text, verdict_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mustaple.core.verdict import Reason
    from mustaple.report.check_run import Dying, Run, Summary, TargetResult

# The target stands last, so that no column has to wait for the longest of them.
_ENDING: Final = max(len(ending) for ending in Ending)
_CODE: Final = max(len(code.value) for code in Code)
_SPAN: Final = len("365 d 23 h")
_WHAT: Final = {"certificate": "the certificate", "staple": "the staple", "ocsp": "the OCSP answer", "crl": "the CRL"}


def warning_text(warning: Dying) -> str:
    """What dies when, as one line without a full stop."""
    what = _WHAT.get(warning.what, warning.what)
    return f"{what} of {warning.subject} dies in {span_text(warning.left)}, at {warning.dies_at:%Y-%m-%d %H:%M} UTC"


def reason_text(reason: Reason) -> str:
    """A reason as one line: its code, what was seen, the clause."""
    return f"{reason.code.value}: {reason.detail} ({reason.clause})"


def expected_text(result: TargetResult) -> str | None:
    """How it stands to what was expected; None where nothing was."""
    if result.expectation is None:
        return None
    return f"{'as' if result.as_expected else 'NOT as'} expected: {result.expectation}"


def totals_text(summary: Summary) -> Iterator[str]:
    """The sum of a run, a line for each thing there is to say."""
    counted = ", ".join(f"{count} {ending}" for ending, count in summary.endings.items() if count)
    targets = "1 target" if summary.total == 1 else f"{summary.total} targets"
    yield f"{targets} in {summary.seconds:.1f} s" + (f": {counted}" if counted else "")
    if summary.codes:
        would = "would have been refused" if summary.report_only else "refused"
        yield f"{would} for {', '.join(f'{code} {count}' for code, count in summary.codes.items())}"
    if summary.unexpected:
        yield f"{summary.unexpected} not as wanted"
    if summary.warnings:
        yield f"{summary.warnings} about to die"


class TextReporter:
    """Text; each line is harmless to a terminal."""

    def __init__(self) -> None:
        self._alone = False

    def begin(self, run: Run) -> Iterator[str]:
        """The head of the table, where there is to be one."""
        self._alone = run.targets == 1
        if not self._alone:
            yield _row("OUTCOME", "CODE", "DIES IN", "TARGET")

    def add(self, result: TargetResult) -> Iterator[str]:
        """The verdict, or a row; below it what went wrong."""
        if self._alone and result.verdict is not None:
            yield verdict_text(result.verdict, result.target) + "\n"
            lines = []
        elif self._alone:
            lines = [f"{result.ending}: {result.target}", f"  {result.problem}"]
        else:
            yield _row(result.ending, result.code or "–", _left(result), printable(result.target))
            lines = [f"    {line}" for line in _why(result)]
        indent = "  " if self._alone else "    "
        lines.extend(f"{indent}warning: {warning_text(each)}" for each in result.warnings)
        lines.extend(f"{indent}{remark}" for remark in result.remarks)
        expected = expected_text(result)
        if expected is not None:
            lines.append(f"{indent}{expected}")
        yield from (f"{printable(line)}\n" for line in lines)

    def end(self, summary: Summary) -> Iterator[str]:
        """The totals of a table."""
        if not self._alone:
            yield "\n"
            yield from (f"{line}\n" for line in totals_text(summary))


def _row(ending: str, code: str, left: str, target: str) -> str:
    return f"{ending:<{_ENDING}}  {code:<{_CODE}}  {left:<{_SPAN}}  {target}\n"


def _left(result: TargetResult) -> str:
    moment = dies_at(result.verdict) if result.verdict is not None else None
    if result.verdict is None or moment is None:
        return "–"
    left = moment - result.verdict.at
    return span_text(left) if left.total_seconds() >= 0 else "dead"


def _why(result: TargetResult) -> Iterator[str]:
    """Why there is no acceptance, and what to do, where that was not what the user wanted to see."""
    if result.problem is not None:
        yield result.problem
    elif result.verdict is not None and result.verdict.accepted and not result.verdict.checked:
        yield "nothing was checked: this policy looks at no evidence of revocation"
    elif result.verdict is not None and not result.as_expected:
        for reason in result.verdict.all_reasons:
            yield reason_text(reason)
            yield f"  to do: {reason.advice}"

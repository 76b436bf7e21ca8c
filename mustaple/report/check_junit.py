"""A run of `mustaple check` as JUnit XML: a test case for each target, as Ant's schema and Jenkins' both allow it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape, quoteattr

from mustaple.report.check_run import EXIT_AS_WANTED, EXIT_REFUSED, Ending
from mustaple.report.check_spool import Spool
from mustaple.report.check_text import expected_text, totals_text, warning_text
from mustaple.report.plain import printable
from mustaple.report.verdict_text import verdict_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mustaple.report.check_run import Run, Summary, TargetResult

CLASS: Final = "mustaple.check"


class JunitReporter:
    """JUnit XML. The counts stand in front of the cases, so that these wait in a spool until the end."""

    def __init__(self) -> None:
        self._cases = Spool()
        self._said = Spool()  # Ant's form knows no output of one case, only the suite's
        self._run: Run | None = None
        self._failures = 0
        self._errors = 0

    def begin(self, run: Run) -> Iterator[str]:
        """Nothing yet."""
        self._run = run
        yield from ()

    def add(self, result: TargetResult) -> Iterator[str]:
        """Nothing yet: the case is spooled."""
        inner = "" if self._forgiven(result) else self._inner(result)
        name = quoteattr(printable(result.target))
        head = f'    <testcase name={name} classname="{CLASS}" time="{result.seconds:.3f}"'
        self._cases.write(f"{head}>{inner}</testcase>\n" if inner else f"{head}/>\n")
        for line in _said(result):
            self._said.write(escape(printable(f"{result.target}: {line}")) + "\n")
        yield from ()

    def _forgiven(self, result: TargetResult) -> bool:
        """As it was wanted; or refused, in a run that only reports."""
        report_only = self._run is not None and self._run.report_only
        return result.exit_code == EXIT_AS_WANTED or (report_only and result.exit_code == EXIT_REFUSED)

    def _inner(self, result: TargetResult) -> str:
        if result.verdict is None:
            self._errors += 1
            return _element("error", result.ending.value, result.problem or "", result.problem or "")
        self._failures += 1
        # What was expected and did not happen is no refusal: the type says so.
        kind = result.code if result.ending is Ending.REFUSED and result.code is not None else result.ending.value
        told = verdict_text(result.verdict, result.target)
        expected = expected_text(result)
        return _element("failure", kind, result.summary_line, told if expected is None else f"{told}\n  {expected}")

    def end(self, summary: Summary) -> Iterator[str]:
        """The whole document."""
        yield '<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n'
        yield (
            f'  <testsuite name="{CLASS}" package="mustaple" id="0" hostname="localhost"{self._when()}'
            f' tests="{summary.total}" failures="{self._failures}" errors="{self._errors}" skipped="0"'
            f' time="{summary.seconds:.3f}">\n'
        )
        yield f"    <properties>\n{''.join(self._properties())}    </properties>\n"
        yield from self._cases.drain()
        yield "    <system-out>"
        yield from (escape(printable(line)) + "\n" for line in totals_text(summary))
        yield from self._said.drain()
        yield "</system-out>\n    <system-err/>\n  </testsuite>\n</testsuites>\n"

    def _when(self) -> str:
        """The schema allows no zone; it is UTC."""
        return "" if self._run is None else f' timestamp="{self._run.at:%Y-%m-%dT%H:%M:%S}"'

    def _properties(self) -> Iterator[str]:
        if self._run is not None:
            known = {"policy": self._run.policy, "version": self._run.version}
            for name, value in known.items():
                yield f'      <property name="mustaple.{name}" value={quoteattr(printable(value))}/>\n'


def _said(result: TargetResult) -> Iterator[str]:
    """What is worth a word although it fails nothing."""
    yield from (f"warning: {warning_text(each)}" for each in result.warnings)
    if result.verdict is not None and result.ending is Ending.REFUSED:
        yield result.summary_line


def _element(name: str, kind: str, message: str, text: str) -> str:
    body = "\n".join(printable(line) for line in text.splitlines())
    return f"<{name} type={quoteattr(kind)} message={quoteattr(printable(message))}>{escape(body)}</{name}>"

"""A run of `mustaple check` as workflow commands of GitHub Actions, and a table for the step's summary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mustaple.core.errors import InputError
from mustaple.report.check_run import Ending
from mustaple.report.check_sarif import findings
from mustaple.report.check_spool import Spool
from mustaple.report.check_text import totals_text
from mustaple.report.plain import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mustaple.report.check_run import Run, Summary, TargetResult

# GitHub takes 1 MiB of summary for a step, and none of it where there is more.
MOST_SUMMARY: Final = 512 * 1024  # bytes
_LOUD: Final = frozenset({"error", "warning"})
_MARKUP: Final = frozenset("\\`*_{}[]()<>#+!|~&@:$^=\"'")


class GithubReporter:
    """Annotations on stdout; with the file of GITHUB_STEP_SUMMARY, a table in it too."""

    def __init__(self, step_summary: Path | None = None) -> None:
        self._step_summary = step_summary
        self._rows = Spool()
        self._bytes = 0
        self._left_out = 0
        self._report_only = False

    def begin(self, run: Run) -> Iterator[str]:
        """Nothing yet."""
        self._report_only = run.report_only
        yield from ()

    def add(self, result: TargetResult) -> Iterator[str]:
        """An annotation for each error and warning, and a plain line for what is well."""
        loud = [each for each in findings(result, report_only=self._report_only) if each.level in _LOUD]
        for finding in loud:
            title = f"mustaple: {result.target}: {finding.rule}"
            yield f"::{finding.level} title={_property(title)}::{_data(finding.text)}\n"
        if not loud:
            yield _line(f"{result.ending}: {result.target}") + "\n"
        if self._step_summary is not None:
            self._keep(_row(result))

    def _keep(self, row: str) -> None:
        size = len(row.encode())
        if self._left_out or self._bytes + size > MOST_SUMMARY:
            self._left_out += 1
            return
        self._rows.write(row)
        self._bytes += size

    def end(self, summary: Summary) -> Iterator[str]:
        """The totals, as a notice; and the step's summary. Raises InputError where that cannot be written."""
        totals = list(totals_text(summary))
        yield f"::notice title=mustaple check::{_data('; '.join(totals))}\n"
        if self._step_summary is not None:
            try:
                with self._step_summary.open("a", encoding="utf-8") as file:
                    file.writelines(self._markdown(totals))
            except OSError as error:
                raise InputError(f"cannot write the summary {self._step_summary}: {error.strerror}") from error

    def _markdown(self, totals: list[str]) -> Iterator[str]:
        yield "### mustaple check\n\n"
        yield from (f"{_cell(line)}  \n" for line in totals)
        yield "\n| | target | outcome | code |\n|---|---|---|---|\n"
        yield from self._rows.drain()
        if self._left_out:
            yield f"\nand {self._left_out} more\n"


def _row(result: TargetResult) -> str:
    mark = "✅" if result.as_expected else "⚠️" if result.ending is Ending.NO_ANSWER else "❌"
    said = result.problem or result.ending.value
    return f"| {mark} | {_cell(result.target)} | {_cell(said)} | {_cell(result.code or '–')} |\n"


def _data(text: str) -> str:
    """The message of a workflow command: the runner undoes these three, and printable() leaves only the first."""
    return printable(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """A property of a workflow command, which a colon or a comma would end."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _line(text: str) -> str:
    """A line in which no command of the old kind is hidden: the runner looks for `##[` anywhere in it."""
    return printable(text).replace("##[", r"##\x5b")


def _cell(text: str) -> str:
    """Text in a table of Markdown, where nothing is markup: each sign that could be one is a reference to itself."""
    return "".join(f"&#{ord(sign)};" if sign in _MARKUP else sign for sign in printable(text))

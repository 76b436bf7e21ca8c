"""What Expect-Staple reports came in, as a table for a terminal and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mustaple.report.plain import printable
from mustaple.report.verdict_json import time_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mustaple.net.report_store import Subject, Tally

SCHEMA: Final = "mustaple-collect-1"
_HEADINGS: Final = ("host", "status", "reports", "last (UTC)")


def subject_line(subject: Subject) -> str:
    """One line, as a report comes."""
    return printable(f"report: {subject.hostname}:{subject.port} {_status(subject)}")


def tallies_text(tallies: Sequence[Tally]) -> str:
    """A table, a line for each host and status."""
    if not tallies:
        return "No report has come."
    rows = [
        (f"{each.subject.hostname}:{each.subject.port}", _status(each.subject), str(each.reports), _when(each))
        for each in tallies
    ]
    widths = [max(len(row[column]) for row in (_HEADINGS, *rows)) for column in range(len(_HEADINGS))]
    return "\n".join(printable(_line(row, widths)) for row in (_HEADINGS, *rows))


def tallies_json(tallies: Sequence[Tally]) -> dict[str, Any]:
    """The same as JSON."""
    return {
        "schema": SCHEMA,
        "reports": [
            {
                "hostname": each.subject.hostname,
                "port": each.subject.port,
                "response_status": each.subject.response_status,
                "cert_status": each.subject.cert_status,
                "count": each.reports,
                "first": time_json(each.first_at),
                "last": time_json(each.last_at),
            }
            for each in tallies
        ],
    }


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    host, status, reports, last = row
    return f"{host:<{widths[0]}}  {status:<{widths[1]}}  {reports:>{widths[2]}}  {last}"


def _status(subject: Subject) -> str:
    return subject.response_status + (f", {subject.cert_status}" if subject.cert_status is not None else "")


def _when(tally: Tally) -> str:
    return f"{tally.last_at:%Y-%m-%d %H:%M:%S}"

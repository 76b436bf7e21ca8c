"""A run of `mustaple check` as one JSON document, streamed; its schema is docs/schemas/check.json."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mustaple.report.check_run import dies_at
from mustaple.report.plain import json_text
from mustaple.report.verdict_json import time_json, verdict_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mustaple.report.check_run import Run, Summary, TargetResult

# The number rises where a field goes or changes its meaning. Fields may be added: a reader skips what it does not know.
SCHEMA: Final = "mustaple-check/1"


def run_json(run: Run) -> dict[str, Any]:
    """What the whole run has in common."""
    return {
        "schema": SCHEMA,
        "version": run.version,
        "policy": run.policy,
        "at": time_json(run.at),
        "report_only": run.report_only,
    }


def result_json(result: TargetResult) -> dict[str, Any]:
    """What became of one target. `code` is the most telling reason's; times are UTC."""
    verdict = result.verdict
    return {
        "target": result.target,
        "ending": result.ending.value,
        "code": result.code,
        "expected": None if result.expectation is None else str(result.expectation),
        "as_expected": result.as_expected,
        "seconds": round(result.seconds, 6),
        "problem": result.problem,
        "dies_at": None if verdict is None else time_json(dies_at(verdict)),
        "warnings": [
            {
                "what": each.what,
                "subject": each.subject,
                "dies_at": time_json(each.dies_at),
                "seconds_left": int(each.left.total_seconds()),
            }
            for each in result.warnings
        ],
        "remarks": list(result.remarks),
        "verdict": None if verdict is None else verdict_json(verdict),
    }


def summary_json(summary: Summary) -> dict[str, Any]:
    """The sum of the run. `codes` counts refused targets by their most telling reason."""
    return {
        "targets": summary.total,
        "endings": {ending.value: count for ending, count in summary.endings.items()},
        "codes": dict(summary.codes),
        "unexpected": summary.unexpected,
        "warnings": summary.warnings,
        "exit_code": summary.exit_code,
        "seconds": round(summary.seconds, 6),
    }


class JsonReporter:
    """JSON, written as the results come: of many targets a line for each, which also takes a tenth of the time."""

    def __init__(self) -> None:
        self._between = "\n"
        self._alone = False

    def begin(self, run: Run) -> Iterator[str]:
        """The fields of the run, and the open list of results."""
        self._alone = run.targets == 1
        yield json_text(run_json(run)).removesuffix("\n}") + ',\n  "results": ['

    def add(self, result: TargetResult) -> Iterator[str]:
        """One element of the list."""
        yield self._between + json_text(result_json(result), indent="    ", one_line=not self._alone)
        self._between = ",\n"

    def end(self, summary: Summary) -> Iterator[str]:
        """The end of the list, and the sum."""
        yield '\n  ],\n  "summary": ' + json_text(summary_json(summary), indent="  ").lstrip() + "\n}\n"

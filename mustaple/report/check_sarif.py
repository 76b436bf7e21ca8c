"""A run of `mustaple check` as SARIF 2.1.0, streamed: a rule for each reason there is, a result for each one seen."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote

from mustaple.core.verdict import Code
from mustaple.report.check_run import EXIT_INTERNAL, Ending
from mustaple.report.check_text import expected_text, reason_text, warning_text
from mustaple.report.clauses import clause_url
from mustaple.report.plain import json_text, printable
from mustaple.report.verdict_json import time_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mustaple.report.check_run import Run, Summary, TargetResult

SARIF_SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
DIES_SOON: Final = "dies-soon"
NOT_AS_EXPECTED: Final = "not-as-expected"
_OWN_RULES: Final = {
    Ending.NO_ANSWER.value: ("the target did not answer, not in time, or not in TLS", "see that the server is up"),
    Ending.INTERNAL_ERROR.value: ("the check itself failed", "report it, with what it said"),
    DIES_SOON: ("a staple or a certificate is about to die", "renew it, or see why nobody does"),
    NOT_AS_EXPECTED: ("the target came to something else than was expected", "see what has changed"),
}
_IDS: Final = (*(code.value for code in Code), *_OWN_RULES)
_INDEX: Final = {rule: place for place, rule in enumerate(_IDS)}


class Finding(NamedTuple):
    """One result: its rule, its level (`error`, `warning`, `note`, `none`), its text."""

    rule: str
    level: str
    text: str


def rules() -> list[dict[str, Any]]:
    """What each reason means, by which clause, and what to do."""
    made = [
        _rule(code.value, f"{_words(code.value)}, by {code.rule.clause}", code.rule.advice, code.rule.clause)
        for code in Code
    ]
    made.extend(_rule(rule, said, advice, None) for rule, (said, advice) in _OWN_RULES.items())
    return made


def _words(rule: str) -> str:
    return rule.replace("-", " ")


def _rule(rule: str, said: str, advice: str, clause: str | None) -> dict[str, Any]:
    url = clause_url(clause) if clause is not None else None
    return {
        "id": rule,
        "name": "".join(map(str.capitalize, rule.split("-"))),
        "shortDescription": {"text": _words(rule)},
        "fullDescription": {"text": f"{said}."},
        "help": {"text": f"To do: {advice}."},
        **({"helpUri": url} if url is not None else {}),
        "properties": {"tags": ["security", "tls", "revocation"], **({"clause": clause} if clause else {})},
    }


class SarifReporter:
    """SARIF 2.1.0."""

    def __init__(self) -> None:
        self._between = "\n"
        self._report_only = False

    def begin(self, run: Run) -> Iterator[str]:
        """The tool with all its rules, and the open list of results."""
        self._report_only = run.report_only
        driver = {
            "name": "mustaple",
            "semanticVersion": run.version,
            "rules": rules(),
        }
        about = {"policy": run.policy, "at": time_json(run.at), "reportOnly": run.report_only}
        yield f'{{\n  "$schema": "{SARIF_SCHEMA}",\n  "version": "2.1.0",\n  "runs": [\n    {{\n      "tool": '
        yield json_text({"driver": driver}, indent="      ").lstrip()
        yield ',\n      "columnKind": "utf16CodeUnits",\n      "properties": '
        yield json_text(about, indent="      ").lstrip()
        yield ',\n      "results": ['

    def add(self, result: TargetResult) -> Iterator[str]:
        """A result for each reason, or for what stands in its place."""
        for finding in findings(result, report_only=self._report_only):
            yield self._between + json_text(_result(finding, result), indent="        ")
            self._between = ",\n"

    def end(self, summary: Summary) -> Iterator[str]:
        """The end of the list, and how the run ended."""
        invocation = {"executionSuccessful": summary.exit_code != EXIT_INTERNAL, "exitCode": summary.exit_code}
        yield '\n      ],\n      "invocations": '
        yield json_text([invocation], indent="      ").lstrip()
        yield "\n    }\n  ]\n}\n"


def findings(result: TargetResult, *, report_only: bool = False) -> Iterator[Finding]:
    """What there is to say of a target: errors, as warnings where the run only reports; notes; what dies soon."""
    error = "warning" if report_only else "error"
    verdict = result.verdict
    if verdict is None:
        yield Finding(result.ending.value, "error", result.problem or result.ending.value)
        return
    missed = result.expectation is not None and not result.as_expected
    if missed:
        yield Finding(NOT_AS_EXPECTED, error, f"{expected_text(result)}; it is {verdict.headline}")
    # A refusal that a test asked for is no fault.
    level = "note" if result.as_expected or missed else error
    for reason in dict.fromkeys(verdict.all_reasons):
        yield Finding(reason.code.value, level, f"{reason_text(reason)}. To do: {reason.advice}.")
    notes = verdict.notes + tuple(note for each in verdict.certificates for note in each.notes)
    for note in dict.fromkeys(notes):
        yield Finding(note.code.value, "note", f"{reason_text(note)}.")
    for warning in result.warnings:
        yield Finding(DIES_SOON, "warning", f"{warning_text(warning)}.")


def _result(finding: Finding, result: TargetResult) -> dict[str, Any]:
    mark = f"{result.target}\n{finding.rule}".encode("utf-8", "backslashreplace")
    return {
        "ruleId": finding.rule,
        "ruleIndex": _INDEX[finding.rule],
        "kind": "fail" if finding.level in {"error", "warning"} else "informational",
        "level": finding.level if finding.level in {"error", "warning"} else "none",
        "message": {"text": f"{result.target}: {finding.text}"},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": f"tls://{quote(printable(result.target), safe=':[]')}"}
                },
                "logicalLocations": [{"fullyQualifiedName": result.target, "kind": "resource"}],
            }
        ],
        # The same fault of the same target is the same alert in the next run, whatever its words are then.
        "partialFingerprints": {"mustaple/v1": hashlib.sha256(mark).hexdigest()},
    }

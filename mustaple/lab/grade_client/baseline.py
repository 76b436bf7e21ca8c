"""What a client did last time, as a file: only what is not so any more fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mustaple.core.errors import InputError
from mustaple.report.cases_corpus import CaseId, Preset
from mustaple.report.grade_client import BASELINE, Change, GradeReport, Outcome
from mustaple.report.plain import json_text

if TYPE_CHECKING:
    from pathlib import Path

_MOST: Final = 16 * 1024 * 1024  # bytes of a file


class KnownOutcome(BaseModel):
    """One case of a baseline."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: CaseId
    outcome: Outcome


class Baseline(BaseModel):
    """The profile and every outcome. A report in JSON will do as well: what else it has is passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    schema_: Literal["mustaple-grade-client-baseline/1", "mustaple-grade-client/1"] = Field(alias="schema")
    profile: Preset
    cases: list[KnownOutcome]


def baseline_text(report: GradeReport) -> str:
    """The baseline that this report makes, as JSON; the same outcomes make the same text."""
    cases = [{"id": case.id, "outcome": case.outcome.value} for case in report.cases]
    return json_text({"schema": BASELINE, "client": report.client, "profile": report.profile, "cases": cases}) + "\n"


def read_baseline(path: Path) -> Baseline:
    """Read a baseline, or a report in JSON. Raises InputError for a file that is neither."""
    try:
        with path.open("rb") as file:
            data = file.read(_MOST)
    except OSError as error:
        raise InputError(f"cannot read the baseline {path}: {error.strerror or error}") from error
    try:
        return Baseline.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise InputError(f"{path} is no baseline: {where}: {first['msg']}") from error


def compared(report: GradeReport, baseline: Baseline) -> GradeReport:
    """The report with what changed since. Cases that only one of the two has are no change: the corpus grows.

    The profile is compared where the same cases were graded, since fewer can make for another one.
    """
    known = {each.id: each.outcome for each in baseline.cases}
    changes = [
        Change(id=case.id, before=known[case.id].value, now=case.outcome.value)
        for case in report.cases
        if case.id in known and known[case.id] is not case.outcome
    ]
    if report.profile != baseline.profile and known.keys() == {case.id for case in report.cases}:
        changes.insert(0, Change(id=None, before=baseline.profile, now=report.profile))
    return report.model_copy(update={"changes": changes})

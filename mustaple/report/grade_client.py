"""The grade of a TLS client as data, whose schema is docs/schemas/grade-client.json."""

from __future__ import annotations

import enum
from typing import Annotated, Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from mustaple.core.verdict import Code
from mustaple.report.cases_corpus import CaseId, Preset, Protocol
from mustaple.report.plain import json_text

SCHEMA: Final = "mustaple-grade-client/1"
BASELINE: Final = "mustaple-grade-client-baseline/1"

Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Importance = Literal["must", "should", "curious"]
Wanted = Literal["accept", "refuse"]
Kind = Literal["lets-in", "shuts-out", "stricter", "fault"]


class Outcome(enum.StrEnum):
    """What a client did with a case."""

    ACCEPT = "accept"
    REFUSE = "refuse"
    CRASH = "crash"
    HANG = "hang"
    SKIPPED = "skipped"


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", title=None, frozen=True)


class GradedCase(_Shape):
    """One case, what the client did with it, and what the policy it is measured against should do.

    `code` is the reason of the expected refusal, or of a note; `by_policy` is what each preset should do. `detail` is
    what was seen, in words; for a skipped case it says why it could not be judged. `protocol` is null where no
    handshake was completed; `offered` are the extensions with which the ClientHello asked for a status (5, 17);
    `alert` is the client's.
    """

    id: CaseId
    family: str
    description: str
    importance: Importance
    clauses: list[str]
    outcome: Outcome
    expected: Wanted
    code: Code | None
    by_policy: dict[Preset, Wanted]
    detail: str
    protocol: Protocol | None
    offered: list[int]
    alert: int | None
    seconds: Seconds

    @property
    def judged(self) -> bool:
        """Whether it could be judged at all."""
        return self.outcome is not Outcome.SKIPPED

    @property
    def deviates(self) -> bool:
        """Whether the client did something else than expected."""
        return self.judged and self.outcome.value != self.expected

    @property
    def fails(self) -> bool:
        """Whether it fails a run: neither what is stricter does, nor a matter that no text settles."""
        return self.deviates and self.kind != "stricter" and self.importance != "curious"

    @property
    def kind(self) -> Kind:
        """In which way it deviates, if it does."""
        if self.outcome in {Outcome.CRASH, Outcome.HANG}:
            return "fault"
        if self.outcome is Outcome.ACCEPT:
            return "lets-in"
        return "stricter" if "refuse" in self.by_policy.values() else "shuts-out"

    @property
    def clause(self) -> str:
        """The id of the clause that it is about before all others; of a case without one, where its reason rests."""
        if self.clauses:
            return self.clauses[0]
        return self.code.rule.clause if self.code is not None else "no clause"


class Deviation(_Shape):
    """A case in which the client differs from the policy it is measured against.

    `kind` says how: it lets in what should be refused, shuts out what every policy accepts, is stricter (as another
    policy would be), or has a fault of its own, a crash or a hang.
    `importance` says what that means: must (an RFC forbids it, or a thief of the key gets in), should, or curious (no
    text settles it). `clause` is the id of the requirement in rfc_notes/ that it is about before all of `clauses`.
    """

    id: CaseId
    kind: Kind
    importance: Importance
    clause: str
    clauses: list[str]
    expected: Wanted
    outcome: Outcome
    code: Code | None


class Change(_Shape):
    """What is not as in the baseline: of one case, or, where `id` is null, the profile."""

    id: CaseId | None
    before: str
    now: str


class GradeReport(_Shape):
    """What `mustaple grade client --format json` prints. A reader skips fields that it does not know.

    `profile` is the nearest preset: `agreement` says for each which part of the judged cases, weighted by importance,
    came out as it should for it. `measured_against` is the preset that was asked for, or else the profile.
    `requests` counts those that the client made to the CA's responder. `changes` is null without a baseline.
    """

    model_config = ConfigDict(extra="forbid", title="mustaple grade client", frozen=True)

    schema_: Literal["mustaple-grade-client/1"] = Field(alias="schema")
    version: str
    client: str
    client_version: str | None
    command: list[str]
    at: AwareDatetime
    seconds: Seconds
    profile: Preset
    agreement: dict[Preset, Share]
    measured_against: Preset
    totals: dict[Outcome, Count]
    requests: Count
    cases: list[GradedCase]
    deviations: list[Deviation]
    changes: list[Change] | None

    @property
    def passed(self) -> bool:
        """Whether nothing changed; without a baseline, whether no case fails."""
        if self.changes is not None:
            return not self.changes
        return not any(case.fails for case in self.cases)


def grade_json(report: GradeReport) -> str:
    """The report as JSON text."""
    return json_text(report.model_dump(mode="json", by_alias=True)) + "\n"


def grade_client_schema() -> dict[str, Any]:
    """The JSON schema, draft 2020-12, of the report."""
    made = GradeReport.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"urn:{SCHEMA.replace('/', ':')}", **made}


if __name__ == "__main__":
    print(json_text(grade_client_schema()))  # noqa: T201  it is what the command is for

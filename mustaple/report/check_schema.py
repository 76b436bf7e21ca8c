"""The JSON schema of a run's report, docs/schemas/check.json: `python -m mustaple.report.check_schema` prints it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from mustaple.core.verdict import Code, Outcome, Source, Status
from mustaple.report.check_json import SCHEMA
from mustaple.report.check_run import Ending
from mustaple.report.plain import json_text

ExitCode = Literal[0, 1, 3, 4]
Hex = Annotated[str, Field(pattern="^[0-9a-f]+$")]
Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]
Expected = Annotated[str, Field(pattern="^(accepted|refused(:[a-z0-9-]+)?)$")]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", title=None)


class Reason(_Shape):
    """Why: a stable code, what was seen, the clause it rests on, what to do."""

    code: Code
    detail: str
    clause: str
    advice: str


class Judgement(_Shape):
    """What one piece of evidence proved about a certificate."""

    status: Status
    source: Source
    origin: str
    reasons: list[Reason]
    notes: list[Reason]
    responder: str | None
    produced_at: AwareDatetime | None
    this_update: AwareDatetime | None
    next_update: AwareDatetime | None
    dies_at: AwareDatetime | None
    revocation_time: AwareDatetime | None
    revocation_reason: str | None


class Certificate(_Shape):
    """The verdict on one certificate. `fingerprint` is the SHA-256 of its DER."""

    subject: str
    issuer: str
    serial_number: Hex
    fingerprint: Hex
    features: list[int] | None
    obliged: bool
    outcome: Outcome
    status: Status
    reasons: list[Reason]
    notes: list[Reason]
    evidence: list[Judgement]


class Request(_Shape):
    """A request that the client itself made to a CA for the certificate with this fingerprint.

    `serial_number` is what it told the CA, null where it told nothing; `encrypted` says whether others on the way
    could read it; `answer` is what came back, in words.
    """

    source: Source
    url: str
    redirects: list[str]
    method: Literal["GET", "POST"]
    encrypted: bool
    fingerprint: Hex
    serial_number: Hex | None
    answer: str


class Verdict(_Shape):
    """The verdict on a connection. `checked` is false where the policy looked at no evidence."""

    outcome: Outcome
    checked: bool
    policy: str
    at: AwareDatetime
    protocol: str | None
    engine: str | None
    reasons: list[Reason]
    notes: list[Reason]
    certificates: list[Certificate]
    requests: list[Request]


class Dying(_Shape):
    """Something that is good still, and dies within the span that was asked about."""

    what: Literal["certificate", "staple", "ocsp", "crl"]
    subject: str
    dies_at: AwareDatetime
    seconds_left: Count


class Result(_Shape):
    """What became of one target: a verdict, or the problem that kept it from one."""

    target: str
    ending: Ending
    code: Code | None
    expected: Expected | None
    as_expected: bool
    seconds: Seconds
    problem: str | None
    dies_at: AwareDatetime | None
    warnings: list[Dying]
    remarks: list[str]
    verdict: Verdict | None


class Totals(_Shape):
    """The sum of the run; `codes` counts refused targets by their most telling reason."""

    targets: Count
    endings: dict[Ending, Count]
    codes: dict[Code, Count]
    unexpected: Count
    warnings: Count
    exit_code: ExitCode
    seconds: Seconds


class Report(_Shape):
    """What `mustaple check --format json` prints. A reader skips fields that it does not know."""

    model_config = ConfigDict(extra="forbid", title="mustaple check")

    schema_: Literal["mustaple-check/1"] = Field(alias="schema")
    version: str
    policy: str
    at: AwareDatetime
    report_only: bool
    results: list[Result]
    summary: Totals


def check_schema() -> dict[str, Any]:
    """The JSON schema, draft 2020-12, of the report."""
    made = Report.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"urn:{SCHEMA.replace('/', ':')}", **made}


if __name__ == "__main__":
    print(json_text(check_schema()))  # noqa: T201  it is what the command is for

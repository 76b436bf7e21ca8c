"""The grade of a TLS server as data: what `mustaple grade server --json` prints (docs/schemas/grade-server.json)."""

from __future__ import annotations

import enum
from typing import Annotated, Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from mustaple.report.plain import json_text

SCHEMA: Final = "mustaple-grade-server/1"
NOT_TRIED: Final = "it was not tried"

Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0)]
Answer = bool | None
Reaction = Literal["refuses", "warns", "shrugs"]


class EventKind(enum.StrEnum):
    """What an event of the timeline is."""

    HANDSHAKE = "handshake"
    REQUEST = "request"
    ANSWER = "answer"
    SERVER = "server"
    RESPONDER = "responder"
    CLOCK = "clock"


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", title=None, frozen=True)


class Event(_Shape):
    """One thing that happened.

    `at` is in seconds since the grading began, by a clock that never jumps; `clock` is the server's time, which the
    bench sets forward. A handshake `lasted` so many seconds and is written down when it ends.
    """

    number: Count
    at: Seconds
    clock: AwareDatetime
    scene: str
    kind: EventKind
    said: str
    lasted: Seconds | None


class Evidence(_Shape):
    """Why an answer is what it is, in words, and the numbers of the timeline's events that show it."""

    said: str
    events: list[Count]


class Requests(_Shape):
    """What the server asked the responder. `refresh_at` is when in a response's life it first asked for the next one.

    That is 0.5 for its middle; null where it did not. The counts are of requests: while all was well, for so many
    handshakes, and while every answer was an error, for so many.
    """

    methods: list[str]
    nonces: Count
    conditional: Count
    well: Count
    well_handshakes: Count
    failing: Count
    failing_handshakes: Count
    refresh_at: Share | None


class Point(_Shape):
    """One of the eight things that Ryan Sleevi asks of a server that staples; null where it could not be seen."""

    name: str
    holds: Answer
    said: str


class Prefetch(_Shape):
    """The four columns of the table of servers in "Is the Web Ready for OCSP Must-Staple?" (IMC 2018)."""

    prefetch: Answer
    cache: Answer
    respect_next_update: Answer
    retain_on_error: Answer


class ServerReport(_Shape):
    """What `mustaple grade server --format json` prints. A reader skips fields that it does not know.

    Each answer is true, false, or null where it could not be seen, and stands in `evidence` under its name.
    `must_staple_without_staple` says what the server does about a certificate that promises a staple when it has none.
    `fetches` is false for a server that is given its staple as a file. `clock` says whether the server's time was set
    forward or waited for; it is null for a server that was running already. `agent` says whether the staple agent
    stood in front.
    """

    model_config = ConfigDict(extra="forbid", title="mustaple grade server", frozen=True)

    schema_: Literal["mustaple-grade-server/1"] = Field(alias="schema")
    version: str
    server: str
    server_version: str | None
    about: str
    agent: bool
    fetches: bool | None
    at: AwareDatetime
    seconds: Seconds
    clock: Literal["set-forward", "waited-for"] | None
    staples: Answer
    staples_first_handshake: Answer
    fetches_outside_handshake: Answer
    keeps_over_restart: Answer
    respects_next_update: Answer
    retains_on_error: Answer
    serves_errors: Answer
    staples_chain: Answer
    slow_responder_slows_handshakes: Answer
    prefetches: Answer
    caches: Answer
    serves_old_while_fetching: Answer
    refreshes_before_death: Answer
    serves_revoked: Answer
    serves_unusable: Answer
    must_staple_without_staple: Reaction | None
    requests: Requests
    evidence: dict[str, Evidence]
    sleevi: list[Point]
    imc_2018: Prefetch
    timeline: list[Event]

    @property
    def passed(self) -> bool:
        """Whether nothing was seen that takes a staple away from clients, or gives them one of no use."""
        good = (
            self.staples_first_handshake,
            self.keeps_over_restart,
            self.respects_next_update,
            self.retains_on_error,
        )
        return all(each is not False for each in good) and not self.serves_errors and self.staples is not False


QUESTIONS: Final = {
    "staples": "does it staple at all",
    "staples_first_handshake": "a staple on the first handshake",
    "prefetches": "asks before a client comes",
    "fetches_outside_handshake": "fetches outside the handshake",
    "slow_responder_slows_handshakes": "a slow responder slows handshakes",
    "caches": "keeps the response from handshake to handshake",
    "keeps_over_restart": "keeps the staple over a restart",
    "refreshes_before_death": "asks for the next in time",
    "serves_old_while_fetching": "serves the old one while it asks",
    "retains_on_error": "keeps the good one when the responder fails",
    "respects_next_update": "respects nextUpdate",
    "serves_errors": "serves error responses",
    "serves_revoked": "serves `revoked`",
    "serves_unusable": "serves what no client accepts",
    "staples_chain": "staples every certificate",
}
# Where true is the bad news.
UNWANTED: Final = frozenset({"slow_responder_slows_handshakes", "serves_errors", "serves_unusable"})
# Neither is: RFC 6066 §8 leaves it to the server, and a client that sees `revoked` is better off than without.
NEUTRAL: Final = frozenset({"serves_revoked"})


def server_json(reports: list[ServerReport]) -> str:
    """The report as JSON text; of several, a list of them."""
    shown = [each.model_dump(mode="json", by_alias=True) for each in reports]
    return json_text(shown[0] if len(shown) == 1 else shown) + "\n"


def grade_server_schema() -> dict[str, Any]:
    """The JSON schema, draft 2020-12, of one report."""
    made = ServerReport.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"urn:{SCHEMA.replace('/', ':')}", **made}


if __name__ == "__main__":
    print(json_text(grade_server_schema()))  # noqa: T201  it is what the command is for

"""What a comparison of policies is made of: situations, what each client did in them, and what that cost, as data."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

SCHEMA: Final = "mustaple-compare/1"

Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]
Protocol = Literal["TLSv1.3", "TLSv1.2"]


class Attacker(enum.StrEnum):
    """Who stands between client and server, and what they do.

    A thief holds the stolen key of the revoked certificate; who merely stands on the path holds none.
    """

    NONE = "none"
    THIEF = "thief"  # of a case of the corpus, whose description says what it does
    STAPLES_NOTHING = "thief-staples-nothing"
    STAPLES_NOTHING_BLOCKS = "thief-staples-nothing-blocks-ocsp"
    STAPLES_OLD = "thief-staples-old"
    STAPLES_OLD_BLOCKS = "thief-staples-old-blocks-ocsp"
    STAPLES_OTHERS = "thief-staples-others"
    STAPLES_OTHERS_BLOCKS = "thief-staples-others-blocks-ocsp"
    STAPLES_FORGED = "thief-staples-forged"
    STAPLES_FORGED_BLOCKS = "thief-staples-forged-blocks-ocsp"
    STAPLES_FRESH = "thief-staples-fresh"  # good, made before the revocation, and not yet expired
    STAPLES_FRESH_BLOCKS = "thief-staples-fresh-blocks-ocsp"
    REMOVES_STAPLE = "path-removes-staple"
    BREAKS_CONNECTION = "path-breaks-connection"

    @property
    def blocks(self) -> bool:
        """Whether they keep the client from the CA."""
        return self.value.endswith("-blocks-ocsp")

    @property
    def staples(self) -> str | None:
        """What a thief staples for the revoked certificate: nothing, old, others, forged or fresh."""
        word = self.value.removesuffix("-blocks-ocsp").removeprefix("thief-staples-")
        return word if self.value.startswith("thief-staples-") else None

    @property
    def on_path(self) -> bool:
        """Whether they hold no key."""
        return self.value.startswith("path-")

    @property
    def blocking(self) -> Attacker:
        """The same attacker, who blocks OCSP besides."""
        return self if self.blocks else Attacker(f"{self.value}-blocks-ocsp")


class Server(enum.StrEnum):
    """For which certificates a server staples as long as nothing goes wrong."""

    NONE = "none"
    LEAF = "leaf"
    CHAIN = "chain"


class Ocsp(enum.StrEnum):
    """What a client meets that asks the CA itself."""

    ANSWERS = "answers"
    BLOCKED = "blocked"


class Outage(enum.StrEnum):
    """Whether the CA's responder is down, and what has become of the server's staples since.

    A naive server loses them or serves them when they have expired; the agent's cache keeps good ones.
    """

    NONE = "none"
    LOST = "lost"
    EXPIRED = "expired"
    KEPT = "kept"

    @property
    def naive(self) -> bool:
        """Whether the server is without a good staple."""
        return self in {Outage.LOST, Outage.EXPIRED}


class Kind(enum.StrEnum):
    """Whether an outcome was right."""

    RIGHT = "right"
    ATTACK_SUCCEEDED = "attack-succeeded"
    FALSE_OUTAGE = "false-outage"


class Revoked(enum.StrEnum):
    """Which certificate is revoked in truth, whatever anybody says."""

    NONE = "none"
    LEAF = "leaf"
    INTERMEDIATE = "intermediate"


class Outcome(enum.StrEnum):
    """What a client did; one that gets no connection has refused, whoever broke it."""

    ACCEPTED = "accepted"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Case:
    """One situation: what is true, what the server staples, and what the CA's responder says if it can be reached.

    `sound` is false where path or name are wrong, so that every client should refuse. `staple` is for the leaf,
    `ca_staple` for the intermediate, `answer` what the responder says of the leaf and `ca_answer` of the intermediate.
    Each names a mutation of an honest response (`certtools.forge.MUTATIONS`); "good" is the honest one, None is
    nothing. `server` says what the server staples as long as nothing goes wrong, `protocol` which TLS it speaks. Case,
    attacker and server together name a situation.
    """

    name: str
    title: str
    revoked: Revoked = Revoked.NONE
    staple: str | None = "good"
    ca_staple: str | None = "good"
    answer: str = "good"
    ocsp: Ocsp = Ocsp.ANSWERS
    attacker: Attacker = Attacker.NONE
    must_staple: bool = True
    server: Server = Server.CHAIN
    outage: Outage = Outage.NONE
    ca_answer: str = "good"
    protocol: Protocol = "TLSv1.3"
    sound: bool = True

    @property
    def acceptable(self) -> bool:
        """Whether a client should accept it that gets to see what the server sent."""
        return self.sound and self.revoked is Revoked.NONE

    @property
    def key(self) -> tuple[str, Attacker, Server]:
        """What names it among others."""
        return self.name, self.attacker, self.server


Key = tuple[str, str, Attacker, Server]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", title=None, frozen=True)


class Traffic(_Shape):
    """TCP connections that a client opened, and the bytes in them: its own (`sent`) and those that came back."""

    connections: Count = 0
    sent: Count = 0
    received: Count = 0


class Told(_Shape):
    """What one request told the CA, and whoever reads along where it went in clear.

    `serial` is in hex, as the request held it; `name` is whose certificate that is. `names_site` says whether it is
    the server's own, by which the CA knows who visits what; `in_clear` whether others could read it on the way.
    """

    serial: str
    name: str
    names_site: bool
    in_clear: bool


class Cell(_Shape):
    """What one client did in one situation, over real sockets, and what that cost.

    `preset` is the client: a preset of the strict client, or a recipe of `mustaple grade client` where `program` is
    true. `case`, `attacker` and `server` name the situation; `title`, `revoked` (in truth), `outage`, `ocsp`,
    `must_staple` (whether the certificate promises a staple) and `protocol` (the newest that the server speaks) say
    more of it.

    `kind` is right, attack-succeeded (accepted while revoked, or although the handshake was changed on the path), or
    false-outage (refused while good). `connection_failed`: somebody on the path changed or cut the connection and it
    came to nothing. No policy could have saved it and refusing it is right, so it is counted on its own and not as a
    false outage.

    `reason` is the code of the most telling reason or note, `detail` the same in words; of a program it is how it
    ended. `alert` is the TLS alert that the server received. `seconds` is the time to the verdict; of a program, how
    long it ran. `to_server` and `to_ca` are counted in bytes of TCP's payload; a connection to a CA that is blocked or
    down is counted, though nobody answers it. `ca_requests` are those that arrived there, `ca_signatures` what it
    signed for them, `told` what they gave away. `staples_signed` is what it had signed before for the staples that
    this server holds, once for all of the server's clients. `verdict` is as in `mustaple check --json`; null for a
    program, and where there was none.
    """

    preset: str
    program: bool = False
    case: str
    title: str
    attacker: Attacker
    server: Server
    revoked: Revoked
    outage: Outage = Outage.NONE
    ocsp: Ocsp = Ocsp.ANSWERS
    must_staple: bool
    protocol: Protocol
    outcome: Outcome
    kind: Kind
    connection_failed: bool = False
    reason: str | None
    detail: str
    alert: int | None
    seconds: Seconds
    to_server: Traffic
    to_ca: Traffic
    ca_requests: Count
    ca_signatures: Count
    told: list[Told]
    staples_signed: Count
    verdict: dict[str, Any] | None

    @property
    def key(self) -> Key:
        """What names it among others."""
        return self.preset, self.case, self.attacker, self.server

    @property
    def accepted(self) -> bool:
        """Whether the client accepted the server."""
        return self.outcome is Outcome.ACCEPTED

    @property
    def is_revoked(self) -> bool:
        """Whether a certificate is revoked in truth."""
        return self.revoked is not Revoked.NONE


class Finding(_Shape):
    """One sentence that the cells say, computed from them. `expected` is false where the article says otherwise.

    `of` is how many cells it is about, `count` in how many of them it is so.
    """

    id: str
    text: str
    count: Count
    of: Count
    expected: bool | None


class Client(_Shape):
    """A column: a preset, or a program with what it says of its version."""

    name: str
    program: bool = False
    version: str | None = None


class Comparison(_Shape):
    """What `mustaple compare --json` prints. A reader skips fields that it does not know.

    `command` reproduces it; keys and serial numbers follow from `seed`, and the verdicts come out the same.
    `at` is when it was begun, in UTC, `seconds` what the cells took together. `findings` are computed from `cells`.
    """

    model_config = ConfigDict(extra="forbid", title="mustaple compare", frozen=True)

    schema_: Literal["mustaple-compare/1"] = Field(alias="schema", default="mustaple-compare/1")
    version: str
    command: str
    seed: int
    at: AwareDatetime
    seconds: Seconds
    clients: list[Client]
    cells: list[Cell]
    findings: list[Finding]


def kind_of(outcome: Outcome, *, acceptable: bool) -> Kind:
    """Whether an outcome was right. What is acceptable is not revoked, and nobody has changed what the server sent."""
    if (outcome is Outcome.ACCEPTED) is acceptable:
        return Kind.RIGHT
    return Kind.FALSE_OUTAGE if acceptable else Kind.ATTACK_SUCCEEDED

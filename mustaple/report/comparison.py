"""What a comparison of policies is made of: situations, and what each policy did in them, ready to be shown."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mustaple.core.verdict import Outcome

if TYPE_CHECKING:
    from mustaple.core.verdict import ChainVerdict


class Attacker(enum.StrEnum):
    """Who stands between client and server."""

    NONE = "none"
    THIEF = "holds the stolen key"


class Ocsp(enum.StrEnum):
    """What a client meets that asks the CA itself."""

    ANSWERS = "answers"
    BLOCKED = "blocked"


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


@dataclass(frozen=True, slots=True)
class Case:
    """One situation: what is true, what the server staples, and what the CA's responder says if it can be reached.

    `staple` is for the leaf, `ca_staple` for the intermediate, `answer` what the responder says of the leaf. Each
    names a mutation of an honest response (`certtools.forge.MUTATIONS`); "good" is the honest one, None is nothing.
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


@dataclass(frozen=True, slots=True)
class Cell:
    """What one preset did in one case, over real sockets. `seconds` is the time to the verdict."""

    preset: str
    case: Case
    verdict: ChainVerdict
    ca_requests: int
    seconds: float

    @property
    def kind(self) -> Kind:
        """Right, an attack that succeeded (accepted while revoked), or a false outage (refused while good)."""
        accepted = self.verdict.outcome is Outcome.ACCEPTED
        good = self.case.revoked is Revoked.NONE
        if accepted is good:
            return Kind.RIGHT
        return Kind.FALSE_OUTAGE if good else Kind.ATTACK_SUCCEEDED

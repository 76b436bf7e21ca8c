"""The clients of a comparison: presets of the strict client in this process, and other people's programs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from mustaple.core.errors import NetworkError
from mustaple.lab.compare.stage import HOST
from mustaple.lab.grade_client.outcome import outcome_of
from mustaple.net.client import check
from mustaple.report.comparison import Client, Outcome
from mustaple.report.grade_client import Outcome as Graded
from mustaple.report.verdict_json import verdict_json

if TYPE_CHECKING:
    from mustaple.core.verdict import ChainVerdict
    from mustaple.lab.compare.stage import Scenery
    from mustaple.lab.grade_client.program import Program

TIMEOUT: Final = 10.0  # seconds for one connection, and again for its fetches


@dataclass(frozen=True, slots=True)
class Done:
    """What a client did; `broken` says that it came to no verdict because its connection failed."""

    outcome: Outcome
    reason: str | None
    detail: str
    seconds: float
    broken: bool = False
    verdict: dict[str, Any] | None = None


class Tester(Protocol):
    """A client that can be put before any server."""

    client: Client

    def meet(self, scenery: Scenery) -> Done:
        """Connect once, and say what it made of the server."""


class Preset:
    """The strict client with one of its presets."""

    def __init__(self, name: str) -> None:
        self.client = Client(name=name)

    def meet(self, scenery: Scenery) -> Done:
        """Connect once; where no verdict is reached the connection failed, and that is no acceptance."""
        begun = time.perf_counter()
        where = (HOST, scenery.port)
        try:
            verdict = check(
                *where,
                self.client.name,
                ca=scenery.trusted,
                address=("127.0.0.1", scenery.port),
                timeout=TIMEOUT,
            )
        except NetworkError as error:
            return Done(Outcome.REFUSED, None, str(error), time.perf_counter() - begun, broken=True)
        seconds = time.perf_counter() - begun
        outcome = Outcome.ACCEPTED if verdict.accepted else Outcome.REFUSED
        reason, detail = _most_telling(verdict)
        return Done(outcome, reason, detail, seconds, verdict=verdict_json(verdict))


class Other:
    """Somebody else's program, as `mustaple grade client` runs it."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self.client = Client(name=program.recipe.name, program=True, version=program.version())

    def meet(self, scenery: Scenery) -> Done:
        """Run it once. One that crashes, hangs or does not even connect has not accepted; `detail` says so."""
        ending = self._program.meet(scenery.case, HOST, scenery.port, scenery.trusted)
        outcome, detail = outcome_of(ending, scenery.records(), self._program.recipe.accepted_when)
        accepted = outcome is Graded.ACCEPT
        return Done(
            Outcome.ACCEPTED if accepted else Outcome.REFUSED,
            None,
            detail,
            ending.seconds,
            broken=outcome in {Graded.CRASH, Graded.HANG, Graded.SKIPPED},
        )


def _most_telling(verdict: ChainVerdict) -> tuple[str | None, str]:
    """The code and the words of what says most: a reason where it refuses, else a note, else nothing."""
    notes = (*verdict.notes, *(note for each in verdict.certificates for note in each.notes))
    for each in (*verdict.all_reasons, *notes):
        return each.code.value, each.detail
    return None, "" if verdict.checked else "nothing was checked"

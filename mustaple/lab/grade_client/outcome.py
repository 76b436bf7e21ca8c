"""From how a client ended and what the server saw of it to what it did: a pure function, and when a case is unfair."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mustaple.core.verdict import Code
from mustaple.lab.grade_client.recipe import Sign
from mustaple.report.grade_client import Outcome

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from mustaple.lab.cases import Case
    from mustaple.lab.grade_client.attempt import Ending
    from mustaple.lab.live import Visit
    from mustaple.net.stapling_session import ChainConnectionRecord

_CLOCK: Final = "clock"
_LAST_WORDS: Final = 160  # letters
_COMPLAINT: Final = re.compile(r"error|fail|refused|\(\d+\)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Tried:
    """What one client did with one case, and what the server saw of it."""

    case: Case
    outcome: Outcome
    detail: str
    protocol: str | None = None
    offered: frozenset[int] = frozenset()
    alert: int | None = None
    seconds: float = 0.0


def unfair(case: Case, protocols: Collection[str], spoken: Collection[str]) -> str | None:
    """Why no client could be judged by this case, or this one not, that speaks these protocols; None where it can.

    `protocols` are the case's.
    """
    if case.family == _CLOCK:
        return "it is about one second or about how far clocks may differ, where clients may choose"
    if not set(protocols) & set(spoken):
        return f"it is about {' and '.join(protocols)}, which the client does not speak"
    return None


def judged(case: Case, offered: frozenset[int], ending: Ending, visits: Sequence[Visit], sign: Sign) -> Tried:
    """What the client did with the case; `offered` are the extensions that the case is about being asked with."""
    outcome, detail = outcome_of(ending, visits, sign)
    told = _most_telling(visits)
    if outcome in {Outcome.ACCEPT, Outcome.REFUSE} and told is not None:
        reason = _not_met(offered, told)
        if reason is not None:
            outcome, detail = Outcome.SKIPPED, reason
    if told is None:
        return Tried(case, outcome, detail, seconds=ending.seconds)
    return Tried(case, outcome, detail, told.protocol, told.offered, told.alert, ending.seconds)


def outcome_of(ending: Ending, visits: Sequence[ChainConnectionRecord], sign: Sign) -> tuple[Outcome, str]:
    """What the client did, and by what that was seen; `visits` are what the server saw of its connections."""
    if ending.timed_out:
        return Outcome.HANG, str(ending)
    if ending.signal is not None:
        return Outcome.CRASH, str(ending)
    if not visits:
        return Outcome.SKIPPED, f"it did not connect ({ending}{_last_words(ending)})"
    if any(visit.application_data for visit in visits):
        return Outcome.ACCEPT, f"it sent its request, {ending}"
    completed = any(visit.completed for visit in visits)
    if sign is Sign.EXIT and completed and ending.exit_code == 0:
        return Outcome.ACCEPT, "handshake completed, exit 0"
    alert = next((visit.alert for visit in visits if visit.alert is not None), None)
    said = f"alert {alert}, " if alert is not None else "handshake completed and nothing sent, " if completed else ""
    return Outcome.REFUSE, f"{said}{ending}{_last_words(ending)}"


def _most_telling(visits: Sequence[Visit]) -> Visit | None:
    """A client may connect twice: the connection on which it went furthest."""
    return max(visits, key=_distance, default=None)


def _distance(visit: Visit) -> tuple[bool, bool, int]:
    return bool(visit.application_data), visit.completed, len(visit.offered)


def _not_met(offered: frozenset[int], visit: Visit) -> str | None:
    """Why the client met another case than this one. Who asks for no status meets an honest server in every case."""
    if not visit.offered:
        return None
    if not visit.shown:
        return "it is about an extension that the client does not offer"
    if visit.protocol != "TLSv1.3" and offered not in {frozenset({5, 17}), visit.offered}:
        asked = " and ".join(map(str, sorted(offered)))
        return f"it is about a ClientHello with extension {asked} alone, which the client's is not"
    return None


def needs_nonce(case: Case) -> bool:
    """Whether it turns on the nonce of the client's own OCSP request."""
    return any(each.code == Code.NONCE_MISMATCH.value for each in case.expected.values())


def _last_words(ending: Ending) -> str:
    lines = [line.strip() for line in ending.said.splitlines() if line.strip()]
    telling = next((line for line in lines if _COMPLAINT.search(line)), lines[-1] if lines else "")
    return f": {telling[:_LAST_WORDS]}" if telling else ""

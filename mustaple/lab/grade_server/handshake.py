"""One handshake with a graded server: how long it took, and what was stapled for each certificate, judged."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mustaple.core.errors import NetworkError
from mustaple.core.ocsp import judge
from mustaple.core.verdict import Code, Status
from mustaple.net.dial import Deadline
from mustaple.net.look import Look, look_tls12, look_tls13

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from certtools.chain import Link
    from mustaple.core.verdict import Judgement

TIMEOUT: Final = 20.0  # seconds; a server that fetches in the handshake may wait long for its responder
_NAME: Final = b"localhost"


@dataclass(frozen=True)
class Shaken:
    """A handshake. `judged` has for each certificate sent what its staple proved, None where there was none.

    `at` is the time at which they are judged, `begun` a monotonic time, `lasted` in seconds. `problem` says what ended
    it, where something did.
    """

    at: datetime
    begun: float
    lasted: float
    protocol: str | None
    judged: tuple[Judgement | None, ...]
    problem: str | None

    @property
    def leaf(self) -> Judgement | None:
        """What the leaf's staple proved; None where there was none."""
        return self.judged[0] if self.judged else None

    @property
    def stapled(self) -> bool:
        """Whether anything was stapled for the leaf."""
        return self.leaf is not None

    @property
    def good(self) -> bool:
        """Whether the leaf's staple proves what it should."""
        return self.leaf is not None and self.leaf.status is Status.GOOD and not self.dead

    @property
    def dead(self) -> bool:
        """Whether a staple came whose nextUpdate has passed; the judge itself allows for clocks that are off."""
        return any(each is not None and _past(each, self.at) for each in self.judged)

    @property
    def is_error(self) -> bool:
        """Whether an error response came instead of a status (RFC 6960 §4.2.1)."""
        return any(each is not None and Code.ERROR_STATUS in _codes(each) for each in self.judged)

    def __str__(self) -> str:
        if not self.judged:
            return f"no handshake: {self.problem}"
        shown = [_shown(each, self.at) for each in self.judged]
        if not any(self.judged):
            return f"{self.protocol}: no staple"
        if len(shown) > 1 and all(each is None for each in self.judged[1:]):
            return f"{self.protocol}: {shown[0]} for the leaf, nothing above it"
        return f"{self.protocol}: {', '.join(shown)}"


def _past(judgement: Judgement, at: datetime) -> bool:
    return judgement.next_update is not None and judgement.next_update < at


def _codes(judgement: Judgement) -> set[Code]:
    return {each.code for each in judgement.reasons}


def _shown(judgement: Judgement | None, at: datetime) -> str:
    if judgement is None:
        return "no staple"
    if judgement.status is Status.GOOD and _past(judgement, at):
        return "a staple past its nextUpdate"
    if judgement.status is Status.UNUSABLE:
        return f"a staple of no use ({judgement.reasons[0].code.value})"
    return f"a staple that says {judgement.status.value}"


def shake(
    where: tuple[str, int], links: Sequence[Link], at: datetime, *, tls12: bool = False, timeout: float = TIMEOUT
) -> Shaken:
    """Shake hands in TLS 1.3, or in 1.2 where that is asked for or the server knows no other.

    `links` are those of the certificates that the server may send; `at` is the time at which staples are judged.
    """
    begun = time.monotonic()
    seen = _look(where, timeout, tls12=tls12)
    if seen.flight is None and not tls12 and "version" in str(seen.problem):
        begun = time.monotonic()
        seen = _look(where, timeout, tls12=True)
    lasted = time.monotonic() - begun
    by_print = {each.fingerprint: each for each in links}
    judged = []
    for entry in seen.flight.entries if seen.flight is not None else ():
        link = by_print.get(entry.fingerprint)
        known = link is not None and entry.staples
        judged.append(judge(entry.staples[0], link, at, origin=entry.origin) if known and link is not None else None)
    protocol = seen.flight.protocol if seen.flight is not None else None
    return Shaken(at, begun, lasted, protocol, tuple(judged), seen.problem)


def _look(where: tuple[str, int], timeout: float, *, tls12: bool) -> Look:
    look = look_tls12 if tls12 else look_tls13
    try:
        return look(where, _NAME, Deadline(timeout))
    except NetworkError as error:
        return Look("TLSv1.2" if tls12 else "TLSv1.3", "none", frozenset(), None, str(error))

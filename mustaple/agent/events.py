"""What the agent tells: each thing that happened as a value, for logs, metrics and hooks."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from certtools.chain import name_of
from mustaple.core.refresh import Level
from mustaple.core.verdict import Code

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from certtools.chain import Link
    from mustaple.agent.entry import Entry
    from mustaple.net.store import Wrong


class Severity(enum.StrEnum):
    """How much it matters: the names of logging's levels."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


_LEVELS: Final = {
    Level.FINE: Severity.INFO,
    Level.WARNING: Severity.WARNING,
    Level.CRITICAL: Severity.ERROR,
    Level.DEAD: Severity.CRITICAL,
}


class Kind(enum.StrEnum):
    """What happened."""

    STAPLED = "stapled"  # a good staple came
    FAILED = "failed"  # none came, or none that is good
    REVOKED = "revoked"
    DIED = "died"  # the time of a staple is over: withdrawn
    LIVES_AGAIN = "lives-again"  # the clock went back, and a staple is good after all
    LEVEL = "level"  # a staple is nearer its death, or no longer near it
    REFUSED_URL = "refused-url"  # an address in a certificate that is not asked, by rule
    STORE = "store"  # the store did not take or give something
    CHAIN = "chain"  # a chain was found, has changed or is gone
    UNREADABLE = "unreadable"  # a file that holds no whole chain
    HELD_BACK = "held-back"  # a new certificate waits for its staple
    DEPLOYED = "deployed"
    NOT_DEPLOYED = "not-deployed"
    FLEET = "fleet"  # this agent leads its fleet, follows another one, or cannot reach their store
    CLOCK = "clock"  # the clock was set
    ASKED = "asked"  # a client has asked the caching responder


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened; `message` is one sentence. `details` are further facts for structured logs."""

    kind: Kind
    severity: Severity
    message: str
    at: datetime
    subject: str = ""
    fingerprint: bytes = b""
    details: Mapping[str, str | int | float | None] = field(default_factory=dict)


def about(
    link: Link, kind: Kind, severity: Severity, message: str, at: datetime, **details: str | float | None
) -> Event:
    """An event about one certificate."""
    subject = name_of(link.subject)
    return Event(kind, severity, f"{subject}: {message}", at, subject, link.fingerprint, details)


def of_addresses(entry: Entry, at: datetime) -> list[Event]:
    """The addresses of a new certificate that are not asked, and whether that leaves none."""
    told = [
        about(entry.link, Kind.REFUSED_URL, Severity.ERROR, f"its OCSP address {url} is not asked: {why}", at)
        for url, why in entry.refused
    ]
    if entry.responder is None:
        severity = Severity.ERROR if entry.obliged else Severity.WARNING
        told.append(about(entry.link, Kind.FAILED, severity, entry.said, at))
    return told


def of_level(entry: Entry, at: datetime) -> Event:
    """How near its staple is to its death, and what keeps a newer one from coming."""
    death, level = entry.death, entry.level
    left = f"dies at {death:%Y-%m-%d %H:%M:%S} UTC" if death is not None else "is dead"
    said = f"its staple {left}" + (f": {entry.said}" if entry.said else "")
    return about(entry.link, Kind.LEVEL, _LEVELS[level], said, at, level=level.value)


def of_wrong(wrong: Wrong, at: datetime) -> Event:
    """A staple on the shelf that cannot serve; of the kind CLOCK where only its time has not come."""
    codes = {reason.code for reason in wrong.judgement.reasons} if wrong.judgement is not None else set()
    if codes == {Code.NOT_YET_VALID}:
        said = "the staple in the store is from the future by this clock; it is left as it is"
        return about(wrong.link, Kind.CLOCK, Severity.ERROR, said, at)
    severity = Severity.WARNING if codes == {Code.EXPIRED} else Severity.ERROR
    return about(wrong.link, Kind.STORE, severity, f"the staple in the store cannot serve: {wrong.said}", at)

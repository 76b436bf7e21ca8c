"""What the agent tells: each thing that happened as a value, for logs, metrics and hooks."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from certtools.chain import name_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from certtools.chain import Link


class Severity(enum.StrEnum):
    """How much it matters: the names of logging's levels."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


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

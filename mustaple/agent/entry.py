"""What the agent knows of each certificate and of each responder: the engine's memory."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from certtools.extensions import ocsp_urls
from certtools.feature import FeatureError, read_features
from mustaple.core.refresh import NONE, Known, Level, Trouble
from mustaple.net.exchange import shown, url_fault

if TYPE_CHECKING:
    from datetime import datetime

    from certtools.chain import Link
    from mustaple.core.verdict import Judgement
    from mustaple.net.store import Staple

_SUSPICIOUS: Final = 3  # bad answers for so many certificates in a row are the responder's trouble, not theirs


@dataclass(eq=False, slots=True)
class Responder:
    """One host that is asked, by scheme, host and port: its trouble, and who waits for it. Compared by identity."""

    origin: str
    trouble: Trouble = NONE
    in_flight: int = 0
    waiting: deque[bytes] = field(default_factory=deque)
    entries: dict[bytes, None] = field(default_factory=dict)
    blamed: set[bytes] = field(default_factory=set)

    def answered(self) -> bool:
        """Note a good answer. Whether it was in trouble until now."""
        troubled = self.trouble.failures > 0
        self.trouble = NONE
        self.blamed.clear()
        return troubled

    def failed(self, fingerprint: bytes, at: datetime, *, unreachable: bool) -> None:
        """Note that nobody answered, or that the answer for this certificate was bad."""
        self.blamed.add(fingerprint)
        failures = self.trouble.failures
        if unreachable or len(self.blamed) >= _SUSPICIOUS or failures:
            failures += 1
        self.trouble = Trouble(failures, at, self.trouble.wait_until)


@dataclass(eq=False, slots=True)
class Entry:
    """One certificate. `settled` says that it is known whether there is a staple; until then nothing is taken away.

    `buried` died by this clock; should the clock go back, it may live again. `early` says that the store holds one
    whose time has not come by this clock. `refused` are addresses that are not asked, each with the reason. `since` is
    when it was first seen here, `evidence` the response that revokes it.
    """

    link: Link
    urls: tuple[str, ...]
    refused: tuple[tuple[str, str], ...]
    responder: Responder | None
    lot: float
    expires_at: datetime
    obliged: bool
    since: datetime
    staple: Staple | None = None
    buried: Staple | None = None
    revoked: Judgement | None = None
    evidence: bytes = b""
    trouble: Trouble = NONE
    level: Level = Level.DEAD
    said: str = ""
    problem: str = ""
    settled: bool = False
    early: bool = False
    asking: bool = False
    unsaved: bool = False
    when: datetime | None = None

    @property
    def known(self) -> Known:
        """What the planner needs."""
        responder = self.responder.trouble if self.responder is not None else NONE
        held = self.staple
        if held is None:
            return Known(self.expires_at, own=self.trouble, responder=responder, lot=self.lot, level=self.level)
        judgement = held.judgement
        times = (judgement.this_update, judgement.dies_at, held.kept_until, held.fetched_at)
        return Known(self.expires_at, *times, self.trouble, responder, self.lot, self.level)

    @property
    def death(self) -> datetime | None:
        """When the staple that is held dies."""
        return self.known.death

    @property
    def condition(self) -> str:
        """In one word, for people: good, revoked, early, none, or waiting where nobody has been asked yet."""
        if self.revoked is not None:
            return "revoked"
        if self.staple is not None:
            return "good"
        if self.early:
            return "early"
        return "none" if self.settled else "waiting"


def addresses(link: Link) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """The OCSP addresses in a certificate that may be asked, each once, and those that may not, with the reason."""
    usable: dict[str, None] = {}
    refused: list[tuple[str, str]] = []
    for url in dict.fromkeys(ocsp_urls(link.subject)):
        fault = url_fault(url)
        if fault is None:
            usable[url] = None
        else:
            refused.append((shown(url), fault.format("it").removesuffix(".")))
    return tuple(usable), tuple(refused)


def origin_of(url: str) -> str:
    """The responder of an address: scheme, host and port."""
    parts = urlsplit(url)
    return f"{parts.scheme.lower()}://{(parts.hostname or '')}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def is_obliged(link: Link) -> bool:
    """Whether this certificate promises a staple (RFC 7633); an unreadable promise is taken for one."""
    try:
        features = read_features(link.subject)
    except FeatureError:
        return True
    return features is not None and not {5, 17}.isdisjoint(features)

"""A CA, an engine and a network that is played in one thread: what a responder says, and when, is the test's word."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from certtools.authority import Authority
from certtools.chain import Link
from certtools.forge import CertificateStatus, answer, sign, single
from mustaple.agent.engine import Engine
from mustaple.agent.fetching import JudgingFetcher
from mustaple.agent.shelf import DirectoryShelf
from mustaple.core.policy import Rules
from mustaple.net.exchange import Fetched

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from mustaple.agent.engine import Order, Turn
    from mustaple.agent.events import Event, Kind
    from mustaple.agent.shelf import Shelf
    from mustaple.core.refresh import Pace

START = datetime(2026, 6, 1, tzinfo=UTC)
DAY, HOUR, MINUTE, SECOND = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
LIFE = 4 * DAY
RULES = Rules(max_age=366 * DAY)
ROOT = Authority.root("agent root", not_before=START - 30 * DAY, not_after=START + 400 * DAY)
ROGUE = Authority.root("agent root", not_before=START - 30 * DAY, not_after=START + 400 * DAY)

Saying = Callable[[Link, datetime], "bytes | Exception"]


def leaf(name: str, *urls: str, features: tuple[int, ...] | None = (5,), **said: Any) -> Link:
    """A certificate of ROOT; `urls` are its OCSP addresses."""
    issued = ROOT.leaf([name], ocsp_urls=urls or ["http://one.test/"], features=features, **said)
    return Link(issued.certificate, ROOT.certificate)


def honest(link: Link, at: datetime, *, signer: Authority = ROOT, life: timedelta = LIFE, **said: Any) -> bytes:
    """A good answer signed now, unless fields of `Single` say otherwise."""
    times = {"this_update": at, "next_update": at + life}
    return sign(answer([single(link, at, **(times | said))], signer), signer)


def revoked(link: Link, at: datetime) -> bytes:
    return honest(link, at, status=CertificateStatus.REVOKED)


def unknown(link: Link, at: datetime) -> bytes:
    return honest(link, at, status=CertificateStatus.UNKNOWN)


class Played:
    """An engine whose orders are carried out at once, by what `says` has each host say. `asked` are the requests."""

    def __init__(self, shelf: Shelf | Path, *, pace: Pace | None = None, lot: float = 0.0, **options: Any) -> None:
        self.at = START
        self.says: dict[str, Saying] = {}
        self.asked: list[tuple[str, datetime]] = []
        self.events: list[Event] = []
        self.held_up: list[Order] = []
        self.hold = False
        self.latency = timedelta(0)
        kept: Shelf = DirectoryShelf(shelf) if hasattr(shelf, "joinpath") else shelf
        self.engine = Engine(kept, RULES, lambda: lot, pace=pace, **options)
        self._fetcher = JudgingFetcher(self._fetch, lambda: self.at, RULES)

    async def _fetch(self, link: Link, *, url: str, **_: Any) -> Fetched:
        self.asked.append((url, self.at))
        said = self.says.get(url.split("/")[2], honest)(link, self.at)
        if isinstance(said, Exception):
            raise said
        return Fetched(said, url, "GET", 200, {}, 0.0)

    def watch(self, *links: Link) -> None:
        self.events += self.engine.watch(links, self.at)
        self.go()

    def go(self) -> None:
        """Do what is due now, and all that follows from it at once."""
        self._take(self.engine.step(self.at))

    def answer(self, order: Order) -> None:
        """Carry out an order that was held up."""
        work = self._fetcher(order)
        try:
            work.send(None)
        except StopIteration as stop:
            gathered, waits = stop.value
            self._take(self.engine.done(order, gathered, waits, self.at))

    def move(self, span: timedelta) -> None:
        """Let time pass, stopping wherever something is due."""
        end = self.at + span
        while (wake := self.engine.wake()) is not None and wake <= end:
            self.at = max(wake, self.at)
            self.go()
        self.at = end

    def set_clock(self, at: datetime) -> None:
        """Set the clock, and have the engine notice."""
        self.at = at
        self._take(self.engine.clock_moved(at))

    def kinds(self, of: Iterable[Event] | None = None) -> list[Kind]:
        return [event.kind for event in (self.events if of is None else of)]

    def serves(self, link: Link) -> bytes | None:
        staple = self.engine.staple(link.fingerprint)
        return staple.response if staple is not None else None

    def _take(self, turn: Turn) -> None:
        self.events += turn.events
        for order in turn.orders:
            if self.hold:
                self.held_up.append(order)
            else:
                self.answer(order)

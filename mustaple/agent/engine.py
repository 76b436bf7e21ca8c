"""The agent's engine, without I/O but for its shelf: which fetch is next and when, what came of it, what is dead."""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from mustaple.agent.entry import Entry, Responder, addresses, is_obliged, origin_of
from mustaple.agent.events import Event, Kind, Severity, about, of_addresses, of_level, of_wrong
from mustaple.agent.fleet.record import is_newer, weigh
from mustaple.agent.fleet.standing import Standing, ask_from
from mustaple.core.errors import InputError
from mustaple.core.ocsp import judge
from mustaple.core.refresh import FOREVER, NONE, Action, Level, Pace, Trouble, level_at, next_step
from mustaple.core.verdict import Source, Status
from mustaple.net.multistaple import Outcome
from mustaple.net.store import Staple, Wrong

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from certtools.chain import Link
    from mustaple.agent.fleet.record import Record, Weighed
    from mustaple.agent.shelf import Shelf
    from mustaple.core.policy import Rules
    from mustaple.core.verdict import Judgement
    from mustaple.net.multistaple import Gathered

PER_RESPONDER: Final = 4  # requests at once to one responder; one where it is in trouble
_LONG_AGO: Final = 32  # failures, after which the back-off is at its longest


@dataclass(frozen=True, slots=True)
class Order:
    """One fetch to begin now: for which certificate, what is held, and who else has asked to be left alone."""

    link: Link
    held: Staple | None
    waits: Mapping[str, datetime]


@dataclass(slots=True)
class Turn:
    """What came of one turn of the engine: fetches to begin, and what there is to tell."""

    orders: list[Order] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


class Engine:
    """Keeps the staples of any number of certificates. One thread at a time.

    Call `watch` with the certificates to keep, `step` at the time `wake()`, begin the orders that it gives, and pass
    what came of each to `done`. `draw` gives numbers from 0 to 1. Nothing here looks at a clock.

    In a fleet `stand` says who asks, and `take` takes what others got. `unseen` are certificates that were not looked
    up in the fleet's store yet, `news` those with something to tell the others; whoever has done that empties them.
    """

    def __init__(
        self,
        shelf: Shelf,
        rules: Rules,
        draw: Callable[[], float],
        *,
        pace: Pace | None = None,
        per_responder: int = PER_RESPONDER,
        responder: str | None = None,
        grace: timedelta = timedelta(0),
    ) -> None:
        self.entries: dict[bytes, Entry] = {}
        self.responders: dict[str, Responder] = {}
        self._shelf = shelf
        self._rules = rules
        self._draw = draw
        self._pace = pace if pace is not None else Pace()
        self._per_responder = per_responder
        self._only = responder
        self._heap: list[tuple[datetime, int, bytes]] = []
        self._count = itertools.count()
        self._waits: dict[str, datetime] = {}
        self._standing, self._grace = Standing.ALONE, grace
        self.unseen: set[bytes] = set()
        self.news: set[bytes] = set()

    def watch(self, links: Iterable[Link], at: datetime) -> list[Event]:
        """Keep staples for these certificates and for no others; the shelf is asked for those that are new here."""
        wanted = {link.fingerprint: link for link in links}
        events: list[Event] = []
        for fingerprint in [each for each in self.entries if each not in wanted]:
            self._forget(fingerprint)
        for fingerprint, link in wanted.items():
            if fingerprint not in self.entries:
                events += self._take_in(link, at)
        return events

    def staple(self, fingerprint: bytes) -> Staple | None:
        """The good staple that is held for this certificate."""
        entry = self.entries.get(fingerprint)
        return entry.staple if entry is not None else None

    def wake(self) -> datetime | None:
        """When `step` has something to do next; None where there is nothing to wait for."""
        while self._heap and not self._is_planned(*self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def step(self, at: datetime) -> Turn:
        """Do what is due at the time `at`."""
        turn = Turn()
        while (when := self.wake()) is not None and when <= at:
            self._visit(self.entries[heapq.heappop(self._heap)[2]], at, turn)
        return turn

    def clock_moved(self, at: datetime) -> Turn:
        """Look at every certificate anew: the clock was set, and what was planned by the old one may be wrong."""
        turn = Turn()
        for entry in list(self.entries.values()):
            entry.since = min(entry.since, at)
            self.unseen.add(entry.link.fingerprint)
            if entry.early:
                turn.events += self._load(entry, at)
            self._visit(entry, at, turn)
        return turn

    def stand(self, standing: Standing, at: datetime) -> Turn:
        """Take this place in the fleet from now on."""
        turn = Turn()
        if standing is not self._standing:
            self._standing = standing
            for entry in list(self.entries.values()):
                self._visit(entry, at, turn)
        return turn

    def take(self, fingerprint: bytes, record: Record | None, at: datetime, origin: str) -> tuple[Weighed | None, Turn]:
        """Take what the fleet's store, `origin`, has for a certificate, where that is good and newer; what it is worth.

        None where it has nothing, or the certificate is not watched.
        """
        turn = Turn()
        entry = self.entries.get(fingerprint)
        self.unseen.discard(fingerprint)
        if entry is None:
            return None, turn
        weighed = weigh(record, entry, at, self._rules, origin) if record is not None else None
        if weighed is not None and weighed.staple is not None:
            entry.settled, entry.lot = True, self._draw()
            self._hold(entry, weighed.staple, at, turn)
        elif weighed is not None and weighed.revoked is not None and record is not None:
            entry.settled = True
            self._shout(entry, weighed.revoked, record.response, at, turn)
        self._visit(entry, at, turn)
        return weighed, turn

    def done(self, order: Order, gathered: Gathered, waits: Mapping[str, datetime], at: datetime) -> Turn:
        """Take what came of an order, and go on with whoever waited for that."""
        turn = Turn()
        entry = self.entries.get(order.link.fingerprint)
        self._waits = {url: until for url, until in (self._waits | dict(waits)).items() if until > at}
        if gathered.outcome is Outcome.GOOD and gathered.staple is not None:
            self._waits.pop(gathered.staple.url, None)  # it answers again
        if entry is None or not entry.asking:
            return turn  # nobody wants it any more
        entry.asking, entry.settled, entry.lot = False, True, self._draw()
        responder = entry.responder
        recovered = False
        if responder is not None:
            responder.in_flight -= 1
        staple = gathered.staple if gathered.outcome is Outcome.GOOD else None
        revoked = next((each for each in gathered.answers if each.status is Status.REVOKED), None)
        if responder is not None and (staple is not None or revoked is not None):
            recovered = responder.answered()
        if revoked is not None:
            self._shout(entry, revoked, gathered.evidence, at, turn)
            self.news.add(entry.link.fingerprint)
        elif staple is not None and at < min(staple.judgement.dies_at or at, entry.expires_at):
            self._hold_newest(entry, staple, at, turn)
            self.news.add(entry.link.fingerprint)
        else:
            self._failed(entry, gathered, at, turn)
        if responder is not None:
            until = self._waits.get(entry.urls[0]) if self._only is None else self._waits.get(self._only)
            responder.trouble = Trouble(responder.trouble.failures, responder.trouble.tried_at, until)
        self._visit(entry, at, turn)
        if responder is not None:
            self._go_on(responder, at, turn, everybody=recovered)
        return turn

    def forgive(self, at: datetime) -> Turn:
        """Forget all back-offs: somebody has seen to what was wrong."""
        turn = Turn()
        for responder in self.responders.values():
            responder.trouble = NONE
        for entry in self.entries.values():
            entry.trouble = NONE
            self._visit(entry, at, turn)
        return turn

    def save_again(self, at: datetime) -> list[Event]:
        """Try once more to keep what the shelf did not take."""
        events: list[Event] = []
        for entry in [each for each in self.entries.values() if each.unsaved]:
            self._save(entry, at, events)
            if entry.unsaved:
                break  # one is enough to know
        return events

    def _take_in(self, link: Link, at: datetime) -> list[Event]:
        urls, refused = addresses(link)
        asked = self._only if self._only is not None else next(iter(urls), None)
        responder = None
        if asked is not None:
            origin = origin_of(asked)
            responder = self.responders.setdefault(origin, Responder(origin))
            responder.entries[link.fingerprint] = None
        expires_at = link.subject.not_valid_after_utc
        entry = Entry(link, urls, refused, responder, self._draw(), expires_at, is_obliged(link), at)
        self.entries[link.fingerprint] = entry
        self.unseen.add(link.fingerprint)
        if responder is None:
            entry.said = "the certificate names no OCSP address that may be asked"
            entry.problem = Outcome.UNREACHABLE.value if entry.obliged or refused else ""
            entry.settled = True
        told = [*of_addresses(entry, at), *self._load(entry, at)]
        self._plan(entry, at)
        return told

    def _load(self, entry: Entry, at: datetime) -> list[Event]:
        """Take from the shelf what is good there."""
        entry.early = False
        try:
            found = self._shelf.load(entry.link, at, self._rules)
        except InputError as error:
            return [about(entry.link, Kind.STORE, Severity.ERROR, str(error), at)]
        if isinstance(found, Staple):
            entry.settled = True
            if at < min(found.judgement.dies_at or at, entry.expires_at):
                entry.staple = found
                entry.level = level_at(entry.known, at, self._pace)
            return []
        if not isinstance(found, Wrong):
            return []
        told = of_wrong(found, at)
        entry.early = told.kind is Kind.CLOCK  # the clock is wrong, rather than the staple: what is deployed may stay
        entry.settled |= not entry.early
        return [told]

    def _forget(self, fingerprint: bytes) -> None:
        entry = self.entries.pop(fingerprint)
        self.unseen.discard(fingerprint)
        self.news.discard(fingerprint)
        responder = entry.responder
        if responder is None:
            return
        responder.in_flight -= entry.asking
        responder.entries.pop(fingerprint, None)
        responder.blamed.discard(fingerprint)
        if not responder.entries:
            self.responders.pop(responder.origin, None)

    def _is_planned(self, when: datetime, _: int, fingerprint: bytes) -> bool:
        entry = self.entries.get(fingerprint)
        return entry is not None and entry.when == when

    def _plan(self, entry: Entry, when: datetime) -> None:
        if entry.when != when:
            entry.when = when
            heapq.heappush(self._heap, (when, next(self._count), entry.link.fingerprint))

    def _visit(self, entry: Entry, at: datetime, turn: Turn) -> None:
        """Do all that is due for one certificate, and plan what is next."""
        entry.when = None
        self._raise_from_the_dead(entry, at, turn)
        seen = entry.link.fingerprint not in self.unseen
        ordered = entry.asking or entry.responder is None
        while True:
            begins = ask_from(entry, self._standing, at, self._pace, self._grace, seen=seen)
            early = begins is None or begins > at
            step = next_step(entry.known, at, self._pace, asking=ordered or early)
            when = step.when if ordered or not early or begins is None else min(step.when, begins)
            if when > at:
                if when < FOREVER:
                    self._plan(entry, when)
                return
            if step.action is Action.WITHDRAW:
                self._bury(entry, at, turn)
            elif step.action is Action.TELL:
                self._tell_level(entry, at, turn)
            else:
                self._order(entry, turn)
                ordered = True

    def _order(self, entry: Entry, turn: Turn) -> None:
        """Begin a fetch, or stand in line where the responder is busy."""
        responder = entry.responder
        if responder is None:
            return
        if responder.in_flight >= (1 if responder.trouble.failures else self._per_responder):
            responder.waiting.append(entry.link.fingerprint)
            return
        responder.in_flight += 1
        entry.asking = True
        # Who is asked first is the planner's business; the others' wishes are kept where they are asked next.
        first = self._only if self._only is not None else entry.urls[0]
        waits = {url: until for url, until in self._waits.items() if url != first and url in entry.urls}
        turn.orders.append(Order(entry.link, entry.staple, waits))

    def _go_on(self, responder: Responder, at: datetime, turn: Turn, *, everybody: bool) -> None:
        """Let those go on who waited for this responder; everybody where it has only now recovered."""
        waiting, responder.waiting = list(responder.waiting), type(responder.waiting)()
        for fingerprint in dict.fromkeys([*waiting, *(responder.entries if everybody else ())]):
            entry = self.entries.get(fingerprint)
            if entry is not None and not entry.asking:
                self._visit(entry, at, turn)

    def _hold_newest(self, entry: Entry, staple: Staple, at: datetime, turn: Turn) -> None:
        """Hold what was fetched, unless what came from the fleet meanwhile is newer."""
        if entry.revoked is not None and entry.evidence and is_newer(entry.revoked, staple.judgement):
            return
        held = entry.staple
        if held is not None and is_newer(held.judgement, staple.judgement):
            staple = held
        self._hold(entry, replace(staple, fetched_at=at), at, turn)  # also where what is held is newer than what came

    def _hold(self, entry: Entry, staple: Staple, at: datetime, turn: Turn) -> None:
        same = entry.staple is not None and entry.staple.response == staple.response
        entry.staple, entry.buried, entry.early = staple, None, False
        entry.revoked, entry.evidence = None, b""
        entry.trouble, entry.said, entry.problem = NONE, "", ""
        if entry.level is Level.DEAD:
            entry.level = level_at(entry.known, at, self._pace)
        self._save(entry, at, turn.events)
        dies = entry.death
        if dies is not None and not same:
            said = f"stapling good, until {dies:%Y-%m-%d %H:%M:%S} UTC"
            url, dies_at = staple.url, dies.isoformat()
            turn.events.append(about(entry.link, Kind.STAPLED, Severity.INFO, said, at, url=url, dies_at=dies_at))

    def _failed(self, entry: Entry, gathered: Gathered, at: datetime, turn: Turn) -> None:
        said = "; ".join(reason.detail for reason in gathered.reasons) or "the answer is dead already"
        entry.trouble = Trouble(entry.trouble.failures + 1, at)
        entry.problem = gathered.outcome.value if gathered.outcome is not Outcome.GOOD else Outcome.BAD.value
        if entry.responder is not None:
            unreachable = gathered.outcome is Outcome.UNREACHABLE
            entry.responder.failed(entry.link.fingerprint, at, unreachable=unreachable)
        held = "the staple before serves on" if entry.staple is not None else "there is none to staple"
        entry.said = said
        severity = Severity.ERROR if entry.obliged and entry.staple is None else Severity.WARNING
        said, failures = f"{held}: {said.rstrip('.')}", entry.trouble.failures
        codes = " ".join(each.code.value for each in gathered.reasons)
        turn.events.append(about(entry.link, Kind.FAILED, severity, said, at, failures=failures, codes=codes))

    def _shout(self, entry: Entry, revoked: Judgement, evidence: bytes, at: datetime, turn: Turn) -> None:
        """Revoked: it is never stapled, what was is taken away at once, and from now on it is asked for seldom."""
        known = entry.revoked is not None
        entry.staple = entry.buried = None
        entry.revoked, entry.evidence = revoked, evidence
        entry.trouble, entry.problem = Trouble(_LONG_AGO, at), Outcome.BAD.value
        entry.said = "; ".join(reason.detail for reason in revoked.reasons)
        self._save(entry, at, turn.events)
        if not known:
            said = f"REVOKED: {entry.said}; nothing is stapled for it"
            turn.events.append(about(entry.link, Kind.REVOKED, Severity.CRITICAL, said, at, url=revoked.origin))

    def _bury(self, entry: Entry, at: datetime, turn: Turn) -> None:
        entry.buried, entry.staple, entry.settled = entry.staple, None, True
        severity = Severity.CRITICAL if entry.obliged else Severity.ERROR
        why = f": {entry.said}" if entry.said else ""
        said = f"its staple is dead and withdrawn, and no newer one came{why}"
        turn.events.append(about(entry.link, Kind.DIED, severity, said, at))
        entry.level = Level.DEAD

    def _raise_from_the_dead(self, entry: Entry, at: datetime, turn: Turn) -> None:
        """A staple that died by a clock that was wrong lives again, if the judge finds it good."""
        buried = entry.buried
        if entry.staple is not None or buried is None or at >= min(buried.judgement.dies_at or at, entry.expires_at):
            return
        entry.buried = None
        found = judge(buried.response, entry.link, at, self._rules, source=Source.OCSP, origin=buried.url)
        if found.status is Status.GOOD:
            entry.staple = Staple(buried.response, found, buried.url, min(buried.fetched_at, at))
            said = "its staple is good after all, now that the clock was set back"
            turn.events.append(about(entry.link, Kind.LIVES_AGAIN, Severity.WARNING, said, at))

    def _tell_level(self, entry: Entry, at: datetime, turn: Turn) -> None:
        entry.level = level_at(entry.known, at, self._pace)
        turn.events.append(of_level(entry, at))

    def _save(self, entry: Entry, at: datetime, events: list[Event]) -> None:
        try:
            self._shelf.save(entry.link, entry.staple, at)
            entry.unsaved = False
        except InputError as error:
            entry.unsaved = True
            said = f"it is kept in memory alone: {error}"
            events.append(about(entry.link, Kind.STORE, Severity.ERROR, said, at))

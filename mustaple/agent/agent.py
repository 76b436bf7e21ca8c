"""The agent's parts at work: what is found is watched, what is due is ordered, what has changed is handed over."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from certtools.chain import name_of
from mustaple.agent.desire import desired
from mustaple.agent.engine import Engine
from mustaple.agent.events import Event, Kind, Severity, about
from mustaple.agent.fleet.standing import Standing, told
from mustaple.agent.handover import Handover, Target
from mustaple.agent.serving import ServingRecord
from mustaple.agent.shelf import DirectoryShelf
from mustaple.agent.state import State, read_state, restore, row_of, target_rows, write_state
from mustaple.core.errors import InputError
from mustaple.core.policy import Rules, UncheckedDelegate, WeakSignature
from mustaple.core.refresh import Pace, next_fetch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from mustaple.agent.answers import HeldAnswers
    from mustaple.agent.config_model import AgentConfig
    from mustaple.agent.desire import Desired
    from mustaple.agent.discovery import Found, Scan
    from mustaple.agent.engine import Order, Turn
    from mustaple.agent.fleet.record import Record, Weighed
    from mustaple.agent.fleet.standing import View
    from mustaple.agent.shelf import Shelf
    from mustaple.net.multistaple import Gathered


class Errand(NamedTuple):
    """Something to hand over now."""

    handover: Handover
    target: Target
    wanted: Desired


def rules_of(config: AgentConfig) -> Rules:
    """How answers are judged: as a CA means them, since clients have rules of their own."""
    weak = WeakSignature.ALLOW_SHA1 if config.allow_sha1 else WeakSignature.REFUSE
    return Rules(max_age=config.refresh.max_age, weak_signature=weak, unchecked_delegate=UncheckedDelegate.ACCEPT)


def pace_of(config: AgentConfig) -> Pace:
    """How fast to go."""
    refresh, alarm = config.refresh, config.alarm
    first, longest = refresh.first_backoff.total_seconds(), refresh.longest_backoff.total_seconds()
    return Pace(first, longest, alarm.warning, alarm.critical)


class Agent:
    """Everything but the loop that runs it. One thread at a time; time comes in as `at`.

    `tell` gets every event. `draw` gives numbers from 0 to 1. `answers` are told of what is
    held. Raises InputError where the state of another version stands in the way.
    """

    def __init__(
        self,
        config: AgentConfig,
        draw: Callable[[], float],
        tell: Callable[[Event], None],
        *,
        shelf: Shelf | None = None,
        answers: HeldAnswers | None = None,
    ) -> None:
        store = config.folder
        self.config = config
        self.answers = answers
        self.handovers: dict[str, Handover] = {}
        self.problems: Mapping[str, str] = {}
        self.changed = True
        self.last: State | None = None
        self.fleet: View | None = None
        self.engine = Engine(
            shelf if shelf is not None else DirectoryShelf(store / "staples"),
            rules_of(config),
            draw,
            pace=pace_of(config),
            per_responder=config.refresh.per_responder,
            responder=config.responder,
            grace=timedelta(seconds=config.refresh.timeout) + config.fleet.lease,
        )
        self._pace = pace_of(config)
        self._tell = tell
        self._state_file = config.state_file
        self._past = read_state(self._state_file)
        self._record = ServingRecord(store / "serving")
        self._chains: dict[bytes, set[str]] = {}
        self._dirty: set[str] = set()
        self._failing: set[str] = set()

    def adopt(self, scan: Scan, at: datetime) -> None:
        """Watch what was found, and nothing else."""
        for path, problem in scan.problems.items():
            if self.problems.get(path) != problem:
                self._tell(Event(Kind.UNREADABLE, Severity.WARNING, f"{path}: {problem}", at))
        self.changed |= self.problems != scan.problems
        self.problems = scan.problems
        changed = [name for name in self.handovers if name not in scan.found]
        for name in changed:
            del self.handovers[name]
            self._tell(Event(Kind.CHAIN, Severity.INFO, f"{name}: its file is gone; it is no longer watched", at, name))
        for name, found in scan.found.items():
            handover = self.handovers.get(name)
            if handover is None or handover.wanted.pem != found.site.pem:
                self._take_in(name, found, at)
                changed.append(name)
        if changed:
            self._watch(at)
            self._dirty.update(self.handovers)

    def step(self, at: datetime) -> list[Order]:
        """What is to be fetched now."""
        return self._took(self.engine.step(at))

    def done(self, order: Order, gathered: Gathered, waits: Mapping[str, datetime], at: datetime) -> list[Order]:
        """Take what came of an order; what is to be fetched next."""
        self.changed = True
        return self._took(self.engine.done(order, gathered, waits, at))

    def stand(self, view: View, at: datetime) -> list[Order]:
        """Take this place in a fleet; what is to be fetched by that."""
        before, self.fleet = self.fleet, view
        self.changed |= before != view
        known = view.standing is not Standing.FOLLOWING or view.leader
        if known and (before is None or (before.standing, before.leader) != (view.standing, view.leader)):
            severity = Severity.ERROR if view.standing is Standing.PARTITIONED else Severity.INFO
            self._tell(Event(Kind.FLEET, severity, told(view), at, details={"standing": view.standing.value}))
        return self._took(self.engine.stand(view.standing, at))

    def take(
        self, fingerprint: bytes, record: Record | None, at: datetime, origin: str
    ) -> tuple[Weighed | None, list[Order]]:
        """Take what the fleet's store, `origin`, has for a certificate; what it is worth, and what is to be fetched."""
        weighed, turn = self.engine.take(fingerprint, record, at, origin)
        return weighed, self._took(turn)

    def complain(self, fingerprint: bytes, said: str, at: datetime) -> None:
        """Tell that the fleet's store has this wrong."""
        link = self.engine.entries[fingerprint].link
        self._tell(about(link, Kind.STORE, Severity.WARNING, said, at))

    def unsettled(self) -> bool:
        """Whether somebody is still to be asked for a certificate for the first time."""
        return any(not each.settled and each.responder is not None for each in self.engine.entries.values())

    def clock_moved(self, at: datetime, seconds: float) -> list[Order]:
        """Take note that the clock was set by so many seconds."""
        way = "forward" if seconds > 0 else "back"
        self._tell(Event(Kind.CLOCK, Severity.WARNING, f"the clock was set {way} by {abs(seconds):.0f} s", at))
        self._dirty.update(self.handovers)
        return self._took(self.engine.clock_moved(at))

    def forgive(self, at: datetime) -> list[Order]:
        """Forget all back-offs, those of targets too."""
        for handover in self.handovers.values():
            for target in handover.targets:
                target.retry_at = None
        self._dirty.update(self.handovers)
        return self._took(self.engine.forgive(at))

    def errands(self, at: datetime) -> list[Errand]:
        """What is to be handed over now; each target in it is busy until `handed`."""
        found: list[Errand] = []
        for name in self._dirty | self._failing:
            handover = self.handovers.get(name)
            if handover is not None:
                found += self._errands(handover, at)
        self._dirty.clear()
        for errand in found:
            errand.target.busy = True
        return found

    def handed(self, errand: Errand, event: Event, at: datetime) -> None:
        """Take what came of an errand."""
        errand.target.busy = False
        self.changed = True
        self._tell(event)
        handover = errand.handover
        self._dirty.add(handover.name)
        self._failing.discard(handover.name)
        if handover.next_retry() is not None:
            self._failing.add(handover.name)
        took = all(target.given is not None and target.given.site == errand.wanted.site for target in handover.targets)
        if took:
            self._serves(handover, errand.wanted, at)

    def wake(self) -> datetime | None:
        """When there is something to do next, as far as that is known."""
        failing = [self.handovers[name] for name in self._failing if name in self.handovers]
        moments = [retry for each in failing if (retry := each.next_retry()) is not None]
        engine = self.engine.wake()
        return min([*moments, engine] if engine is not None else moments, default=None)

    def save(self, at: datetime) -> State:
        """Write the state file, and try again to keep what the store did not take."""
        for event in self.engine.save_again(at):
            self._tell(event)
        state = self.last = self.snapshot(at)
        try:
            write_state(self._state_file, state)
            self.changed = False
        except InputError as error:
            self._tell(Event(Kind.STORE, Severity.ERROR, str(error), at))
        return state

    def snapshot(self, at: datetime) -> State:
        """Everything there is to see now."""
        rows = [
            row_of(
                entry,
                sorted(self._chains.get(fingerprint, ())),
                None if entry.responder is None else next_fetch(entry.known, at, self._pace),
            )
            for fingerprint, entry in self.engine.entries.items()
        ]
        targets = target_rows(self.handovers.values())
        return State(at.isoformat(), os.getpid(), tuple(rows), targets, self.problems, self.fleet)

    def _took(self, turn: Turn) -> list[Order]:
        if self.answers is not None:
            self.answers.changed()
        for event in turn.events:
            self.changed = True
            self._dirty |= self._chains.get(event.fingerprint, set())
            self._tell(event)
        return turn.orders

    def _take_in(self, name: str, found: Found, at: datetime) -> None:
        handover = self.handovers.get(name)
        names = ", ".join(name_of(link.subject) for link in found.site.chain.links)
        how = "found" if handover is None else "renewed"
        self._tell(Event(Kind.CHAIN, Severity.INFO, f"{name}: {how} in {found.path}: {names}", at, name))
        if handover is not None:
            handover.wanted = found.site
            return
        serving = self._record.load(name, found.site.key)
        targets = [Target(each, each.deployer(name), first=serving is None) for each in found.table.deploy]
        self.handovers[name] = Handover(name, found.site, serving, targets)

    def _watch(self, at: datetime) -> None:
        """Have the engine keep the certificates of every chain that is served or is to be."""
        links = {}
        self._chains = {}
        for name, handover in self.handovers.items():
            sites = [handover.wanted, *([handover.serving] if handover.serving is not None else [])]
            for link in (each for site in sites for each in site.chain.links):
                links[link.fingerprint] = link
                self._chains.setdefault(link.fingerprint, set()).add(name)
        for event in self.engine.watch(links.values(), at):
            self._tell(event)
        if self._past is not None:
            restore(self.engine.entries, self._past)
            self._past = None
        if self.answers is not None:
            self.answers.watch(self.engine.entries.values())

    def _errands(self, handover: Handover, at: datetime) -> list[Errand]:
        wanted = desired(handover.wanted, handover.serving, self.engine.entries)
        held_back = wanted is None or wanted.site != handover.wanted
        if held_back and not handover.held_back and self._is_settled(handover):
            said = f"{handover.name}: the certificate waits for its staple: it promises one (RFC 7633 §4.3.2)"
            self._tell(Event(Kind.HELD_BACK, Severity.ERROR, said, at, handover.name))
            handover.held_back = True
        elif not held_back:
            handover.held_back = False
        if wanted is None:
            return []
        if not handover.targets and not held_back:
            self._serves(handover, wanted, at)
        return [Errand(handover, target, wanted) for target in handover.targets if target.wants(wanted, at)]

    def _is_settled(self, handover: Handover) -> bool:
        entries = [self.engine.entries.get(link.fingerprint) for link in handover.wanted.chain.links]
        return all(each is not None and each.settled for each in entries)

    def _serves(self, handover: Handover, given: Desired, at: datetime) -> None:
        """Note that this chain is the one that is served from now on."""
        if handover.serving == given.site or given.site != handover.wanted:
            return
        before, handover.serving = handover.serving, given.site
        try:
            self._record.save(given.site)
        except InputError as error:
            self._tell(Event(Kind.STORE, Severity.ERROR, str(error), at))
        if before is not None:
            self._watch(at)

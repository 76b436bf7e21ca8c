"""Runs a month of the agent's engine, judge and store in simulated time, and holds it to what an oracle could do."""

from __future__ import annotations

import heapq
import itertools
import resource
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final

from mustaple.agent.engine import Engine
from mustaple.agent.events import Kind
from mustaple.agent.fetching import JudgingFetcher
from mustaple.agent.shelf import DirectoryShelf
from mustaple.core.ocsp import judge
from mustaple.core.policy import Rules
from mustaple.core.refresh import SPREAD, Pace, half_life
from mustaple.core.verdict import Status
from mustaple.lab.agent_soak.behaviour import DAY
from mustaple.lab.agent_soak.world import LIFE, Month, SimulatedClock, World

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from certtools.chain import Link
    from mustaple.agent.engine import Order, Turn

START: Final = datetime(2026, 6, 1, tzinfo=UTC)
PACE: Final = Pace()
_RULES: Final = Rules(max_age=timedelta(days=366))


@dataclass(slots=True)
class Figures:
    """What came of it. `requests` and `minimum` are counted from the first on; memory is in MiB, day by day.

    `savable` are staples that died though their responder was honest, after they were due, for as long in one piece as
    the longest wait between two requests; due is half-life and what renewals are spread over. `savable_at_all` are
    those with any honest moment after half-life. `wrong` are staples that were served and not good, or dead.
    """

    certificates: int = 0
    requests: int = 0
    minimum: int = 0
    fetched: int = 0
    deaths: int = 0
    savable: int = 0
    savable_at_all: int = 0
    wrong: int = 0
    without: int = 0
    events: Counter[str] = field(default_factory=Counter)
    memory: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def ratio(self) -> float:
        """Requests made for each that an oracle would have made."""
        return self.requests / self.minimum

    @property
    def growth(self) -> float:
        """Memory at the end for each MiB after the first fifth of the month, when every certificate has its staple."""
        return self.memory[-1] / self.memory[len(self.memory) // 5]


class Simulation:
    """One month. `folder` is where the store is."""

    def __init__(self, month: Month, folder: Path, on_day: Callable[[int, Figures], None] | None = None) -> None:
        self.clock = SimulatedClock(START)
        self.world = World(month, START, self.clock)
        self.figures = Figures(certificates=month.certificates)
        self._on_day = on_day
        draw = Random(month.seed + 1)  # noqa: S311 - a simulation is to be had again
        self._engine = Engine(DirectoryShelf(folder), _RULES, draw.random, pace=PACE)
        self._fetcher = JudgingFetcher(self.world.fetch, self.clock, _RULES)
        self._end = START + timedelta(days=month.days)
        self._under_way: list[tuple[datetime, int, Order, Any]] = []
        self._count = itertools.count()
        self._served: dict[bytes, tuple[Link, bytes, datetime]] = {}

    def run(self) -> Figures:
        """The whole month."""
        began, figures = time.monotonic(), self.figures
        self._take(self._engine.watch(self.world.links, START), [])
        tomorrow = START + DAY
        while (moment := self._next(tomorrow)) < self._end:
            self.clock.at = moment
            while self._under_way and self._under_way[0][0] <= moment:
                _, _, order, (gathered, waits) = heapq.heappop(self._under_way)
                self._turn(self._engine.done(order, gathered, waits, moment))
            self._turn(self._engine.step(moment))
            if moment >= tomorrow:
                self._look_at_all((tomorrow - START).days)
                tomorrow += DAY
        figures.requests = self.world.requests
        figures.minimum = sum(map(self._minimum, self.world.links))
        figures.without = len(self.world.links) - len(self._served)
        figures.seconds = time.monotonic() - began
        return figures

    def _next(self, tomorrow: datetime) -> datetime:
        moments = [tomorrow]
        if (wake := self._engine.wake()) is not None:
            moments.append(wake)
        if self._under_way:
            moments.append(self._under_way[0][0])
        return max(min(moments), self.clock.at)

    def _turn(self, turn: Turn) -> None:
        self._take(turn.events, turn.orders)

    def _take(self, events: list[Any], orders: list[Order]) -> None:
        for event in events:
            self.figures.events[event.kind.value] += 1
            if event.kind is Kind.DIED:
                self._died(event.fingerprint)
            if event.kind in {Kind.STAPLED, Kind.DIED, Kind.REVOKED}:
                self._serve(event.fingerprint)
        for order in orders:
            result = _run(self._fetcher(order))
            self.figures.fetched += 1
            heapq.heappush(self._under_way, (self.clock.at + self.world.latency(), next(self._count), order, result))

    def _serve(self, fingerprint: bytes) -> None:
        """The server has what the engine holds: it must be good now."""
        entry = self._engine.entries[fingerprint]
        if entry.staple is None:
            self._served.pop(fingerprint, None)
            return
        body, death = entry.staple.response, entry.death
        self.figures.wrong += judge(body, entry.link, self.clock.at, _RULES).status is not Status.GOOD
        self._served[fingerprint] = (entry.link, body, death if death is not None else self.clock.at)

    def _died(self, fingerprint: bytes) -> None:
        link, _, death = self._served[fingerprint]
        self.figures.deaths += 1
        self.figures.wrong += self.clock.at > death  # withdrawn too late
        behaviour, half = self.world.behaviour(link), death - LIFE / 2
        honest = behaviour.longest_honest(half + LIFE / SPREAD, death)
        self.figures.savable += honest >= timedelta(seconds=PACE.longest)
        self.figures.savable_at_all += behaviour.longest_honest(half, death) > timedelta()

    def _look_at_all(self, day: int) -> None:
        """Once a day: nothing that is served is dead, and memory."""
        self.figures.wrong += sum(death <= self.clock.at for _, _, death in self._served.values())
        self.figures.memory.append(_memory())
        if self._on_day is not None:
            self._on_day(day, self.figures)

    def _minimum(self, link: Link) -> int:
        """How many requests somebody would have made who knows when the responder is honest, and asks at half-life."""
        behaviour, count = self.world.behaviour(link), 0
        moment = behaviour.honest_from(START)
        while moment < self._end:
            count += 1
            signed = self.world.signed_at(moment)
            moment = behaviour.honest_from(half_life(signed, signed + LIFE))
        return count


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that never has to wait: everything in it happens at one simulated moment."""
    try:
        work.send(None)
    except StopIteration as stop:
        return stop.value
    raise RuntimeError("something in the simulation waits for real time")


def _memory() -> float:
    """Resident memory in MiB: now, where the system tells, else at its highest."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return pages * resource.getpagesize() / 2**20

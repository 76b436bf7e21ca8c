"""Runs the agent: a loop over files, fetches and targets, each of which may take its time without delaying another."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from mustaple.agent.discovery import Discovery, Scan
from mustaple.agent.handover import hand_over
from mustaple.agent.notify import ALIVE, READY, STOPPING, notify, watchdog_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from mustaple.agent.agent import Agent, Errand
    from mustaple.agent.engine import Order
    from mustaple.agent.fetching import Fetcher
    from mustaple.agent.fleet.member import Member
    from mustaple.agent.state import State

LONGEST_SLEEP: Final = 30.0  # seconds: a clock that is set is noticed so late at most
JUMP: Final = 30.0  # seconds by which the two clocks may part before the wall clock is taken to have been set
HANDS: Final = 16  # targets at once: one that hangs must not delay another
SAVE_EVERY: Final = 5.0  # seconds between two writings of the state, unless the agent ends


def now() -> datetime:
    """The time in UTC."""
    return datetime.now(UTC)


@dataclass(slots=True)
class Clocks:
    """The clock on the wall, which may be set, and one that never is (in seconds)."""

    wall: Callable[[], datetime] = now
    steady: Callable[[], float] = time.monotonic


@dataclass(eq=False)
class Service:
    """An agent, what it fetches with, and its loop. `on_state` gets what there is to see whenever it has changed.

    `member` is its part in a fleet, where it has one; it is left at the end.
    """

    agent: Agent
    fetcher: Fetcher
    clocks: Clocks = field(default_factory=Clocks)
    on_state: Callable[[State], None] | None = None
    member: Member | None = None
    beat: float = 0.0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _stopping: bool = False
    _rescan: bool = True
    _saved: float = 0.0
    _membership: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        config = self.agent.config
        self._discovery = Discovery(config.chain, config.settle)
        self._difference: float | None = None
        self._failure: BaseException | None = None
        self._hands = ThreadPoolExecutor(HANDS, "mustaple-hand")

    def stop(self) -> None:
        """End soon. From the loop's own thread."""
        self._stopping = True
        self._wake.set()

    def reload(self) -> None:
        """Look at all files at once, and forget all back-offs. From the loop's own thread."""
        self._rescan = True
        self._begin(self.agent.forgive(self.clocks.wall()))
        self._wake.set()

    async def run(self) -> None:
        """Go on until `stop`. What is under way then is left; what was reached is saved."""
        interval, scanned = self.agent.config.rescan.total_seconds(), -float("inf")
        try:
            while not self._stopping:
                self._wake.clear()
                first = scanned < 0
                if self._rescan or self.clocks.steady() - scanned >= interval:
                    self._rescan, scanned = False, self.clocks.steady()
                    unsettled = (await self._scan()).unsettled
                    if unsettled:  # come back when it may have settled
                        scanned -= max(interval - self.agent.config.settle.total_seconds(), 0)
                self._turn()
                if first:
                    self._join()
                    notify(READY, "STATUS=watching certificate chains")
                await self._sleep(scanned + interval - self.clocks.steady())
        finally:
            notify(STOPPING)
            await self._end()
        if self._failure is not None:
            raise self._failure

    async def run_once(self) -> None:
        """Fetch what is due, bring it to every target, and end when nothing is left to wait for."""
        try:
            unsettled = True
            while unsettled:
                unsettled = (await self._scan()).unsettled
                if unsettled:
                    await asyncio.sleep(min(self.agent.config.settle.total_seconds(), 1.0))
            if self.member is not None:
                self._join()
                await self.member.looked()
            self._turn()
            while not self._stopping and (self._tasks or self._waits_for_others()):
                self._wake.clear()
                await self._sleep(LONGEST_SLEEP)
                self._turn()
        finally:
            await self._end()
        if self._failure is not None:
            raise self._failure

    def _join(self) -> None:
        """Begin to take part in the fleet."""
        if self.member is not None:
            self._begin(self.agent.stand(self.member.view(), self.clocks.wall()))  # what it learns is taken as such
            self._membership = asyncio.get_running_loop().create_task(self.member.run(self._news))
            self._membership.add_done_callback(self._over)

    def _news(self, orders: list[Order]) -> None:
        self._begin(orders)
        self._wake.set()

    def _waits_for_others(self) -> bool:
        """Whether somebody else in the fleet is to ask first."""
        return self.member is not None and self.agent.unsettled()

    async def _scan(self) -> Scan:
        at = self.clocks.wall()
        scan = await asyncio.to_thread(self._discovery.scan, at, self.clocks.steady())
        self.agent.adopt(scan, self.clocks.wall())
        return scan

    def _turn(self) -> None:
        """One turn: everything that is due is begun."""
        at = self.clocks.wall()
        self._notice_clock(at)
        if self.member is not None:
            self._begin(self.agent.stand(self.member.view(), at))
        self._begin(self.agent.step(at))
        for errand in self.agent.errands(at):
            self._start(self._bring(errand))
        if self.member is not None and (self.agent.engine.unseen or self.agent.engine.news):
            self.member.hurry()
        self.beat = self.clocks.steady()
        if self.agent.changed and self.beat - self._saved >= SAVE_EVERY:
            self._save(at)

    def _save(self, at: datetime) -> None:
        self._saved = self.clocks.steady()
        state = self.agent.save(at)
        if self.on_state is not None:
            self.on_state(state)

    def _notice_clock(self, at: datetime) -> None:
        difference = at.timestamp() - self.clocks.steady()
        before, self._difference = self._difference, difference
        if before is not None and abs(difference - before) > JUMP:
            self._begin(self.agent.clock_moved(at, difference - before))

    async def _sleep(self, longest: float) -> None:
        """Sleep until something is due, comes, or is ordered."""
        seconds = min(longest, LONGEST_SLEEP, (watchdog_interval() or 2 * LONGEST_SLEEP) / 2)
        wake = self.agent.wake()
        if wake is not None:
            seconds = min(seconds, (wake - self.clocks.wall()).total_seconds())
        if self.agent.changed:
            seconds = min(seconds, SAVE_EVERY)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), max(seconds, 0.01))
        notify(ALIVE)

    def _begin(self, orders: list[Order]) -> None:
        for order in orders:
            self._start(self._fetch(order))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = error  # a fault of ours: it must be seen, and not be slept over
            self.stop()

    async def _fetch(self, order: Order) -> None:
        gathered, waits = await self.fetcher(order)
        self._begin(self.agent.done(order, gathered, waits, self.clocks.wall()))

    async def _bring(self, errand: Errand) -> None:
        at = self.clocks.wall()
        loop = asyncio.get_running_loop()
        event = await loop.run_in_executor(self._hands, hand_over, errand.target, errand.wanted, at)
        self.agent.handed(errand, event, self.clocks.wall())

    async def _end(self) -> None:
        if self.member is not None:
            self.member.stop()
        working = [*self._tasks, *([self._membership] if self._membership is not None else [])]
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        if self.member is not None:
            await self.member.leave()
        self._hands.shutdown(wait=False, cancel_futures=True)
        self._save(self.clocks.wall())

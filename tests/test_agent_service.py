"""The agent's loop: a clock that is set is noticed, who is slow delays nobody, faults of ours are seen."""

from __future__ import annotations

import asyncio
import json
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from staple_world import HANGS, World, world

from certtools.chain import to_pem
from mustaple.agent.agent import Agent, rules_of
from mustaple.agent.config import parse_config
from mustaple.agent.events import Event, Kind
from mustaple.agent.fetching import JudgingFetcher, http_client, over_http
from mustaple.agent.service import Clocks, Service
from mustaple.net.deadline_loop import DeadlineLoop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("no_proxy")
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def place() -> Iterator[World]:
    with world() as made:
        yield made


class Stage:
    """A service in a loop, its events, and a wall clock that can be set."""

    def __init__(self, folder: Path, *chains: tuple[str, bytes], command: list[str] | None = None) -> None:
        tables = ""
        for name, pem in chains:
            (folder / f"{name}.pem").write_bytes(pem)
            tables += f"[[chain]]\ncertificates = [{json.dumps(str(folder / f'{name}.pem'))}]\n"
            tables += f'[[chain.deploy]]\nkind = "files"\ndirectory = {json.dumps(str(folder / "live" / name))}\n'
            if command is not None and name == "slow":
                tables += f"after = {json.dumps(command)}\n"
        text = f'store = {json.dumps(str(folder / "store"))}\nrescan = "100ms"\nsettle = "1ms"\n{tables}'
        self.config = parse_config(text.encode(), "test")
        self.events: list[Event] = []
        self.offset = timedelta(0)
        self._changed = asyncio.Event()
        self.agent = Agent(self.config, lambda: 0.0, self._tell)

    def wall(self) -> datetime:
        return datetime.now(UTC) + self.offset

    def _tell(self, event: Event) -> None:
        self.events.append(event)
        self._changed.set()

    async def until(self, seen: Callable[[], bool]) -> None:
        while not seen():
            self._changed.clear()
            await asyncio.wait_for(self._changed.wait(), 30)

    def kinds(self) -> list[Kind]:
        return [event.kind for event in self.events]

    def run(self, play: Callable[[Service], Awaitable[None]], fetcher: Any = None) -> None:
        async def main() -> None:
            async with http_client(proxy=None, trust=None) as client:
                own = JudgingFetcher(over_http(client), self.wall, rules_of(self.config), timeout=20)
                service = Service(self.agent, fetcher or own, Clocks(self.wall))
                going = asyncio.create_task(service.run())
                playing = asyncio.ensure_future(play(service))
                await asyncio.wait({going, playing}, return_when=asyncio.FIRST_COMPLETED)
                service.stop()
                if going.done():
                    playing.cancel()
                await asyncio.gather(going)
                await playing

        with asyncio.Runner(loop_factory=DeadlineLoop) as runner:
            runner.run(main())


@pytest.mark.parametrize("days", [5, -5])
def test_a_clock_that_is_set_is_noticed_and_set_right_again(place: World, tmp_path: Path, days: int) -> None:
    place.reset()
    stage = Stage(tmp_path, ("site", to_pem(place.chain.certificates)))
    leaf = tmp_path / "live/site/leaf.der"

    async def play(_: Service) -> None:
        await stage.until(lambda: Kind.DEPLOYED in stage.kinds() and leaf.exists())
        good = leaf.read_bytes()
        stage.events.clear()
        stage.offset = days * DAY
        await stage.until(lambda: Kind.CLOCK in stage.kinds())
        if days > 0:  # dead by this clock, so it is withdrawn
            await stage.until(lambda: Kind.DIED in stage.kinds() and Kind.DEPLOYED in stage.kinds())
            assert not leaf.exists()
        assert not leaf.exists() or leaf.read_bytes() == good
        stage.events.clear()
        stage.offset = timedelta(0)
        await stage.until(lambda: Kind.CLOCK in stage.kinds())
        if days > 0:
            await stage.until(lambda: any("2 of 2" in event.message for event in stage.events))
        assert leaf.exists()

    stage.run(play)


def test_a_target_that_takes_its_time_and_a_responder_that_hangs_delay_nobody(place: World, tmp_path: Path) -> None:
    place.reset()
    hanging, slow, fast = (place.lone(name) for name in ("hangs", "slow", "fast"))
    place.says["hangs"] = HANGS
    chains = [(name, to_pem(each.certificates)) for name, each in (("h", hanging), ("slow", slow), ("fast", fast))]
    stage = Stage(tmp_path, *chains, command=["sleep", "3"])

    async def play(_: Service) -> None:
        await stage.until(lambda: any(event.subject == "fast" for event in stage.events if event.kind is Kind.DEPLOYED))
        assert not any(event.subject in {"slow", "h"} for event in stage.events if event.kind is Kind.DEPLOYED)

    stage.run(play)


def test_a_fault_of_ours_ends_the_agent_and_is_seen(place: World, tmp_path: Path) -> None:
    stage = Stage(tmp_path, ("site", to_pem(place.chain.certificates)))

    async def broken(_: object) -> None:
        raise ZeroDivisionError

    async def play(service: Service) -> None:
        await asyncio.Event().wait()  # until the loop ends by itself

    with pytest.raises(ZeroDivisionError):
        stage.run(play, broken)


def test_nothing_is_left_running_when_it_ends(place: World, tmp_path: Path) -> None:
    place.reset()
    before = {thread.name for thread in threading.enumerate()}
    stage = Stage(tmp_path, ("site", to_pem(place.chain.certificates)))

    async def play(_: Service) -> None:
        await stage.until(lambda: Kind.DEPLOYED in stage.kinds())

    stage.run(play)
    after = {thread.name for thread in threading.enumerate()} - before
    assert not {name for name in after if name.startswith("mustaple-hand")}

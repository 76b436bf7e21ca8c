"""One member of a fleet, beat by beat, by a clock that the test moves: when it leads, and what it knows by then."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from agent_house import honest, leaf, revoked
from fleet_house import RedisServer

from certtools.chain import to_pem
from mustaple.agent.agent import Agent
from mustaple.agent.config import parse_config
from mustaple.agent.discovery import Discovery
from mustaple.agent.events import Event, Kind
from mustaple.agent.fleet.member import BEATS, LOCK, TIMEOUT, Member
from mustaple.agent.fleet.record import Record, decode
from mustaple.agent.fleet.redis_store import RedisStore, Saving
from mustaple.agent.fleet.standing import Standing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from mustaple.agent.engine import Order

pytestmark = pytest.mark.peer("redis-server")
LEASE = 60.0  # seconds: nothing runs out while a test looks, but what the test has run out
NOW = datetime.now(UTC).replace(microsecond=0)
AGO = NOW - timedelta(hours=1)
LINKS = [leaf(f"{number}.test") for number in range(3)]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as running:
        yield running


class Stage:
    """An agent that watches LINKS, and its member; `move` moves the steady clock."""

    def __init__(self, folder: Path, server: RedisServer, name: str) -> None:
        self.folder = folder / name
        self.folder.mkdir()
        text = f'store = {json.dumps(server.url)}\nsettle = "1ms"\n[fleet]\ncopy_in = {json.dumps(str(self.folder))}\n'
        for number, link in enumerate(LINKS):
            (self.folder / f"{number}.pem").write_bytes(to_pem([link.subject, link.issuer]))
        text += f"[[chain]]\ncertificates = [{json.dumps(str(self.folder / '*.pem'))}]\n"
        self.events: list[Event] = []
        self.orders: list[Order] = []
        self.now = 0.0
        config = parse_config(text.encode(), "test")
        self.agent = Agent(config, lambda: 0.0, self.events.append)
        self.agent.adopt(Discovery(config.chain, timedelta()).scan(NOW, 0.0), NOW)
        self.store = RedisStore(server.url, prefix="mustaple", timeout=20)
        self.member = Member(self.agent, self.store, lease=LEASE, name=name, wall=lambda: NOW, steady=lambda: self.now)
        self.member._news = self.orders.extend
        self.agent.stand(self.member.view(), NOW)

    async def beat(self) -> Standing:
        await self.member._beat()
        view = self.member.view()
        self.orders += self.agent.stand(view, NOW)
        return view.standing

    def move(self, seconds: float) -> Standing:
        self.now += seconds
        return self.member.view().standing

    def held(self) -> list[bytes | None]:
        staples = [self.agent.engine.staple(link.fingerprint) for link in LINKS]
        return [each.response if each is not None else None for each in staples]


def play(folder: Path, server: RedisServer, scene: Callable[[Stage, Stage], Awaitable[None]]) -> None:
    async def main() -> None:
        one, two = Stage(folder, server, "one"), Stage(folder, server, "two")
        try:
            await scene(one, two)
        finally:
            await one.store.close()
            await two.store.close()

    asyncio.run(main())


def put(server: RedisServer, number: int, response: bytes, this_update: datetime = AGO) -> None:
    """As another agent would, by the real script."""

    async def save() -> None:
        store = RedisStore(server.url, prefix="mustaple", timeout=20)
        value = Record(this_update, this_update, None, response).encode()
        assert await store.save({LINKS[number].fingerprint: Saving(value, 600)}) == {LINKS[number].fingerprint: b""}
        await store.close()

    asyncio.run(save())


def test_a_lock_and_the_next_look_after_it_are_within_a_lease() -> None:
    assert LOCK + 1 / BEATS <= 1
    assert LOCK > 2 * (TIMEOUT / 2), "one look that fails costs no lead"


def test_it_leads_by_its_own_clock_no_longer_than_its_lock(tmp_path: Path, server: RedisServer) -> None:
    async def scene(one: Stage, two: Stage) -> None:
        assert one.member.view().standing is Standing.FOLLOWING
        assert await one.beat() is Standing.LEADING
        assert await two.beat() is Standing.FOLLOWING
        assert two.member.view().leader == "one"
        with server.client() as client:
            assert 0 < client.pttl("mustaple:1:leader") <= LEASE * LOCK * 1000
        assert one.move(LEASE * LOCK - 1) is Standing.LEADING
        assert one.move(1) is Standing.FOLLOWING, "whatever Redis says, and whether it can be asked"
        await one.member._look()
        assert one.move(0) is Standing.FOLLOWING, "somebody may have led, and told of something, in between"
        assert await one.beat() is Standing.LEADING, "nobody did"

    play(tmp_path, server, scene)


def test_who_leaves_lets_another_one_lead_at_once(tmp_path: Path, server: RedisServer) -> None:
    async def scene(one: Stage, two: Stage) -> None:
        await one.beat()
        await one.member.leave()
        assert one.member.view().standing is Standing.FOLLOWING
        assert await two.beat() is Standing.LEADING

    play(tmp_path, server, scene)


def test_who_comes_to_lead_knows_what_the_one_before_told(tmp_path: Path, server: RedisServer) -> None:
    answers = [honest(link, AGO) for link in LINKS]
    put(server, 0, answers[0])

    async def scene(one: Stage, two: Stage) -> None:
        assert await two.beat() is Standing.LEADING
        assert {order.link for order in two.orders} == set(LINKS[1:]), "and asks for nothing that is there"
        await one.beat()
        assert one.held() == [answers[0], None, None]
        await two.member.leave()
        await asyncio.to_thread(put, server, 1, answers[1])
        assert await one.beat() is Standing.LEADING
        assert one.held() == [*answers[:2], None]
        assert [order.link for order in one.orders] == [LINKS[2]]

    play(tmp_path, server, scene)


def test_after_an_interruption_the_one_who_led_comes_first(tmp_path: Path, server: RedisServer) -> None:
    async def scene(one: Stage, two: Stage) -> None:
        await one.beat()
        await two.beat()
        server.kill()
        assert await two.beat() is Standing.FOLLOWING, "for a moment nobody knows"
        assert await one.beat() is Standing.LEADING, "its lock holds still"
        assert two.move(LEASE) is Standing.PARTITIONED
        assert one.move(LEASE * LOCK) is Standing.FOLLOWING
        assert one.move(LEASE) is Standing.PARTITIONED
        two.now -= LEASE
        one.now -= LEASE * LOCK + LEASE
        server.start()  # empty: the lock is forgotten
        assert await two.beat() is Standing.FOLLOWING
        assert await two.beat() is Standing.FOLLOWING
        assert await one.beat() is Standing.LEADING
        server.kill()
        await two.beat()
        server.start()
        two.move(LEASE * LOCK)
        assert await two.beat() is Standing.LEADING, "unless it does not come"

    play(tmp_path, server, scene)


def test_a_store_that_was_emptied_is_told_everything_anew(tmp_path: Path, server: RedisServer) -> None:
    answers = [honest(link, AGO) for link in LINKS]
    for number in range(3):
        put(server, number, answers[number])

    async def scene(one: Stage, _: Stage) -> None:
        await one.beat()
        assert one.held() == answers
        with server.client() as client:
            client.flushall()
        await one.beat()
        found = [decode(each) for each in await one.store.load([link.fingerprint for link in LINKS])]
        assert [each.response if each is not None else None for each in found] == answers

    play(tmp_path, server, scene)


def test_revoked_is_told_and_heard(tmp_path: Path, server: RedisServer) -> None:
    good = honest(LINKS[0], AGO)
    put(server, 0, good)

    async def scene(one: Stage, two: Stage) -> None:
        await one.beat()
        await two.beat()
        assert one.held()[0] == two.held()[0] == good
        later = AGO + timedelta(minutes=1)
        await asyncio.to_thread(put, server, 0, revoked(LINKS[0], later), later)
        await two.beat()
        assert two.held()[0] is None
        assert Kind.REVOKED in [event.kind for event in two.events]

    play(tmp_path, server, scene)


def test_what_redis_does_not_take_is_told_once_and_tried_again(tmp_path: Path, server: RedisServer) -> None:
    answers = [honest(link, AGO) for link in LINKS]
    put(server, 0, answers[0])
    place = f"mustaple:1:staple:{LINKS[0].fingerprint.hex()}"

    async def scene(one: Stage, _: Stage) -> None:
        await one.beat()
        with server.client() as client:
            client.delete(place)
            client.rpush(place, "in the way")
        one.agent.engine.unseen.add(LINKS[0].fingerprint)
        for _ in range(3):
            assert await one.beat() is Standing.LEADING
        told = [event for event in one.events if "WRONGTYPE" in event.message]
        assert len(told) == 1
        with server.client() as client:
            client.delete(place)
        await one.beat()
        assert await one.store.load([LINKS[0].fingerprint]) != [b""]

    play(tmp_path, server, scene)


def test_a_lie_is_told_of_once_however_it_changes(tmp_path: Path, server: RedisServer) -> None:
    async def scene(one: Stage, _: Stage) -> None:
        for number in range(3):
            with server.client() as client:
                client.set(f"mustaple:1:staple:{LINKS[0].fingerprint.hex()}", f"lie {number}")
            one.agent.engine.unseen.add(LINKS[0].fingerprint)
            await one.beat()
        told = [event for event in one.events if "is not used" in event.message]
        assert [event.fingerprint for event in told] == [LINKS[0].fingerprint]
        assert one.held()[0] is None

    play(tmp_path, server, scene)

"""One agent's part in a fleet: it keeps or tries for the lead, tells the others what it got, and learns what they got.

A lease is a time for which one agent asks for all. It keeps the lock in the store for two thirds of a lease, and looks
after it six times a lease: so a leader that dies is replaced within one.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from mustaple.agent.fleet.record import Worth, decode, record_of
from mustaple.agent.fleet.redis_store import BATCH, MAX_CHANGES, Saving, StoreGoneError
from mustaple.agent.fleet.standing import Standing, View

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from mustaple.agent.agent import Agent
    from mustaple.agent.engine import Order
    from mustaple.agent.fleet.redis_store import RedisStore, Seen

LOCK: Final = 2 / 3  # of a lease: how long the lock in the store outlives its holder
BEATS: Final = 6  # looks at the store in a lease
TIMEOUT: Final = 1 / 3  # of a lease, for one round trip,
LONGEST_TIMEOUT: Final = 10.0  # seconds at most
_KEPT: Final = timedelta(days=1)  # after a staple's death: a clock may be wrong
_REVOKED_KEPT: Final = timedelta(days=30)


class Member:
    """The member of a fleet that this agent is. One thread, that of the agent's loop.

    `name` is what others are told; `wall` and `steady` are the agent's clocks. By the steady one it stops leading when
    its lock may have run out, whether or not the store can be asked.
    """

    def __init__(
        self,
        agent: Agent,
        store: RedisStore,
        *,
        lease: float,
        name: str,
        wall: Callable[[], datetime],
        steady: Callable[[], float],
    ) -> None:
        self._agent, self._store, self._lease = agent, store, lease
        self._wall, self._steady = wall, steady
        self._token = f"{name}:{secrets.token_hex(16)}"
        self._hurry, self._looked = asyncio.Event(), asyncio.Event()
        self._met = self._asked = self._holds_until = self._takes_from = -float("inf")
        self._in_touch = self._informed = False
        self._going = True
        self._leader = self._said = ""
        self._changes = 0
        self._known: dict[bytes, bytes] = {}
        self._wrong: dict[bytes, bytes] = {}
        self._news: Callable[[list[Order]], None] = lambda _: None

    def view(self) -> View:
        """What there is to see now."""
        now, leader = self._steady(), self._leader.rpartition(":")[0][:100]
        if self._informed and now < self._holds_until:
            return View(Standing.LEADING, self._store.name, leader, self._said)
        if self._said and now >= self._met + self._lease:
            return View(Standing.PARTITIONED, self._store.name, "", self._said)
        return View(Standing.FOLLOWING, self._store.name, leader if self._leader != self._token else "", self._said)

    def hurry(self) -> None:
        """There is something to tell or to look up."""
        self._hurry.set()

    async def looked(self) -> None:
        """Wait until the store was looked at for the first time, or could not be."""
        await self._looked.wait()

    async def run(self, news: Callable[[list[Order]], None]) -> None:
        """Go on until `stop`. `news` gets orders to begin, an empty list where there is but something to see."""
        self._news = news
        while self._going:
            self._hurry.clear()
            await self._beat()
            self._looked.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._lease / BEATS):
                    # Where the store is gone no hurry helps.
                    await (self._hurry if self._in_touch or not self._going else asyncio.Event()).wait()

    def stop(self) -> None:
        """End `run` soon, also where a cancellation is lost: the client's `wait_for` may swallow one (before 3.12)."""
        self._going = False
        self._hurry.set()

    async def leave(self) -> None:
        """Tell what there is to tell, let another one lead, and close. What the store does not take is kept here."""
        try:
            if self._in_touch:
                with suppress(StoreGoneError):
                    await self._tell()
                    await self._store.resign(self._token)
        finally:
            self._holds_until = -float("inf")
            await self._store.close()

    async def _beat(self) -> None:
        before = self.view()
        try:
            await self._learn(await self._look())
            # Whoever leads knows what the one before him told.
            self._informed = self._leader == self._token
            await self._tell()
        except StoreGoneError as error:
            self._lose(str(error))
        if self.view() != before:
            self._news([])

    async def _look(self) -> Seen:
        """Keep the lock, or try for it."""
        began = self._asked = self._steady()
        held = began < self._holds_until
        seen = await self._store.look(self._token, self._lease * LOCK, take=held or began >= self._takes_from)
        ours = seen.leader == self._token
        self._holds_until = began + self._lease * LOCK if ours else -float("inf")
        self._informed = self._informed and ours and held
        if not self._in_touch or seen.changes < self._changes:
            # Who knows what it has forgotten: everything is looked up again, and told again where it is missing.
            self._changes = seen.changes
            self._agent.engine.unseen.update(self._agent.engine.entries)
        self._met, self._in_touch, self._said, self._leader = self._steady(), True, "", seen.leader
        return seen

    async def _keep(self) -> None:
        """Look after the lock during long work."""
        if self._steady() >= self._asked + self._lease / BEATS:
            await self._look()

    def _lose(self, said: str) -> None:
        if self._in_touch:
            # A store that comes back may have forgotten its lock, and its holder not know yet: he comes first.
            self._takes_from = self._steady() + self._lease * LOCK
        self._in_touch, self._said = False, said

    async def _learn(self, seen: Seen) -> None:
        """Look up what others have told, and what was not looked up yet."""
        unseen, entries = self._agent.engine.unseen, self._agent.engine.entries
        while seen.changes > self._changes:
            changed = await self._store.changed_after(self._changes)
            unseen.update(each.fingerprint for each in changed if each.fingerprint in entries)
            last = max((each.number for each in changed), default=0)
            self._changes = last if len(changed) == MAX_CHANGES and last > self._changes else seen.changes
        for batch in _batches(unseen):
            values = await self._store.load(batch)
            for fingerprint, value in zip(batch, values, strict=True):
                self._weigh(fingerprint, value)
            await self._keep()

    def _weigh(self, fingerprint: bytes, value: bytes) -> None:
        """Take what the store has for this certificate; what it lacks or has wrong is to be told."""
        engine, digest = self._agent.engine, hashlib.sha256(value).digest()
        known = self._known.get(fingerprint) == digest
        record = decode(value) if not known else None
        weighed, orders = self._agent.take(fingerprint, record, self._wall(), self._store.name)
        if orders:
            self._news(orders)
        if known or fingerprint not in engine.entries:
            return
        if not value:
            self._known.pop(fingerprint, None)
        worth = weighed.worth if weighed is not None else Worth.WRONG if value else Worth.OLDER
        if worth in {Worth.WRONG, Worth.OLDER} and record_of(engine.entries[fingerprint]) is not None:
            engine.news.add(fingerprint)
        if worth is Worth.WRONG:
            if fingerprint not in self._wrong:
                why = weighed.said if weighed is not None else "it is no record of an agent"
                said = f"what {self._store.name} has for it is not used: {why}"
                self._agent.complain(fingerprint, said, self._wall())
            self._wrong[fingerprint] = value
        elif value and worth is not Worth.EARLY:
            self._known[fingerprint] = digest
            self._wrong.pop(fingerprint, None)

    async def _tell(self) -> None:
        """Tell the others what is new here."""
        engine = self._agent.engine
        for batch in _batches(engine.news):
            engine.news.difference_update(batch)
            savings = {each: saving for each in batch if (saving := self._saving(each)) is not None}
            try:
                answers = await self._store.save(savings) if savings else {}
            except BaseException:
                engine.news.update(batch)
                raise
            for fingerprint, answer in answers.items():
                if isinstance(answer, bytes):
                    self._saved(fingerprint, savings[fingerprint].value, answer)
                    continue
                engine.news.add(fingerprint)
                if self._wrong.get(fingerprint) != b"":
                    self._wrong[fingerprint] = b""
                    said = f"{self._store.name} does not take its staple: {answer}"
                    self._agent.complain(fingerprint, said, self._wall())
            await self._keep()

    def _saved(self, fingerprint: bytes, value: bytes, in_the_way: bytes) -> None:
        if in_the_way:
            self._weigh(fingerprint, in_the_way)
        else:
            self._known[fingerprint] = hashlib.sha256(value).digest()
            self._wrong.pop(fingerprint, None)

    def _saving(self, fingerprint: bytes) -> Saving | None:
        """What to tell of this certificate, if there is anything that the store does not have already."""
        entry = self._agent.engine.entries.get(fingerprint)
        record = record_of(entry) if entry is not None else None
        if entry is None or record is None:
            return None
        value = record.encode()
        if self._known.get(fingerprint) == hashlib.sha256(value).digest():
            return None
        death = entry.death
        kept = death - self._wall() + _KEPT if death is not None else _REVOKED_KEPT
        return Saving(value, kept.total_seconds(), self._wrong.get(fingerprint))


def _batches(fingerprints: set[bytes]) -> Iterator[list[bytes]]:
    """All that are there now, BATCH at a time."""
    pending = list(fingerprints)
    for start in range(0, len(pending), BATCH):
        yield pending[start : start + BATCH]

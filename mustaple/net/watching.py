"""Checks the same targets round after round, and keeps a record of what a policy would have cost."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from mustaple.net.check_many import AT_ONCE, check_many
from mustaple.net.readiness import Effect
from mustaple.net.rounds import rounds

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from mustaple.net.readiness import Ended, Readiness
    from mustaple.net.settings import Settings
    from mustaple.net.targets import TargetList

_WELL: Final = (Effect.KEPT, "")


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of one target in one round, from 0. `at` is aware UTC.

    `changed` says that its connection ended otherwise than the one before it, or than well where that is the first.
    `round_over` says that this was the last of its round.
    """

    number: int
    target: str
    at: datetime
    ended: Ended
    changed: bool
    round_over: bool


async def watch(
    targets: TargetList,
    settings: Settings,
    record: Readiness,
    *,
    every: float,
    span: float | None = None,
    at_once: int = AT_ONCE,
    retries: int = 0,
) -> AsyncGenerator[Seen, None]:
    """Check all targets every so many seconds, for `span` seconds (None: for ever), and add each result to the record.

    Cancelled, it ends at once; what has been added stays.
    """
    before: dict[str, tuple[Effect, str]] = {}
    async with aclosing(rounds(every, span)) as going:
        async for number in going:
            left = len(targets)
            checks = check_many(targets, settings, at_once=at_once, retries=retries, keep_going=True)
            async with aclosing(checks) as results:
                async for checked in results:
                    name, now = str(checked.target), datetime.now(UTC)
                    ended = record.add(name, checked.result, checked.seconds, at=now)
                    changed = before.get(name, _WELL) != ended[:2]
                    before[name] = ended[:2]
                    left -= 1
                    yield Seen(number, name, now, ended, changed, round_over=not left)

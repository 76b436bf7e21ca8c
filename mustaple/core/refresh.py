"""When to fetch the next answer, how long to wait after a failure, when a staple is dead: numbers and a plan, no clock.

`next_step` is the planner: from what is known of one certificate's staple and of its responder it says what to do next,
and when. Whoever runs the clock does it, notes what came of it, and asks again.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

FIRST_BACKOFF: Final = 0.1  # seconds
LONGEST_BACKOFF: Final = 60.0  # seconds
# A responder may hand out the same answer until its own half-life: do not ask again in the same moment.
SHORTEST_WAIT: Final = timedelta(seconds=1)
# The part of an answer's life that is kept back for getting the next one, whatever its max-age says.
RESERVE: Final = 10
# Renewals of answers signed in one moment are spread over this part of their life.
SPREAD: Final = 40
# Of what a staple has left to live no single wait takes more than this part, whoever asks for it.
PATIENCE: Final = 8
FOREVER: Final = datetime.max.replace(tzinfo=UTC)  # when nothing is to be done any more


def half_life(this_update: datetime, dies_at: datetime) -> datetime:
    """The middle of an answer's life: from here on a newer one is wanted, with half the life left to get it."""
    return this_update + (dies_at - this_update) / 2


def due(this_update: datetime, dies_at: datetime, kept: datetime | None) -> datetime:
    """When to ask for a newer answer than this one.

    At the end of its max-age, which is `kept` (RFC 9919 §7.1), but with a tenth of its life left; at half-life
    where nothing is said.
    """
    if kept is None:
        return half_life(this_update, dies_at)
    return min(kept, dies_at - (dies_at - this_update) / RESERVE)


def next_refresh(this_update: datetime, dies_at: datetime, at: datetime) -> datetime:
    """When to ask again, having got this answer at the time `at`.

    At half-life; an answer already older than that is asked for again after a tenth of the life it has left.
    """
    rest = max((dies_at - at) / 10, SHORTEST_WAIT)
    return max(half_life(this_update, dies_at), at + rest)


def backoff(failures: int, *, first: float = FIRST_BACKOFF, longest: float = LONGEST_BACKOFF) -> float:
    """Seconds to wait after this many failures in a row (1 or more): doubling from `first` up to `longest`."""
    doublings = min(max(failures - 1, 0), 32)
    return min(first * (1 << doublings), longest)


@dataclass(frozen=True, slots=True)
class Pace:
    """How to back off, in seconds, and when little of a staple's life is left: parts of it, from 0 to 1."""

    first: float = 5.0
    longest: float = 3600.0
    warning: float = 0.30
    critical: float = 0.10


@dataclass(frozen=True, slots=True)
class Trouble:
    """How often in a row it went wrong, when it was tried last (aware UTC), and until when who was asked wants rest."""

    failures: int = 0
    tried_at: datetime | None = None
    wait_until: datetime | None = None


NONE: Final = Trouble()


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one certificate's staple. Times are aware UTC.

    `expires_at` is the certificate's notAfter. `this_update`, `dies_at` (of the judgement: nextUpdate, or the
    delegate's notAfter before it), `kept_until` and `got_at` are those of the good staple that is held; None where none
    is. `own` is this certificate's trouble, `responder` that of the one who is asked. `lot` is a number from 0 to 1,
    drawn anew for each answer, so that what came together does not come together again. `level` is what was last said.
    """

    expires_at: datetime
    this_update: datetime | None = None
    dies_at: datetime | None = None
    kept_until: datetime | None = None
    got_at: datetime | None = None
    own: Trouble = NONE
    responder: Trouble = NONE
    lot: float = 0.0
    level: Level | None = None

    @property
    def death(self) -> datetime | None:
        """The death clock: min(nextUpdate, delegate's notAfter, certificate's notAfter); None where none is held."""
        return None if self.dies_at is None else min(self.dies_at, self.expires_at)


class Level(enum.StrEnum):
    """How near a staple is to its death."""

    FINE = "fine"
    WARNING = "warning"
    CRITICAL = "critical"
    DEAD = "dead"


class Action(enum.StrEnum):
    """What may be next."""

    WITHDRAW = "withdraw"  # the staple that is held is dead
    TELL = "tell"  # another level is reached
    FETCH = "fetch"
    REST = "rest"  # nothing, for ever: the certificate has expired


@dataclass(frozen=True, slots=True)
class Step:
    """What to do, and when: at once where that is not later than the time asked for."""

    action: Action
    when: datetime


def level_at(known: Known, at: datetime, pace: Pace) -> Level:
    """How near death the staple is; without one, dead."""
    death = known.death
    if death is None or known.this_update is None or at >= death:
        return Level.DEAD
    warning, critical = _moments(death - known.this_update, death, pace)
    return Level.FINE if at < warning else Level.WARNING if at < critical else Level.CRITICAL


def next_step(known: Known, at: datetime, pace: Pace, *, asking: bool = False) -> Step:
    """What to do next for this certificate, and when; no fetch where one is under way already (`asking`).

    A staple is withdrawn the moment it dies, before anything else. A fetch is never planned for a certificate that
    has expired.
    """
    death = known.death
    if death is not None and at >= death:
        return Step(Action.WITHDRAW, at)
    if known.level is not level_at(known, at, pace):
        return Step(Action.TELL, at)
    fetch = None if asking else next_fetch(known, at, pace)
    steps = [Step(Action.FETCH, fetch)] if fetch is not None else []
    if death is not None:
        moments = _moments(death - (known.this_update or at), death, pace)
        steps += [Step(Action.WITHDRAW, death), *(Step(Action.TELL, moment) for moment in moments if moment > at)]
    return min(steps, key=lambda step: step.when, default=Step(Action.REST, FOREVER))


def next_fetch(known: Known, at: datetime, pace: Pace) -> datetime | None:
    """When to fetch, not before `at`; None where the certificate expires first.

    When it is due, or after the last failure's back-off; and not before its responder, if that is in trouble, is to be
    tried again. No wait is so long that it takes more than a part of the life that is left.
    """
    death = known.death
    when = at
    if known.own.failures:
        when = _again(known.own, death, at, pace, known.lot)
    elif known.this_update is not None and death is not None:
        life = death - known.this_update
        when = next_refresh(known.this_update, death, known.got_at or known.this_update)
        if known.kept_until is not None:  # caches would give the same answer: wait for them, but not for long
            when = max(when, min(known.kept_until, half_life(known.this_update, death) + life / RESERVE))
        when = min(when + life * known.lot / SPREAD, max(death - life / RESERVE, when))
    if known.responder.failures:
        when = max(when, _again(known.responder, death, at, pace, known.lot))
    wait = known.responder.wait_until
    if wait is not None and wait > when:
        # Nobody signs this header (RFC 9919 §8.5): it may not take all the life that is left.
        tried = min(known.responder.tried_at or at, at)
        when = wait if death is None else min(wait, max(when, tried + (death - tried) / PATIENCE))
    when = max(when, at)
    return when if when < known.expires_at else None


def _again(trouble: Trouble, death: datetime | None, at: datetime, pace: Pace, lot: float) -> datetime:
    """When to try again after these failures: the back-off, sooner where death is near."""
    # A clock that was set back must not make the wait longer.
    tried = at if trouble.tried_at is None else min(trouble.tried_at, at)
    wait = backoff(trouble.failures, first=pace.first, longest=pace.longest)
    if death is not None:
        wait = min(wait, max((death - tried).total_seconds() / PATIENCE, pace.first))
    return tried + timedelta(seconds=wait * (1 - lot / 4))


def _moments(life: timedelta, death: datetime, pace: Pace) -> tuple[datetime, datetime]:
    """When the levels WARNING and CRITICAL are reached."""
    return death - life * pace.warning, death - life * pace.critical

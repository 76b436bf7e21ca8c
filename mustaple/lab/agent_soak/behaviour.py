"""What a simulated responder does at each moment of the month: spans of misbehaviour, honest between them."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from random import Random

HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)


class Manner(enum.StrEnum):
    """How an answer is wrong, or why there is none."""

    REFUSES = "refuses"  # nobody listens
    HANGS = "hangs"  # until the fetcher gives up
    LATER = "later"  # HTTP 503, Retry-After: 1 hour
    NEVER = "never"  # HTTP 503, Retry-After: 1 year
    HUGE = "huge"  # more bytes than are read
    GARBAGE = "garbage"
    OTHERS = "others"  # another certificate's answer
    EXPIRED = "expired"
    FUTURE = "future"
    FORGED = "forged"  # a signature by another key
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Spell:
    """A span of misbehaviour."""

    begin: datetime
    end: datetime
    manner: Manner


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Spells in their order, none of which overlap. Honest at every other time."""

    spells: tuple[Spell, ...] = field(default=())

    def at(self, moment: datetime) -> Manner | None:
        """How it misbehaves at this moment; None where it is honest."""
        return next((each.manner for each in self.spells if each.begin <= moment < each.end), None)

    def honest_from(self, moment: datetime) -> datetime:
        """The first honest moment, from this one on."""
        for each in self.spells:
            if each.begin <= moment < each.end:
                moment = each.end
        return moment

    def longest_honest(self, begin: datetime, end: datetime) -> timedelta:
        """The longest honest span within these two moments."""
        longest, free = timedelta(), begin
        for each in self.spells:
            if each.end <= begin or each.begin >= end:
                continue
            longest = max(longest, each.begin - free)
            free = max(free, each.end)
        return max(longest, end - free)


def misbehaving(number: int, start: datetime, length: timedelta, draw: Random) -> Behaviour:
    """The misbehaviour of the responder with this number: one of five ways, each with some manner of failing.

    Dead for good from some day on; one long outage; some short ones; honest for three hours in twelve; or other
    lies from day to day.
    """
    manners = list(Manner)
    manner = manners[number % len(manners)]
    end = start + length + DAY
    way = number % 5
    if way == 0:
        return Behaviour((Spell(start + draw.random() * length / 2, end, manner),))
    if way == 1:
        begin = start + draw.random() * length / 2
        return Behaviour((Spell(begin, begin + (2 + 8 * draw.random()) * DAY, manner),))
    spells = []
    moment = start + draw.random() * DAY
    while moment < end:
        if way == 2:
            bad, good = HOUR * (1 + 35 * draw.random()), DAY * (1 + 5 * draw.random())
        elif way == 3:
            bad, good = 9 * HOUR, 3 * HOUR
        else:
            bad, good, manner = DAY * 0.8, DAY * 0.7, draw.choice(manners)
        spells.append(Spell(moment, moment + bad, manner))
        moment += bad + good
    return Behaviour(tuple(spells))

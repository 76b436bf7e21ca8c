"""When to fetch the next answer, and how long to wait after a failure: numbers, for whoever runs the clock."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

FIRST_BACKOFF: Final = 0.1  # seconds
LONGEST_BACKOFF: Final = 60.0  # seconds
# A responder may hand out the same answer until its own half-life: do not ask again in the same moment.
SHORTEST_WAIT: Final = timedelta(seconds=1)


def half_life(this_update: datetime, dies_at: datetime) -> datetime:
    """The middle of an answer's life: from here on a newer one is wanted, with half the life left to get it."""
    return this_update + (dies_at - this_update) / 2


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

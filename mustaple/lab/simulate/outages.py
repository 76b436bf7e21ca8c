"""When responders, CRLs and issuance are down: a Poisson process of outages for each CA, and who is up at what time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from mustaple.core.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mustaple.lab.simulate.parameters import Parameters

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

MOST: Final = 2_000_000  # outages of one kind in one world, of all CAs


@dataclass(frozen=True, slots=True)
class Outages:
    """Outages of several CAs between two times: of each CA in order, none overlapping another.

    `ca`, `start` and `end` are columns, sorted by CA and start. Times are seconds.
    """

    since: float
    until: float
    ca: Ints
    start: Floats
    end: Floats

    def until_up(self, ca: Ints, at: Floats) -> Floats:
        """For each pair of CA and time the end of the outage it falls in; the time itself where it falls in none."""
        if not len(self.ca):
            return at
        span = self.until - self.since + 1.0
        place = np.searchsorted(self.ca * span + (self.start - self.since), ca * span + (at - self.since), "right") - 1
        found = np.maximum(place, 0)
        inside = (place >= 0) & (self.ca[found] == ca) & (at < self.end[found])
        return np.where(inside, self.end[found], at)


def up_seconds(parameters: Parameters) -> float:
    """The mean time between outages: so that `outages.share` of responders has one in `outages.watched_days`."""
    rate = -math.log1p(-parameters["outages.share"]) / parameters.seconds("outages.watched_days")
    return 1 / rate if rate > 0 else math.inf


def draw_outages(parameters: Parameters, rng: np.random.Generator, since: float, until: float) -> Outages:
    """Outages of every CA, exponential in length and distance, in their stationary state from the beginning.

    Raises InputError where there would be too many to hold.
    """
    up, down = up_seconds(parameters), parameters.seconds("outages.hours")
    cas = parameters.whole("ca.count")
    if math.isinf(up):
        none = np.empty(0)
        return Outages(since, until, np.empty(0, np.int64), none, none)
    expected = (until - since) / (up + down)
    columns = int(expected + 8 * math.sqrt(expected) + 12)
    if columns * cas > MOST:
        raise InputError("outages.share, outages.watched_days and time.days: more outages than there is room for")
    gaps = rng.exponential(up, (cas, columns))
    lengths = rng.exponential(down, (cas, columns))
    # Exponential spans have no memory: who is down at the beginning is so for as long as any outage lasts.
    gaps[rng.random(cas) < down / (up + down), 0] = 0.0
    ends = since + np.cumsum(gaps + lengths, axis=1)
    starts = ends - lengths
    inside = starts < until
    ca = np.broadcast_to(np.arange(cas)[:, None], starts.shape)
    return Outages(since, until, ca[inside], starts[inside], np.minimum(ends[inside], until))

"""What is measured: which ways of checking, over which round-trip times, with which keys and how many certificates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mustaple.core.errors import InputError
from mustaple.lab.cost.methods import METHODS, Way

LONGEST_ROUND_TRIP: Final = 2.0  # seconds; Earth and Moon are 2.6 apart
MOST_CERTIFICATES: Final = 8


@dataclass(frozen=True, slots=True)
class Combination:
    """A kind of key, for every certificate of the chain, and how many certificates the server sends.

    The root is not among them: two are a leaf and the CA above it, as most of the web has it.
    """

    key: str
    certificates: int


@dataclass(frozen=True, slots=True)
class Grid:
    """Every way with the first combination over all `round_trips`, and with the others at `compared_at` alone.

    Times are in seconds. A point of the first is `repeats` handshakes, one of the others `repeats_aside`. `at_once` are
    under way together, since they wait for the relay most of the time; more would wait for each other's arithmetic.
    `name` is what to call it where its measurements are kept.
    Raises InputError for a grid that makes no sense.
    """

    combinations: tuple[Combination, ...]
    round_trips: tuple[float, ...]
    compared_at: float
    repeats: int = 5
    repeats_aside: int = 3
    at_once: int = 5
    ways: tuple[Way, ...] = METHODS
    name: str = "own"

    def __post_init__(self) -> None:
        if not all(0 < each <= LONGEST_ROUND_TRIP for each in (*self.round_trips, self.compared_at)):
            raise InputError(f"a round trip takes more than nothing, and no more than {LONGEST_ROUND_TRIP:g} s")
        if len(set(self.round_trips)) < 2:
            raise InputError("how times grow shows over two round-trip times at least")
        if not self.combinations or not all(2 <= each.certificates <= MOST_CERTIFICATES for each in self.combinations):
            raise InputError(f"a server sends from 2 to {MOST_CERTIFICATES} certificates here")
        if min(self.repeats, self.repeats_aside, self.at_once) < 1:
            raise InputError("measure once at least")

    def delays(self, combination: Combination) -> tuple[float, ...]:
        """The round-trip times over which this combination is measured; none first, which is the ends' own work."""
        if combination == self.combinations[0]:
            return (0.0, *sorted({*self.round_trips, self.compared_at}))
        return (0.0, self.compared_at)

    def times(self, combination: Combination) -> int:
        """How many handshakes make one point of it."""
        return self.repeats if combination == self.combinations[0] else self.repeats_aside


FULL: Final = Grid(
    combinations=tuple(
        Combination(key, certificates) for key in ("ec-p256", "rsa-2048", "ml-dsa-44") for certificates in (2, 3, 4)
    ),
    round_trips=(0.01, 0.03, 0.1, 0.3),
    compared_at=0.1,
    name="full",
)
QUICK: Final = Grid(
    combinations=(Combination("ec-p256", 2), Combination("ml-dsa-44", 3)),
    round_trips=(0.02, 0.12),
    compared_at=0.02,
    repeats=3,
    repeats_aside=2,
    name="quick",
)

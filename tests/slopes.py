"""The slope of the fastest over round-trip times, measured again where a busy machine hides it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mustaple.report.cost import slope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ROUNDS: Final = 6


def shown_slope(measure: Callable[[], Iterable[tuple[float, float]]], expected: float, within: float) -> float:
    """The slope through the fastest of each place, over as many rounds as it takes to come near what is expected.

    More rounds can only take away what the relay did not put in: no time is below what it did.
    """
    fastest = dict(measure())
    for _ in range(ROUNDS - 1):
        if abs(slope(list(fastest.items())) - expected) < within:
            break
        for place, seconds in measure():
            fastest[place] = min(fastest[place], seconds)
    return slope(list(fastest.items()))

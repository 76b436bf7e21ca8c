"""Two things timed against each other in one run: interleaved rounds, so that a noisy machine is noisy to both."""

from __future__ import annotations

import gc
import time
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable


TRIES: Final = 3


class Ratio(NamedTuple):
    """How much longer `ours` takes than `peer`; the seconds of the least disturbed round of each."""

    value: float
    ours: float
    peer: float


def ratio(
    ours: Callable[[], object],
    peer: Callable[[], object],
    *,
    rounds: int = 60,
    calls: int = 20,
    at_most: float = float("inf"),
) -> Ratio:
    """Time both in rounds of `calls` calls, the order alternating, and compare their best rounds.

    The best round, because what a busy machine adds is never negative and falls on either at random. A machine that is
    busy for the whole stretch gets two more tries where the ratio is above `at_most`.
    """
    ours()
    peer()
    found = [_measure(ours, peer, rounds, calls)]
    while found[-1].value > at_most and len(found) < TRIES:
        found.append(_measure(ours, peer, rounds, calls))
    return min(found)


def _measure(ours: Callable[[], object], peer: Callable[[], object], rounds: int, calls: int) -> Ratio:
    best = {ours: float("inf"), peer: float("inf")}
    gc.collect()
    gc.disable()
    try:
        for number in range(rounds):
            for call in (ours, peer) if number % 2 else (peer, ours):
                best[call] = min(best[call], _seconds(call, calls))
    finally:
        gc.enable()
    return Ratio(best[ours] / best[peer], best[ours], best[peer])


def _seconds(call: Callable[[], object], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - start) / calls

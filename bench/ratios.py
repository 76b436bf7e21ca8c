"""Two things timed against each other in one run: interleaved rounds, so that a noisy machine is noisy to both."""

from __future__ import annotations

import gc
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable


class Ratio(NamedTuple):
    """How much longer `ours` takes than `peer`; the seconds of the least disturbed round of each."""

    value: float
    ours: float
    peer: float


def ratio(ours: Callable[[], object], peer: Callable[[], object], *, rounds: int = 60, calls: int = 20) -> Ratio:
    """Time both in rounds of `calls` calls, the order alternating, and compare their best rounds.

    The best round, because what a busy machine adds is never negative and falls on either at random.
    """
    best = {ours: float("inf"), peer: float("inf")}
    ours()
    peer()
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

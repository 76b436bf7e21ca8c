"""Measures a grid: every way of checking on a stand of its own, several at once, since most of it is waiting."""

from __future__ import annotations

import platform
import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from certtools.keys import KeyKindError
from mustaple.core.errors import InputError, NetworkError
from mustaple.lab.cost.grid import FULL
from mustaple.lab.cost.methods import hindrance
from mustaple.lab.cost.stand import Stand
from mustaple.report.cost import Cost, Missing, Series, Timing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mustaple.lab.cost.grid import Combination, Grid
    from mustaple.lab.cost.methods import Way

_LIBRARIES: Final = ("cryptography", "pyOpenSSL", "tlslite-ng")


def _silent(_what: str) -> None:
    """No progress is told."""


def steps(grid: Grid) -> int:
    """How often `step` is called while this grid is measured."""
    return len(grid.ways) * len(grid.combinations)


def measure_cost(grid: Grid = FULL, *, step: Callable[[str], None] = _silent) -> Cost:
    """Measure it, with servers, CAs and relays of its own on loopback; `step` is called as each series is done.

    What the libraries here cannot do is in `missing`, with the error that they gave. Raises what goes wrong otherwise.
    """
    began = time.monotonic()
    jobs = [(way, combination) for combination in grid.combinations for way in grid.ways]

    enough = threading.Event()

    def measure(job: tuple[Way, Combination]) -> Series | Missing:
        found = _series_or_why(grid, *job, enough)
        step(job[0].method.title)
        return found

    pool = ThreadPoolExecutor(grid.at_once, "mustaple-cost")
    try:
        found = list(pool.map(measure, jobs))
    finally:
        enough.set()  # where one has failed, or somebody interrupts, the others end after the handshake they are at
        pool.shutdown(cancel_futures=True)
    missing = dict.fromkeys(each for each in found if isinstance(each, Missing))
    return Cost(
        tuple(each for each in found if isinstance(each, Series)),
        tuple(missing),
        grid.compared_at,
        grid.repeats,
        grid.repeats_aside,
        f"{datetime.now(UTC):%Y-%m-%d}",
        _made_with(),
        time.monotonic() - began,
    )


def _series_or_why(grid: Grid, way: Way, combination: Combination, enough: threading.Event) -> Series | Missing:
    why = hindrance(way, combination.key)
    try:
        return _series(grid, way, combination, enough)
    except KeyKindError as error:
        return Missing(way.method, combination.key, str(error))
    except (InputError, NetworkError) as error:
        if why is None:
            raise
        said = str(error).rpartition("ended the connection: ")[2]  # without the port, another one each time
        return Missing(way.method, combination.key, f"{why} ({said.rstrip('.')})")


def _series(grid: Grid, way: Way, combination: Combination, enough: threading.Event) -> Series:
    def measured(times: int) -> Iterator[float]:
        for _ in range(times):
            if enough.is_set():
                raise CancelledError
            yield stand.handshake()

    with Stand(way, combination) as stand:
        stand.handshake()  # the first one loads and reads what later ones have at hand
        traffic = stand.traffic()
        timings = []
        for delay in reversed(grid.delays(combination)):  # the ends' own work last, when all is loaded that works
            stand.round_trip = delay
            timings.append(Timing(delay, tuple(measured(grid.times(combination)))))
        timings.reverse()
        return Series(way.method, combination.key, combination.certificates, stand.library, traffic, tuple(timings))


def _made_with() -> tuple[str, ...]:
    from importlib.metadata import version

    from OpenSSL import SSL

    openssl = SSL.OpenSSL_version(SSL.OPENSSL_VERSION).decode().split(" ")
    libraries = [f"{name} {version(name)}" for name in _LIBRARIES]
    return (f"Python {platform.python_version()}", " ".join(openssl[:2]), *libraries)

"""Runs what goes on until it is told to end: SIGINT and SIGTERM end it with exit code 0, SIGHUP refreshes a server."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

_REFRESH: Final = getattr(signal, "SIGHUP", None)  # not everywhere
_TAKEN: Final = (signal.SIGINT, signal.SIGTERM, *((_REFRESH,) if _REFRESH is not None else ()))


class Orders:
    """What signals order, in the order they came: a pipe of their numbers."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading = reading
        self._writing = writing

    def end(self) -> None:
        """Order the end, from any thread."""
        with suppress(OSError):  # a full pipe holds orders enough
            os.write(self._writing, bytes([signal.SIGTERM]))

    def wait(self, refresh: Callable[[], None] | None = None) -> None:
        """Return when the end is ordered; call `refresh` at each order of one, which ends where nothing can be."""
        while os.read(self._reading, 1) == bytes([_REFRESH or 0]) and refresh is not None:
            refresh()


@contextmanager
def taking_orders() -> Iterator[Orders]:
    """Take the signals from here on as orders, instead of being ended by them. For the main thread alone.

    The interpreter itself writes each signal's number into the pipe as it comes. A handler in Python would run only
    after the call it interrupts, and that call, if it began a moment later, is the one that waits for it.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    woken = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    before = {number: signal.signal(number, lambda _number, _frame: None) for number in _TAKEN}
    try:
        yield Orders(reading, writing)
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
        signal.set_wakeup_fd(woken)
        os.close(reading)
        os.close(writing)


def run_until_told(work: Coroutine[None, None, None]) -> None:
    """Run this to its end, or until SIGINT or SIGTERM, which cancel it wherever it waits. For the main thread alone."""

    async def run() -> None:
        loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(run())

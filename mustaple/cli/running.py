"""Runs a server until it is told to end: SIGINT and SIGTERM end it with exit code 0, SIGHUP refreshes it."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

_END: Final = b"e"
_REFRESH: Final = b"r"
_MEANINGS: Final = {"SIGINT": _END, "SIGTERM": _END, "SIGHUP": _REFRESH}  # SIGHUP is not everywhere


class Orders:
    """What signals order, in the order they came.

    Through a pipe: a signal's handler interrupts anything, and may take no lock that is held where it does.
    """

    def __init__(self, reading: int, writing: int) -> None:
        self._reading = reading
        self._writing = writing

    def end(self) -> None:
        """Order the end, from any thread or handler."""
        self._give(_END)

    def refresh(self) -> None:
        """Order a refresh, from any thread or handler."""
        self._give(_REFRESH)

    def _give(self, order: bytes) -> None:
        with suppress(OSError):  # a full pipe holds orders enough
            os.write(self._writing, order)

    def wait(self, refresh: Callable[[], None] | None = None) -> None:
        """Return when the end is ordered; call `refresh` at each order of one, which ends where nothing can be."""
        while os.read(self._reading, 1) != _END and refresh is not None:
            refresh()


@contextmanager
def taking_orders() -> Iterator[Orders]:
    """Take the signals from here on as orders, instead of being ended by them."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    orders = Orders(reading, writing)
    calls = {_END: orders.end, _REFRESH: orders.refresh}

    def handler(order: bytes) -> Callable[[int, FrameType | None], None]:
        return lambda _number, _frame: calls[order]()

    before = {
        number: signal.signal(number, handler(order))
        for name, order in _MEANINGS.items()
        if (number := getattr(signal, name, None)) is not None
    }
    try:
        yield orders
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
        os.close(reading)
        os.close(writing)

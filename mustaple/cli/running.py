"""Runs a server until it is told to end: SIGINT and SIGTERM end it with exit code 0, SIGHUP calls what it is given."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType


@contextmanager
def told_to_end() -> Iterator[threading.Event]:
    """The event that SIGINT and SIGTERM set, from here on instead of ending the process."""
    event = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        event.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def on_hangup(call: Callable[[], None]) -> None:
    """Call this at each SIGHUP, where there is such a signal."""
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is not None:
        signal.signal(hangup, lambda _number, _frame: call())

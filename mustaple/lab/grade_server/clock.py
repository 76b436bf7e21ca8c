"""The time of the bench and of the server on it: the system's, set forward in leaps where the server can be told so.

A staple dies after days, and servers refresh by the hour. libfaketime (Debian: libfaketime), loaded into the server,
shifts the clock that it reads by what a file says, so an hour passes between two handshakes. Where that is no way to
go, time is waited for, with a life of the responses that is as short.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_PLACES: Final = ("/usr/lib/*/faketime", "/usr/lib/faketime", "/usr/lib64/faketime", "/usr/local/lib/faketime")


@cache
def faketime_library() -> Path | None:
    """The libfaketime for programs with threads; None where it is not installed."""
    for place in _PLACES:
        for found in sorted(Path("/").glob(f"{place[1:]}/libfaketimeMT.so.1")):
            return found
    return None


class Clock:
    """A clock that can be set forward; without `library` it waits instead, telling `waiting` the seconds of each wait.

    `folder` is where the file lies that says how far the clock has been set forward.
    """

    def __init__(
        self, folder: Path, library: Path | None = None, waiting: Callable[[float], None] = lambda _: None
    ) -> None:
        self._file = folder / "clock"
        self._library = library
        self._waiting = waiting
        self._ahead = timedelta()
        self._speed = 1.0
        self._hurried_since = datetime.now(UTC)
        self._never = threading.Event()
        self._write()

    @property
    def leaps(self) -> bool:
        """Whether time is skipped; else it is waited for."""
        return self._library is not None

    @property
    def environment(self) -> dict[str, str]:
        """What the server is started with, so that it reads this clock."""
        if self._library is None:
            return {}
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
        }

    def now(self) -> datetime:
        """The time on it, aware UTC."""
        now = datetime.now(UTC)
        return now + self._ahead + (now - self._hurried_since) * (self._speed - 1)

    def forward(self, seconds: float) -> None:
        """Let so many seconds pass."""
        if self._library is None or self._speed != 1:
            self._waiting(seconds / self._speed)
            self._never.wait(seconds / self._speed)
            return
        self._ahead += timedelta(seconds=seconds)
        self._write()

    def hurry(self, speed: float) -> None:
        """Let a server that is started right after this live so many times as fast, and wait for its time.

        For one whose timers count the seconds that they slept: a leap does not wake it.
        """
        if self._library is not None:
            self._speed, self._hurried_since = speed, datetime.now(UTC)
            self._write()

    def reset(self) -> None:
        """Set it back to the system's time; for when no server runs."""
        self._ahead, self._speed = timedelta(), 1.0
        self._write()

    def _write(self) -> None:
        """At once: the server may read it at any moment."""
        pace = "" if self._speed == 1 else f" x{self._speed:g}"
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"+{self._ahead.total_seconds():.0f}{pace}\n", encoding="ascii")
        fresh.chmod(0o644)
        fresh.replace(self._file)

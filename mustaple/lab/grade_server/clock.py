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
        return datetime.now(UTC) + self._ahead

    def forward(self, seconds: float) -> None:
        """Let so many seconds pass."""
        if self._library is None:
            self._waiting(seconds)
            self._never.wait(seconds)
            return
        self._ahead += timedelta(seconds=seconds)
        self._write()

    def reset(self) -> None:
        """Set it back to the system's time; for when no server runs."""
        self._ahead = timedelta()
        self._write()

    def _write(self) -> None:
        """At once: the server may read it at any moment."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"+{self._ahead.total_seconds():.0f}\n", encoding="ascii")
        fresh.chmod(0o644)
        fresh.replace(self._file)

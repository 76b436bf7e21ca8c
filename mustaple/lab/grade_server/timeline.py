"""What happened on the bench, in order: handshakes, requests, leaps of the clock, starts and ends of the server."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from mustaple.report.grade_server import Event, EventKind

if TYPE_CHECKING:
    from mustaple.lab.grade_server.clock import Clock


class Timeline:
    """Events with a monotonic stamp each, in seconds since this was made; written and waited for from any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._begun = time.monotonic()
        self._news = threading.Condition()
        self._events: list[Event] = []
        self.scene = ""

    @property
    def events(self) -> tuple[Event, ...]:
        """All of them so far."""
        with self._news:
            return tuple(self._events)

    def mark(self) -> int:
        """The number that the next event will have."""
        with self._news:
            return len(self._events)

    def seconds(self) -> float:
        """How long ago this was made, in seconds."""
        return time.monotonic() - self._begun

    def note(self, kind: EventKind, said: str, *, at: float | None = None, lasted: float | None = None) -> int:
        """Write down that this happened now, or `at`; its number."""
        with self._news:
            number = len(self._events)
            self._events.append(
                Event(
                    number=number,
                    at=round(self.seconds() if at is None else at, 4),
                    clock=self._clock.now(),
                    scene=self.scene,
                    kind=kind,
                    said=said,
                    lasted=None if lasted is None else round(lasted, 4),
                )
            )
            self._news.notify_all()
            return number

    def since(self, mark: int, kind: EventKind) -> list[Event]:
        """The events of this kind from this number on."""
        with self._news:
            return [each for each in self._events[mark:] if each.kind is kind]

    def wait_for(self, mark: int, kind: EventKind, seconds: float) -> Event | None:
        """The first event of this kind from this number on, waited for; None where none comes within `seconds`."""
        with self._news:
            self._news.wait_for(lambda: any(each.kind is kind for each in self._events[mark:]), seconds)
        return next(iter(self.since(mark, kind)), None)

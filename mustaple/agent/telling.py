"""Tells of events: as lines of text or JSON, and by the operator's alarm command."""

from __future__ import annotations

import threading
from queue import Full, Queue
from typing import TYPE_CHECKING, Final

from mustaple.agent.deploy.contract import DeployError
from mustaple.agent.deploy.running import run
from mustaple.agent.events import Kind, Severity
from mustaple.report.plain import json_text, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mustaple.agent.events import Event

    Tell = Callable[[Event], None]

_LOUD: Final = frozenset({Severity.ERROR, Severity.CRITICAL})
# Alarms: what an operator is told of by a command. A failed fetch alone is none while the staple before serves on.
_ALARMS: Final = frozenset(
    {Kind.REVOKED, Kind.DIED, Kind.LEVEL, Kind.NOT_DEPLOYED, Kind.REFUSED_URL, Kind.HELD_BACK, Kind.FAILED, Kind.FLEET}
)
MOST_WAITING: Final = 1000


def as_text(event: Event) -> str:
    """One line for people."""
    return printable(f"{event.at:%Y-%m-%d %H:%M:%S} {event.severity.value}: {event.message}")


def as_json(event: Event) -> str:
    """One line of JSON."""
    document = {
        "time": event.at.isoformat(),
        "severity": event.severity.value,
        "event": event.kind.value,
        "message": event.message,
        **({"subject": event.subject} if event.subject else {}),
        **({"fingerprint": event.fingerprint.hex()} if event.fingerprint else {}),
        **event.details,
    }
    return json_text(document, one_line=True)


class AlarmCommand:
    """Runs a command for each alarm, one after the other in a thread of its own; of very many the last are dropped."""

    def __init__(self, command: Sequence[str], timeout: float, on_failure: Callable[[str], None]) -> None:
        self._command = command
        self._timeout = timeout
        self._on_failure = on_failure
        self._queue: Queue[Event | None] = Queue(MOST_WAITING)
        self._thread = threading.Thread(target=self._run, name="mustaple-alarm", daemon=True)
        self._thread.start()

    def tell(self, event: Event) -> None:
        """Run it for this event if it is an alarm; returns at once."""
        if event.kind not in _ALARMS or event.severity not in _LOUD:
            return
        try:
            self._queue.put_nowait(event)
        except Full:
            self._on_failure("the alarm command is too slow: an alarm is dropped")

    def close(self) -> None:
        """End after the alarms that wait."""
        try:
            self._queue.put(None, timeout=self._timeout)
        except Full:
            return
        self._thread.join(2 * self._timeout)

    def _run(self) -> None:
        while (event := self._queue.get()) is not None:
            variables = {
                "MUSTAPLE_EVENT": event.kind.value,
                "MUSTAPLE_SEVERITY": event.severity.value,
                "MUSTAPLE_SUBJECT": event.subject.replace("\0", "?"),
                "MUSTAPLE_FINGERPRINT": event.fingerprint.hex(),
                "MUSTAPLE_MESSAGE": event.message.replace("\0", "?"),
            }
            try:
                run(self._command, self._timeout, variables)
            except DeployError as error:
                self._on_failure(f"the alarm command: {error}")

"""The responder's request log: one line for each request, a record of the last ones, and counts."""

from __future__ import annotations

import json
import threading
from collections import Counter, deque
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from mustaple.net.responder.reply import Kept

    # The time, the client's address and port, the method, what was sent, the HTTP status, the bytes of the body.
    Seen = tuple[datetime, tuple[str, int] | None, str, Kept, int, int]

_KEPT_RECORDS: Final = 1000


class RequestRecord(NamedTuple):
    """One request. `serials` are those asked about, in hex; `answered` says what of each, or which error or file.

    `time` is aware UTC; `status` is HTTP's; `size` is of the body, in bytes; `why` explains what was not answered.
    """

    time: datetime
    client: str
    method: str
    serials: tuple[str, ...]
    answered: tuple[str, ...]
    status: int
    size: int
    nonce: bool = False
    why: str | None = None

    def as_json(self) -> str:
        """One line of JSON, without the line's end."""
        said = _said_as_json(self.method, self.serials, self.answered, self.status, self.size, self.nonce, self.why)
        return f'{{"time": "{self.time.isoformat(timespec="milliseconds")}", "client": "{self.client}", {said}'

    def as_text(self) -> str:
        """One line for a terminal."""
        asked = ",".join(self.serials) or "-"
        said = ",".join(self.answered) or "-"
        why = f" ({self.why})" if self.why else ""
        clock = self.time.strftime("%H:%M:%S")
        return f"{clock} {self.client} {self.method} {asked} {said}{why} HTTP {self.status}, {self.size} bytes"


@lru_cache(maxsize=1024)
def _said_as_json(*said: object) -> str:
    """The rest of a line, from the method on: under load the same few things are asked again and again."""
    return json.dumps(dict(zip(RequestRecord._fields[2:], said, strict=True)), ensure_ascii=False)[1:]


class RequestLog:
    """Where requests are written down: `stream` gets a line each, `on_request` is called with each record.

    Lines are JSON unless `text`. A request itself is only noted; lines, counts and records are made of the notes by
    `write()`, a moment later in the responder or at once for whoever asks for `recent`, `counts` or `total`: under
    load a request then pays for no more than the note.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        text: bool = False,
        on_request: Callable[[RequestRecord], None] | None = None,
    ) -> None:
        self._stream = stream
        self._render = RequestRecord.as_text if text else RequestRecord.as_json
        self._on_request = on_request
        self._notes: deque[Seen] = deque()
        self._recent: deque[RequestRecord] = deque(maxlen=_KEPT_RECORDS)
        self._counts: Counter[str] = Counter()
        self._total = 0
        self._writing = threading.Lock()
        self.note = self._notes.append

    @property
    def recent(self) -> list[RequestRecord]:
        """The last 1000 requests, the newest last."""
        self.write()
        return list(self._recent)

    @property
    def counts(self) -> Counter[str]:
        """How often each thing was answered."""
        self.write()
        return self._counts.copy()

    @property
    def total(self) -> int:
        """How many requests there were."""
        self.write()
        return self._total

    def write(self) -> None:
        """Make lines, counts and records of what was noted. A stream that is gone is given up: answering goes on."""
        with self._writing:
            lines = []
            for _ in range(len(self._notes)):
                record = _record(self._notes.popleft())
                self._total += 1
                self._recent.append(record)
                self._counts.update(record.answered)
                if self._stream is not None:
                    lines.append(f"{self._render(record)}\n")
                if self._on_request is not None:
                    self._on_request(record)
            if self._stream is not None and lines:
                try:
                    self._stream.write("".join(lines))
                    self._stream.flush()
                except (OSError, ValueError):
                    self._stream = None


def _record(seen: Seen) -> RequestRecord:
    at, client, method, kept, status, size = seen
    name = "?" if client is None else f"{client[0]}:{client[1]}"
    return RequestRecord(at, name, method, kept.serials, kept.reply.answered, status, size, kept.nonce, kept.reply.why)

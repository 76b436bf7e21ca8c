"""One HTTP request to a responder that misbehaves: what was asked, the honest answer, and the means to spoil it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from datetime import datetime

    from mustaple.lab.misbehaviour.forger import Forger
    from mustaple.lab.misbehaviour.grammar import Request
    from mustaple.net.responder import Question
    from mustaple.net.responder.app import Receive, Scope, Send

LONGEST: Final = 600.0  # seconds that any request is kept waiting


class GoneError(Exception):
    """The client has left, or the server is about to end."""


@dataclass
class Exchange:
    """What an act works with.

    `honest` runs the honest application on this very request, with the given `send`. `elapsed` are the seconds since
    the misbehaviour was set, `at` is the time in aware UTC. `pause` waits for some seconds; `released` is set when the
    server ends.
    """

    scope: Scope
    receive: Receive
    out: Send
    honest: Callable[[Send], Awaitable[None]]
    request: Request
    question: Question | None
    crl: str | None
    forger: Forger
    at: datetime
    elapsed: float
    pause: Callable[[float], Awaitable[None]]
    released: asyncio.Event
    status: int = 0
    size: int = 0
    _gone: asyncio.Future[Any] | None = field(default=None, repr=False)

    async def send(self, message: dict[str, Any]) -> None:
        """Send an ASGI message, and keep count for the log."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
        self.size += len(message.get("body", b""))
        await self.out(message)

    async def start(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Send the status and these headers."""
        await self.send({"type": "http.response.start", "status": status, "headers": list(headers)})

    async def body(self, data: bytes, *, more: bool = False) -> None:
        """Send some of the body."""
        await self.send({"type": "http.response.body", "body": data, "more_body": more})

    async def reply(
        self, body: bytes, media_type: str, status: int = 200, extra: Iterable[tuple[bytes, bytes]] = ()
    ) -> None:
        """Send a whole answer that no cache keeps."""
        headers = [(b"content-type", media_type.encode()), (b"content-length", str(len(body)).encode())]
        await self.start(status, [*headers, (b"cache-control", b"no-store"), *extra])
        await self.body(body)

    async def held(self) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """The honest answer, held back: status, headers, body."""
        messages: list[dict[str, Any]] = []

        async def hold(message: dict[str, Any]) -> None:
            messages.append(message)

        await self.honest(hold)
        body = b"".join(each.get("body", b"") for each in messages)
        return messages[0]["status"], list(messages[0]["headers"]), body

    async def wait(self, seconds: float) -> None:
        """Wait. Raises GoneError as soon as nobody waits with us any more."""
        if self._gone is None:
            self._gone = asyncio.ensure_future(self._until_gone())
        timers = [asyncio.ensure_future(self.pause(min(seconds, LONGEST))), asyncio.ensure_future(self.released.wait())]
        try:
            await asyncio.wait([self._gone, *timers], return_when=asyncio.FIRST_COMPLETED)
            over = self._gone.done() or timers[1].done()
        finally:
            for timer in timers:
                timer.cancel()
            await asyncio.gather(*timers, return_exceptions=True)
        if over:
            raise GoneError

    async def _until_gone(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass  # the request's own body

    async def close(self) -> None:
        """Look for the client no more."""
        if self._gone is not None:
            self._gone.cancel()
            await asyncio.gather(self._gone, return_exceptions=True)

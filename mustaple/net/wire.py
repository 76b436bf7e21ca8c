"""One asyncio transport under a TLS client without I/O: bytes go from the one to the other as they come."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

from mustaple.core.errors import NetworkError
from mustaple.core.verdict import Outcome
from mustaple.net.dial import unreachable

if TYPE_CHECKING:
    from mustaple.core.verdict import ChainVerdict
    from mustaple.net.approach import Approach

_ENOUGH: Final = 1 << 18  # bytes of the server's that may wait here for somebody to read them
_FAREWELL: Final = 1.0  # seconds for the last bytes to leave


class Wire(asyncio.Protocol):
    """Drives an `Approach` to its verdict, and then the TLS client of that for whoever reads and writes.

    The handshake needs no task: each piece that comes is answered where it is received.
    """

    def __init__(self, approach: Approach, loop: asyncio.AbstractEventLoop) -> None:
        self.approach = approach
        self.reached: asyncio.Future[ChainVerdict] = loop.create_future()
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._lost: asyncio.Future[None] = loop.create_future()
        self._came: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._waiting = 0
        self._error: NetworkError | None = None

    # --- what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say the first word, where it is the client's."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name
        self.flush()

    def data_received(self, data: bytes) -> None:
        """Take a piece of the stream."""
        if self.reached.done():
            self._take(data)
        else:
            self._shake(data)

    def eof_received(self) -> bool:
        """The other side will send no more; what is to be said to it still can be."""
        self.data_received(b"")
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """There is no connection any more."""
        if exc is not None and self._error is None:
            as_system = exc if isinstance(exc, OSError) else OSError(str(exc))
            self._error = unreachable(self.approach.peer, as_system)
        if not self.reached.done():
            self._fail(self._error or NetworkError(f"{self.approach.peer}: the connection was closed"))
        if not self._lost.done():
            self._lost.set_result(None)
        _wake(self._came)
        _wake(self._writable)

    def pause_writing(self) -> None:
        """The other side does not read: let writers wait."""
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        """It reads again."""
        _wake(self._writable)
        self._writable = None

    # --- up to the verdict

    def _shake(self, data: bytes) -> None:
        try:
            self.approach.receive(data)
        except Exception as error:  # noqa: BLE001 - raised where the verdict is awaited
            self.flush()  # the alert
            self._fail(error)
            return
        verdict = self.approach.verdict
        if verdict is None:
            self.flush()
        else:
            self.reached.set_result(verdict)  # its last word waits, since a goodbye may follow at once

    def _fail(self, error: Exception) -> None:
        self.reached.set_exception(error)
        self.reached.exception()  # it is told to whoever waits; where nobody does any more, that is no news

    def flush(self) -> None:
        """Send what waits to be sent."""
        waiting = self.approach.to_send()
        if waiting and self._transport is not None and not self._transport.is_closing():
            self._transport.write(waiting)

    # --- after an accepting verdict

    async def send(self, data: bytes) -> None:
        """Encrypt and send all of it, waiting where the other side does not read."""
        self.approach.tls.write(data)
        self._check()
        self.flush()
        if self._writable is not None:
            await self._writable
            self._check()

    async def receive(self, limit: int) -> bytes:
        """At most `limit` bytes; empty once the server has said that it is done."""
        while (data := self.approach.tls.read(limit)) is None:
            self.flush()
            self._check()
            self._waiting = 0
            if self._transport is not None:
                self._transport.resume_reading()
            self._came = self._loop.create_future()
            await self._came
        self.flush()
        return data

    def _take(self, data: bytes) -> None:
        if self.approach.verdict is None or self.approach.verdict.outcome is Outcome.REFUSED:
            return  # nobody will read it; while evidence is still fetched, a lost record would break all after it
        self.approach.tls.receive(data)
        self._waiting += len(data)
        if self._waiting > _ENOUGH and self._transport is not None:
            self._transport.pause_reading()
        _wake(self._came)

    def _check(self) -> None:
        if self._error is not None:
            raise self._error
        if self._lost.done():
            raise NetworkError(f"{self.approach.peer}: the connection is closed")

    # --- the end

    def abort(self) -> None:
        """Drop the connection, if there is one."""
        if self._transport is not None:
            self._transport.abort()

    def leave(self) -> None:
        """Say close_notify if the connection was good, and close; whatever cannot be sent at once is dropped."""
        if self._transport is None or self._transport.is_closing():
            return
        self.approach.tls.close()
        self.flush()
        if self._transport.get_write_buffer_size():
            self._transport.abort()
        else:
            self._transport.close()

    async def close(self) -> None:
        """Say close_notify, wait a moment until it has left, and close; again does nothing."""
        if self._transport is None or self._lost.done():
            return
        if not self._transport.is_closing():
            self.approach.tls.close()
            self.flush()
            self._transport.close()
        await asyncio.wait([self._lost], timeout=_FAREWELL)
        self._transport.abort()


def _wake(waiting: asyncio.Future[None] | None) -> None:
    if waiting is not None and not waiting.done():
        waiting.set_result(None)

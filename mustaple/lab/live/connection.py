"""One client of a live server over asyncio: its ClientHello, the handshake of its case, one HTTP request, an answer."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final

from mustaple.lab.live.ends import CaseEnd, IncompleteError, Memory, server_name
from mustaple.lab.live.visit import HTTPRequest
from mustaple.net.stapling_session import faults_noted, note_offer
from mustaple.net.tls_session import LINGER, MAX_REQUEST, Ended

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from mustaple.lab.live.stock import Served
    from mustaple.lab.live.visit import Visit

_CHUNK: Final = 1 << 16
_SEEN_LIMIT: Final = 16 * 1024  # bytes of application data that a record keeps
_FATAL: Final = b"\x02"
_UNRECOGNIZED_NAME: Final = b"\x70"


class Connection:
    """Serves one client. `choose` finds the situation for the name it asks for, None for a name nobody has here.

    tlslite-ng says in steps where it waits for bytes, so a client that is silent costs a socket and no thread.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        visit: Visit,
        *,
        choose: Callable[[str | None], Awaitable[Served | None]],
        answer: Callable[[HTTPRequest | None, Visit], bytes],
        timeout: float,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._visit = visit
        self._choose = choose
        self._answer = answer
        self._timeout = timeout
        self._memory = Memory()

    async def run(self) -> None:
        """Handshake, request, answer. Raises nothing that a client can bring about: that is in the record."""
        visit = self._visit
        with faults_noted(visit, self._timeout):
            async with asyncio.timeout(self._timeout):
                tls = await self._meet()
                if tls is None:
                    return
                try:
                    await self._drive(tls.steps())
                finally:
                    note_offer(tls, visit)
                    visit.shown = tls.shown
            visit.protocol = tls.protocol
            visit.ended = Ended.COMPLETED
            async with asyncio.timeout(self._timeout):  # the request has a time of its own
                await self._converse(tls)

    async def linger(self) -> None:
        """Wait a little for the client to close its side, so that our last bytes reach it."""
        if self._visit.ended is Ended.TIMED_OUT:
            return
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(LINGER):
                await self._writer.drain()
                if self._writer.can_write_eof():
                    self._writer.write_eof()
                while await self._reader.read(_CHUNK):
                    pass

    async def _meet(self) -> CaseEnd | None:
        """Read the ClientHello, and the end of the case that it asks for."""
        while True:
            try:
                name = server_name(bytes(self._memory.inbox))
                break
            except IncompleteError:
                await self._receive()
            if self._memory.ended:
                name = None
                break
        self._visit.server_name = name
        served = await self._choose(name)
        if served is None:
            self._writer.write(b"\x15\x03\x03\x00\x02" + _FATAL + _UNRECOGNIZED_NAME)
            self._visit.error = f"nobody here is called {name}"
            return None
        self._visit.number = served.number
        return CaseEnd(self._memory, served)

    async def _converse(self, tls: CaseEnd) -> None:
        visit, head = self._visit, b""
        while b"\r\n\r\n" not in head and len(head) <= MAX_REQUEST:
            data = await self._drive(tls.readAsync(_CHUNK, 1))
            if not data:
                return
            head += bytes(data)
            visit.application_data = head[:_SEEN_LIMIT]
        await self._drive(tls.writeAsync(self._answer(HTTPRequest.read(head), visit)))
        visit.ended = Ended.SERVED
        await self._drive(tls.closeAsync())

    async def _drive(self, steps: Iterator[Any]) -> Any:
        """Take every step, moving bytes in between; what the last one gave."""
        last: Any = None
        try:
            for last in steps:
                await self._flush()
                if last is not None and last == 0:
                    await self._receive()
        finally:
            # An alert is on its way where this raises.
            if not self._writer.is_closing():
                self._writer.write(bytes(self._memory.outbox))
            self._memory.outbox.clear()
        await self._writer.drain()
        return last

    async def _flush(self) -> None:
        if self._memory.outbox:
            self._writer.write(bytes(self._memory.outbox))
            self._memory.outbox.clear()
            await self._writer.drain()
            await asyncio.sleep(0)  # the others' turn: to encrypt a long page takes a while

    async def _receive(self) -> None:
        data = await self._reader.read(_CHUNK)
        self._memory.inbox += data
        self._memory.ended = not data

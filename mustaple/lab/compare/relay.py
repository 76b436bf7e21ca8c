"""Stands between a client and a server on loopback: counts connections and bytes, and may tamper with them or block."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from typing import TYPE_CHECKING, Final

from mustaple.lab.compare.tampering import CutError
from mustaple.net.lifespan import LoopServer
from mustaple.net.listen import listen
from mustaple.report.comparison import Traffic

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mustaple.lab.compare.tampering import Tampering

_CHUNK: Final = 1 << 16
# A client that has its verdict has closed its connections; this is for both sides to see it.
_SETTLING: Final = 2.0  # seconds
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset, and at once


class Relay(LoopServer):
    """A port that stays while what stands behind it changes; a context manager.

    `aim` says where connections go from now on; None is nowhere: who connects is cut off, as by somebody who blocks.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"mustaple-relay-{name}")
        self._listener = listen()
        self.host: str
        self.port: int
        self.host, self.port = self._listener.getsockname()[:2]
        self.url = f"http://{self.host}:{self.port}/"
        self._target: tuple[str, int] | None = None
        self._tampering: Callable[[], Tampering] | None = None
        self._changed = False
        self._counted = [0, 0, 0]
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._settled = threading.Condition()

    def aim(self, target: tuple[str, int] | None, tampering: Callable[[], Tampering] | None = None) -> None:
        """Send those who connect from now on to this host and port, and let `tampering` have what comes back."""
        self._target = target
        self._tampering = tampering

    def settle(self) -> None:
        """Wait until all connections have ended; those still open after a while are cut."""
        if not self._wait(_SETTLING) and self._loop is not None:
            self._loop.call_soon_threadsafe(self._cut_all)
            self._wait(_SETTLING)

    @property
    def connections(self) -> int:
        """How many clients have connected since the last time."""
        return self._counted[0]

    def take(self) -> tuple[Traffic, bool]:
        """What was counted since the last time, once all have ended, and whether anything was changed."""
        self.settle()
        with self._settled:
            connections, sent, received = self._counted
            changed = self._changed
            self._counted, self._changed = [0, 0, 0], False
        return Traffic(connections=connections, sent=sent, received=received), changed

    def close(self) -> None:
        """End every connection and free the port. Safe to call twice."""
        super().close()
        self._listener.close()

    async def _listen(self) -> Sequence[asyncio.Server]:
        return [await asyncio.start_server(self._accept, sock=self._listener.dup())]

    async def _hang_up(self) -> None:
        self._cut_all()
        await asyncio.gather(*self._open, return_exceptions=True)

    def _cut_all(self) -> None:
        for task, writer in tuple(self._open.items()):
            writer.transport.abort()
            task.cancel()

    def _wait(self, seconds: float) -> bool:
        with self._settled:
            return self._settled.wait_for(lambda: not self._open, seconds)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._attend(reader, writer))
        with self._settled:
            self._counted[0] += 1
            self._open[task] = writer
        task.add_done_callback(self._leave)

    def _leave(self, task: asyncio.Task[None]) -> None:
        with self._settled:
            self._open.pop(task).transport.abort()
            self._settled.notify_all()

    async def _attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tampering = self._tampering() if self._tampering is not None else None
        if self._target is None:
            _reset(writer)
            return
        with contextlib.suppress(OSError):
            there, back = await asyncio.open_connection(*self._target)
            try:
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._copy(reader, back, 1, None))
                    both.create_task(self._copy(there, writer, 2, tampering))
            except* CutError:
                _reset(writer)
            finally:
                back.transport.abort()
                self._changed |= tampering is not None and tampering.changed

    async def _copy(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, place: int, tampering: Tampering | None
    ) -> None:
        """Move what one side says to the other until it has said all; bytes count where the client has them."""
        lost = False
        with contextlib.suppress(OSError):
            while data := await source.read(_CHUNK):
                told = data if tampering is None else tampering.feed(data)
                self._counted[place] += len(told)
                if not lost:
                    try:
                        sink.write(told)
                        await sink.drain()
                    except OSError:
                        # Read on all the same: to close with bytes unread resets the other side, which may have sent
                        # its last word, an alert, and that would be lost.
                        lost = True
        if not lost and sink.can_write_eof():
            with contextlib.suppress(OSError):
                sink.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()

"""A TCP relay before a TLS server on loopback, which keeps clients waiting, drips, resets or hangs up as told."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any, Final

from mustaple.core.errors import NetworkError
from mustaple.lab.misbehaviour.acts import is_down
from mustaple.lab.misbehaviour.exchange import LONGEST
from mustaple.lab.misbehaviour.grammar import Request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mustaple.lab.misbehaviour.plan import Plan

MAX_CONNECTIONS: Final = 256
_CHUNK: Final = 1 << 16
_START_TIMEOUT: Final = 30.0  # seconds
_RESET_AT_ONCE: Final = struct.pack("ii", 1, 0)  # linger, for no time: closing then resets
_HANDING_OVER: Final = 4  # turns of the event loop from an accepted socket to its task


class Front:
    """Takes connections on `listener` and relays them to `target`, in a thread of its own.

    `plan` says of each connection what happens to it, `pause` waits for some seconds. None lasts longer than ten
    minutes. Who comes when there are `most` already is sent away.
    """

    def __init__(
        self,
        listener: socket.socket,
        target: tuple[str, int],
        plan: Plan,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        most: int = MAX_CONNECTIONS,
    ) -> None:
        self._listener = listener
        self._target = target
        self._plan = plan
        self._pause = pause
        self._most = most
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="mustaple-front", daemon=True)

    def start(self) -> None:
        """Take connections from now on. Raises NetworkError where it does not come up."""
        self._thread.start()
        if not self._started.wait(_START_TIMEOUT):
            raise NetworkError("The relay before the server did not start.")

    def close(self) -> None:
        """End every connection. Safe to call twice."""
        if self._loop is not None and self._stopping is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(_START_TIMEOUT)
        self._listener.close()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        # A copy, because asyncio closes the socket it is given, in its own time.
        server = await asyncio.start_server(self._accept, sock=self._listener.dup())
        self._started.set()
        await self._stopping.wait()
        # asyncio loses a connection that it has accepted where the server is closed before it is handed over.
        for sock in server.sockets:
            self._loop.remove_reader(sock.fileno())
        for _ in range(_HANDING_OVER):
            await asyncio.sleep(0)
        server.close()
        tasks = tuple(self._open)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= self._most:
            writer.transport.abort()
            return
        task = asyncio.ensure_future(self._attend(reader, writer))
        self._open[task] = writer
        task.add_done_callback(lambda done: self._open.pop(done).transport.abort())

    async def _attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(LONGEST):
                chosen, elapsed = self._plan.choose(Request("connection"))
                name = chosen.behaviour.name if chosen is not None else None
                value: Any = chosen.value if chosen is not None else None
                if name == "flapping":
                    name = "reset" if is_down(value, elapsed) else None
                # What it does, it does to somebody who has begun to speak.
                first = await reader.read(_CHUNK)
                if name == "reset":
                    _reset(writer)
                elif name == "hang":
                    while await reader.read(_CHUNK):
                        pass
                else:
                    if name == "slow":
                        await self._pause(value)
                    await self._relay(first, reader, writer, name, value)

    async def _relay(
        self, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str | None, value: Any
    ) -> None:
        there, out = await asyncio.open_connection(*self._target)
        try:
            out.write(first)
            forth = asyncio.ensure_future(_copy(reader, out))
            try:
                await self._answer(there, writer, name, value)
            finally:
                forth.cancel()
                await asyncio.gather(forth, return_exceptions=True)
        finally:
            out.transport.abort()

    async def _answer(
        self, there: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str | None, value: Any
    ) -> None:
        """The server's bytes, as the client is to get them."""
        while data := await there.read(_CHUNK):
            if name == "cut-short":
                writer.write(data[: len(data) // 2])
                break
            pieces = (data[place : place + 1] for place in range(len(data))) if name == "drip" else (data,)
            for piece in pieces:
                if name == "drip":
                    await self._pause(value)
                writer.write(piece)
                await writer.drain()
        writer.close()
        await writer.wait_closed()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_ONCE)
    writer.transport.abort()

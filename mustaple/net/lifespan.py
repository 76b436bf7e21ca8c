"""How what runs for a while begins and ends: servers, those on asyncio in a thread, and what is made of several."""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, Self

from mustaple.core.errors import NetworkError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

_START_TIMEOUT: Final = 30.0  # seconds
_HANDING_OVER: Final = 4  # turns of the event loop from an accepted socket to whoever serves it


class Lifespan(ABC):
    """Something that is started and closed, or a context manager that does both."""

    @abstractmethod
    def start(self) -> None:
        """Serve from now on. Raises NetworkError where it does not come up."""

    @abstractmethod
    def close(self) -> None:
        """End every connection and free the ports. Safe to call twice."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class Assembly(ABC):
    """A context manager made of others, which are left in the reverse order, also where one cannot be entered."""

    _closing: ExitStack

    @abstractmethod
    def _assemble(self, stack: ExitStack) -> None:
        """Enter them, each on this stack."""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._assemble(stack)
            self._closing = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closing.close()


class LoopServer(Lifespan):
    """A server on asyncio. `name` is its thread's; `url` says in errors which server it is."""

    url: str

    def __init__(self, name: str) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @abstractmethod
    async def _listen(self) -> Sequence[asyncio.Server]:
        """Begin to accept connections. asyncio closes the sockets it is given, in its own time: give it copies."""

    @abstractmethod
    async def _hang_up(self) -> None:
        """End every connection, when no more are accepted."""

    def start(self) -> None:
        """Accept connections from now on. Raises NetworkError where the server does not come up."""
        self._thread.start()
        if not self._started.wait(_START_TIMEOUT):
            raise NetworkError(f"The server at {self.url} did not start within {_START_TIMEOUT:g} s.")

    def close(self) -> None:
        """End every connection and the thread. Safe to call twice."""
        if self._loop is not None and self._stopping is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(_START_TIMEOUT)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        with ExitStack() as closing:
            servers = await self._listen()
            for server in servers:
                closing.callback(server.close)
            self._started.set()
            await self._stopping.wait()
            # asyncio loses a connection that it has accepted where the server is closed before it is handed over.
            for sock in (sock for server in servers for sock in server.sockets):
                loop.remove_reader(sock.fileno())
            for _ in range(_HANDING_OVER):
                await asyncio.sleep(0)
        await self._hang_up()

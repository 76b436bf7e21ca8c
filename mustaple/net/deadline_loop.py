"""Name look-ups for asyncio that are left behind when whoever asked has given up, and an event loop that does so."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any


async def look_up(host: Any, port: Any, **hints: Any) -> Any:
    """`socket.getaddrinfo` in a thread that nobody waits for, since the system's resolver knows no deadline."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def tell(found: object, error: Exception | None) -> None:
        if not future.done():
            future.set_result(found) if error is None else future.set_exception(error)

    def ask() -> None:
        found, failed = None, None
        try:
            found = socket.getaddrinfo(host, port, **hints)
        except (OSError, UnicodeError) as error:
            failed = error
        try:
            loop.call_soon_threadsafe(tell, found, failed)
        except RuntimeError:
            return  # the loop is closed, and nobody waits any more

    threading.Thread(target=ask, name="mustaple-resolve", daemon=True).start()
    return await future


class DeadlineLoop(asyncio.SelectorEventLoop):
    """The usual loop, but for `getaddrinfo`: the usual one waits in the end for the threads in which it looks up."""

    async def getaddrinfo(self, host: Any, port: Any, **hints: Any) -> Any:
        """The usual `getaddrinfo`, in a thread that nobody waits for."""
        return await look_up(host, port, **hints)

"""An asyncio event loop that leaves a name look-up behind when whoever asked for it has given up."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any


class DeadlineLoop(asyncio.SelectorEventLoop):
    """The usual loop, but for `getaddrinfo`.

    The usual one looks names up in threads that it waits for in the end, and the system's resolver knows no deadline.
    """

    async def getaddrinfo(self, host: Any, port: Any, **hints: Any) -> Any:
        """The usual `getaddrinfo`, in a thread that nobody waits for."""
        future: asyncio.Future[Any] = self.create_future()

        def tell(found: object, error: Exception | None) -> None:
            if not future.done():
                future.set_result(found) if error is None else future.set_exception(error)

        def look_up() -> None:
            found, failed = None, None
            try:
                found = socket.getaddrinfo(host, port, **hints)
            except (OSError, UnicodeError) as error:
                failed = error
            try:
                self.call_soon_threadsafe(tell, found, failed)
            except RuntimeError:
                return  # the loop is closed, and nobody waits any more

        threading.Thread(target=look_up, name="mustaple-resolve", daemon=True).start()
        return await future

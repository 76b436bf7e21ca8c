"""What ASGI leaves out and a responder in trouble does: cut the connection in the middle of a request, by a reset."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import asyncio

    # The other that AutoHTTPProtocol may be has the same methods.
    from uvicorn.protocols.http.h11_impl import H11Protocol as AutoHTTPProtocol
else:
    from uvicorn.protocols.http.auto import AutoHTTPProtocol

SILENCE: Final = 10.0  # seconds in which a client has to make its first request
_TRANSPORT: Final = "mustaple.transport"
_RESET_AT_ONCE: Final = struct.pack("ii", 1, 0)  # linger, for no time: closing then resets


class AbortableProtocol(AutoHTTPProtocol):
    """uvicorn's HTTP protocol, which lets the application reach its connection by `abort`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """A client is there: what is in the state of its connection stands in the scope of each of its requests."""
        super().connection_made(transport)
        self._silence = self.loop.call_later(SILENCE, self._end_silence)
        self.app_state = {**self.app_state, _TRANSPORT: transport}

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._silence.cancel()
        super().connection_lost(exc)

    def _end_silence(self) -> None:
        """uvicorn itself waits for a first request as long as the client likes."""
        if not self.cycle and not self.transport.is_closing():
            self.transport.abort()


def abort(scope: dict[str, Any]) -> None:
    """Reset the connection that this HTTP request came by; nothing more is sent, and the application may just return.

    Raises KeyError where the server does not run on `AbortableProtocol`.
    """
    transport = scope["state"][_TRANSPORT]
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_ONCE)
    transport.abort()


def hang_up(scope: dict[str, Any]) -> None:
    """Close the connection that this HTTP request came by once what was sent so far is out. Raises as `abort`."""
    scope["state"][_TRANSPORT].close()

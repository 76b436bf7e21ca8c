"""What ASGI leaves out: to cut the connection in the middle of a request, and the request-target as it came."""

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
_TARGET: Final = "mustaple.target"
_RESET_AT_ONCE: Final = struct.pack("ii", 1, 0)  # linger, for no time: closing then resets


class AbortableProtocol(AutoHTTPProtocol):
    """uvicorn's HTTP protocol, which lets the application reach its connection by `abort`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """A client is there: what is in the state of its connection stands in the scope of each of its requests."""
        super().connection_made(transport)
        self._silence = self.loop.call_later(SILENCE, self._end_silence)
        self.app_state = {**self.app_state, _TRANSPORT: transport}

    def on_headers_complete(self) -> None:
        """httptools has read a head: the path alone would go into the scope, while h11 leaves the target whole."""
        self.scope["state"][_TARGET] = self.url  # type: ignore[attr-defined]  # mypy sees h11's, which has no such call
        super().on_headers_complete()  # type: ignore[misc]  # likewise

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._silence.cancel()
        super().connection_lost(exc)

    def _end_silence(self) -> None:
        """uvicorn itself waits for a first request as long as the client likes."""
        if not self.cycle and not self.transport.is_closing():
            self.transport.abort()


def target(scope: dict[str, Any]) -> bytes:
    """The request-target of this HTTP request: from a proxy's client with scheme and host (RFC 9112 §3.2.2)."""
    whole: bytes = scope.get("state", {}).get(_TARGET, scope["raw_path"])
    return whole


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

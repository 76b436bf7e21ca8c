"""httpcore's network for asyncio and trio, with TLS that judges: streams, what opens them, and their pool."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import httpcore

from mustaple.core.errors import NetworkError
from mustaple.integrations.httpcore_judging import CHUNK, GOODBYE, Remaining
from mustaple.integrations.httpx_errors import NOT_CONNECTED, connect_errors, tls_errors

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable

    from mustaple.integrations.httpcore_judging import Judged, Judging
    from mustaple.net.tls_openssl import ClientTLS


class Backend(httpcore.AsyncNetworkBackend):
    """Opens connections as httpcore does; `start_tls` on them judges the server."""

    def __init__(self, judging: Judging) -> None:
        self._judging = judging
        self._sockets = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A TCP connection, in clear so far."""
        raw = await self._sockets.connect_tcp(host, port, timeout, local_address, socket_options)
        return PlainStream(raw, self._judging)


class PlainStream(httpcore.AsyncNetworkStream):
    """A connection to a server, or to a proxy, before TLS with the server."""

    def __init__(self, raw: httpcore.AsyncNetworkStream, judging: Judging) -> None:
        self._raw = raw
        self._judging = judging

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What comes."""
        return await self._raw.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send it as it is."""
        await self._raw.write(buffer, timeout)

    async def aclose(self) -> None:
        """Close the socket."""
        await self._raw.aclose()

    def get_extra_info(self, info: str) -> Any:
        """What the socket knows."""
        return self._raw.get_extra_info(info)

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        """Speak TLS with the server, and judge it. TLS with a proxy is httpcore's own, with the proxy's context.

        Raises VerdictError for a server that is refused, httpcore's ConnectError and ConnectTimeout for others.
        """
        if ssl_context is not self._judging.token:
            return PlainStream(await self._raw.start_tls(ssl_context, server_hostname, timeout), self._judging)
        host = server_hostname or ""
        try:
            with connect_errors():
                tls = await self._begin(host)
                await _handshake(self._raw, tls, Remaining(timeout, httpcore.ConnectTimeout))
            try:
                judged = await self._settle(tls, host)
            except BaseException:
                await _say_goodbye(self._raw, tls)
                raise
        except BaseException:
            await self._raw.aclose()
            raise
        return StapledStream(self._raw, tls, judged)

    async def _begin(self, host: str) -> ClientTLS:
        """The memory of Expect-Staple hosts is a file."""
        if self._judging.expect is None:
            return self._judging.begin(host)
        return await anyio.to_thread.run_sync(self._judging.begin, host)

    async def _settle(self, tls: ClientTLS, host: str) -> Judged:
        """Fetches block, so they are made in a thread; who is cancelled does not wait for them."""
        if not self._judging.unsettled(tls.verdict):
            return self._judging.settle(tls, host)
        return await anyio.to_thread.run_sync(self._judging.settle, tls, host, abandon_on_cancel=True)


async def _handshake(raw: httpcore.AsyncNetworkStream, tls: ClientTLS, remaining: Remaining) -> None:
    try:
        while True:
            if waiting := tls.to_send():
                await raw.write(waiting, remaining.left())
            if tls.verdict is not None:
                return
            tls.receive(await raw.read(CHUNK, remaining.left()))
    except NetworkError:
        await _send(raw, tls.to_send())  # the alert that says what was wrong
        raise


async def _say_goodbye(raw: httpcore.AsyncNetworkStream, tls: ClientTLS) -> None:
    tls.close()
    await _send(raw, tls.to_send())


async def _send(raw: httpcore.AsyncNetworkStream, last_words: bytes) -> None:
    with suppress(httpcore.NetworkError, httpcore.TimeoutException):  # the server may be gone, and nobody waits
        await raw.write(last_words, GOODBYE)


class StapledStream(httpcore.AsyncNetworkStream):
    """TLS with a server that the policy accepted."""

    def __init__(self, raw: httpcore.AsyncNetworkStream, tls: ClientTLS, judged: Judged) -> None:
        self._raw = raw
        self._tls = tls
        self._judged = judged
        self._sending = anyio.Lock()  # a stream has room for one sender

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """At most so many bytes; empty where the server said that it is done. A stream cut off is a ReadError."""
        remaining = Remaining(timeout, httpcore.ReadTimeout)
        with tls_errors(httpcore.ReadError):
            while (data := self._tls.read(max_bytes)) is None:
                self._tls.receive(await self._raw.read(CHUNK, remaining.left()))
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all of it."""
        if not buffer:
            return
        async with self._sending:
            with tls_errors(httpcore.WriteError):
                self._tls.write(buffer)
            await self._raw.write(self._tls.to_send(), timeout)

    async def aclose(self) -> None:
        """Say close_notify, and close the socket."""
        try:
            with suppress(anyio.WouldBlock):  # whoever is sending loses the connection, and needs no goodbye
                self._sending.acquire_nowait()
                await _say_goodbye(self._raw, self._tls)
        finally:
            await self._raw.aclose()

    def get_extra_info(self, info: str) -> Any:
        """What the socket knows; and `verdict`, `staples_expired`, and as `ssl_object` the protocol and version."""
        told = self._judged.tell(info)
        return told if told is not None else self._raw.get_extra_info(info)


class Pool(httpcore.AsyncConnectionPool):
    """httpcore's pool, of connections that are not used again once their staples have expired."""

    def create_connection(self, origin: httpcore.Origin) -> httpcore.AsyncConnectionInterface:
        """A connection for the pool to keep."""
        return _Pooled(super().create_connection(origin))


class _Pooled(httpcore.AsyncConnectionInterface):
    """A connection as it is, but available only while its staples have not expired.

    httpcore asks a stream only over HTTP/1.1 whether it can be used again (`is_readable`), so the connection tells.
    """

    def __init__(self, connection: httpcore.AsyncConnectionInterface) -> None:
        self._connection = connection
        self._stream: httpcore.AsyncNetworkStream | None = None

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        try:
            response = await self._connection.handle_async_request(request)
        except NOT_CONNECTED:
            # A tunnel that did not come to TLS would stay in the pool, neither idle nor closed.
            await self._connection.aclose()
            raise
        self._stream = response.extensions["network_stream"]
        return response

    async def aclose(self) -> None:
        await self._connection.aclose()

    def info(self) -> str:
        return self._connection.info()

    def can_handle_request(self, origin: httpcore.Origin) -> bool:
        return self._connection.can_handle_request(origin)

    def is_available(self) -> bool:
        return self._connection.is_available() and not self._staples_expired()

    def has_expired(self) -> bool:
        return self._connection.has_expired() or (self._connection.is_idle() and self._staples_expired())

    def is_idle(self) -> bool:
        return self._connection.is_idle()

    def is_closed(self) -> bool:
        return self._connection.is_closed()

    def _staples_expired(self) -> bool:
        return self._stream is not None and bool(self._stream.get_extra_info("staples_expired"))

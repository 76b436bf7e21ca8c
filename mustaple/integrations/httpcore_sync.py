"""httpcore's network, blocking, with TLS that judges: streams, what opens them, and their pool."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpcore

from mustaple.core.errors import NetworkError
from mustaple.integrations.httpcore_judging import CHUNK, GOODBYE, Remaining
from mustaple.integrations.httpx_errors import NOT_CONNECTED, connect_errors, tls_errors

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable

    from mustaple.integrations.httpcore_judging import Judged, Judging
    from mustaple.net.tls_openssl import ClientTLS


class Backend(httpcore.NetworkBackend):
    """Opens connections as httpcore does; `start_tls` on them judges the server."""

    def __init__(self, judging: Judging) -> None:
        self._judging = judging
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """A TCP connection, in clear so far."""
        raw = self._sockets.connect_tcp(host, port, timeout, local_address, socket_options)
        return PlainStream(raw, self._judging)


class PlainStream(httpcore.NetworkStream):
    """A connection to a server, or to a proxy, before TLS with the server."""

    def __init__(self, raw: httpcore.NetworkStream, judging: Judging) -> None:
        self._raw = raw
        self._judging = judging

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What comes."""
        return self._raw.read(max_bytes, timeout)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send it as it is."""
        self._raw.write(buffer, timeout)

    def close(self) -> None:
        """Close the socket."""
        self._raw.close()

    def get_extra_info(self, info: str) -> Any:
        """What the socket knows."""
        return self._raw.get_extra_info(info)

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Speak TLS with the server, and judge it. TLS with a proxy is httpcore's own, with the proxy's context.

        Raises VerdictError for a server that is refused, httpcore's ConnectError and ConnectTimeout for others.
        """
        if ssl_context is not self._judging.token:
            return PlainStream(self._raw.start_tls(ssl_context, server_hostname, timeout), self._judging)
        host = server_hostname or ""
        try:
            with connect_errors():
                tls = self._judging.begin(host)
                _handshake(self._raw, tls, Remaining(timeout, httpcore.ConnectTimeout))
            try:
                judged = self._judging.settle(tls, host)
            except BaseException:
                _say_goodbye(self._raw, tls)
                raise
        except BaseException:
            self._raw.close()
            raise
        return StapledStream(self._raw, tls, judged)


def _handshake(raw: httpcore.NetworkStream, tls: ClientTLS, remaining: Remaining) -> None:
    try:
        while True:
            if waiting := tls.to_send():
                raw.write(waiting, remaining.left())
            if tls.verdict is not None:
                return
            tls.receive(raw.read(CHUNK, remaining.left()))
    except NetworkError:
        _send(raw, tls.to_send())  # the alert that says what was wrong
        raise


def _say_goodbye(raw: httpcore.NetworkStream, tls: ClientTLS) -> None:
    tls.close()
    _send(raw, tls.to_send())


def _send(raw: httpcore.NetworkStream, last_words: bytes) -> None:
    with suppress(httpcore.NetworkError, httpcore.TimeoutException):  # the server may be gone, and nobody waits
        raw.write(last_words, GOODBYE)


class StapledStream(httpcore.NetworkStream):
    """TLS with a server that the policy accepted.

    HTTP/2 reads in one thread while it writes in another: OpenSSL is used by one at a time, and records leave in the
    order in which they were made.
    """

    def __init__(self, raw: httpcore.NetworkStream, tls: ClientTLS, judged: Judged) -> None:
        self._raw = raw
        self._tls = tls
        self._judged = judged
        self._using = threading.Lock()
        self._sending = threading.Lock()

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """At most so many bytes; empty where the server said that it is done. A stream cut off is a ReadError."""
        remaining = Remaining(timeout, httpcore.ReadTimeout)
        with tls_errors(httpcore.ReadError):
            while True:
                with self._using:
                    data = self._tls.read(max_bytes)
                if data is not None:
                    return data
                received = self._raw.read(CHUNK, remaining.left())
                with self._using:
                    self._tls.receive(received)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all of it."""
        if not buffer:
            return
        with self._sending, tls_errors(httpcore.WriteError):
            with self._using:
                self._tls.write(buffer)
                records = self._tls.to_send()
            self._raw.write(records, timeout)

    def close(self) -> None:
        """Say close_notify, and close the socket."""
        try:
            if self._sending.acquire(blocking=False):  # whoever is sending loses the connection, and needs no goodbye
                with self._using:
                    _say_goodbye(self._raw, self._tls)
        finally:
            self._raw.close()

    def get_extra_info(self, info: str) -> Any:
        """What the socket knows; and `verdict`, `staples_expired`, and as `ssl_object` the protocol and version."""
        told = self._judged.tell(info)
        return told if told is not None else self._raw.get_extra_info(info)


class Pool(httpcore.ConnectionPool):
    """httpcore's pool, of connections that are not used again once their staples have expired."""

    def create_connection(self, origin: httpcore.Origin) -> httpcore.ConnectionInterface:
        """A connection for the pool to keep."""
        return _Pooled(super().create_connection(origin))


class _Pooled(httpcore.ConnectionInterface):
    """A connection with one request at a time, and none once its staples have expired.

    httpcore asks a stream only over HTTP/1.1 whether it can be used again (`is_readable`), so the connection tells.
    One at a time, because httpcore 1.0.9 has no lock around the state of an HTTP/2 connection, nor between giving a
    connection to a request and closing it as expired: threads that share a pool would meet there.
    """

    def __init__(self, connection: httpcore.ConnectionInterface) -> None:
        self._connection = connection
        self._stream: httpcore.NetworkStream | None = None
        self._lock = threading.Lock()
        self._used = False
        self._starting = False
        self._over = False

    def handle_request(self, request: httpcore.Request) -> httpcore.Response:
        with self._lock:
            if self._starting or self._over or (self._used and not self._connection.is_idle()):
                raise httpcore.ConnectionNotAvailable
            self._starting = self._used = True
        try:
            response = self._connection.handle_request(request)
        except NOT_CONNECTED:
            # A tunnel that did not come to TLS would stay in the pool, neither idle nor closed.
            self._connection.close()
            raise
        finally:
            self._starting = False
        self._stream = response.extensions["network_stream"]
        return response

    def close(self) -> None:
        self._connection.close()

    def info(self) -> str:
        return self._connection.info()

    def can_handle_request(self, origin: httpcore.Origin) -> bool:
        return self._connection.can_handle_request(origin)

    def is_available(self) -> bool:
        return self.is_idle() and self._connection.is_available() and not self._staples_expired()

    def has_expired(self) -> bool:
        with self._lock:  # no request can begin while httpcore looks whether there is something to read
            if not self._starting and self._connection.is_idle():
                self._over = self._over or self._connection.has_expired() or self._staples_expired()
            return self._over

    def is_idle(self) -> bool:
        return not self._starting and self._connection.is_idle()

    def is_closed(self) -> bool:
        return self._connection.is_closed()

    def _staples_expired(self) -> bool:
        return self._stream is not None and bool(self._stream.get_extra_info("staples_expired"))

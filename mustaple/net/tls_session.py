"""One TLS connection of the stapling server: handshake, one HTTP request, one page, and a record of what was seen."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import queue
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from OpenSSL import SSL

from mustaple.core.errors import Alert, InputError, NetworkError
from mustaple.core.expect_staple import HeaderError, parse_header

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography import x509

MAX_REQUEST: Final = 8 * 1024  # bytes of an HTTP request's head
LINGER: Final = 2.0  # seconds for the peer to close its side, so that our last bytes reach it
_CHUNK: Final = 64 * 1024
_READ_ALERT: Final = SSL.SSL_CB_READ_ALERT
_SEEN_LIMIT: Final = 16 * 1024  # bytes of application data that a record keeps


R = TypeVar("R", bound="ConnectionRecord")


class Ended(enum.StrEnum):
    """How a connection ended, as the server saw it."""

    SERVED = "served"  # the page was sent
    COMPLETED = "completed"  # the handshake was completed and nothing asked
    REFUSED = "refused"  # the client ended the handshake with an alert
    FAILED = "failed"  # the handshake failed without one
    TIMED_OUT = "timed-out"
    TURNED_AWAY = "turned-away"  # too many connections at once


@dataclass(slots=True)
class ConnectionRecord:
    """What the server saw of one connection.

    `alert` is the description of the client's alert (113: bad_certificate_status_response), close_notify left
    out. `asked_for_status` says whether its ClientHello offered status_request; `stapled` is what OpenSSL was
    given for the leaf (None: nothing). `application_data` is what it sent, at most 16 KiB.
    """

    peer: str
    ended: Ended = Ended.FAILED
    protocol: str | None = None
    server_name: str | None = None
    alert: int | None = None
    error: str | None = None
    asked_for_status: bool = False
    stapled: bytes | None = None
    application_data: bytes = b""
    client_certificate: x509.Certificate | None = None

    @property
    def completed(self) -> bool:
        """Whether the handshake was completed."""
        return self.ended in {Ended.SERVED, Ended.COMPLETED} or self.protocol is not None

    def __str__(self) -> str:
        said = f"{self.peer} {self.ended}"
        if self.alert is not None:
            name = Alert(self.alert).name.lower() if self.alert in set(Alert) else "see the TLS alert registry"
            said += f": alert {self.alert}, {name}"
        elif self.error is not None:
            said += f": {self.error}"
        return said


def hand_over(record: R, waiting: queue.SimpleQueue[R], most: int) -> None:
    """Put a record where somebody may wait for it; where nobody does, the oldest beyond `most` is let go."""
    if waiting.qsize() >= most:
        with contextlib.suppress(queue.Empty):
            waiting.get_nowait()
    waiting.put(record)


def next_record(waiting: queue.SimpleQueue[R], url: str, timeout: float) -> R:
    """The next record that is handed over, waited for. Raises NetworkError after `timeout` seconds."""
    try:
        return waiting.get(timeout=timeout)
    except queue.Empty:
        raise NetworkError(f"No connection to {url} ended within {timeout:g} s.") from None


class TLSSession(asyncio.Protocol):
    """asyncio moves the bytes, OpenSSL speaks TLS over memory BIOs: a silent client costs a socket and no thread."""

    def __init__(
        self,
        context: SSL.Context,
        *,
        timeout: float,
        page: Callable[[ConnectionRecord], bytes],
        expect_staple: str | None = None,
        admit: Callable[[TLSSession], bool],
        tell: Callable[[ConnectionRecord], None],
    ) -> None:
        self.record = ConnectionRecord("?")
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tls = SSL.Connection(context, None)
        self._tls.set_accept_state()
        self._tls.set_app_data(self.record)
        self._timeout = timeout
        self._page = page
        self._expect_staple = expect_staple
        self._admit = admit
        self._tell_record = tell
        self._request = bytearray()
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False
        self._told = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit the client, or turn it away."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername") or ("?", 0)
        self.record.peer = f"{peer[0]}:{peer[1]}"
        if not self._admit(self):
            self.record.ended = Ended.TURNED_AWAY
            self.abort()
            return
        self._start_timer(self._timeout)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - as asyncio.Protocol has it
        """The socket is gone."""
        if self._timer is not None:
            self._timer.cancel()
        self._tell()
        self.over.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Take bytes from the wire, and send what they make OpenSSL say."""
        if self._closing:
            return
        self._tls.bio_write(data)
        try:
            if self.record.protocol is None and not self._handshake():
                return
            self._read()
        except SSL.ZeroReturnError:
            self._close()
        except SSL.Error as error:
            self._fail(error)
        finally:
            self._flush()

    def _handshake(self) -> bool:
        try:
            self._tls.do_handshake()
        except SSL.WantReadError:
            return False
        self.record.protocol = self._tls.get_protocol_version_name()
        self.record.ended = Ended.COMPLETED
        self.record.server_name = (self._tls.get_servername() or b"").decode("ascii", "replace") or None
        self._start_timer(self._timeout)  # the request has a time of its own
        return True

    def _read(self) -> None:
        while True:
            try:
                data = self._tls.recv(_CHUNK)
            except SSL.WantReadError:
                break
            self.record.application_data = (self.record.application_data + data)[:_SEEN_LIMIT]
            self._request += data
        if b"\r\n\r\n" in self._request or len(self._request) > MAX_REQUEST:
            self._tls.sendall(http_response(bytes(self._request), self._page(self.record), self._expect_staple))
            self.record.ended = Ended.SERVED
            self._close()

    def _fail(self, error: SSL.Error) -> None:
        reasons = [reason for _, _, reason in (error.args[0] if error.args else ()) if reason]
        self.record.error = "; ".join(reasons) or type(error).__name__
        if self.record.protocol is None:
            self.record.ended = Ended.REFUSED if self.record.alert is not None else Ended.FAILED
        self._close(notify=False)

    def _close(self, *, notify: bool = True) -> None:
        """Say goodbye and wait a little for the peer's: closing with bytes unread would reset the page away."""
        if self._closing:
            return
        self._closing = True
        if notify:
            with contextlib.suppress(SSL.Error):  # broken already: closing it is all there is to do
                self._tls.shutdown()
        self._flush()
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()
        self._start_timer(LINGER)
        self._tell()

    def eof_received(self) -> None:
        """The peer has closed its side; asyncio closes ours when this returns None."""
        if self.record.protocol is None and self.record.error is None and not self._closing:
            self.record.error = "the client closed the connection within the handshake"

    def _flush(self) -> None:
        while not self._transport.is_closing():
            try:
                self._transport.write(self._tls.bio_read(_CHUNK))
            except SSL.WantReadError:
                return

    def _start_timer(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._expire)

    def _expire(self) -> None:
        if not self._closing:
            if self.record.protocol is None:
                self.record.ended = Ended.TIMED_OUT
            self.record.error = f"nothing came for {self._timeout:g} s"
        self.abort()

    def abort(self) -> None:
        """End the connection at once."""
        self._closing = True
        self._tell()
        self._transport.abort()

    def _tell(self) -> None:
        """Hand the record over, once: what comes later is not read any more."""
        if not self._told:
            self._told = True
            self._tell_record(self.record)


def checked_header(expect_staple: str | None) -> str | None:
    """The header value for `http_response`; InputError for one that clients would ignore, or that is several lines."""
    if expect_staple is not None:
        try:
            parse_header(expect_staple)
        except HeaderError as error:
            raise InputError(f"The Expect-Staple header {expect_staple!r} would be ignored: {error}.") from error
    return expect_staple


def observe(connection: SSL.Connection, where: int, code: int) -> None:
    """OpenSSL's info callback: keep the client's alert by its number, which the exception does not tell."""
    description = code & 0xFF
    if where & _READ_ALERT == _READ_ALERT and description:
        _record(connection).alert = description


def take_client_certificate(connection: SSL.Connection, certificate: Any, _error: int, depth: int, _ok: int) -> bool:
    """OpenSSL's verify callback: any client certificate will do, and the record keeps it."""
    if depth == 0:
        _record(connection).client_certificate = certificate.to_cryptography()
    return True


def _record(connection: SSL.Connection) -> ConnectionRecord:
    return cast("ConnectionRecord", connection.get_app_data())


def http_response(request: bytes, page: bytes, expect_staple: str | None = None) -> bytes:
    """The whole HTTP response with this page, without it where the request is HEAD.

    `expect_staple` is the value of an Expect-Staple header, checked by `checked_header`.
    """
    field = b"Expect-Staple: %b\r\n" % expect_staple.encode("latin-1") if expect_staple is not None else b""
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n%b"
        b"Content-Length: %d\r\nConnection: close\r\n\r\n" % (field, len(page))
    )
    return head if request.startswith(b"HEAD ") else head + page

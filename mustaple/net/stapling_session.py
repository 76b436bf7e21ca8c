"""One connection of the chain stapling server: handshake, one HTTP request, one page, and a record of what was seen."""

from __future__ import annotations

import socket
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mustaple.core.wire import OCSP, OCSP_MULTI
from mustaple.net.dial import Deadline
from mustaple.net.tls_rfc6961 import ServerEnd
from mustaple.net.tls_session import LINGER, MAX_REQUEST, ConnectionRecord, Ended, http_response
from mustaple.net.tlslite_ng import TLSAbruptCloseError, TLSLocalAlert, TLSRemoteAlert

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mustaple.core.offer import Staples
    from mustaple.net.tlslite_ng import Credentials, HandshakeSettings

CARRIERS: Final = {OCSP: "ocsp", OCSP_MULTI: "ocsp_multi"}
_CHUNK: Final = 1 << 16
_SEEN_LIMIT: Final = 16 * 1024  # bytes of application data that a record keeps


@dataclass(slots=True)
class ChainConnectionRecord(ConnectionRecord):
    """What the server saw of one connection, and what it stapled.

    `offered` are the numbers of the ClientHello's extensions that asked: 5, 17. `sent` are the staples in the order of
    the certificates, None for one without; `carrier` says in what they came: "ocsp", "ocsp_multi" or "entries" (those
    of TLS 1.3), None for nothing. `stapled` is the leaf's.
    """

    offered: frozenset[int] = frozenset()
    sent: tuple[bytes | None, ...] = ()
    carrier: str | None = None


class TimedSocket:
    """A socket whose every operation ends by one deadline, as tlslite-ng uses sockets.

    `close` only says that nothing more is sent, so that what was sent arrives: closing with bytes unread would reset
    the connection.
    """

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self.deadline = deadline
        self._socket = sock

    def recv(self, limit: int) -> bytes:
        """At most `limit` bytes. Raises TimeoutError at the deadline."""
        self._bound()
        return self._socket.recv(limit)

    def send(self, data: bytes) -> int:
        """Send some of it. Raises TimeoutError at the deadline."""
        self._bound()
        return self._socket.send(data)

    def sendall(self, data: bytes) -> None:
        """Send all of it. Raises TimeoutError at the deadline."""
        self._bound()
        self._socket.sendall(data)

    def close(self) -> None:
        """Send no more."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def _bound(self) -> None:
        try:
            self.deadline.bound(self._socket)
        except TimeoutError:
            raise TimeoutError("the deadline has passed") from None  # tlslite-ng wants an argument in it


class Session:
    """Serves one client over a connected socket, in the caller's thread, and fills its record."""

    def __init__(
        self,
        sock: socket.socket,
        record: ChainConnectionRecord,
        credentials: Credentials,
        give: Callable[[], Staples],
        timeout: float,
    ) -> None:
        self._socket = sock
        self._record = record
        self._give = give
        self._timeout = timeout
        self._deadline = Deadline(timeout)
        self._tls = ServerEnd(TimedSocket(sock, self._deadline), credentials, self._staples)

    def run(
        self,
        chosen: HandshakeSettings,
        page: Callable[[ChainConnectionRecord], bytes],
        expect_staple: str | None = None,
    ) -> None:
        """Handshake, request, page. Raises nothing: what went wrong is in the record."""
        with faults_noted(self._record, self._timeout):
            try:
                self._tls.handshake(chosen)
            finally:
                note_offer(self._tls, self._record)
            self._record.protocol = self._tls.protocol
            self._record.ended = Ended.COMPLETED
            self._deadline.restart()  # the request has a time of its own
            self._answer(page, expect_staple)

    def linger(self) -> None:
        """Wait a little for the client to close its side, so that our last bytes reach it.

        One that was silent has had its time.
        """
        if self._record.ended is Ended.TIMED_OUT:
            return
        deadline = Deadline(LINGER)
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
            while True:
                deadline.bound(self._socket)
                if not self._socket.recv(_CHUNK):
                    return

    def _staples(self) -> Staples:
        try:
            return self._give()
        except Exception as error:  # noqa: BLE001 - whatever a staple's source raises, the server serves on without
            self._record.error = f"no staple, because its source failed: {error}"
            return ()

    def _answer(self, page: Callable[[ChainConnectionRecord], bytes], expect_staple: str | None) -> None:
        record = self._record
        request = b""
        while b"\r\n\r\n" not in request and len(request) <= MAX_REQUEST:
            data = self._tls.read(max=_CHUNK)
            if not data:
                return
            request += data
            record.application_data = request[:_SEEN_LIMIT]
        self._tls.write(http_response(request, page(record), expect_staple))
        record.ended = Ended.SERVED
        self._tls.close()


@contextmanager
def faults_noted(record: ChainConnectionRecord, timeout: float) -> Iterator[None]:
    """Within this context nothing is raised that a connection can meet: what goes wrong is in the record."""
    try:
        yield
    except TLSRemoteAlert as alert:
        record.alert = alert.description
        record.ended = Ended.REFUSED if record.protocol is None else record.ended
    except TLSLocalAlert as alert:
        record.error = f"{alert}".partition("\n")[0]
    except TLSAbruptCloseError:
        if record.protocol is None:
            record.error = "the client closed the connection within the handshake"
    except TimeoutError:
        record.ended = Ended.TIMED_OUT if record.protocol is None else record.ended
        record.error = f"nothing came for {timeout:g} s"
    except Exception as error:  # noqa: BLE001 - tlslite-ng lets all kinds out over hostile bytes, and the server serves on
        record.error = f"{type(error).__name__}: {error}"


def note_offer(tls: ServerEnd, record: ChainConnectionRecord) -> None:
    """What the ClientHello asked for and what it got, also where the handshake failed after it."""
    record.server_name = tls.server_name
    record.offered = tls.offer.extensions
    record.asked_for_status = bool(record.offered)
    if any(staple is not None for staple in tls.sent):
        record.sent = tls.sent
        record.stapled = tls.sent[0] or None
        record.carrier = CARRIERS[tls.answer.status.status_type] if tls.answer is not None else "entries"

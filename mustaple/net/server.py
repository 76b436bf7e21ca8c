"""A TLS 1.2 and 1.3 server on real OpenSSL that staples what it is told, and records what its clients did about it."""

from __future__ import annotations

import asyncio
import queue
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from cryptography.x509 import ocsp
from OpenSSL import SSL

from mustaple.core.errors import InputError
from mustaple.net.lifespan import LoopServer
from mustaple.net.listen import listen, url_of
from mustaple.net.tls_context import present
from mustaple.net.tls_session import (
    ConnectionRecord,
    Ended,
    TLSSession,
    checked_header,
    hand_over,
    next_record,
    observe,
    take_client_certificate,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

    Staple = bytes | Callable[[], bytes | None] | None

__all__ = ["ConnectionRecord", "Ended", "StaplingServer"]

VERSIONS: Final = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}
HANDSHAKE_TIMEOUT: Final = 10.0  # seconds for the handshake, and again for the request
MAX_CONNECTIONS: Final = 512
_KEPT_RECORDS: Final = 1000


class StaplingServer(LoopServer):
    """A server for this chain and key, in a thread of its own; a context manager.

        with StaplingServer(chain, key, staple) as server:
            connect_to(server.port)
        server.records[0].alert  # 113: the client refused the staple

    `chain` is sent as it is, leaf first, without the root by custom. `staple` is DER for the leaf, or a function
    that gives it (or None) when a client asks; it may be replaced while the server runs. OpenSSL since 3.6 sends
    nothing that it cannot read as an OCSPResponse: such bytes are refused here, and from a function left out, with
    the record saying so. Sessions are never resumed. `on_event` gets each connection's record, in the server's
    thread, when the connection has ended. `expect_staple` is the value of the Expect-Staple header that it sends with
    its page, None for none. `host`, `port` and `url` say where it listens. Timeouts are in seconds.

    Raises InputError for a key that is not the certificate's, certificates that OpenSSL does not serve, a staple
    that is no OCSP response, a header that clients would ignore, and an address that cannot be listened on.
    """

    def __init__(
        self,
        chain: Sequence[x509.Certificate],
        key: PrivateKeyTypes,
        staple: Staple = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        expose: bool = False,
        minimum: str = "1.2",
        maximum: str = "1.3",
        ask_client_certificate: bool = False,
        handshake_timeout: float = HANDSHAKE_TIMEOUT,
        max_connections: int = MAX_CONNECTIONS,
        on_event: Callable[[ConnectionRecord], None] | None = None,
        page: Callable[[ConnectionRecord], bytes] | None = None,
        expect_staple: str | None = None,
    ) -> None:
        if isinstance(staple, bytes) and staple and not _is_response(staple):
            raise InputError("The staple is not an OCSP response in DER, and OpenSSL sends no other.")
        super().__init__("mustaple-server")
        self.staple = staple
        self._expect_staple = checked_header(expect_staple)
        self.records: deque[ConnectionRecord] = deque(maxlen=_KEPT_RECORDS)
        self._context = _context(chain, key, minimum, maximum, ask_client_certificate=ask_client_certificate)
        self._context.set_ocsp_server_callback(self._give_staple)
        self._timeout = handshake_timeout
        self._max_connections = max_connections
        self._on_event = on_event
        self._page = page or _page
        self._ended: queue.SimpleQueue[ConnectionRecord] = queue.SimpleQueue()
        self._sessions: set[TLSSession] = set()
        self._listener = listen(host, port, expose=expose)
        self.host, self.port = self._listener.getsockname()[:2]
        self.url = url_of(self._listener, "https") + "/"

    def close(self) -> None:
        """End every connection and free the port. Safe to call twice."""
        super().close()
        self._listener.close()

    def next_record(self, timeout: float = 30.0) -> ConnectionRecord:
        """The next connection that ended, waiting for it. Raises NetworkError after `timeout` seconds."""
        return next_record(self._ended, self.url, timeout)

    async def _listen(self) -> list[asyncio.Server]:
        loop = asyncio.get_running_loop()
        return [await loop.create_server(self._session, sock=self._listener.dup())]

    async def _hang_up(self) -> None:
        open_still = tuple(self._sessions)
        for session in open_still:
            session.abort()
        await asyncio.gather(*(session.over for session in open_still))

    def _session(self) -> TLSSession:
        return TLSSession(
            self._context,
            timeout=self._timeout,
            page=self._page,
            expect_staple=self._expect_staple,
            admit=self._admit,
            tell=self._tell,
        )

    def _admit(self, session: TLSSession) -> bool:
        if len(self._sessions) >= self._max_connections:
            return False
        self._sessions.add(session)
        session.over.add_done_callback(lambda _: self._sessions.discard(session))
        return True

    def _tell(self, record: ConnectionRecord) -> None:
        self.records.append(record)
        hand_over(record, self._ended, _KEPT_RECORDS)
        if self._on_event is not None:
            self._on_event(record)

    def _give_staple(self, connection: SSL.Connection, _data: Any) -> bytes:
        """Called by OpenSSL where the ClientHello offers status_request; its answer belongs to the leaf alone."""
        record: ConnectionRecord = connection.get_app_data()
        record.asked_for_status = True
        try:
            staple = self.staple() if callable(self.staple) else self.staple
        except Exception as error:  # noqa: BLE001 - whatever a staple's source raises, the server serves on without
            record.error = f"no staple, because its source failed: {error}"
            return b""
        if staple and not _is_response(staple):
            record.error = "no staple, because what was given is not an OCSP response in DER"
            return b""
        record.stapled = staple or None
        return staple or b""


def _context(
    chain: Sequence[x509.Certificate],
    key: PrivateKeyTypes,
    minimum: str,
    maximum: str,
    *,
    ask_client_certificate: bool,
) -> SSL.Context:
    if not chain:
        raise InputError("A server needs at least one certificate.")
    try:
        lowest, highest = VERSIONS[minimum], VERSIONS[maximum]
    except KeyError as error:
        raise InputError(f"TLS {error.args[0]} is not served; there are {' and '.join(VERSIONS)}.") from None
    if key.public_key() != chain[0].public_key():
        raise InputError("The private key is not that of the certificate.")
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(lowest)
    context.set_max_proto_version(highest)
    try:
        present(context, chain, key)
    except (SSL.Error, TypeError, ValueError) as error:
        raise InputError(f"OpenSSL does not serve this certificate: {error}.") from error
    # A resumed session would carry no staple. TLS 1.3 still sends a ticket, which without a cache opens nothing.
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_options(SSL.OP_NO_TICKET)
    context.set_info_callback(observe)
    if ask_client_certificate:
        context.set_verify(SSL.VERIFY_PEER, take_client_certificate)
    return context


def _is_response(staple: bytes) -> bool:
    """Whether these bytes are one OCSPResponse and nothing after it."""
    try:
        ocsp.load_der_ocsp_response(staple)
    except ValueError:
        return False
    return True


def _page(record: ConnectionRecord) -> bytes:
    stapled = f"an OCSP response of {len(record.stapled)} bytes" if record.stapled else "nothing"
    asked = "" if record.asked_for_status else ", because your client did not ask for it"
    return (
        f"This is the stapling server of mustaple.\nYou came over {record.protocol}, and it stapled {stapled}{asked}.\n"
    ).encode()

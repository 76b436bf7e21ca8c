"""The strict client's TLS on pyOpenSSL over memory BIOs: bytes in, bytes out, a verdict reached inside the handshake.

OpenSSL does the whole handshake. Its status callback comes when the server's flight is complete and its signatures
are verified, and before the client answers: there the staples are read from the captured flight, judged and decided.
A refusal ends the handshake with alert 113, so the server gets no client certificate and no application data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from OpenSSL import SSL

from mustaple.core.errors import NetworkError
from mustaple.net.judged_tls import JudgedTLS
from mustaple.net.tls_errors import explain
from mustaple.net.tls_judge import HandshakeJudge

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from mustaple.core.policy import Policy
    from mustaple.net.service_name import ServiceName
    from mustaple.net.tls_context import ClientContext

_CHUNK: Final = 1 << 16


class ClientTLS(JudgedTLS[HandshakeJudge]):
    """A client's connection on OpenSSL; see JudgedTLS.

    `at` is aware UTC, one moment for all of it. `alpn` are the application protocols to offer
    (RFC 7301), the preferred one first. `expect_staple` says that the host is remembered as an Expect-Staple host.
    """

    def __init__(
        self,
        context: ClientContext,
        name: ServiceName,
        policy: Policy,
        at: datetime,
        *,
        alpn: Sequence[str] = (),
        expect_staple: bool = False,
    ) -> None:
        self._broken = False
        super().__init__(HandshakeJudge(context, name, policy, at, expect_staple=expect_staple))
        self._tls = SSL.Connection(context.openssl)
        self._tls.set_app_data(self._judge)
        self._tls.set_connect_state()
        if name.server_name is not None:
            self._tls.set_tlsext_host_name(name.server_name)
        if policy.asks_for_staples:
            self._tls.request_ocsp()
        if alpn:
            self._tls.set_alpn_protos([protocol.encode("ascii") for protocol in alpn])
        self._step()

    @property
    def alpn_protocol(self) -> str | None:
        """The application protocol that the server chose; None where it chose none."""
        return self._tls.get_alpn_proto_negotiated().decode("ascii", "replace") or None

    def receive(self, data: bytes) -> None:
        """Take bytes from the server; empty bytes mean that it will send no more.

        Raises NetworkError where the handshake fails for a reason that is no verdict: the peer's alert, bytes that
        are not TLS, the end of the stream. There may be bytes `to_send` even then.
        """
        if data:
            self._tls.bio_write(data)
        else:
            self._tls.bio_shutdown()
        if not self.done:
            if self._judge.capture(data):
                self._step()
            else:
                self._end()

    def to_send(self) -> bytes:
        """The bytes that wait to be sent to the server, at most once."""
        chunks = []
        while True:
            try:
                chunks.append(self._tls.bio_read(_CHUNK))
            except SSL.WantReadError:
                return b"".join(chunks)

    def write(self, data: bytes) -> None:
        """Encrypt data for the server; `to_send` has it then. Raises RefusedError unless the verdict accepts."""
        self._admit()
        try:
            self._tls.sendall(data)
        except SSL.Error as error:
            raise NetworkError(explain(error)) from error

    def read(self, limit: int = _CHUNK) -> bytes | None:
        """At most `limit` bytes from the server; None if there are none yet, empty after its close_notify.

        Raises RefusedError unless the verdict accepts, NetworkError for an alert or a stream cut off.
        """
        self._admit()
        try:
            return self._tls.recv(limit)
        except SSL.WantReadError:
            return None
        except SSL.ZeroReturnError:
            return b""
        except SSL.Error as error:
            # user_canceled and then close_notify, JSSE's goodbye in TLS 1.3, is an end too (RFC 9846 §6.1); OpenSSL
            # notes it as one, and reports none. It notes a fatal alert likewise, but that it reports, once.
            if self._ended_well(error):
                return b""
            self._broken = True
            raise NetworkError(explain(error)) from error

    def _ended_well(self, error: SSL.Error) -> bool:
        heard = self._tls.get_shutdown() & SSL.RECEIVED_SHUTDOWN
        return isinstance(error, SSL.SysCallError) and bool(heard) and not self._broken

    def close(self) -> None:
        """Say close_notify, if the handshake was completed; nothing can be written after it."""
        if self.verdict is not None:
            try:
                self._tls.shutdown()
            except SSL.Error:
                return  # the handshake was refused half-way, and its alert has said so

    def _step(self) -> None:
        try:
            self._tls.do_handshake()
        except SSL.WantReadError:
            return
        except SSL.Error as error:
            self._judge.failed(error)
            self._end()
            if self._judge.verdict is None:
                raise NetworkError(explain(error)) from error
        else:
            self._judge.completed(self._tls)
            self._end()

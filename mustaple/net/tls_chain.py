"""The strict client's TLS on the stapling engine: RFC 6961 in TLS 1.2, and the staples of each entry in TLS 1.3.

The same shape as the client on OpenSSL: bytes in, bytes out, and a verdict reached inside the handshake, before
anything answers the server's flight. For probes and tests: see `tls_rfc6961` on why no application's traffic is here.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mustaple.core.errors import InputError, NetworkError
from mustaple.core.flight import MAX_FLIGHT_BYTES
from mustaple.net.chain_judge import ChainJudge
from mustaple.net.judged_tls import JudgedTLS
from mustaple.net.tls_rfc6961 import ClientEnd
from mustaple.net.tlslite_ng import (
    TLSAbruptCloseError,
    TLSLocalAlert,
    TLSRemoteAlert,
    X509CertChain,
    parsePEMKey,
    settings,
)

if TYPE_CHECKING:
    from datetime import datetime

    from mustaple.core.policy import Policy
    from mustaple.net.service_name import ServiceName
    from mustaple.net.tls_context import ClientContext, Identity


class Pipe:
    """A socket in memory, as tlslite-ng uses sockets: bytes wait in both directions."""

    def __init__(self) -> None:
        self.incoming = bytearray()
        self.outgoing = bytearray()
        self.ended = False

    def recv(self, limit: int) -> bytes:
        """At most `limit` bytes that have come; empty at the end. Raises BlockingIOError where there are none yet."""
        if not self.incoming and not self.ended:
            raise BlockingIOError(errno.EAGAIN, "nothing has come yet")
        taken = bytes(self.incoming[:limit])
        del self.incoming[:limit]
        return taken

    def send(self, data: bytes) -> int:
        """Keep all of it."""
        self.outgoing += data
        return len(data)

    def sendall(self, data: bytes) -> None:
        """Keep all of it."""
        self.outgoing += data

    def close(self) -> None:
        """Nothing: whoever moves the bytes closes the real socket."""


class ChainClientTLS(JudgedTLS[ChainJudge]):
    """A client's connection on tlslite-ng; see JudgedTLS.

    `at` is aware UTC. `maximum` is "TLSv1.2" or "TLSv1.3". In TLS 1.2 both status_request and status_request_v2 are
    offered, the latter for `ocsp_multi`. `expect_staple` says that the host is remembered as an Expect-Staple host.
    """

    def __init__(
        self,
        context: ClientContext,
        name: ServiceName,
        policy: Policy,
        at: datetime,
        *,
        maximum: str | None = None,
        identity: Identity | None = None,
        expect_staple: bool = False,
    ) -> None:
        super().__init__(ChainJudge(context, name, policy, at, expect_staple=expect_staple))
        self._pipe = Pipe()
        self._received = 0
        self._plain = b""
        self._reading: Any = None
        self._tls = ClientEnd(self._pipe, self._judge, name.server_name)
        chain, key = (None, None) if identity is None else credentials(identity)
        chosen = settings("1.2", (maximum or "TLSv1.3").removeprefix("TLSv"))
        self._handshake = self._tls.handshakeClientCert(chain, key, settings=chosen, reqTack=False, async_=True)
        self._step()

    def receive(self, data: bytes) -> None:
        """Take bytes from the server; empty bytes mean that it will send no more.

        Raises NetworkError where the handshake fails for a reason that is no verdict: the peer's alert, bytes that
        are not TLS, the end of the stream. There may be bytes `to_send` even then.
        """
        self._pipe.incoming += data
        self._pipe.ended = self._pipe.ended or not data
        if self.done:
            return
        self._received += len(data)
        if self._received > MAX_FLIGHT_BYTES:
            self._judge.too_long()
            self._end()
        else:
            self._step()

    def to_send(self) -> bytes:
        """The bytes that wait to be sent to the server, at most once."""
        waiting = bytes(self._pipe.outgoing)
        self._pipe.outgoing.clear()
        return waiting

    def write(self, data: bytes) -> None:
        """Encrypt data for the server; `to_send` has it then. Raises RefusedError unless the verdict accepts."""
        self._admit()
        try:
            self._tls.write(data)
        except Exception as error:
            raise NetworkError(explain(error)) from error

    def read(self, limit: int = 1 << 16) -> bytes | None:
        """At most `limit` bytes from the server; None if there are none yet, empty after its close_notify.

        Raises RefusedError unless the verdict accepts, NetworkError for an alert or a stream cut off.
        """
        self._admit()
        if not self._plain:
            self._reading = self._reading or self._tls.readAsync()
            try:
                result = next(self._reading)
            except Exception as error:
                raise NetworkError(explain(error)) from error
            if not isinstance(result, bytes):
                return None
            self._reading = None
            self._plain = result
        data, self._plain = self._plain[:limit], self._plain[limit:]
        return data

    def close(self) -> None:
        """Say close_notify, if the handshake was completed; nothing can be written after it."""
        self._tls.close()

    def _step(self) -> None:
        try:
            if next(self._handshake, None) is not None:
                return  # it wants more bytes than there are
        except Exception as error:
            if isinstance(error, TLSLocalAlert):
                self._judge.broken()
            elif not self._judge.refused:
                self._judge.verdict = None
            self._end()
            if self._judge.verdict is None:
                raise NetworkError(explain(error)) from error
        else:
            self._judge.ended()
            self._end()


def credentials(identity: Identity) -> tuple[Any, Any]:
    """The client's own certificate chain and key. OpenSSL has read the files already, and found that they fit.

    Raises InputError for a key that tlslite-ng cannot use.
    """
    chain = X509CertChain()
    try:
        chain.parsePemList(Path(identity.certificate).read_text("utf-8", "replace"))
        return chain, parsePEMKey(Path(identity.key).read_text("utf-8", "replace"), private=True)
    except (SyntaxError, ValueError, KeyError) as error:
        raise InputError(f"The stapling engine cannot use the client's certificate or key: {error}") from error


def explain(error: Exception) -> str:
    """One line on a handshake or a connection that tlslite-ng ended."""
    if isinstance(error, TLSAbruptCloseError):
        return "the server closed the connection without a word"
    if isinstance(error, TLSRemoteAlert):
        return f"the server ended the connection: alert {error.description} ({str(error).lower()})"
    if isinstance(error, TLSLocalAlert):
        return f"the TLS handshake failed: {error.message or error}"
    return f"the connection failed: {type(error).__name__}: {error}"

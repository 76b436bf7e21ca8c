"""The strict client's TLS on the stapling engine: RFC 6961 in TLS 1.2, and the staples of each entry in TLS 1.3.

The same shape as the client on OpenSSL: bytes in, bytes out, and a verdict reached inside the handshake, before
anything answers the server's flight. For probes and tests: see `tls_rfc6961` on why no application's traffic is here.
"""

from __future__ import annotations

import errno
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from mustaple.core import wire
from mustaple.core.errors import Alert, InputError, NetworkError, RefusedError, WireError
from mustaple.core.flight import MAX_FLIGHT_BYTES, CarriageError, Flight, read_messages
from mustaple.core.verdict import Code, Reason
from mustaple.net.tls_errors import explain
from mustaple.net.tls_judge import NO_CHAIN, HandshakeJudge, wire_reason
from mustaple.net.tls_path import Shown, show
from mustaple.net.tls_rfc6961 import ClientEnd
from mustaple.net.tlslite_ng import (
    NAMES,
    TLS12,
    AlertDescription,
    HandshakeError,
    HandshakeType,
    TLSAbruptCloseError,
    TLSLocalAlert,
    TLSRemoteAlert,
    X509CertChain,
    parsePEMKey,
    settings,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from certtools.chain import Link
    from mustaple.core.policy import Policy
    from mustaple.core.verdict import ChainVerdict, Judgement
    from mustaple.net.service_name import ServiceName
    from mustaple.net.tls_context import ClientContext, Identity

ENGINE: Final = "rfc6961"


class ChainJudge(HandshakeJudge):
    """Judges one handshake of the stapling engine. OpenSSL verifies the path, as it does for its own handshakes."""

    engine: ClassVar[str] = ENGINE

    def __init__(self, context: ClientContext, name: ServiceName, policy: Policy, at: datetime) -> None:
        super().__init__(context, name, policy, at)
        both = frozenset({wire.STATUS_REQUEST, wire.STATUS_REQUEST_V2})
        self.offered = both if policy.asks_for_staples else frozenset()
        self._shown = Shown(())
        self._version = TLS12
        self._wire_alert: int | None = None

    def on_message(self, message: bytes, version: tuple[int, int]) -> None:
        """Keep what the flight is read from, and verify the path as soon as its certificates are there."""
        if not self.capture(message):
            raise HandshakeError("the server's flight is too long", Alert.HANDSHAKE_FAILURE)
        if message[0] == HandshakeType.certificate:
            self._version = version
            with self._keeping_problems():
                self._on_certificates(message[4:])

    def _on_certificates(self, body: bytes) -> None:
        try:
            certificates = self._certificates(body)
        except WireError as error:
            self._refuse(wire_reason(error))
            raise HandshakeError(str(error), error.alert) from None
        self._shown = show(certificates, self._context, self)
        if self._shown.error is not None:
            raise HandshakeError(explain(self._shown.error), self._shown.alert or Alert.BAD_CERTIFICATE)

    def _certificates(self, body: bytes) -> tuple[bytes, ...]:
        if self._version == TLS12:
            return wire.decode_certificate_tls12(body)
        return tuple(entry.certificate for entry in wire.decode_certificate_tls13(body, self._asked_in_entries))

    @property
    def _asked_in_entries(self) -> frozenset[int]:
        """Extension 17 asks for nothing in TLS 1.3 (RFC 9846 §4.5.1.1)."""
        return self.offered - {wire.STATUS_REQUEST_V2}

    def on_flight(self) -> None:
        """Judge and decide, with nothing sent in answer to the flight."""
        with self._keeping_problems():
            if self._policy.asks_for_staples:
                self._judge(self._shown.verified, NAMES[self._version])
            else:
                self._decide_unasked(self._shown.verified, NAMES[self._version])
        verdict = self.verdict
        if verdict is not None and self.refused:
            raise HandshakeError(verdict.headline, self._wire_alert or verdict.all_reasons[0].alert)

    def ended(self) -> None:
        """The handshake is completed; without a decision it showed no certificates, and is refused."""
        if self.verdict is None:
            self._refuse(NO_CHAIN)

    def broken(self) -> None:
        """The handshake failed: keep a refusal, drop any other verdict, and see whether a staple's carriage did it."""
        if self.refused:
            return
        self.verdict = None
        try:
            self._flight()
        except CarriageError as fault:
            self._refuse(wire_reason(fault))
        except WireError:
            return  # the handshake did not come so far

    def too_long(self) -> None:
        """Refuse a server that sends without end."""
        self._refuse(Reason(Code.WIRE, f"the server's flight is longer than {MAX_FLIGHT_BYTES} bytes"))

    def _flight(self) -> Flight:
        try:
            return read_messages(b"".join(self._captured), offered=self._asked_in_entries)
        except WireError as error:
            self._wire_alert = error.alert
            raise

    @contextmanager
    def _keeping_problems(self) -> Iterator[None]:
        """A fault of our own must not look like one of the server's: whoever drives the handshake raises it."""
        try:
            yield
        except HandshakeError:
            raise
        except Exception as problem:
            self.problem = problem
            raise HandshakeError("an error of the client's own", AlertDescription.internal_error) from problem


class _Pipe:
    """A socket in memory, as tlslite-ng uses sockets: bytes wait in both directions."""

    def __init__(self) -> None:
        self.incoming = bytearray()
        self.outgoing = bytearray()
        self.ended = False

    def recv(self, limit: int) -> bytes:
        if not self.incoming and not self.ended:
            raise BlockingIOError(errno.EAGAIN, "nothing has come yet")
        taken = bytes(self.incoming[:limit])
        del self.incoming[:limit]
        return taken

    def send(self, data: bytes) -> int:
        self.outgoing += data
        return len(data)

    def sendall(self, data: bytes) -> None:
        self.outgoing += data

    def close(self) -> None:
        """Nothing: whoever moves the bytes closes the real socket."""


class ChainClientTLS:
    """One connection, without I/O: feed it with `receive`, send what `to_send` gives, until `done`.

    Then `verdict` stands, unless a NetworkError was raised on the way. A PENDING verdict waits for `supply`; only an
    accepted one lets application data through `read` and `write`. `at` is aware UTC. `maximum` is "TLSv1.2" or
    "TLSv1.3". In TLS 1.2 both status_request and status_request_v2 are offered, the latter for `ocsp_multi`.
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
    ) -> None:
        self.done = False
        self._judge = ChainJudge(context, name, policy, at)
        self._pipe = _Pipe()
        self._received = 0
        self._plain = b""
        self._reading: Any = None
        self._tls = ClientEnd(self._pipe, self._judge, name.server_name)
        chain, key = _credentials(identity)
        chosen = settings("1.2", (maximum or "TLSv1.3").removeprefix("TLSv"))
        self._handshake = self._tls.handshakeClientCert(chain, key, settings=chosen, reqTack=False, async_=True)
        self._step()

    @property
    def verdict(self) -> ChainVerdict | None:
        """The verdict, once the handshake has ended; before that, and after a NetworkError, None."""
        return self._judge.verdict if self.done else None

    @property
    def wanted(self) -> tuple[Link, ...]:
        """The links for which a PENDING verdict wants evidence."""
        return self._judge.wanted

    def supply(self, evidence: Mapping[bytes, Sequence[Judgement]]) -> ChainVerdict:
        """Decide again with more judgements, by fingerprint; RuntimeError where nothing has been decided."""
        return self._judge.supply(evidence)

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
            raise NetworkError(_explain(error)) from error

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
                raise NetworkError(_explain(error)) from error
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
                raise NetworkError(_explain(error)) from error
        else:
            self._judge.ended()
            self._end()

    def _end(self) -> None:
        self.done = True
        self._judge.forget()
        problem, self._judge.problem = self._judge.problem, None
        if problem is not None:
            self._judge.verdict = None
            raise problem

    def _admit(self) -> None:
        verdict = self.verdict
        if verdict is None:
            raise RuntimeError("The handshake has not been completed.")
        if not verdict.accepted:
            raise RefusedError(verdict)


def _credentials(identity: Identity | None) -> tuple[Any, Any]:
    """The client's own certificate chain and key. OpenSSL has read the files already, and found that they fit."""
    if identity is None:
        return None, None
    chain = X509CertChain()
    try:
        chain.parsePemList(Path(identity.certificate).read_text("ascii"))
        return chain, parsePEMKey(Path(identity.key).read_text("ascii"), private=True)
    except (SyntaxError, ValueError, KeyError) as error:
        raise InputError(f"The stapling engine cannot use the client's certificate or key: {error}") from error


def _explain(error: Exception) -> str:
    """One line on a handshake or a connection that tlslite-ng ended."""
    if isinstance(error, TLSAbruptCloseError):
        return "the server closed the connection without a word"
    if isinstance(error, TLSRemoteAlert):
        return f"the server ended the connection: alert {error.description} ({str(error).lower()})"
    if isinstance(error, TLSLocalAlert):
        return f"the TLS handshake failed: {error.message or error}"
    return f"the connection failed: {type(error).__name__}: {error}"

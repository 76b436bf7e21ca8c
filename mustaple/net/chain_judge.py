"""The judge at the client's end of the stapling engine: the server's messages in, the verdict or an alert out."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, Final

from mustaple.core import wire
from mustaple.core.errors import Alert, WireError
from mustaple.core.flight import MAX_FLIGHT_BYTES, CarriageError, Flight, read_messages
from mustaple.core.verdict import Code, Reason
from mustaple.net.tls_errors import explain
from mustaple.net.tls_judge import NO_CHAIN, HandshakeJudge, wire_reason
from mustaple.net.tls_path import Shown, show
from mustaple.net.tlslite_ng import NAMES, TLS12, AlertDescription, HandshakeError, HandshakeType

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from mustaple.core.policy import Policy
    from mustaple.net.service_name import ServiceName
    from mustaple.net.tls_context import ClientContext

ENGINE: Final = "rfc6961"


class ChainJudge(HandshakeJudge):
    """Judges one handshake of the stapling engine. OpenSSL verifies the path, as it does for its own handshakes."""

    engine: ClassVar[str] = ENGINE

    def __init__(
        self, context: ClientContext, name: ServiceName, policy: Policy, at: datetime, *, expect_staple: bool = False
    ) -> None:
        super().__init__(context, name, policy, at, expect_staple=expect_staple)
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
        try:
            self._shown = show(certificates, self._context, self)
        except WireError as unreadable:
            self._refuse(Reason(Code.PATH_INVALID, str(unreadable)))
            raise HandshakeError(str(unreadable), unreadable.alert) from None
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
                self._judge(lambda: self._shown.verified, NAMES[self._version])
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

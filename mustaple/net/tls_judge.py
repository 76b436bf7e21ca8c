"""What OpenSSL's callbacks of one handshake come to: the captured flight and its secret in, the verdict out."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Final

from mustaple.core.decide import Situation, decide
from mustaple.core.errors import WireError
from mustaple.core.flight import MAX_FLIGHT_BYTES, CarriageError, Flight, Sent, read_flight
from mustaple.core.ocsp import judge_case
from mustaple.core.verdict import ChainVerdict, Code, Outcome, Reason, Source
from mustaple.core.wire import STATUS_REQUEST
from mustaple.net.service_name import ServiceName, name_reason
from mustaple.net.tls_errors import is_end_of_file, path_error, readable, unreadable_staples

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from cryptography import x509
    from OpenSSL import SSL, crypto

    from certtools.chain import Chain, Link
    from mustaple.core.policy import Policy
    from mustaple.core.verdict import Judgement
    from mustaple.net.tls_context import ClientContext

ENGINE: Final = "openssl"
_NOTHING: Final[frozenset[int]] = frozenset()
_NO_EVIDENCE: Final[Mapping[bytes, Sequence[Judgement]]] = MappingProxyType({})
NO_CHAIN: Final = Reason(Code.NO_CHAIN, "the server's certificates were not shown in this handshake")


class HandshakeJudge:
    """Judges one handshake. It is the `Observer` of its OpenSSL connection, but does not hold it: no reference cycle.

    `verdict` may stand while the handshake still goes on. `problem` is an exception that came up in a callback; C code
    cannot carry it, so whoever drives the handshake raises it. `engine` names the TLS library in verdicts; `offered`
    are the extensions with which its ClientHello asks for a status. `flight` is what the server sent, once it was read;
    `expect_staple` says that the host is remembered as an Expect-Staple host.
    """

    engine: ClassVar[str] = ENGINE

    def __init__(
        self, context: ClientContext, name: ServiceName, policy: Policy, at: datetime, *, expect_staple: bool = False
    ) -> None:
        self.verdict: ChainVerdict | None = None
        self.flight: Flight | None = None
        self.problem: BaseException | None = None
        self.offered = frozenset({STATUS_REQUEST})
        self._context = context
        self._name = name
        self._policy = policy
        self._at = at
        self._expect_staple = expect_staple
        self._captured: list[bytes] = []
        self._captured_bytes = 0
        self._secret: bytes | None = None
        self._situation: Situation | None = None

    @property
    def refused(self) -> bool:
        """Whether the verdict stands and refuses."""
        return self.verdict is not None and self.verdict.outcome is Outcome.REFUSED

    @property
    def wanted(self) -> tuple[Link, ...]:
        """The links for which a PENDING verdict wants evidence."""
        if self._situation is None or self.verdict is None:
            return ()
        return tuple(link for link in self._situation.chain.links if link.fingerprint in self.verdict.wanted)

    def capture(self, data: bytes) -> bool:
        """Keep bytes of the server's flight until the verdict stands; False, and a refusal, where they are too many."""
        if self.verdict is None:
            self._captured.append(data)
            self._captured_bytes += len(data)
            if self._captured_bytes > MAX_FLIGHT_BYTES:
                self._refuse(Reason(Code.WIRE, f"the server's flight is longer than {MAX_FLIGHT_BYTES} bytes"))
                return False
        return True

    def forget(self) -> None:
        """Let go of the flight and its secret."""
        self._captured.clear()
        self._secret = None

    # --- what OpenSSL tells (see tls_context.Observer)

    def on_secret(self, secret: bytes) -> None:
        """Keep the secret that opens the server's handshake records."""
        self._secret = secret

    def on_certificate(self, certificate: crypto.X509, error: int, depth: int, *, ok: bool) -> bool:
        """Refuse what OpenSSL finds wrong with the path, and a leaf for another name where no `on_status` follows."""
        try:
            if not ok:
                self._refuse(Reason(Code.PATH_INVALID, path_error(certificate, error, depth)))
            elif depth == 0 and not self._policy.asks_for_staples:
                mismatch = name_reason(readable(certificate.to_cryptography), self._name)
                if mismatch is not None:
                    self._refuse(mismatch)
        except WireError as unreadable:
            self._refuse(Reason(Code.PATH_INVALID, str(unreadable)))
        except BaseException as problem:  # noqa: BLE001 - raised again outside OpenSSL
            self.problem = problem
            return False
        return self.verdict is None

    def on_status(self, connection: SSL.Connection) -> bool:
        """Judge and decide, with the whole flight at hand and nothing sent in answer to it."""
        try:
            self._judge(partial(_verified, connection), connection.get_protocol_version_name())
        except WireError as unreadable:
            self._refuse(Reason(Code.PATH_INVALID, str(unreadable)))
        except BaseException as problem:  # noqa: BLE001 - raised again outside OpenSSL
            self.problem = problem
            return False
        return self.verdict is not None and not self.refused

    # --- when the handshake has ended

    def completed(self, connection: SSL.Connection) -> None:
        """Decide what no callback decided: `ignore` offers no status_request. Otherwise the session was resumed."""
        if self.verdict is not None:
            return
        if self._policy.asks_for_staples:
            self._refuse(NO_CHAIN)
        else:
            try:
                self._decide_unasked(_verified(connection), connection.get_protocol_version_name())
            except WireError as unreadable:
                self._refuse(Reason(Code.PATH_INVALID, str(unreadable)))

    def failed(self, error: SSL.Error) -> None:
        """Keep a refusal, drop any other verdict, and look for a staple that OpenSSL could not read.

        It reads them all itself, and ends the handshake over one that is not DER before the callback can say which.
        """
        if self.refused:
            return
        self.verdict = None
        if not self._policy.asks_for_staples or is_end_of_file(error):
            return
        try:
            self.flight = self._flight()
            reasons = unreadable_staples(self.flight, error)
        except CarriageError as fault:
            reasons = [wire_reason(fault)]
        except WireError:
            return  # the handshake did not come so far
        if reasons:
            self._refuse(*reasons)

    def supply(self, evidence: Mapping[bytes, Sequence[Judgement]]) -> ChainVerdict:
        """Decide again with more judgements, by fingerprint; RuntimeError where nothing has been decided."""
        if self._situation is None:
            raise RuntimeError("There is no verdict that evidence could change.")
        known = self._situation.evidence
        merged = {key: (*known.get(key, ()), *evidence.get(key, ())) for key in {*known, *evidence}}
        return self._decide(replace(self._situation, evidence=merged))

    # --- the verdict

    def _decide_unasked(self, verified: tuple[x509.Certificate, ...], protocol: str) -> None:
        """Decide where the policy asks for no status."""
        chain = self._context.path(verified)
        if chain is None:
            self._refuse(NO_CHAIN)
        else:
            self._decide(
                Situation(chain, self._at, protocol=protocol, engine=self.engine, expect_staple=self._expect_staple)
            )

    def _judge(self, verified: Callable[[], tuple[x509.Certificate, ...]], protocol: str) -> None:
        answered, evidence, unreadable, flight = _NOTHING, _NO_EVIDENCE, None, None
        try:
            flight = self.flight = self._flight()
        except WireError as error:
            chain, unreadable = self._context.path(verified()), wire_reason(error)
        else:
            chain = self._context.only_path(flight.sent) or self._context.path(verified())
            answered, protocol = flight.answered, flight.protocol
        if chain is None:
            self._refuse(NO_CHAIN)
            return
        if flight is not None:
            evidence = self._evidence(chain, flight.sent)
        mismatch = name_reason(chain.leaf, self._name)
        reasons = tuple([reason for reason in (mismatch, unreadable) if reason is not None])
        self._decide(
            Situation(
                chain,
                self._at,
                self.offered,
                answered,
                protocol,
                self.engine,
                evidence,
                reasons,
                expect_staple=self._expect_staple,
            )
        )

    def _flight(self) -> Flight:
        return read_flight(b"".join(self._captured), secret=self._secret, offered=self.offered)

    def _evidence(self, chain: Chain, sent: Sent) -> dict[bytes, list[Judgement]]:
        """Each staple judged for the certificate that it came with, if that is on the path."""
        staples = sent.staples
        hear, rules, at = self._context.hear, self._policy.rules, self._at
        return {
            link.fingerprint: [
                judge_case(hear(staple.response, link, rules), link, at, source=Source.STAPLE, origin=staple.origin)
                for staple in staples[link.fingerprint]
            ]
            for link in chain.links
            if link.fingerprint in staples
        }

    def _decide(self, situation: Situation) -> ChainVerdict:
        self._situation = situation
        self.verdict = verdict = decide(situation, self._policy)
        return verdict

    def _refuse(self, *reasons: Reason) -> None:
        self.verdict = ChainVerdict(
            Outcome.REFUSED, self._policy.name, self._at, checked=False, reasons=reasons, engine=self.engine
        )


def _verified(connection: SSL.Connection) -> tuple[x509.Certificate, ...]:
    verified = readable(lambda: connection.get_verified_chain(as_cryptography=True))
    return tuple(verified or ())


def wire_reason(error: WireError) -> Reason:
    """The reason for which such bytes are refused."""
    return Reason(Code.WIRE, str(error).rstrip("."))

"""The strict client's TLS on pyOpenSSL over memory BIOs: bytes in, bytes out, a verdict reached inside the handshake.

OpenSSL does the whole handshake. Its status callback comes when the server's flight is complete and its signatures
are verified, and before the client answers: there the staples are read from the captured flight, judged and decided.
A refusal ends the handshake with alert 113, so the server gets no client certificate and no application data.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from OpenSSL import SSL, crypto

from mustaple.core.decide import Situation, decide
from mustaple.core.errors import NetworkError, RefusedError, WireError
from mustaple.core.flight import MAX_FLIGHT_BYTES, CarriageError, Flight, read_flight
from mustaple.core.ocsp import judge
from mustaple.core.verdict import ChainVerdict, Code, Outcome, Reason, Source
from mustaple.core.wire import STATUS_REQUEST
from mustaple.net.service_name import ServiceName, name_reason
from mustaple.net.tls_errors import explain, is_end_of_file, path_error, unreadable_staples

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from certtools.chain import Chain, Link
    from mustaple.core.policy import Policy
    from mustaple.core.verdict import Judgement
    from mustaple.net.tls_context import ClientContext

ENGINE: Final = "openssl"
_SECRET: Final = b"SERVER_HANDSHAKE_TRAFFIC_SECRET "
_CHUNK: Final = 1 << 16


class ClientTLS:
    """One connection, without I/O: feed it with `receive`, send what `to_send` gives, until `done`.

    Then `verdict` stands, unless a NetworkError was raised on the way. A PENDING verdict waits for `supply`; only an
    accepted one lets application data through `read` and `write`. `at` is aware UTC, one moment for all of it.
    """

    def __init__(self, context: ClientContext, name: ServiceName, policy: Policy, at: datetime) -> None:
        self.done = False
        self._verdict: ChainVerdict | None = None
        self._context = context
        self._name = name
        self._policy = policy
        self._at = at
        self._captured: list[bytes] = []
        self._captured_bytes = 0
        self._secret: bytes | None = None
        self._situation: Situation | None = None
        self._problem: BaseException | None = None
        self._tls = SSL.Connection(context.openssl)
        self._tls.set_app_data(self)
        self._tls.set_connect_state()
        if name.server_name is not None:
            self._tls.set_tlsext_host_name(name.server_name)
        if policy.asks_for_staples:
            self._tls.request_ocsp()
        self._step()

    @property
    def verdict(self) -> ChainVerdict | None:
        """The verdict, once the handshake has ended; before that, and after a NetworkError, None."""
        return self._verdict if self.done else None

    @property
    def wanted(self) -> tuple[Link, ...]:
        """The links for which a PENDING verdict wants evidence."""
        if self._situation is None or self._verdict is None:
            return ()
        return tuple(link for link in self._situation.chain.links if link.fingerprint in self._verdict.wanted)

    def supply(self, evidence: Mapping[bytes, Sequence[Judgement]]) -> ChainVerdict:
        """Decide again with more judgements, by fingerprint; RuntimeError where nothing has been decided."""
        if self._situation is None:
            raise RuntimeError("There is no verdict that evidence could change.")
        known = self._situation.evidence
        merged = {key: (*known.get(key, ()), *evidence.get(key, ())) for key in {*known, *evidence}}
        return self._decide(replace(self._situation, evidence=merged))

    # --- the wire

    def receive(self, data: bytes) -> None:
        """Take bytes from the server; empty bytes mean that it will send no more.

        Raises NetworkError where the handshake fails for a reason that is no verdict: the peer's alert, bytes that
        are not TLS, the end of the stream. There may be bytes `to_send` even then.
        """
        if not data:
            self._tls.bio_shutdown()
        else:
            self._tls.bio_write(data)
            if not self.done and self._verdict is None:
                self._captured.append(data)
                self._captured_bytes += len(data)
        if not self.done:
            self._step()

    def to_send(self) -> bytes:
        """The bytes that wait to be sent to the server, at most once."""
        chunks = []
        while True:
            try:
                chunks.append(self._tls.bio_read(_CHUNK))
            except SSL.WantReadError:
                return b"".join(chunks)

    def _step(self) -> None:
        if self._captured_bytes > MAX_FLIGHT_BYTES:
            self._refuse(Reason(Code.WIRE, f"the server's flight is longer than {MAX_FLIGHT_BYTES} bytes"))
            self._end()
            return
        try:
            self._tls.do_handshake()
        except SSL.WantReadError:
            return
        except SSL.Error as error:
            self.done = True
            self._failed(error)
            self._end()
        else:
            self._end()
            self._finished()

    def _end(self) -> None:
        self.done = True
        self._captured.clear()
        self._secret = None

    def _failed(self, error: SSL.Error) -> None:
        """OpenSSL ended the handshake: for a reason of ours, for one to be read in the flight, or for its own."""
        self._raise_problem()
        if self._verdict is not None and self._verdict.outcome is Outcome.REFUSED:
            return
        # A handshake that fails after the decision, for want of a client certificate say, has no verdict to show.
        self._verdict = None
        unreadable = self._unreadable_staples(error)
        if unreadable:
            self._refuse(*unreadable)
            return
        raise NetworkError(explain(error)) from error

    def _unreadable_staples(self, error: SSL.Error) -> list[Reason]:
        """OpenSSL reads every staple itself, and ends the handshake over one that it cannot: the flight says which."""
        if not self._policy.asks_for_staples or is_end_of_file(error):
            return []
        try:
            flight = self._flight()
        except CarriageError as fault:
            return [Reason(Code.WIRE, str(fault).rstrip("."))]
        except WireError:
            return []  # the handshake did not come so far
        return unreadable_staples(flight, error)

    def _finished(self) -> None:
        self._raise_problem()
        if self._verdict is not None:
            return
        # Without status_request there was no callback. With it, a handshake without callback was a resumption.
        chain = None if self._policy.asks_for_staples else self._verified_chain()
        if chain is None:
            self._refuse(Reason(Code.NO_CHAIN, "the server's certificates were not shown in this handshake"))
        else:
            self._decide(Situation(chain, self._at, protocol=self._tls.get_protocol_version_name(), engine=ENGINE))

    def _raise_problem(self) -> None:
        if self._problem is not None:
            problem, self._problem = self._problem, None
            raise problem

    # --- application data, behind the verdict

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
            raise NetworkError(explain(error)) from error

    def close(self) -> None:
        """Say close_notify, if the handshake came that far; nothing can be written after it."""
        if self.done and self._verdict is not None:
            try:
                self._tls.shutdown()
            except SSL.Error:
                return

    def _admit(self) -> None:
        verdict = self.verdict
        if verdict is None:
            raise RuntimeError("The handshake has not been completed.")
        if not verdict.accepted:
            raise RefusedError(verdict)

    # --- what OpenSSL tells (see tls_context.Observer); an exception must not be lost in its C code

    def on_secret(self, line: bytes) -> None:
        """Keep the secret that opens the server's handshake records."""
        if line.startswith(_SECRET):
            self._secret = bytes.fromhex(line[line.rindex(b" ") + 1 :].decode("ascii"))

    def on_certificate(self, certificate: crypto.X509, error: int, depth: int, *, ok: bool) -> bool:
        """Refuse what OpenSSL finds wrong with the path, and a leaf for another name."""
        try:
            if not ok:
                self._refuse(Reason(Code.PATH_INVALID, path_error(certificate, error, depth)))
            elif depth == 0:
                mismatch = name_reason(certificate.to_cryptography(), self._name)
                if mismatch is not None:
                    self._refuse(mismatch)
        except BaseException as problem:  # noqa: BLE001 - raised again outside OpenSSL
            self._problem = problem
            return False
        return self._verdict is None

    def on_status(self) -> bool:
        """Judge and decide, with the whole flight at hand and nothing sent in answer to it."""
        try:
            self._judge()
        except BaseException as problem:  # noqa: BLE001 - raised again outside OpenSSL
            self._problem = problem
            return False
        return self._verdict is not None and self._verdict.outcome is not Outcome.REFUSED

    # --- the verdict

    def _judge(self) -> None:
        chain = self._verified_chain()
        if chain is None:
            self._refuse(Reason(Code.NO_CHAIN, "the server's certificates were not shown in this handshake"))
            return
        offered = frozenset({STATUS_REQUEST})
        try:
            flight = self._flight()
        except WireError as error:
            protocol = self._tls.get_protocol_version_name()
            reasons = (Reason(Code.WIRE, str(error).rstrip(".")),)
            self._decide(Situation(chain, self._at, offered, protocol=protocol, engine=ENGINE, reasons=reasons))
            return
        evidence = self._evidence(chain, flight)
        self._decide(Situation(chain, self._at, offered, flight.answered, flight.protocol, ENGINE, evidence))

    def _flight(self) -> Flight:
        return read_flight(b"".join(self._captured), secret=self._secret, offered=(STATUS_REQUEST,))

    def _evidence(self, chain: Chain, flight: Flight) -> dict[bytes, list[Judgement]]:
        """Each staple judged for the certificate that it came with, if that is on the path."""
        staples = flight.staples_by_fingerprint()
        return {
            link.fingerprint: [
                judge(
                    staple.response,
                    link,
                    self._at,
                    self._policy.rules,
                    source=Source.STAPLE,
                    origin=staple.origin,
                )
                for staple in staples[link.fingerprint]
            ]
            for link in chain.links
            if link.fingerprint in staples
        }

    def _verified_chain(self) -> Chain | None:
        return self._context.path(self._tls.get_verified_chain(as_cryptography=True) or ())

    def _decide(self, situation: Situation) -> ChainVerdict:
        self._situation = situation
        self._verdict = verdict = decide(situation, self._policy)
        return verdict

    def _refuse(self, *reasons: Reason) -> None:
        protocol = self._tls.get_protocol_version_name()
        self._verdict = ChainVerdict(
            Outcome.REFUSED,
            self._policy.name,
            self._at,
            checked=False,
            reasons=reasons,
            protocol=protocol if protocol in ("TLSv1.2", "TLSv1.3") else None,
            engine=ENGINE,
        )

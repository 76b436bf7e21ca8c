"""One server, its CA, and a relay before each: where one way of checking is measured, handshake by handshake."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from certtools.authority import MUST_STAPLE, Authority
from certtools.forge import Revoked, crl, good
from certtools.keys import generate_key
from mustaple.core.policy import Depth
from mustaple.core.verdict import Status
from mustaple.lab.cost.methods import Staple
from mustaple.lab.cost.relay import Relay
from mustaple.net.client import connect
from mustaple.net.responder import ResponderServer
from mustaple.net.responder.reply import UNAUTHORIZED, FunctionAnswers
from mustaple.net.server import StaplingServer
from mustaple.net.stapling_server import ChainStaplingServer
from mustaple.report.cost import Traffic

if TYPE_CHECKING:
    from certtools.authority import Issued
    from certtools.keys import PrivateKey
    from mustaple.core.verdict import ChainVerdict
    from mustaple.lab.cost.grid import Combination
    from mustaple.lab.cost.methods import Way
    from mustaple.net.responder.question import Question

NAME: Final = "localhost"
TIMEOUT: Final = 60.0  # seconds; what hangs is an error, and no measurement
_CRL: Final = "cost"
_SERIAL_BYTES: Final = 16
_ENTRY_BYTES: Final = 35  # a serial number of 16 bytes, a time, and what DER takes


@dataclass(frozen=True)
class Ground:
    """The certificates of one combination; `authorities` are those above the leaf, the root last."""

    leaf: Issued
    authorities: tuple[Authority, ...]
    at: datetime


class _Visit(NamedTuple):
    """One handshake: how long it took, and how many bytes of OCSP responses the server stapled."""

    seconds: float
    stapled: int


class Stand:
    """A way of checking, ready to be tried with one combination of keys and certificates; a context manager.

    `round_trip` (seconds) may be changed between handshakes.
    Raises InputError where the server's TLS library does not serve such keys, KeyKindError where there are none.
    """

    def __init__(self, way: Way, combination: Combination) -> None:
        self.way = way
        self._stack = ExitStack()
        self._crls: dict[str, bytes] = {}
        self._answers: dict[int, bytes] = {}
        self._ca = ResponderServer(FunctionAnswers(self._answer, self._crls))
        self._to_ca = Relay(self._ca.port)
        self._stack.callback(self._ca.close)
        self._stack.callback(self._to_ca.close)
        try:
            self._ground = _ground(way, combination, self._to_ca.url)
            self._prepare()
            self._server = self._serve()
            self._stack.callback(self._server.close)
            self._to_server = Relay(self._server.port)
            self._stack.callback(self._to_server.close)
        except BaseException:
            self._stack.close()
            raise

    @property
    def library(self) -> str:
        """The TLS library of the server."""
        return "OpenSSL" if isinstance(self._server, StaplingServer) else "tlslite-ng"

    def __enter__(self) -> Self:
        try:
            for each in (self._ca, self._to_ca, self._server, self._to_server):
                each.start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def round_trip(self) -> float:
        """The round-trip time to the server, and to the CA."""
        return self._to_server.round_trip

    @round_trip.setter
    def round_trip(self, seconds: float) -> None:
        self._to_server.round_trip = self._to_ca.round_trip = seconds

    def handshake(self) -> float:
        """Connect, check, close: the seconds until there was a connection that one may use.

        Raises RefusedError and NetworkError, and AssertionError where something else was done than this way says.
        """
        return self._visit().seconds

    def _visit(self) -> _Visit:
        began = time.perf_counter()
        connection = connect(
            NAME,
            self._to_server.port,
            self.way.policy,
            address=(self._to_server.host, self._to_server.port),
            ca=self._ground.authorities[-1].certificate,
            engine=self.way.engine,
            maximum=self.way.method.protocol,
            timeout=TIMEOUT,
        )
        seconds = time.perf_counter() - began
        with connection:
            self._was_done(connection.verdict)
            entries = connection.flight.entries if connection.flight is not None else ()
        return _Visit(seconds, sum(len(staple) for each in entries for staple in each.staples))

    def traffic(self) -> Traffic:
        """What one handshake sends, each connection with its end."""
        relays = (self._to_server, self._to_ca)
        for relay in relays:
            relay.settle()
            relay.passages.clear()
        visit = self._visit()
        for relay in relays:
            relay.settle()
        (to_server,), to_ca = self._to_server.passages, self._to_ca.passages
        return Traffic(
            to_server=to_server.sent,
            from_server=to_server.received,
            to_ca=sum(each.sent for each in to_ca),
            from_ca=sum(each.received for each in to_ca),
            ca_connections=len(to_ca),
            server_flight=to_server.first_flight,
            stapled=visit.stapled,
            ca_answer=max((each.first_flight for each in to_ca), default=0),
        )

    def _was_done(self, verdict: ChainVerdict) -> None:
        """What is soft may have accepted without having looked."""
        found = sum(each.status is Status.GOOD for each in verdict.certificates)
        if (verdict.protocol, found) != (self.way.method.protocol, self._checked):
            said = f"{verdict.protocol} with {found} certificates found good: {verdict.headline}"
            raise AssertionError(f"{self.way.method.name} came to {said}")

    @property
    def _checked(self) -> int:
        """How many certificates this way finds good."""
        if not self.way.checks:
            return 0
        return len(self._ground.authorities) if self.way.policy.depth is Depth.EVERY else 1

    def _answer(self, question: Question) -> bytes:
        return self._answers.get(question.cert_ids[0].serial_number, UNAUTHORIZED)

    def _prepare(self) -> None:
        """Sign whatever may be asked for, so that nobody waits for it."""
        leaf, authorities, at = self._ground.leaf, self._ground.authorities, self._ground.at
        self._responses = [
            good(link, issuer, at) for link, issuer in zip(leaf.as_chain().links, authorities, strict=True)
        ]
        for link, response in zip(leaf.as_chain().links, self._responses, strict=True):
            self._answers[link.serial_number] = response
        if self.way.crl is not None:
            entries, published = _revoked(self.way.crl // _ENTRY_BYTES), at - timedelta(hours=1)
            until = at + timedelta(days=6)
            self._crls[_CRL] = crl(authorities[0], entries, this_update=published, next_update=until, number=1)

    def _serve(self) -> StaplingServer | ChainStaplingServer:
        leaf = self._ground.leaf
        sent = leaf.chain[:-1]
        if self.way.staple is Staple.CHAIN:
            return ChainStaplingServer(sent, leaf.key, self._responses)
        staple = self._responses[0] if self.way.staple is Staple.LEAF else None
        return StaplingServer(sent, leaf.key, staple)


def _ground(way: Way, combination: Combination, ca: str) -> Ground:
    at = datetime.now(UTC)
    ocsp = (f"{ca}/",) if way.crl is None else ()
    crls = (f"{ca}/crl/{_CRL}.crl",) if way.crl is not None else ()
    keys = [_key(combination.key, place) for place in range(combination.certificates + 1)]
    begin, end = at - timedelta(days=30), at + timedelta(days=60)
    authorities = [Authority.root("cost root", key=keys[0], not_before=begin, not_after=end)]
    for place in range(1, combination.certificates):
        issuer = authorities[-1]
        authorities.append(issuer.intermediate(f"cost CA {place}", key=keys[place], ocsp_urls=ocsp, crl_urls=crls))
    features = None if way.staple is Staple.NOTHING else MUST_STAPLE
    leaf = authorities[-1].leaf([NAME], key=keys[-1], features=features, ocsp_urls=ocsp, crl_urls=crls)
    return Ground(leaf, tuple(reversed(authorities)), at)


@cache
def _key(kind: str, place: int) -> PrivateKey:
    """The key for one place of every chain, from the root down, so that RSA's are made once."""
    del place
    return generate_key(kind)


@cache
def _revoked(count: int) -> tuple[Revoked, ...]:
    """The entries of a CRL that long, none of them a certificate of ours."""
    first, when = 1 << (8 * _SERIAL_BYTES - 2), datetime.now(UTC) - timedelta(days=7)
    return tuple(Revoked(first + number, when) for number in range(count))

"""What a case puts before a client: certificates, staples, the bytes of the handshake, what the CA would answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.serialization import Encoding

from mustaple.core import wire
from mustaple.core.offer import Offer, answer_tls12, answer_tls13
from mustaple.lab.cases import handshake
from mustaple.lab.cases.handshake import TLS12, TLS13

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from cryptography import x509

    from certtools.authority import Signed
    from certtools.chain import Chain
    from certtools.keys import PrivateKey

BOTH: Final = frozenset({wire.STATUS_REQUEST, wire.STATUS_REQUEST_V2})


@dataclass(frozen=True, kw_only=True)
class Setup:
    """The situation of one case, for a client that connects to `name` at the time `at` (aware UTC).

    `chain` is the path, leaf first; its last certificate is what the client trusts, unless `anchor` says otherwise.
    `key` is the leaf's. `sent` are the certificates that the
    server sends (DER), and `staples` what it staples for each of them: None for nothing, empty bytes for an empty
    response. `ocsp` is what the CA's responder answers for each certificate below the anchor, `crls` the CRL for each;
    None where nobody answers. `nonce` is what the client's own OCSP request carries. Raises ValueError where staples,
    answers or CRLs are not one for each certificate.

    `offered` are the extensions with which the ClientHello asks for a status: 5 (RFC 6066), 17 (RFC 6961,
    `ocsp_multi`). In TLS 1.3 only 5 is acted upon. `flights` replaces, for a protocol, the handshake messages that an
    honest server would make of all this, header included, one after the other.
    """

    at: datetime
    name: str
    chain: Chain
    key: PrivateKey
    sent: tuple[bytes, ...]
    staples: tuple[bytes | None, ...]
    ocsp: tuple[bytes | None, ...]
    crls: tuple[bytes | None, ...]
    nonce: bytes | None = None
    anchor: x509.Certificate | None = None
    protocols: tuple[str, ...] = (TLS13, TLS12)
    offered: frozenset[int] = BOTH
    flights: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        if len(self.staples) != len(self.sent):
            raise ValueError(f"There are {len(self.staples)} staples for {len(self.sent)} certificates.")
        if not len(self.ocsp) == len(self.crls) == len(self.chain.links):
            raise ValueError(
                "There is not one OCSP answer and one CRL, or None, for each certificate below the anchor."
            )

    @property
    def trusted(self) -> x509.Certificate:
        """What the client trusts."""
        return self.anchor if self.anchor is not None else self.chain.top

    def flight(self, protocol: str, offered: frozenset[int]) -> bytes:
        """The server's handshake messages, as it sends them to a client that offers these extensions.

        A dishonest flight meets only those who ask for a status as `offered` says; whoever asks for none gets none.
        """
        if protocol in self.flights and offered:
            return self.flights[protocol]
        return self._honest_flights[protocol, offered]

    @cached_property
    def _honest_flights(self) -> _Flights:
        return _Flights(self)


class _Flights(dict[tuple[str, frozenset[int]], bytes]):
    """The flights of an honest server that staples what it has been given, made when they are asked for."""

    def __init__(self, setup: Setup) -> None:
        super().__init__()
        self._setup = setup

    def __missing__(self, asked: tuple[str, frozenset[int]]) -> bytes:
        protocol, offered = asked
        setup = self._setup
        offer = Offer(wire.STATUS_REQUEST in offered, (wire.OCSP_MULTI,) if wire.STATUS_REQUEST_V2 in offered else ())
        if protocol == TLS13:
            made = handshake.tls13(answer_tls13(offer, setup.staples, setup.sent))
        else:
            answer = answer_tls12(offer, setup.staples)
            made = handshake.tls12(setup.sent) if answer is None else handshake.tls12_answer(setup.sent, answer)
        self[asked] = made
        return made


def sent_chain(issued: Signed) -> tuple[bytes, ...]:
    """What an honest server sends: its path without the root, or the certificate alone where there is nothing above."""
    path = issued.chain[:-1] if len(issued.chain) > 1 else issued.chain
    return tuple(certificate.public_bytes(Encoding.DER) for certificate in path)

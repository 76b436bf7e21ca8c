"""What a server staples in answer to a ClientHello: it follows the offer, and staples nothing that nobody asked for.

In TLS 1.2 the ServerHello acknowledges one extension and a CertificateStatus follows the Certificate (RFC 6066 §8,
RFC 6961 §2.2, history); of 17 and 5, 17 is preferred, as JSSE does. In TLS 1.3 each certificate entry carries its own
staple, and extension 17 is never acted upon (RFC 9846 §4.5.1.1, RFC 8446 §4.4.2.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mustaple.core import wire

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Staples = Sequence[bytes | None]


@dataclass(frozen=True, slots=True)
class Offer:
    """What a ClientHello asks for: whether extension 5 is there, and the status types of 17 in their order."""

    status_request: bool = False
    status_request_v2: tuple[int, ...] = ()

    @property
    def extensions(self) -> frozenset[int]:
        """The numbers of the extensions that ask for a status: 5, 17, both or neither."""
        asked = {wire.STATUS_REQUEST: self.status_request, wire.STATUS_REQUEST_V2: bool(self.status_request_v2)}
        return frozenset(number for number, there in asked.items() if there)


@dataclass(frozen=True, slots=True)
class Answer:
    """The extension that the ServerHello of TLS 1.2 acknowledges, and the CertificateStatus that it announces."""

    extension: int
    status: wire.CertificateStatus


def read_offer(extensions: Mapping[int, bytes]) -> Offer:
    """Read extensions 5 and 17 out of those of a ClientHello, by number. Raises WireError where one is malformed.

    A status type that nobody here knows asks for nothing that could be answered, so extension 5 with such a type
    counts as not there: what follows the type cannot be read (RFC 6066 §8).
    """
    asked = extensions.get(wire.STATUS_REQUEST)
    known = asked is not None and not (asked and asked[0] != wire.OCSP)
    if known and asked is not None:
        wire.decode_status_request(asked)
    listed = extensions.get(wire.STATUS_REQUEST_V2)
    types = tuple(item.status_type for item in wire.decode_status_request_v2(listed)) if listed is not None else ()
    return Offer(known, types)


def answer_tls12(offer: Offer, staples: Staples) -> Answer | None:
    """What to staple in TLS 1.2; None where nothing was asked for or there is nothing to staple.

    `staples` are in the order of the certificates sent. None stands for a certificate without staple; empty bytes are
    an empty response on purpose, which only `ocsp_multi` allows. The list of `ocsp_multi` is as long as `staples`.
    """
    if all(staple is None for staple in staples):
        return None
    leaf = staples[0]
    for status_type in offer.status_request_v2:
        if status_type == wire.OCSP_MULTI:
            everyone = tuple(staple or b"" for staple in staples)
            return Answer(wire.STATUS_REQUEST_V2, wire.CertificateStatus(wire.OCSP_MULTI, everyone))
        if status_type == wire.OCSP and leaf is not None:
            return Answer(wire.STATUS_REQUEST_V2, wire.CertificateStatus(wire.OCSP, (leaf,)))
    if offer.status_request and leaf is not None:
        return Answer(wire.STATUS_REQUEST, wire.CertificateStatus(wire.OCSP, (leaf,)))
    return None


def answer_tls13(offer: Offer, staples: Staples, certificates: Sequence[bytes]) -> tuple[wire.CertificateEntry, ...]:
    """The entries of the Certificate message in TLS 1.3: each certificate (DER) with its staple, if 5 was offered.

    A staple beyond the last certificate has no place to stand in and is left out.
    """
    given = [*staples, *([None] * len(certificates))] if offer.status_request else [None] * len(certificates)
    return tuple(
        wire.CertificateEntry(certificate, () if staple is None else ((wire.STATUS_REQUEST, _ocsp(staple)),))
        for certificate, staple in zip(certificates, given, strict=False)
    )


def encode_unchecked(status: wire.CertificateStatus) -> bytes:
    """The body of a CertificateStatus, an empty `ocsp` response or an empty list too, which no honest server sends."""
    if status.status_type == wire.OCSP:
        return _ocsp(*status.responses)
    listed = b"".join(wire.vector(each, 3) for each in status.responses)
    return bytes([status.status_type]) + wire.vector(listed, 3)


def _ocsp(response: bytes) -> bytes:
    return bytes([wire.OCSP]) + wire.vector(response, 3)

"""How staples travel in TLS 1.3: in the extensions of each certificate entry, and what may not stand there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mustaple.core.wire import (
    OCSP_MULTI,
    STATUS_REQUEST,
    STATUS_REQUEST_V2,
    CertificateEntry,
    encode_certificate_tls13,
    encode_extensions,
    vector,
)
from mustaple.lab.cases import handshake
from mustaple.lab.cases.handshake import TLS13, multi, status
from mustaple.lab.cases.model import case
from mustaple.lab.cases.setup import sent_chain

if TYPE_CHECKING:
    from mustaple.lab.cases.setup import Setup
    from mustaple.lab.cases.world import World

_WIRE: Final[dict[str, Any]] = dict.fromkeys(("soft_fail", "must_staple", "hard_fail", "strict"), "wire")
_SCT: Final = 18


def _leaf_entry(world: World, *extensions: tuple[int, bytes]) -> Setup:
    """The usual server with these extensions in the leaf's entry; the intermediate's is honest."""
    leaf, ca = sent_chain(world.site.leaf)
    own = (STATUS_REQUEST, status(world.site.good(1)))
    return _body(world, encode_certificate_tls13([CertificateEntry(leaf, extensions), CertificateEntry(ca, (own,))]))


def _body(world: World, certificate: bytes) -> Setup:
    return world.site.served(protocols=(TLS13,), flights={TLS13: handshake.tls13_body(certificate)})


@case("RFC9846-4.5.1.1-1", "RFC9846-4.5.1-1")
def in_each_entry(world: World) -> Setup:
    """Each certificate entry holds its certificate's staple."""
    return _leaf_entry(world, (STATUS_REQUEST, status(world.site.good())))


@case("RFC9846-4.5.1.1-1", "RFC6066-8-2", **_WIRE)
def empty_response(world: World) -> Setup:
    """The leaf's entry holds a response of no bytes."""
    return _leaf_entry(world, (STATUS_REQUEST, status(b"")))


@case("RFC9846-4.5.1.1-1", "RFC9846-3.4-1", **_WIRE)
def empty_extension(world: World) -> Setup:
    """The leaf's entry holds an empty status_request, as a ServerHello of TLS 1.2 would."""
    return _leaf_entry(world, (STATUS_REQUEST, b""))


@case("RFC9846-3.4-1", **_WIRE)
def trailing_byte(world: World) -> Setup:
    """A byte follows the response in the leaf's entry."""
    return _leaf_entry(world, (STATUS_REQUEST, status(world.site.good()) + b"\0"))


@case("RFC9846-3.4-1", **_WIRE)
def length_too_great(world: World) -> Setup:
    """The response in the leaf's entry claims one byte more than there is."""
    return _leaf_entry(world, (STATUS_REQUEST, status(world.site.good())[:-1]))


@case("RFC9846-4.5.1.1-1", **_WIRE)
def multi_in_entry(world: World) -> Setup:
    """The leaf's entry holds a list of the type `ocsp_multi`, which TLS 1.3 does not know."""
    return _leaf_entry(world, (STATUS_REQUEST, multi(world.site.good(), world.site.good(1))))


@case("RFC9846-4.5.1.1-1", **_WIRE)
def unknown_type(world: World) -> Setup:
    """The CertificateStatus in the leaf's entry is of type 3, which nobody assigned."""
    return _leaf_entry(world, (STATUS_REQUEST, status(world.site.good(), OCSP_MULTI + 1)))


@case("RFC9846-4.3-1", **_WIRE)
def twice_in_entry(world: World) -> Setup:
    """The leaf's entry holds status_request twice, with the same good response."""
    told = (STATUS_REQUEST, status(world.site.good()))
    return _leaf_entry(world, told, told)


@case("RFC9846-4.5.1.1-2", **_WIRE)
def status_request_v2_in_entry(world: World) -> Setup:
    """The leaf's entry holds status_request_v2, which no server of TLS 1.3 sends."""
    told = (STATUS_REQUEST, status(world.site.good()))
    return _leaf_entry(world, told, (STATUS_REQUEST_V2, multi(world.site.good(), world.site.good(1))))


@case("RFC9846-4.3-1", **_WIRE)
def unoffered_in_entry(world: World) -> Setup:
    """The leaf's entry holds signed certificate timestamps beside the staple, which nobody asked for."""
    return _leaf_entry(world, (STATUS_REQUEST, status(world.site.good())), (_SCT, vector(b"", 2)))


@case("RFC9846-3.4-1", "RFC9846-4.5.1-1", **_WIRE)
def extensions_cut_short(world: World) -> Setup:
    """The extensions of the last entry claim one byte more than the message holds."""
    leaf, ca = sent_chain(world.site.leaf)
    entries = [
        vector(each, 3) + encode_extensions([(STATUS_REQUEST, status(staple))])
        for each, staple in ((leaf, world.site.good()), (ca, world.site.good(1)))
    ]
    return _body(world, b"\0" + vector(b"".join(entries)[:-1], 3))


@case("RFC9846-4.5.1-1", **_WIRE)
def context_not_empty(world: World) -> Setup:
    """The Certificate message has a request context, which only a client's may have."""
    leaf, ca = sent_chain(world.site.leaf)
    entries = [
        CertificateEntry(each, ((STATUS_REQUEST, status(staple)),))
        for each, staple in ((leaf, world.site.good()), (ca, world.site.good(1)))
    ]
    return _body(world, vector(b"context", 1) + encode_certificate_tls13(entries)[1:])


@case("RFC9846-4.5.1.3-1", **_WIRE)
def no_certificates(world: World) -> Setup:
    """The Certificate message holds no certificate."""
    return _body(world, b"\0" + vector(b"", 3))

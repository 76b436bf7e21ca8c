"""How staples travel in TLS 1.2: status_request (RFC 6066), `ocsp_multi` (RFC 6961), and what neither allows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mustaple.core.wire import OCSP, STATUS_REQUEST, STATUS_REQUEST_V2, vector
from mustaple.lab.cases import handshake
from mustaple.lab.cases.handshake import TLS12, multi, status
from mustaple.lab.cases.model import Importance, case

if TYPE_CHECKING:
    from mustaple.lab.cases.setup import Setup
    from mustaple.lab.cases.world import World

_WIRE: Final[dict[str, Any]] = dict.fromkeys(("soft_fail", "must_staple", "hard_fail", "strict"), "wire")
_FIVE: Final = ((STATUS_REQUEST, b""),)
_SEVENTEEN: Final = ((STATUS_REQUEST_V2, b""),)


def _answering(world: World, body: bytes | None, answered: tuple[tuple[int, bytes], ...], **said: Any) -> Setup:
    """The usual server with this CertificateStatus, and these extensions in its ServerHello."""
    honest = world.site.served(protocols=(TLS12,))
    flight = handshake.tls12(honest.sent, body, answered=answered, **said)
    return world.site.served(protocols=(TLS12,), flights={TLS12: flight})


@case("RFC6961-2.2-2", "RFC6961-2.2-4", "RFC6961-2.2-6")
def ocsp_multi(world: World) -> Setup:
    """Extension 17 is answered with `ocsp_multi`: one response for each certificate, in their order."""
    return _answering(world, multi(world.site.good(), world.site.good(1)), _SEVENTEEN)


@case("RFC6066-8-2", strict="no-staple")
def ocsp_by_status_request(world: World) -> Setup:
    """Extension 5 is answered with one response, the leaf's, though 17 was offered too."""
    return _answering(world, status(world.site.good()), _FIVE)


@case("RFC6961-2.2-5", strict="no-staple")
def ocsp_by_status_request_v2(world: World) -> Setup:
    """Extension 17 is answered with the type `ocsp`, one response for the leaf."""
    return _answering(world, status(world.site.good()), _SEVENTEEN)


@case("RFC6961-2.2-5", importance=Importance.CURIOUS)
def both_announced(world: World) -> Setup:
    """The ServerHello answers 5 and 17 both, where it should choose; `ocsp_multi` follows."""
    return _answering(world, multi(world.site.good(), world.site.good(1)), _FIVE + _SEVENTEEN)


@case(
    "RFC6066-8-4",
    "RFC7633-4.3.3-1",
    must_staple="promise-broken",
    hard_fail="promise-broken",
    strict="promise-broken",
)
def announced_and_not_sent(world: World) -> Setup:
    """The ServerHello announces a staple, and none comes, which RFC 6066 allows and the leaf's promise does not."""
    return _answering(world, None, _FIVE)


@case("RFC6961-2.2-3", strict="no-staple")
def short_list(world: World) -> Setup:
    """The list of `ocsp_multi` ends after the leaf's response."""
    return _answering(world, multi(world.site.good()), _SEVENTEEN)


@case("RFC6961-2.2-3", **_WIRE)
def long_list(world: World) -> Setup:
    """The list of `ocsp_multi` has more responses than there are certificates."""
    return _answering(world, multi(*[world.site.good(), world.site.good(1)] * 2), _SEVENTEEN)


@case("RFC6961-2.2-2", "RFC9846-3.4-1", **_WIRE)
def empty_list(world: World) -> Setup:
    """The list of `ocsp_multi` has no entry, not even an empty one."""
    return _answering(world, multi(), _SEVENTEEN)


@case(
    "RFC6961-2.2-2",
    "RFC7633-4.3.3-1",
    must_staple="promise-broken",
    hard_fail="promise-broken",
    strict="promise-broken",
)
def empty_entries(world: World) -> Setup:
    """The list of `ocsp_multi` has an empty entry for each certificate: the server has nothing."""
    return _answering(world, multi(b"", b""), _SEVENTEEN)


@case("RFC9846-3.4-1", **_WIRE)
def list_too_long_for_its_length(world: World) -> Setup:
    """The list of `ocsp_multi` is one byte longer than its length says."""
    listed = vector(world.site.good(), 3) + vector(world.site.good(1), 3)
    return _answering(world, b"\x02" + vector(listed[:-1], 3) + listed[-1:], _SEVENTEEN)


@case("RFC9846-3.4-1", **_WIRE)
def list_cut_short(world: World) -> Setup:
    """The last response of `ocsp_multi` claims one byte more than the list holds."""
    honest = vector(world.site.good(), 3) + vector(world.site.good(1), 3)
    return _answering(world, b"\x02" + vector(honest[:-1], 3), _SEVENTEEN)


@case("RFC9846-3.4-1", "RFC6066-8-2", **_WIRE)
def trailing_byte(world: World) -> Setup:
    """A byte follows the response in CertificateStatus."""
    return _answering(world, status(world.site.good()) + b"\0", _FIVE)


@case("RFC9846-3.4-1", "RFC6066-8-2", **_WIRE)
def length_too_great(world: World) -> Setup:
    """The response in CertificateStatus claims one byte more than there is."""
    return _answering(world, status(world.site.good())[:-1], _FIVE)


@case("RFC6066-8-2", **_WIRE)
def empty_response(world: World) -> Setup:
    """CertificateStatus of the type `ocsp` holds a response of no bytes."""
    return _answering(world, status(b""), _FIVE)


@case("RFC6066-8-3", **_WIRE)
def unannounced(world: World) -> Setup:
    """A CertificateStatus comes that the ServerHello did not announce."""
    return _answering(world, status(world.site.good()), ())


@case("RFC6961-2.2-4", **_WIRE)
def multi_unannounced(world: World) -> Setup:
    """The ServerHello announces 5, and `ocsp_multi` comes, which belongs to 17."""
    return _answering(world, multi(world.site.good(), world.site.good(1)), _FIVE)


@case("RFC6066-8-2", **_WIRE)
def unknown_type(world: World) -> Setup:
    """CertificateStatus is of type 3, which nobody assigned."""
    return _answering(world, status(world.site.good(), 3), _SEVENTEEN)


@case("RFC6066-8-3", **_WIRE)
def announcement_not_empty(world: World) -> Setup:
    """The ServerHello's extension 5 has content, where it must be empty."""
    return _answering(world, status(world.site.good()), ((STATUS_REQUEST, bytes([OCSP])),))


@case("RFC6066-8-3", **_WIRE)
def late(world: World) -> Setup:
    """CertificateStatus comes after ServerKeyExchange, where libraries no longer look for it."""
    return _answering(world, status(world.site.good()), _FIVE, late=True)


@case("RFC6066-8-3", **_WIRE)
def twice(world: World) -> Setup:
    """CertificateStatus comes twice: the good one, and another."""
    honest = world.site.served(protocols=(TLS12,))
    flight = handshake.tls12(honest.sent, status(world.site.good()), answered=_FIVE)
    told = handshake.message(handshake.CERTIFICATE_STATUS, status(world.site.good()))
    return world.site.served(protocols=(TLS12,), flights={TLS12: flight.replace(told, told + told)})

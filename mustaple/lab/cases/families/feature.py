"""The TLS Feature extension (RFC 7633): what leaves promise, what CAs pass on, and lists that cannot be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from certtools.authority import Issued
from certtools.drawing import serial_number
from certtools.feature import OID, encode_features
from certtools.keys import generate_key
from certtools.profile import leaf_profile, sign_certificate
from mustaple.lab.cases.handshake import TLS12
from mustaple.lab.cases.model import Importance, case
from mustaple.lab.cases.world import Site

if TYPE_CHECKING:
    from mustaple.lab.cases.setup import Setup
    from mustaple.lab.cases.world import World

_HEEDING: Final = ("must_staple", "hard_fail", "strict")
_BROKEN: Final[dict[str, Any]] = dict.fromkeys(_HEEDING, "promise-broken")
_MALFORMED: Final[dict[str, Any]] = dict.fromkeys(_HEEDING, "feature-malformed")
_NOT_INHERITED: Final[dict[str, Any]] = dict.fromkeys(_HEEDING, "feature-not-inherited")


# --- the leaf's own list


@case("RFC7633-4.3.3-1")
def five(world: World) -> Setup:
    """The leaf's list is [5], and every staple is there."""
    return world.site.served()


@case("RFC7633-4.3.3-1", "RFC7633-4.1-1", importance=Importance.SHOULD)
def five_and_seventeen(world: World) -> Setup:
    """The leaf's list is [5, 17], and every staple is there."""
    return world.site_of(features=(5, 17)).served()


@case("RFC7633-4.3.3-1", "RFC7633-4.2.3.1-1", importance=Importance.SHOULD, **_BROKEN)
def five_and_seventeen_leaf_staple_alone(world: World) -> Setup:
    """The leaf's list is [5, 17], which promises a staple for every certificate, and only the leaf's is there."""
    site = world.site_of(features=(5, 17))
    return site.served(site.good(), None)


@case("RFC7633-4.3.3-1", "RFC7633-4.2.3.1-1", importance=Importance.SHOULD)
def seventeen(world: World) -> Setup:
    """The leaf's list is [17], kept by `ocsp_multi` in TLS 1.2 and by a staple on every certificate in TLS 1.3."""
    return world.site_of(features=(17,)).served()


@case("RFC7633-4.3.3-1", "RFC7633-4.2.3.1-1", importance=Importance.SHOULD, **_BROKEN)
def seventeen_leaf_staple_alone(world: World) -> Setup:
    """The leaf's list is [17], and only the leaf's staple is there."""
    site = world.site_of(features=(17,))
    return site.served(site.good(), None)


@case("RFC7633-4.3.3-2", strict="no-staple")
def seventeen_not_offered(world: World) -> Setup:
    """The leaf's list is [17], and the client of TLS 1.2 does not know extension 17: nothing binds the server."""
    return world.site_of(features=(17,)).served(None, None, protocols=(TLS12,), offered=frozenset({5}))


@case("RFC7633-4.1-1", strict="no-staple")
def empty(world: World) -> Setup:
    """The leaf's list is empty, so it promises nothing, and nothing is stapled."""
    return world.site_of(features=()).served(None, None)


@case("RFC7633-4.1-1", "RFC7633-4.3.3-2", strict="no-staple")
def unknown(world: World) -> Setup:
    """The leaf's list is [99], an extension that nobody offers, and nothing is stapled."""
    return world.site_of(features=(99,)).served(None, None)


@case("RFC7633-4.1-1", "RFC7633-4.3.3-2")
def five_and_unknown(world: World) -> Setup:
    """The leaf's list is [5, 99], and every staple is there. Common libraries cannot parse it."""
    return world.site_of(features=(5, 99)).served()


@case("RFC7633-4.1-1", "RFC7633-4.3.3-1", **_BROKEN)
def five_and_unknown_no_staple(world: World) -> Setup:
    """The leaf's list is [5, 99], and nothing is stapled: what a library cannot parse was promised all the same."""
    return world.site_of(features=(5, 99)).served(None, None)


@case("RFC7633-4.1-1", "RFC7633-4.3.3-1", importance=Importance.SHOULD, **_BROKEN)
def five_twice_no_staple(world: World) -> Setup:
    """The leaf's list is [5, 5], and nothing is stapled."""
    return world.site_of(features=(5, 5)).served(None, None)


@case("RFC7633-4.1-1", importance=Importance.CURIOUS)
def huge_number(world: World) -> Setup:
    """The leaf's list is [5, 70000], more than any extension's number, and every staple is there."""
    return world.site_of(features=(5, 70_000)).served()


# --- lists that cannot be read


@case("RFC7633-4-1", **_MALFORMED)
def no_list(world: World) -> Setup:
    """The leaf's TLS Feature extension is an INTEGER, 5, and no list."""
    return _odd_site(world, bytes.fromhex("020105")).served()


@case("RFC7633-4-1", **_MALFORMED)
def trailing_byte(world: World) -> Setup:
    """A byte follows the list [5] in the leaf's extension."""
    return _odd_site(world, encode_features((5,)) + b"\0").served()


@case("RFC7633-4-1", importance=Importance.SHOULD, **_MALFORMED)
def ber_length(world: World) -> Setup:
    """The list [5] has its length in two bytes, as BER allows and DER does not: readers could differ."""
    return _odd_site(world, bytes.fromhex("308103020105")).served()


@case("RFC7633-4-1", **_MALFORMED)
def no_list_no_staple(world: World) -> Setup:
    """The leaf's TLS Feature extension cannot be read, and nothing is stapled: that is no "nothing was promised"."""
    return _odd_site(world, b"\x05\x00").served(None, None)


@case(
    "RFC7633-4-2",
    importance=Importance.CURIOUS,
    ignore="path-invalid",
    soft_fail="path-invalid",
    must_staple="path-invalid",
    hard_fail="path-invalid",
    strict="path-invalid",
)
def critical(world: World) -> Setup:
    """The leaf's list [5] is marked critical. OpenSSL verifies our paths, and refuses what it does not know."""
    return _odd_site(world, encode_features((5,)), critical=True).served()


# --- what a CA's list passes on


@case("RFC7633-4.2.2-1", "RFC7633-4.2.2-2")
def inherited(world: World) -> Setup:
    """The CA's list is [5] and so is the leaf's."""
    return world.site_of(world.authority("CA with [5]", features=(5,))).served()


@case("RFC7633-4.2.2-2", importance=Importance.SHOULD, **_NOT_INHERITED)
def not_inherited(world: World) -> Setup:
    """The CA's list is [5], and its leaf has none: a CA that promised it for all issued one without."""
    return world.site_of(world.authority("CA with [5]", features=(5,)), features=None).served()


@case("RFC7633-4.2.2-2", importance=Importance.SHOULD, **_NOT_INHERITED)
def inherited_in_part(world: World) -> Setup:
    """The CA's list is [5, 17] and the leaf's is [5]."""
    return world.site_of(world.authority("CA with [5, 17]", features=(5, 17))).served()


@case("RFC7633-4.2.2-2", importance=Importance.SHOULD)
def more_than_inherited(world: World) -> Setup:
    """The CA's list is [5] and the leaf's is [5, 17]: more is allowed."""
    return world.site_of(world.authority("CA with [5]", features=(5,)), features=(5, 17)).served()


@case("RFC7633-4.2.2-2", importance=Importance.CURIOUS, **_NOT_INHERITED)
def unknown_not_inherited(world: World) -> Setup:
    """The CA's list is [99], and the leaf's is [5]."""
    return world.site_of(world.authority("CA with [99]", features=(99,))).served()


@case("RFC7633-4.2.2-2", importance=Importance.SHOULD, **_NOT_INHERITED)
def not_inherited_by_intermediate(world: World) -> Setup:
    """The upper CA's list is [5], the lower CA has none, and the leaf's is [5] again."""
    upper = world.authority("upper CA with [5]", features=(5,))
    return world.site_of(world.authority("lower CA without", upper)).served()


@case("RFC7633-4.2.2-2", strict="no-staple")
def promise_of_intermediate_binds_no_server(world: World) -> Setup:
    """The CA's list is [5]: it binds what the CA issues, and asks for no staple for the CA itself."""
    site = world.site_of(world.authority("CA with [5]", features=(5,)))
    return site.served(site.good(), None)


def _odd_site(world: World, features: bytes, *, critical: bool = False) -> Site:
    """A server whose leaf has these bytes for its TLS Feature extension, which no honest issuer writes."""
    key, ca = generate_key(), world.ca
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, world.name)])
    builder = (
        x509.CertificateBuilder(issuer_name=ca.certificate.subject, subject_name=name)
        .public_key(key.public_key())
        .serial_number(serial_number())
        .not_valid_before(ca.certificate.not_valid_before_utc)
        .not_valid_after(ca.certificate.not_valid_after_utc)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(world.name)]), critical=False)
        .add_extension(x509.UnrecognizedExtension(OID, features), critical=critical)
    )
    profile = leaf_profile(None, [world.url], [], client_auth=True)
    certificate = sign_certificate(builder, key.public_key(), profile, ca.key, ca.certificate)
    return Site(world, Issued(certificate, (certificate, *ca.path), key), ca)

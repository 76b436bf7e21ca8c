"""What the answer says as a whole: good, revoked, unknown, an error, or nothing that is an answer at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from certtools.extensions import RawExtension
from certtools.forge.scene import UNKNOWN_OID
from mustaple.lab.cases.handshake import TLS12
from mustaple.lab.cases.model import Importance, case, noted

if TYPE_CHECKING:
    from mustaple.lab.cases.setup import Setup
    from mustaple.lab.cases.world import World


def _refused(code: str) -> dict[str, Any]:
    """By those who heed the leaf's promise; soft fail asks the responder, who has a good answer."""
    return {"must_staple": code, "hard_fail": code, "strict": code}


_REVOKED: Final[dict[str, Any]] = {"soft_fail": "revoked", **_refused("revoked")}


@case("RFC6960-2.2-1")
def good(world: World) -> Setup:
    """The staple says good."""
    return world.site.served(world.site.saying())


@case("RFC6960-2.2-3", **_REVOKED)
def revoked(world: World) -> Setup:
    """The staple says revoked, for key compromise, though the responder was told to say good."""
    return world.site.served(world.site.forged("revoked"))


@case("RFC6960-2.2-3", **_REVOKED)
def unpromised_revoked(world: World) -> Setup:
    """The staple says revoked, for a leaf that promised none."""
    return world.unbound.served(world.unbound.forged("revoked"))


@case("RFC6960-2.2-3", **_REVOKED)
def revoked_without_reason(world: World) -> Setup:
    """The staple says revoked, and not why."""
    return world.site.served(world.site.forged("revoked-without-reason"))


@case("RFC6960-2.2-3", **_REVOKED)
def on_hold(world: World) -> Setup:
    """The staple says revoked with the reason certificateHold, and is fresh."""
    return world.site.served(world.site.forged("revoked-on-hold"))


@case("RFC6960-2.2-2", **_refused("unknown"))
def unknown(world: World) -> Setup:
    """The staple says that the responder does not know the certificate. Asked again, it does."""
    return world.site.served(world.site.forged("unknown"))


@case("RFC6960-2.2-2", soft_fail=noted("unknown"), **_refused("unknown"))
def unknown_everywhere(world: World) -> Setup:
    """The staple says unknown, and so does the responder."""
    said = world.site.forged("unknown")
    return world.site.served(said, ocsp=[said])


@case(
    "RFC6960-2.2-2",
    soft_fail=noted("unknown"),
    must_staple=noted("unknown"),
    hard_fail="unknown",
    strict="unknown",
)
def unpromised_unknown_everywhere(world: World) -> Setup:
    """The staple says unknown of a leaf that promised none, and so does the responder."""
    said = world.unbound.forged("unknown")
    return world.unbound.served(said, ocsp=[said])


@case("RFC6960-4.2.1-2", **_refused("error-status"))
def malformed_request(world: World) -> Setup:
    """The server staples the error malformedRequest."""
    return world.site.served(world.site.forged("malformed-request"))


@case("RFC6960-4.2.1-2", **_refused("error-status"))
def internal_error(world: World) -> Setup:
    """The server staples the error internalError."""
    return world.site.served(world.site.forged("internal-error"))


@case("RFC6960-4.2.1-2", soft_fail=noted("error-status"), **_refused("error-status"))
def try_later(world: World) -> Setup:
    """The server staples the error tryLater, and the responder says the same."""
    said = world.site.forged("try-later")
    return world.site.served(said, ocsp=[said])


@case("RFC6960-4.2.1-2", **_refused("error-status"))
def sig_required(world: World) -> Setup:
    """The server staples the error sigRequired."""
    return world.site.served(world.site.forged("sig-required"))


@case("RFC6960-4.2.1-2", **_refused("error-status"))
def unauthorized(world: World) -> Setup:
    """The server staples the error unauthorized."""
    return world.site.served(world.site.forged("unauthorized"))


@case(
    "RFC6960-4.2.1-2",
    soft_fail=noted("error-status"),
    must_staple=noted("error-status"),
    hard_fail="error-status",
    strict="no-staple",
)
def fetched_error(world: World) -> Setup:
    """Nothing is stapled, nothing was promised, and the responder says tryLater to who asks it."""
    return world.unbound.served(None, None, ocsp=[world.unbound.forged("try-later")])


@case("RFC6960-4.2.1-1", **_refused("malformed"))
def unassigned_status(world: World) -> Setup:
    """The staple's responseStatus is 4, which nobody assigned."""
    return world.site.served(bytes.fromhex("30030a0104"))


@case("RFC6960-4.2.1-1", **_refused("malformed"))
def nothing_in_it(world: World) -> Setup:
    """The staple says successful and holds no answer."""
    return world.site.served(world.site.forged("no-response-bytes"))


@case("RFC6960-4.2.1-3", **_refused("response-type"))
def other_type(world: World) -> Setup:
    """The staple's type is not id-pkix-ocsp-basic."""
    return world.site.served(world.site.forged("not-basic"))


@case("RFC6960-4.2.1-1", **_refused("malformed"))
def garbage(world: World) -> Setup:
    """The staple is noise."""
    return world.site.served(world.site.forged("garbage"))


@case("RFC6960-4.2.1-1", **_refused("malformed"))
def html(world: World) -> Setup:
    """The staple is a web page: the server stapled whatever came from the responder's address."""
    return world.site.served(world.site.forged("html"))


@case("RFC6960-4.2.1-1", **_refused("malformed"))
def pem(world: World) -> Setup:
    """The staple is a good response, in PEM."""
    return world.site.served(world.site.forged("pem"))


@case("RFC6960-4.2.1-1", **_refused("malformed"))
def truncated(world: World) -> Setup:
    """The staple's last ten bytes are missing."""
    return world.site.served(world.site.forged("truncated"))


@case("RFC6960-4.2.1-1", importance=Importance.SHOULD, **_refused("trailing-bytes"))
def trailing_byte(world: World) -> Setup:
    """A byte follows a good response."""
    return world.site.served(world.site.forged("trailing-bytes"))


@case("RFC6960-4.2.1-1", importance=Importance.SHOULD, **_refused("trailing-bytes"))
def trailing_byte_inside(world: World) -> Setup:
    """A byte follows the BasicOCSPResponse inside a good response."""
    return world.site.served(world.site.forged("trailing-bytes-inside"))


@case("RFC6960-4.2.1-4", importance=Importance.CURIOUS)
def large(world: World) -> Setup:
    """The staple is good and 40 KB long, for the sake of an extension that nobody knows."""
    return world.site.served(_padded(world, 40_000))


@case("RFC6960-4.2.1-4", importance=Importance.CURIOUS, **_refused("oversized"))
def oversized(world: World) -> Setup:
    """The staple is good and longer than the 64 KiB that ours reads. An extension of TLS 1.3 could not hold it."""
    return world.site.served(_padded(world, 65_536), protocols=(TLS12,))


def _padded(world: World, size: int) -> bytes:
    padding = b"\x04\x83" + size.to_bytes(3, "big") + bytes(size)  # an OCTET STRING of zeros
    return world.site.singles(extensions=(RawExtension(UNKNOWN_OID, critical=False, value=padding),))

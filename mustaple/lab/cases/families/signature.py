"""Signatures on staples: broken, forged, lent from another answer, or under another's name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from asn1crypto.ocsp import BasicOCSPResponse, OCSPResponse

from certtools.forge.ocsp import wrap
from mustaple.lab.cases.model import Importance, case

if TYPE_CHECKING:
    from mustaple.lab.cases.setup import Setup
    from mustaple.lab.cases.world import World

_BAD: Final[dict[str, Any]] = dict.fromkeys(("must_staple", "hard_fail", "strict"), "bad-signature")
_MISNAMED: Final[dict[str, Any]] = dict.fromkeys(_BAD, "responder-id-mismatch")


@case("RFC6960-3.2-2", "RFC6960-4.2.2.3-1")
def issuer(world: World) -> Setup:
    """The issuer signed the staple itself, in its own name."""
    return world.site.served(world.site.singles())


@case("RFC6960-4.2.2.3-1", "RFC9919-3.2.2-1")
def by_key(world: World) -> Setup:
    """The staple names its signer by the hash of its key, as RFC 9919 asks of new responders."""
    return world.site.served(world.site.forged("by-key"))


@case("RFC6960-3.2-2", **_BAD)
def flipped_bit(world: World) -> Setup:
    """One bit of the staple's signature is flipped."""
    return world.site.served(world.site.forged("bad-signature"))


@case("RFC6960-3.2-2", strict="bad-signature")
def flipped_bit_intermediate(world: World) -> Setup:
    """One bit of the signature on the intermediate's staple is flipped."""
    return world.site.served(world.site.good(), world.site.forged("bad-signature", 1))


@case("RFC6960-3.2-2", **_BAD)
def forged(world: World) -> Setup:
    """A stranger signed the staple under the issuer's name."""
    return world.site.served(world.site.forged("forged-signature"))


@case("RFC6960-3.2-2", **_BAD)
def lent(world: World) -> Setup:
    """A thief puts "good" in the place of "revoked", under the signature that the CA made for "revoked"."""
    whole, lender = (_basic(each) for each in (world.site.good(), world.site.forged("revoked")))
    whole["signature"] = lender["signature"]
    return world.site.served(wrap(whole.dump()))


@case("RFC6960-3.2-2", **_BAD)
def other_algorithm(world: World) -> Setup:
    """The staple says that it was signed over SHA-384, and was signed over SHA-256."""
    basic = _basic(world.site.good())
    basic["signature_algorithm"] = {"algorithm": "sha384_ecdsa"}
    return world.site.served(wrap(basic.dump()))


@case("RFC6960-3.2-2", **_BAD)
def empty(world: World) -> Setup:
    """The staple has a signature of no bytes."""
    basic = _basic(world.site.good())
    basic["signature"] = b""
    return world.site.served(wrap(basic.dump()))


@case("RFC6960-4.2.2.3-1", importance=Importance.SHOULD, **_MISNAMED)
def other_name(world: World) -> Setup:
    """The issuer signed the staple in another CA's name."""
    return world.site.served(world.site.forged("wrong-responder-name"))


@case("RFC6960-4.2.2.3-1", importance=Importance.SHOULD, **_MISNAMED)
def other_key(world: World) -> Setup:
    """The issuer signed the staple, and the responderID holds the hash of another key."""
    return world.site.served(world.site.forged("wrong-responder-key"))


@case("RFC6960-3.2-3", importance=Importance.SHOULD)
def issuer_sent_along(world: World) -> Setup:
    """The issuer signed the staple and put its own certificate in, which nobody needs."""
    return world.site.served(world.site.singles(certificates=(world.ca.certificate,)))


@case("RFC6960-3.2-3", importance=Importance.SHOULD)
def stranger_sent_along(world: World) -> Setup:
    """The issuer signed the staple, and a certificate that has nothing to do with it is in it."""
    return world.site.served(world.site.singles(certificates=(world.rogue.certificate,)))


def _basic(response: bytes) -> BasicOCSPResponse:
    return BasicOCSPResponse.load(OCSPResponse.load(response)["response_bytes"]["response"].contents)

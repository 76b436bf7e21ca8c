"""Staples signed with algorithms or keys that can be forged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives import hashes

from mustaple.lab.cases.model import Importance, case, noted

if TYPE_CHECKING:
    from mustaple.lab.cases.setup import Setup
    from mustaple.lab.cases.world import World

_WEAK: Final[dict[str, Any]] = dict.fromkeys(("must_staple", "hard_fail", "strict"), "weak-signature")


@case("RFC6960-5.1.1-1")
def sha256(world: World) -> Setup:
    """The staple is signed over SHA-256: the good twin of this family."""
    return world.site.served(world.site.singles(signature_hash=hashes.SHA256()))


@case("RFC6960-5.1.1-1", importance=Importance.SHOULD, **_WEAK)
def sha1(world: World) -> Setup:
    """The staple is signed over SHA-1, which browsers of old took."""
    return world.site.served(world.site.forged("sha1-signature"))


@case("RFC6960-5.1.1-1", importance=Importance.SHOULD, strict="weak-signature")
def sha1_intermediate(world: World) -> Setup:
    """The intermediate's staple is signed over SHA-1."""
    return world.site.served(world.site.good(), world.site.forged("sha1-signature", 1))


@case(
    "RFC6960-2.2-3",
    "RFC6960-5.1.1-1",
    importance=Importance.CURIOUS,
    soft_fail="revoked",
    must_staple="revoked",
    hard_fail="revoked",
    strict="revoked",
)
def sha1_says_revoked(world: World) -> Setup:
    """The staple says revoked, over SHA-1. What some policies believe when it says good stands when it says revoked."""
    scene = world.site.scene()
    return world.site.served(scene.response(scene.single(status="revoked"), signature_hash=hashes.SHA1()))


@case("RFC6960-5.1.1-1", **_WEAK)
def md5(world: World) -> Setup:
    """The staple is signed over MD5, by a delegate with an RSA key."""
    return world.site.served(world.site.forged("md5-signature"))


@case("RFC6960-5.1.1-1", soft_fail=noted("weak-signature"), **_WEAK)
def md5_responder_down(world: World) -> Setup:
    """The staple is signed over MD5, and the CA's responder does not answer."""
    return world.site.served(world.site.forged("md5-signature"), ocsp=())


@case("RFC6960-5.1.1-1", **_WEAK)
def short_key(world: World) -> Setup:
    """The delegate that signed the staple has an RSA key of 1024 bits."""
    return world.site.served(world.site.forged("short-key"))

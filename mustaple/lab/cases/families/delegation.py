"""Who may sign in the issuer's place (RFC 6960 §4.2.2.2): a delegate that the issuer itself designated, now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from certtools.authority import Authority
from certtools.forge import ResponderId
from mustaple.lab.cases.model import Importance, case, noted

if TYPE_CHECKING:
    from mustaple.lab.cases.setup import Setup
    from mustaple.lab.cases.world import World

_UNAUTHORIZED: Final[dict[str, Any]] = dict.fromkeys(("must_staple", "hard_fail", "strict"), "unauthorized-responder")
_EXPIRED: Final[dict[str, Any]] = dict.fromkeys(_UNAUTHORIZED, "delegate-expired")


@case("RFC6960-4.2.2.2-1", "RFC6960-4.2.2.2-2", "RFC6960-4.2.2.2-4")
def delegate(world: World) -> Setup:
    """A delegate with id-kp-OCSPSigning and id-pkix-ocsp-nocheck signed the leaf's staple."""
    return world.site.served(world.site.forged("delegated"))


@case("RFC6960-4.2.2.2-1", "RFC6960-4.2.2.3-1")
def delegate_by_key(world: World) -> Setup:
    """A delegate signed the staple, and names itself by the hash of its key."""
    scene = world.site.scene()
    return world.site.served(scene.response(signer=scene.delegate(), responder_id=ResponderId.KEY))


@case("RFC6960-4.2.2.2-2")
def delegate_of_root(world: World) -> Setup:
    """The root's delegate signed the intermediate's staple, which the root may let it do."""
    return world.site.served(world.site.good(), world.site.forged("delegated", 1))


@case(
    "RFC6960-2.2-3",
    "RFC6960-4.2.2.2-1",
    soft_fail="revoked",
    must_staple="revoked",
    hard_fail="revoked",
    strict="revoked",
)
def delegate_says_revoked(world: World) -> Setup:
    """A delegate says that the leaf is revoked."""
    scene = world.site.scene()
    revoked = scene.single(status="revoked")
    return world.site.served(scene.response(revoked, signer=scene.delegate()))


@case("RFC6960-3.2-3", "RFC6960-4.2.2.2-2", **_UNAUTHORIZED)
def of_stranger(world: World) -> Setup:
    """A stranger's delegate signed the staple."""
    return world.site.served(world.site.forged("delegate-of-rogue"))


@case("RFC6960-4.2.2.2-2", **_UNAUTHORIZED)
def of_namesake(world: World) -> Setup:
    """The delegate was designated by a CA of the issuer's name with another key."""
    return world.site.served(world.site.forged("delegate-of-namesake"))


@case("RFC6960-4.2.2.2-2", **_UNAUTHORIZED)
def of_parent(world: World) -> Setup:
    """The root's delegate signed the leaf's staple: it speaks for what the root issued, and the root issued no leaf."""
    return world.site.served(world.site.forged("delegate-of-parent"))


@case("RFC6960-4.2.2.2-2", strict="unauthorized-responder")
def of_child(world: World) -> Setup:
    """The intermediate's own delegate signed the intermediate's staple: whoever holds a CA's key would clear the CA."""
    scene = world.site.scene(1)
    return world.site.served(world.site.good(), scene.response(signer=scene.delegate(world.ca)))


@case("RFC6960-4.2.2.2-2", **_UNAUTHORIZED)
def of_delegate(world: World) -> Setup:
    """A delegate designated another delegate, who signed the staple."""
    scene = world.site.scene()
    first = scene.delegate()
    return world.site.served(scene.response(signer=scene.delegate(Authority(first.certificate, first.key))))


@case("RFC6960-3.2-3", **_UNAUTHORIZED)
def stranger(world: World) -> Setup:
    """Another CA signed the staple in its own name and put its certificate in."""
    return world.site.served(world.site.forged("rogue-signer"))


@case("RFC6960-3.2-3", **_UNAUTHORIZED)
def root(world: World) -> Setup:
    """The root signed the leaf's staple: it stands above the issuer, and is not the issuer."""
    return world.site.served(world.site.singles(signer=world.root))


@case("RFC6960-4.2.2.2-1", **_UNAUTHORIZED)
def leaf(world: World) -> Setup:
    """A thief signs the staple with the leaf's own key, and puts the leaf in."""
    return world.site.served(world.site.singles(signer=world.site.leaf, certificates=(world.site.leaf.certificate,)))


@case("RFC6960-4.2.2.2-1", **_UNAUTHORIZED)
def without_purpose(world: World) -> Setup:
    """The delegate's certificate is a TLS server's: any customer of the CA could sign so."""
    return world.site.served(world.site.forged("delegate-without-purpose"))


@case("RFC6960-4.2.2.2-1", **_UNAUTHORIZED)
def without_any_purpose(world: World) -> Setup:
    """The delegate's certificate has no extended key usage."""
    return world.site.served(world.site.forged("delegate-without-any-purpose"))


@case("RFC6960-4.2.2.2-1", importance=Importance.SHOULD, **_UNAUTHORIZED)
def any_purpose(world: World) -> Setup:
    """The delegate's certificate has anyExtendedKeyUsage, which designates nobody."""
    return world.site.served(world.site.forged("delegate-any-purpose"))


@case("RFC6960-4.2.2.2-1", importance=Importance.SHOULD, **_UNAUTHORIZED)
def may_not_sign(world: World) -> Setup:
    """The delegate's keyUsage does not let it sign."""
    return world.site.served(world.site.forged("delegate-may-not-sign"))


@case(
    "RFC6960-4.2.2.2.1-1",
    importance=Importance.CURIOUS,
    soft_fail=noted("delegate-unchecked"),
    must_staple=noted("delegate-unchecked"),
    hard_fail=noted("delegate-unchecked"),
    strict="delegate-unchecked",
)
def without_nocheck(world: World) -> Setup:
    """The delegate's certificate lacks id-pkix-ocsp-nocheck, so nobody proved that it is not revoked itself."""
    return world.site.served(world.site.forged("delegate-without-nocheck"))


@case(
    "RFC6960-2.2-3",
    "RFC6960-4.2.2.2.1-1",
    importance=Importance.CURIOUS,
    soft_fail="revoked",
    must_staple="revoked",
    hard_fail="revoked",
    strict="revoked",
)
def without_nocheck_says_revoked(world: World) -> Setup:
    """A delegate whose certificate lacks id-pkix-ocsp-nocheck says that the leaf is revoked."""
    scene = world.site.scene()
    revoked = scene.single(status="revoked")
    return world.site.served(scene.response(revoked, signer=scene.delegate(nocheck=False)))


@case("RFC6960-3.2-4", **_EXPIRED)
def expired(world: World) -> Setup:
    """The delegate's certificate expired a day ago; its answer is fresh."""
    return world.site.served(world.site.forged("delegate-expired"))


@case("RFC6960-3.2-4", **_EXPIRED)
def not_yet_valid(world: World) -> Setup:
    """The delegate's certificate will be valid tomorrow."""
    return world.site.served(world.site.forged("delegate-not-yet-valid"))


@case("RFC6960-3.2-2", must_staple="bad-signature", hard_fail="bad-signature", strict="bad-signature")
def not_sent(world: World) -> Setup:
    """A delegate signed the staple, and its certificate is not in it."""
    return world.site.served(world.site.forged("delegate-not-sent"))


@case("RFC6960-4.2.2.2-1", importance=Importance.SHOULD)
def among_strangers(world: World) -> Setup:
    """The delegate's certificate is in the staple, behind a stranger's."""
    scene = world.site.scene()
    signer = scene.delegate()
    certificates = (world.rogue.certificate, signer.certificate)
    return world.site.served(scene.response(signer=signer, certificates=certificates))


@case(
    "RFC6960-4.2.2.2-1",
    importance=Importance.CURIOUS,
    must_staple="bad-signature",
    hard_fail="bad-signature",
    strict="bad-signature",
)
def behind_a_crowd(world: World) -> Setup:
    """The delegate's certificate is in the staple behind eight others. Ours tries eight, and no more."""
    scene = world.site.scene()
    signer = scene.delegate()
    crowd = tuple(scene.delegate().certificate for _ in range(8))
    return world.site.served(scene.response(signer=signer, certificates=(*crowd, signer.certificate)))

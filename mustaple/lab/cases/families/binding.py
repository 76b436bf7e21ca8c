"""Whose answer it is: a staple proves something of one certificate of one issuer, and nothing of any other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from certtools.authority import Authority
from certtools.chain import Link
from mustaple.lab.cases.model import Importance, case
from mustaple.lab.cases.world import DAY, Site

if TYPE_CHECKING:
    from mustaple.lab.cases.setup import Setup
    from mustaple.lab.cases.world import World

_OTHER: Final[dict[str, Any]] = dict.fromkeys(("must_staple", "hard_fail", "strict"), "other-certificate")
_UNSIGNED: Final[dict[str, Any]] = dict.fromkeys(_OTHER, "bad-signature")


@case("RFC6960-3.2-1", "RFC6960-4.1.1-1")
def own(world: World) -> Setup:
    """The staple is for this certificate, by the hashes that everybody uses (SHA-1)."""
    return world.site.served(world.site.saying())


@case("RFC6960-4.1.1-1", "RFC6960-3.2-1", importance=Importance.SHOULD)
def sha256(world: World) -> Setup:
    """The staple names its issuer by SHA-256, as RFC 9919 has new clients ask for it."""
    return world.site.served(world.site.saying(hash_algorithm="sha256"))


@case("RFC6960-4.1.1-1", "RFC6960-3.2-1", importance=Importance.CURIOUS)
def sha512(world: World) -> Setup:
    """The staple names its issuer by SHA-512."""
    return world.site.served(world.site.saying(hash_algorithm="sha512"))


@case("RFC6960-4.1.1-1", must_staple="cert-id-hash", hard_fail="cert-id-hash", strict="cert-id-hash")
def md5(world: World) -> Setup:
    """The staple names its issuer by MD5, by which two issuers can have one name."""
    return world.site.served(world.site.forged("cert-id-md5"))


@case("RFC6960-3.2-1", **_OTHER)
def other_certificate(world: World) -> Setup:
    """A thief staples the good answer for another certificate of the same CA."""
    return world.site.served(world.site.forged("other-certificate"))


@case("RFC6960-3.2-1", **_OTHER)
def other_issuer_name(world: World) -> Setup:
    """The staple has this serial number and this issuer's key, under another issuer's name."""
    return world.site.served(world.site.forged("other-issuer-name"))


@case("RFC6960-3.2-1", **_OTHER)
def other_issuer_key(world: World) -> Setup:
    """The staple has this serial number and this issuer's name, with the hash of another key."""
    return world.site.served(world.site.forged("other-issuer-key"))


@case("RFC6960-3.2-1", **_OTHER)
def other_issuer(world: World) -> Setup:
    """The staple is for this serial number of another CA, signed by this one."""
    return world.site.served(world.site.forged("other-issuer"))


@case("RFC6960-3.2-1", "RFC6960-3.2-3", **_UNSIGNED)
def other_issuer_in_its_own_name(world: World) -> Setup:
    """Another CA issued the same serial number, and its honest answer for that certificate is stapled."""
    link = Link(world.site.links[0].subject, world.rogue.certificate)
    scene = world.site.scene(link=link, issuer=world.rogue)
    return world.site.served(scene.response())


@case("RFC6960-3.2-1", "RFC6960-3.2-2", **_UNSIGNED)
def namesake_issuer(world: World) -> Setup:
    """A CA of the same name and another key vouches for the serial number."""
    name = world.ca.certificate.subject
    namesake = Authority.root(name, not_before=world.at - DAY, not_after=world.at + DAY)
    link = Link(world.site.links[0].subject, namesake.certificate)
    return world.site.served(world.site.scene(link=link, issuer=namesake).response())


@case("RFC6960-3.2-1", "RFC6960-3.2-3", importance=Importance.SHOULD)
def renewed_issuer(world: World) -> Setup:
    """The CA has a new certificate for its old name and key. Answers it made under the old one are as good."""
    old = Site(world, world.site.leaf, world.authority("mustaple corpus CA", key=world.ca.key))
    response = old.scene(link=Link(old.leaf.certificate, old.ca.certificate)).response()
    return world.site.served(response)


@case("RFC9846-4.5.1.1-1", "RFC6961-2.2-2", "RFC6960-3.2-1", **_UNSIGNED)
def swapped(world: World) -> Setup:
    """The leaf's good answer is stapled to the intermediate, and the intermediate's to the leaf."""
    return world.site.served(world.site.good(1), world.site.good(0))


@case("RFC9846-4.5.1.1-1", "RFC6960-3.2-1", strict="bad-signature")
def leaf_staple_twice(world: World) -> Setup:
    """The leaf's good answer is stapled to the intermediate too."""
    return world.site.served(world.site.good(), world.site.good())


@case("RFC6960-3.2-1", **_OTHER)
def neighbour_serial(world: World) -> Setup:
    """The staple is for the serial number after this one."""
    serial_number = world.site.links[0].serial_number + 1
    return world.site.served(world.site.saying(serial_number=serial_number))

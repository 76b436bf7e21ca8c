"""How far up a client looks: which certificate of the chain is revoked, unknown or without a staple."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.serialization import Encoding

from certtools.chain import Chain
from certtools.forge import single
from mustaple.lab.cases.handshake import TLS13
from mustaple.lab.cases.model import Importance, case
from mustaple.lab.cases.setup import sent_chain

if TYPE_CHECKING:
    from certtools.authority import Authority, Issued
    from mustaple.lab.cases.setup import Setup
    from mustaple.lab.cases.world import Site, World

_REVOKED: Final[dict[str, Any]] = dict.fromkeys(("soft_fail", "must_staple", "hard_fail", "strict"), "revoked")


def _tall(world: World, **said: Any) -> Site:
    """Root, upper CA, lower CA, leaf."""
    return world.site_of(world.authority("lower CA", world.authority("upper CA")), **said)


@case("RFC9846-4.5.1.1-1", "RFC6961-2.2-2")
def under_root(world: World) -> Setup:
    """The root issued the leaf itself, so the leaf's staple is all there can be."""
    return world.site_of(world.root).served()


@case("RFC6960-2.2-3", **_REVOKED)
def under_root_revoked(world: World) -> Setup:
    """The root issued the leaf itself, and says that it is revoked."""
    site = world.site_of(world.root)
    return site.served(site.forged("revoked"))


@case("RFC9846-4.5.1.1-1", "RFC6961-2.2-2")
def two_intermediates(world: World) -> Setup:
    """Two CAs stand between root and leaf, and each certificate has its staple."""
    return _tall(world).served()


@case("RFC6960-2.2-3", **_REVOKED)
def two_intermediates_leaf_revoked(world: World) -> Setup:
    """Two CAs stand between root and leaf, and the leaf is revoked."""
    site = _tall(world)
    return site.served(site.forged("revoked"))


@case("RFC6960-2.2-3", strict="revoked")
def lower_revoked(world: World) -> Setup:
    """The CA that issued the leaf is revoked, and its staple says so. Who looks at the leaf alone is content."""
    site = _tall(world)
    revoked = site.forged("revoked", 1)
    return site.served(site.good(), revoked, ocsp=[site.good(), revoked, site.good(2)])


@case("RFC6960-2.2-3", strict="revoked")
def upper_revoked(world: World) -> Setup:
    """The CA above the one that issued the leaf is revoked, and its staple says so."""
    site = _tall(world)
    revoked = site.forged("revoked", 2)
    return site.served(site.good(), site.good(1), revoked, ocsp=[site.good(), site.good(1), revoked])


@case("RFC9846-4.5.1.1-1", "RFC6961-2.2-3", strict="no-staple")
def upper_not_stapled(world: World) -> Setup:
    """The leaf and the CA that issued it have good staples, the CA above it has none."""
    site = _tall(world)
    return site.served(site.good(), site.good(1), None)


@case("RFC9846-4.5.1.1-1", "RFC6960-2.2-3", strict="no-staple")
def lower_revoked_and_stripped(world: World) -> Setup:
    """A thief holds the key of the CA that issued the leaf, which is revoked, and staples everything but that."""
    site = _tall(world)
    return site.served(site.good(), None, site.good(2), ocsp=[site.good(), site.forged("revoked", 1), site.good(2)])


@case("RFC6960-2.2-2", strict="unknown")
def intermediate_unknown(world: World) -> Setup:
    """The root's responder does not know the intermediate."""
    return world.site.served(world.site.good(), world.site.forged("unknown", 1))


@case("RFC7633-4.3.3-1", "RFC6960-2.2-3", must_staple="revoked", hard_fail="revoked", strict="revoked")
def promised_for_all_intermediate_revoked(world: World) -> Setup:
    """The leaf's list [5, 17] promises a staple for every certificate, and the intermediate's says revoked."""
    site = world.site_of(features=(5, 17))
    return site.served(site.good(), site.forged("revoked", 1))


@case("RFC9846-4.5.1.1-1", importance=Importance.SHOULD)
def trusted_intermediate(world: World) -> Setup:
    """The client trusts the intermediate itself, so the chain ends there, and the leaf's staple is enough."""
    site = world.site
    chain = Chain((site.leaf.certificate, world.ca.certificate))
    return site.served(site.good(), None, chain=chain)


@case(
    "RFC5280-6.1-1",
    importance=Importance.CURIOUS,
    must_staple="nothing-to-check",
    hard_fail="nothing-to-check",
    strict="nothing-to-check",
)
def trusted_leaf(world: World) -> Setup:
    """The client trusts the leaf itself: nobody stands above it who could say anything of it."""
    leaf = world.site.leaf
    chain = Chain((leaf.certificate,))
    return world.site.served(chain=chain)


@case("RFC9846-4.5.1-1", "RFC6961-2.2-6", importance=Importance.SHOULD)
def root_sent(world: World) -> Setup:
    """The server sends the root too, without a staple, as Java's servers do."""
    site = world.site
    return site.served(site.good(), site.good(1), None, sent=_with(site, world.root))


@case("RFC9846-4.5.1.1-1", importance=Importance.CURIOUS)
def stranger_sent(world: World) -> Setup:
    """The server sends one more certificate, which is not on the path, and whose staple says revoked."""
    site, scene = world.site, world.unbound.scene()
    staple = scene.response(single(scene.link, scene.at, status="revoked"))
    return site.served(site.good(), site.good(1), staple, sent=_with(site, world.unbound.leaf))


@case("RFC9846-4.5.1.1-1", importance=Importance.SHOULD)
def out_of_order(world: World) -> Setup:
    """The server sends the upper CA before the lower one, each with its own staple, as TLS 1.3 lets it."""
    site = _tall(world)
    leaf, lower, upper = sent_chain(site.leaf)
    return site.served(site.good(), site.good(2), site.good(1), sent=(leaf, upper, lower))


@case("RFC9846-4.5.1.1-1", importance=Importance.CURIOUS)
def leaf_sent_twice(world: World) -> Setup:
    """The server sends the leaf twice, with an old staple and with a fresh one: both are the leaf's evidence."""
    site = world.site
    sent = (*sent_chain(site.leaf), sent_chain(site.leaf)[0])
    return site.served(site.forged("expired"), site.good(1), site.good(), sent=sent)


@case("RFC9846-4.5.1.1-1", "RFC6960-2.2-3", importance=Importance.SHOULD, **_REVOKED)
def leaf_sent_twice_once_revoked(world: World) -> Setup:
    """The server sends the leaf twice, with a staple that says good and with one that says revoked."""
    site = world.site
    sent = (*sent_chain(site.leaf), sent_chain(site.leaf)[0])
    return site.served(site.good(), site.good(1), site.forged("revoked"), sent=sent, protocols=(TLS13,))


def _with(site: Site, extra: Authority | Issued) -> tuple[bytes, ...]:
    return (*sent_chain(site.leaf), extra.certificate.public_bytes(Encoding.DER))

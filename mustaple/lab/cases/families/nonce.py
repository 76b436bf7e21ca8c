"""Nonces (RFC 9654): in a staple nobody asked for one; in an answer that was fetched, it is the one that was sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from asn1crypto.core import OctetString

from certtools.forge.ocsp import basic_response, response_data, wrap
from mustaple.lab.cases.model import Importance, case, noted

if TYPE_CHECKING:
    from mustaple.lab.cases.setup import Setup
    from mustaple.lab.cases.world import World

# A policy that fetches nothing says what it says of every server that staples nothing.
_REPLAYED: Final[dict[str, Any]] = {
    "soft_fail": noted("nonce-mismatch"),
    "must_staple": noted("nonce-mismatch"),
    "hard_fail": "nonce-mismatch",
    "strict": "no-staple",
}


@case("RFC9919-5-4")
def in_staple(world: World) -> Setup:
    """The staple has a nonce, the one that the server's own request carried. The client sent none."""
    return world.site.served(world.site.singles(nonce=world.nonce))


@case("RFC9919-5-4", importance=Importance.SHOULD)
def in_staple_of_one_byte(world: World) -> Setup:
    """The staple has a nonce of one byte."""
    return world.site.served(world.site.singles(nonce=b"\0"))


@case("RFC9919-5-3")
def not_in_staple(world: World) -> Setup:
    """The client sends nonces where it asks, and the staple has none: nobody asked for the staple."""
    return world.site.served(nonce=world.nonce)


@case("RFC9654-2.1-1", strict="no-staple")
def came_back(world: World) -> Setup:
    """Nothing is stapled; the responder's good answer has the nonce that was sent."""
    return _fetched(world, world.unbound.singles(nonce=world.nonce))


@case(
    "RFC9919-5-3",
    importance=Importance.SHOULD,
    soft_fail=noted("nonce-mismatch"),
    must_staple=noted("nonce-mismatch"),
    hard_fail=noted("nonce-mismatch"),
    strict="no-staple",
)
def did_not_come_back(world: World) -> Setup:
    """Nothing is stapled; the responder's good answer was signed ahead and has no nonce. It is taken, with a note."""
    return _fetched(world, world.unbound.singles(nonce=None))


@case("RFC9654-2.1-1", **_REPLAYED)
def another_came_back(world: World) -> Setup:
    """Nothing is stapled; the responder's good answer has the nonce of another request."""
    return _fetched(world, world.unbound.singles(nonce=bytes(len(world.nonce))))


@case("RFC9654-2.1-1", **_REPLAYED)
def half_came_back(world: World) -> Setup:
    """Nothing is stapled; the responder's good answer has the first half of the nonce that was sent."""
    return _fetched(world, world.unbound.singles(nonce=world.nonce[: len(world.nonce) // 2]))


@case("RFC9654-2.1-1", "RFC9654-2.1-2", **_REPLAYED)
def malformed_came_back(world: World) -> Setup:
    """Nothing is stapled; the nonce in the responder's answer is the one sent, as a UTF8String."""
    scene = world.unbound.scene()
    data = response_data(scene.answer(nonce=world.nonce), scene.issuer)
    sent = OctetString(world.nonce).dump()
    odd = data.replace(sent, b"\x0c" + sent[1:])
    return _fetched(world, wrap(basic_response(odd, scene.issuer)))


def _fetched(world: World, answer: bytes) -> Setup:
    return world.unbound.served(None, None, ocsp=[answer], nonce=world.nonce)

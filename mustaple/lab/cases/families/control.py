"""Certificates whose path or name is wrong, whatever is stapled: every client refuses them, and takes the good one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mustaple.lab.cases.model import case
from mustaple.lab.cases.world import DAY

if TYPE_CHECKING:
    from mustaple.lab.cases.setup import Setup
    from mustaple.lab.cases.world import World

_PATH: Final[dict[str, Any]] = dict.fromkeys(
    ("ignore", "soft_fail", "must_staple", "hard_fail", "strict"), "path-invalid"
)
_NAME: Final[dict[str, Any]] = dict.fromkeys(_PATH, "name-mismatch")


@case("RFC5280-6-1")
def all_well(world: World) -> Setup:
    """Path, name and every staple are good. Who refuses this one has been set up wrongly."""
    return world.site.served()


@case(**_NAME)
def other_name(world: World) -> Setup:
    """The certificate is good, and for another server than the one asked for."""
    return world.site.served(name="another.mustaple.test")


@case("RFC5280-6-1", **_PATH)
def untrusted_root(world: World) -> Setup:
    """Everything is good, under a root that nobody trusts."""
    return world.site_of(world.rogue).served(anchor=world.root.certificate)


@case("RFC5280-6-1", **_PATH)
def expired_leaf(world: World) -> Setup:
    """The server's certificate expired yesterday, and its staple is fresh."""
    return world.site_of(not_after=world.at - DAY).served()


@case("RFC5280-6-1", **_PATH)
def leaf_of_tomorrow(world: World) -> Setup:
    """The server's certificate is valid from tomorrow on."""
    return world.site_of(not_before=world.at + DAY).served()


@case("RFC5280-6-1", **_PATH)
def expired_intermediate(world: World) -> Setup:
    """The CA's certificate expired yesterday, and every staple is fresh."""
    return world.site_of(world.authority("expired CA", not_after=world.at - DAY)).served()


@case("RFC5280-6-1", **_PATH)
def missing_intermediate(world: World) -> Setup:
    """The server forgets to send its CA's certificate."""
    honest = world.site.served()
    return world.site.served(world.site.good(), sent=honest.sent[:1])

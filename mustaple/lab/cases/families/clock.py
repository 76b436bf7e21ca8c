"""Edges to the second: the last moment that passes and the first that does not, where clocks may be a minute apart."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from mustaple.lab.cases.model import Importance, case, noted
from mustaple.lab.cases.world import DAY

if TYPE_CHECKING:
    from mustaple.lab.cases.setup import Setup
    from mustaple.lab.cases.world import World

SECOND: Final = timedelta(seconds=1)
SKEW: Final = timedelta(seconds=60)
MAX_AGE: Final = timedelta(days=10)

_SHOULD: Final[dict[str, Any]] = {"importance": Importance.SHOULD}


def _refused(code: str) -> dict[str, Any]:
    """By those who heed the leaf's promise; soft fail asks the responder, who has a good answer."""
    return {"must_staple": code, "hard_fail": code, "strict": code, **_SHOULD}


@case("RFC6960-3.2-6")
def next_update_now(world: World) -> Setup:
    """nextUpdate is this very second."""
    return world.site.served(world.site.saying(next_update=world.at))


@case("RFC9919-5-2", **_SHOULD)
def next_update_within_the_skew(world: World) -> Setup:
    """nextUpdate was exactly a minute ago."""
    return world.site.served(world.site.saying(next_update=world.at - SKEW))


@case("RFC9919-5-2", "RFC6960-3.2-6", **_refused("expired"))
def next_update_beyond_the_skew(world: World) -> Setup:
    """nextUpdate was a minute and a second ago."""
    return world.site.served(world.site.saying(next_update=world.at - SKEW - SECOND))


@case("RFC6960-4.2.2.1-1")
def this_update_now(world: World) -> Setup:
    """thisUpdate is this very second."""
    return world.site.served(world.site.saying(this_update=world.at))


@case("RFC6960-4.2.2.1-1", "RFC9919-5-2", **_SHOULD)
def this_update_within_the_skew(world: World) -> Setup:
    """thisUpdate is in exactly a minute."""
    return world.site.served(world.site.saying(this_update=world.at + SKEW))


@case("RFC6960-4.2.2.1-1", "RFC9919-5-2", **_refused("not-yet-valid"))
def this_update_beyond_the_skew(world: World) -> Setup:
    """thisUpdate is in a minute and a second."""
    return world.site.served(world.site.saying(this_update=world.at + SKEW + SECOND))


@case("RFC6960-3.2-5", **_SHOULD)
def just_young_enough(world: World) -> Setup:
    """The staple is ten days and a minute old, and good for another day."""
    this_update = world.at - MAX_AGE - SKEW
    return world.site.served(world.site.saying(this_update=this_update, next_update=world.at + DAY))


@case("RFC6960-3.2-5", **_refused("too-old"))
def just_too_old(world: World) -> Setup:
    """The staple is ten days, a minute and a second old, and good for another day."""
    this_update = world.at - MAX_AGE - SKEW - SECOND
    return world.site.served(world.site.saying(this_update=this_update, next_update=world.at + DAY))


@case("RFC9919-5-1", "RFC6960-3.2-5", **_refused("no-next-update"))
def no_next_update_just_young_enough(world: World) -> Setup:
    """The staple names no nextUpdate and is ten days and a minute old; the responder is down. Soft fail takes it."""
    staple = world.site.saying(this_update=world.at - MAX_AGE - SKEW, next_update=None)
    return world.site.served(staple, ocsp=())


@case("RFC9919-5-1", "RFC6960-3.2-5", soft_fail=noted("too-old"), **_refused("no-next-update"))
def no_next_update_just_too_old(world: World) -> Setup:
    """The staple names no nextUpdate and is ten days, a minute and a second old; the responder is down."""
    staple = world.site.saying(this_update=world.at - MAX_AGE - SKEW - SECOND, next_update=None)
    return world.site.served(staple, ocsp=())


@case("RFC6960-4.2.2.1-2", importance=Importance.CURIOUS)
def window_of_one_moment(world: World) -> Setup:
    """thisUpdate and nextUpdate are the same second, this one."""
    return world.site.served(world.site.saying(this_update=world.at, next_update=world.at))


@case("RFC6960-4.2.2.1-2", **_refused("inverted-window"))
def window_inverted_by_a_second(world: World) -> Setup:
    """thisUpdate is now, and nextUpdate was a second ago."""
    return world.site.served(world.site.saying(this_update=world.at, next_update=world.at - SECOND))


@case("RFC6960-3.2-4")
def delegate_expires_now(world: World) -> Setup:
    """The certificate of the delegate that signed the staple is valid up to this very second."""
    scene = world.site.scene()
    return world.site.served(scene.response(signer=scene.delegate(not_after=world.at)))


@case("RFC6960-3.2-4", **_refused("delegate-expired"))
def delegate_expired_a_second_ago(world: World) -> Setup:
    """The delegate's certificate was valid up to the second before this one."""
    scene = world.site.scene()
    return world.site.served(scene.response(signer=scene.delegate(not_after=world.at - SECOND)))


@case("RFC6960-3.2-4", **_SHOULD)
def delegate_begins_within_the_skew(world: World) -> Setup:
    """The delegate's certificate is valid from in exactly a minute."""
    scene = world.site.scene()
    return world.site.served(scene.response(signer=scene.delegate(not_before=world.at + SKEW)))


@case("RFC6960-3.2-4", **_refused("delegate-expired"))
def delegate_begins_beyond_the_skew(world: World) -> Setup:
    """The delegate's certificate is valid from in a minute and a second."""
    scene = world.site.scene()
    return world.site.served(scene.response(signer=scene.delegate(not_before=world.at + SKEW + SECOND)))

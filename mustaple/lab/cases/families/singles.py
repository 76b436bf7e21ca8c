"""Answers about several certificates, or about one of them twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from certtools.forge import single
from mustaple.lab.cases.model import Importance, case
from mustaple.lab.cases.world import DAY

if TYPE_CHECKING:
    from mustaple.lab.cases.setup import Setup
    from mustaple.lab.cases.world import World

_REVOKED: Final[dict[str, Any]] = dict.fromkeys(("soft_fail", "must_staple", "hard_fail", "strict"), "revoked")
_CONTRADICTION: Final[dict[str, Any]] = dict.fromkeys(("must_staple", "hard_fail", "strict"), "contradiction")
_OTHER: Final[dict[str, Any]] = dict.fromkeys(_CONTRADICTION, "other-certificate")


@case("RFC6960-4.2.2.3-2")
def good_among_others(world: World) -> Setup:
    """The answer is about two certificates; the second is this one, and good."""
    return world.site.served(world.site.forged("several-good"))


@case("RFC6960-4.2.2.3-2")
def other_one_revoked(world: World) -> Setup:
    """The answer is about two certificates: the first is another, revoked; the second is this one, good."""
    scene = world.site.scene()
    return world.site.served(scene.response(single(scene.other, scene.at, status="revoked"), scene.single()))


@case("RFC6960-4.2.2.3-2", importance=Importance.CURIOUS)
def good_among_a_hundred(world: World) -> Setup:
    """The answer is about a hundred certificates, this one the last."""
    scene = world.site.scene()
    base = scene.link.serial_number
    crowd = [scene.single(serial_number=base + number) for number in range(1, 100)]
    return world.site.served(scene.response(*crowd, scene.single()))


@case("RFC6960-4.2.2.3-2", **_REVOKED)
def revoked_among_others(world: World) -> Setup:
    """The answer is about two certificates: the first is another, good; the second is this one, revoked."""
    return world.site.served(world.site.forged("several-revoked"))


@case("RFC6960-3.2-1", "RFC6960-4.2.2.3-2", **_OTHER)
def others_alone(world: World) -> Setup:
    """The answer is about two certificates, neither of them this one."""
    return world.site.served(world.site.forged("several-others"))


@case("RFC6960-3.2-1", **_OTHER)
def none_at_all(world: World) -> Setup:
    """The answer is about no certificate."""
    return world.site.served(world.site.forged("no-singles"))


@case("RFC6960-4.2.2.3-2", "RFC6960-2.2-3", **_REVOKED)
def good_and_revoked(world: World) -> Setup:
    """The answer says good and then revoked of this certificate: what is revoked stays so."""
    return world.site.served(world.site.forged("contradiction"))


@case("RFC6960-4.2.2.3-2", "RFC6960-2.2-3", **_REVOKED)
def revoked_and_good(world: World) -> Setup:
    """The answer says revoked and then good of this certificate."""
    return world.site.served(world.site.forged("contradiction-reversed"))


@case("RFC6960-4.2.2.3-2", "RFC6960-2.2-3", **_REVOKED)
def newer_good_and_revoked(world: World) -> Setup:
    """The answer says revoked yesterday, and good an hour ago, of this certificate."""
    scene = world.site.scene()
    old = scene.single(status="revoked", this_update=scene.at - DAY, next_update=scene.at + DAY)
    return world.site.served(scene.response(old, scene.single()))


@case("RFC6960-4.2.2.3-2", importance=Importance.SHOULD, **_CONTRADICTION)
def good_and_unknown(world: World) -> Setup:
    """The answer says both good and unknown of this certificate, with the same times."""
    scene = world.site.scene()
    return world.site.served(scene.response(scene.single(), scene.single(status="unknown")))


@case("RFC6960-4.2.2.3-2", importance=Importance.CURIOUS)
def good_twice(world: World) -> Setup:
    """The answer says good of this certificate twice: once long expired, once fresh. The newer counts."""
    scene = world.site.scene()
    old = scene.single(this_update=scene.at - 9 * DAY, next_update=scene.at - 5 * DAY)
    return world.site.served(scene.response(old, scene.single()))


@case("RFC6960-2.2-3", importance=Importance.CURIOUS, **_REVOKED)
def revoked_from_tomorrow(world: World) -> Setup:
    """The answer says revoked, at a time that is tomorrow: whoever says so does not trust the key any more."""
    return world.site.served(world.site.saying(status="revoked", revocation_time=world.at + DAY))

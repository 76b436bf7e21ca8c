"""Extensions of a response and of a SingleResponse: known or not, critical or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from asn1crypto.core import GeneralizedTime, Null

from certtools.extensions import RawExtension
from certtools.forge import single
from certtools.forge.scene import UNKNOWN_OID
from mustaple.lab.cases.model import Importance, case
from mustaple.lab.cases.world import DAY

if TYPE_CHECKING:
    from mustaple.lab.cases.setup import Setup
    from mustaple.lab.cases.world import World

_CRITICAL: Final[dict[str, Any]] = dict.fromkeys(("must_staple", "hard_fail", "strict"), "critical-extension")
_ARCHIVE_CUTOFF: Final = "1.3.6.1.5.5.7.48.1.6"
_UNKNOWN: Final = RawExtension(UNKNOWN_OID, critical=True, value=Null().dump())


@case("RFC6960-4.4-1")
def unknown(world: World) -> Setup:
    """The response has an extension that nobody knows and that is not critical."""
    return world.site.served(world.site.forged("unknown-extension"))


@case("RFC6960-4.4-1", **_CRITICAL)
def critical(world: World) -> Setup:
    """The response has a critical extension that nobody knows."""
    return world.site.served(world.site.forged("critical-extension"))


@case("RFC6960-4.4-1", **_CRITICAL)
def critical_in_single(world: World) -> Setup:
    """The SingleResponse has a critical extension that nobody knows."""
    return world.site.served(world.site.forged("critical-single-extension"))


@case("RFC6960-4.4-1", **_CRITICAL)
def critical_in_second_single(world: World) -> Setup:
    """The answer is about two certificates, and the SingleResponse for this one has an unknown critical extension."""
    scene = world.site.scene()
    own = scene.single(extensions=(_UNKNOWN,))
    return world.site.served(scene.response(single(scene.other, scene.at), own))


@case("RFC6960-4.4-1", importance=Importance.CURIOUS)
def critical_in_single_of_another(world: World) -> Setup:
    """The answer is about two certificates, and the other one's SingleResponse has an unknown critical extension."""
    scene = world.site.scene()
    other = single(scene.other, scene.at, extensions=(_UNKNOWN,))
    return world.site.served(scene.response(other, scene.single()))


@case("RFC6960-4.4-1", importance=Importance.SHOULD)
def critical_and_known(world: World) -> Setup:
    """The SingleResponse has archiveCutoff, critical; everybody knows it, and it changes nothing for today."""
    cutoff = GeneralizedTime(world.at - 30 * DAY).dump()
    known = RawExtension(_ARCHIVE_CUTOFF, critical=True, value=cutoff)
    return world.site.served(world.site.saying(extensions=(known,)))

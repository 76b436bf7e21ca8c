"""Staples that are too old, too new, or do not say until when they hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mustaple.lab.cases.model import Importance, case, noted
from mustaple.lab.cases.world import DAY

if TYPE_CHECKING:
    from mustaple.lab.cases.setup import Setup
    from mustaple.lab.cases.world import World


@case("RFC6960-3.2-5", "RFC6960-3.2-6", "RFC9919-5-2")
def fresh(world: World) -> Setup:
    """The leaf's staple is an hour old, and good for four days."""
    return world.site.served(world.site.saying())


@case("RFC6960-3.2-6", "RFC9919-5-2", must_staple="expired", hard_fail="expired", strict="expired")
def expired(world: World) -> Setup:
    """The leaf's staple ran out a day ago. The CA's responder has a fresh one."""
    return world.site.served(world.site.forged("expired"))


@case("RFC6960-3.2-6", soft_fail=noted("expired"), must_staple="expired", hard_fail="expired", strict="expired")
def expired_responder_down(world: World) -> Setup:
    """The leaf's staple ran out a day ago, and the CA's responder does not answer."""
    return world.site.served(world.site.forged("expired"), ocsp=())


@case("RFC6960-3.2-6", importance=Importance.SHOULD, strict="expired")
def unpromised_expired(world: World) -> Setup:
    """The leaf promised no staple and has an old one. The CA's responder has a fresh one for who asks it."""
    return world.unbound.served(world.unbound.forged("expired"))


@case(
    "RFC6960-3.2-6",
    soft_fail=noted("expired"),
    must_staple=noted("expired"),
    hard_fail="expired",
    strict="expired",
)
def unpromised_expired_responder_down(world: World) -> Setup:
    """The leaf promised no staple and has an old one, and the CA's responder does not answer."""
    return world.unbound.served(world.unbound.forged("expired"), ocsp=())


@case("RFC6960-3.2-6", strict="expired")
def expired_intermediate(world: World) -> Setup:
    """The leaf's staple is fresh, the intermediate's ran out a day ago."""
    return world.site.served(world.site.good(), world.site.forged("expired", 1))


@case(
    "RFC6960-4.2.2.1-1",
    "RFC9919-5-2",
    must_staple="not-yet-valid",
    hard_fail="not-yet-valid",
    strict="not-yet-valid",
)
def not_yet_valid(world: World) -> Setup:
    """The leaf's staple is tomorrow's."""
    return world.site.served(world.site.forged("not-yet-valid"))


@case(
    "RFC6960-3.2-5",
    importance=Importance.SHOULD,
    must_staple="too-old",
    hard_fail="too-old",
    strict="too-old",
)
def too_old(world: World) -> Setup:
    """The leaf's staple is 60 days old, and its nextUpdate is yet to come. Ours takes ten days at the most."""
    return world.site.served(world.site.forged("too-old"))


@case(
    "RFC9919-5-1",
    importance=Importance.SHOULD,
    must_staple="no-next-update",
    hard_fail="no-next-update",
    strict="no-next-update",
)
def no_next_update(world: World) -> Setup:
    """The leaf's staple is an hour old and names no nextUpdate. Browsers take it by its age."""
    return world.site.served(world.site.forged("no-next-update"))


@case(
    "RFC9919-5-1",
    "RFC6960-3.2-5",
    soft_fail=noted("too-old"),
    must_staple="no-next-update",
    hard_fail="no-next-update",
    strict="no-next-update",
)
def no_next_update_and_old(world: World) -> Setup:
    """The leaf's staple is 60 days old and names no nextUpdate; the CA's responder does not answer."""
    staple = world.site.saying(this_update=world.at - 60 * DAY, next_update=None)
    return world.site.served(staple, ocsp=())


@case(
    "RFC6960-4.2.2.1-2",
    must_staple="inverted-window",
    hard_fail="inverted-window",
    strict="inverted-window",
)
def inverted_window(world: World) -> Setup:
    """The staple's nextUpdate precedes its thisUpdate, each so near that it alone would pass."""
    return world.site.served(world.site.forged("inverted-window"))


@case("RFC6960-4.2.2.1-1", importance=Importance.CURIOUS)
def produced_tomorrow(world: World) -> Setup:
    """The staple's producedAt is tomorrow and all else is fresh. No rule of §3.2 speaks of producedAt."""
    return world.site.served(world.site.singles(produced_at=world.at + DAY))


@case("RFC6960-2.2-3", soft_fail="revoked", must_staple="revoked", hard_fail="revoked", strict="revoked")
def revoked_and_expired(world: World) -> Setup:
    """The staple says revoked and ran out a day ago: revocation does not grow old, though the responder says good."""
    return world.site.served(world.site.forged("revoked-expired"))


@case("RFC6960-2.2-3", "RFC9919-5-1", soft_fail="revoked", must_staple="revoked", hard_fail="revoked", strict="revoked")
def revoked_without_next_update(world: World) -> Setup:
    """The staple says revoked and names no nextUpdate."""
    return world.site.served(world.site.saying(status="revoked", next_update=None))


@case("RFC6960-2.2-3", must_staple="expired", hard_fail="expired", strict="expired")
def hold_and_expired(world: World) -> Setup:
    """The staple said certificateHold and ran out a day ago: a hold may have been lifted, as the responder says."""
    return world.site.served(world.site.forged("revoked-on-hold-expired"))

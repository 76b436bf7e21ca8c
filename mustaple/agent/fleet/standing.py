"""An agent's place in its fleet, and from when on it may ask for a certificate in that place: rules, no I/O."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from mustaple.agent.entry import Entry
    from mustaple.core.refresh import Pace


class Standing(enum.StrEnum):
    """Who asks the responders."""

    ALONE = "alone"  # there is no fleet: this agent
    LEADING = "leading"  # this agent, for all
    FOLLOWING = "following"  # another one; this agent only where that one fails
    PARTITIONED = "partitioned"  # nobody knows: this agent for what is about to die, and for nothing else


@dataclass(frozen=True, slots=True)
class View:
    """What an agent sees of its fleet. `leader` is what the leader calls itself, empty where none is known.

    `said` is why the store could not be used when that was last tried, empty where it could.
    """

    standing: Standing
    store: str
    leader: str = ""
    said: str = ""


def ask_from(
    entry: Entry, standing: Standing, at: datetime, pace: Pace, grace: timedelta, *, seen: bool
) -> datetime | None:
    """From when on this certificate may be asked for, in this standing; None where not as things are.

    `seen` says that it was looked up in the fleet's store. Whoever does not lead trusts that another one asks, until
    the staple is so near its death that an operator would be told: leaders may have lost their way to the responder,
    or not know this certificate. A staple that was never there is missed after `grace`.
    """
    if standing is Standing.ALONE:
        return at
    missed = entry.since + grace
    if standing is Standing.LEADING:
        return at if seen else missed
    if entry.revoked is not None:
        return None
    death, staple = entry.death, entry.staple
    if death is None or staple is None:
        return missed
    life = death - (staple.judgement.this_update or staple.fetched_at)
    return death - life * (pace.warning if standing is Standing.PARTITIONED else pace.critical)


def told(view: View) -> str:
    """A sentence about it, for people."""
    match view.standing:
        case Standing.LEADING:
            return f"leads the fleet at {view.store}: it asks for all"
        case Standing.PARTITIONED:
            deploys = "it deploys what it has, and asks by itself for what is about to die"
            return f"cut off from the fleet: {view.said}; {deploys}"
    return f"follows {view.leader or 'nobody yet'} in the fleet at {view.store}"

"""Honest servers of one protocol each, by which one sees what a client speaks before it is graded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mustaple.lab.cases.handshake import TLS12, TLS13
from mustaple.lab.cases.model import case

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mustaple.lab.cases.setup import Setup
    from mustaple.lab.cases.world import World
    from mustaple.lab.live import Visit

_PROTOCOL_VERSION: Final = 70  # the alert, RFC 9846 §6.2


@case()
def speaks_tls12(world: World) -> Setup:
    """An honest server that speaks TLS 1.2 alone."""
    return world.site.served(protocols=(TLS12,))


@case()
def speaks_tls13(world: World) -> Setup:
    """An honest server that speaks TLS 1.3 alone."""
    return world.site.served(protocols=(TLS13,))


PROBES: Final = {TLS12: speaks_tls12, TLS13: speaks_tls13}


def spoke(visits: Sequence[Visit]) -> bool:
    """Whether the client spoke the probe's protocol; it may have refused the server for reasons of its own.

    Of one that did not even connect nothing is known, and the control will say so.
    """
    return not visits or any(
        each.completed or (each.alert != _PROTOCOL_VERSION and "version" not in (each.error or "").lower())
        for each in visits
    )

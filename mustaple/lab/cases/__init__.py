"""The corpus: cases of revocation evidence in a TLS handshake, good and bad, each with what a client should make of it.

To add one, write a function in the module of its family (`mustaple/lab/cases/families/`) and declare it:

    @case("RFC6960-3.2-6", must_staple="expired", hard_fail="expired", strict="expired")
    def expired(world: World) -> Setup:
        \"\"\"The leaf's staple ran out a day ago.\"\"\"
        return world.site.served(world.site.forged("expired"))
"""

from __future__ import annotations

from mustaple.lab.cases.catalogue import FAMILIES, cases, find
from mustaple.lab.cases.model import Case, Expected, Importance
from mustaple.lab.cases.setup import Setup
from mustaple.lab.cases.world import World

__all__ = ["FAMILIES", "Case", "Expected", "Importance", "Setup", "World", "cases", "find"]

"""For how long each client believes the thief of a revoked certificate's key, who does the best for himself."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mustaple.lab.simulate.outcomes import CLIENTS, PUSHED, SHORT_LIVED, Evidence, Leaf, Said, outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mustaple.core.policy import Policy
    from mustaple.lab.simulate.parameters import Parameters

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

LEAF_OF: Mapping[str, Leaf] = {"must-staple": Leaf.PROMISING, SHORT_LIVED: Leaf.SHORT}


class Theft(NamedTuple):
    """Stolen keys, a victim of each, and for how long after the revocation each thing still serves the thief (seconds).

    `staple` is the freshest good response that he could get; `crl` the list that the victim holds, without the entry;
    `pushed` until the filter has it; `life` and `short` what is left to the certificate, of the usual and the short
    kind; `blocked` says whether he keeps the CA's answers from this victim.
    """

    staple: Floats
    crl: Floats
    pushed: Floats
    life: Floats
    short: Floats
    blocked: Bools


def draw_thefts(parameters: Parameters, count: int, rng: np.random.Generator) -> Theft:
    """Draw this many revocations of leaves."""

    def evenly(key: str) -> Floats:
        return rng.random(count) * parameters.seconds(key)

    staple = parameters.seconds("staple.response_days") - evenly("staple.resign_days")
    held = rng.random(count) < parameters["client.crl_cached"]
    until_listed = evenly("crl.publish_hours")
    return Theft(
        staple,
        # The CRL that says nothing of it may be fetched until there is one that does.
        np.where(held, np.maximum(parameters.seconds("crl.life_days") - evenly("crl.life_days"), until_listed), 0.0),
        until_listed + evenly("filter.push_hours"),
        parameters.seconds("leaf.life_days") - evenly("leaf.renew_days"),
        parameters.seconds("short.life_days") - evenly("short.renew_days"),
        rng.random(count) < parameters["attacker.blocks"],
    )


def exposures(theft: Theft, promises: Bools) -> dict[str, Floats]:
    """For each client, how many seconds each thief is believed; `promises` says which leaves promise a staple."""
    return {name: _exposure(name, policy, theft, promises) for name, policy in CLIENTS.items()}


def _exposure(name: str, policy: Policy, theft: Theft, promises: Bools) -> Floats:
    life = theft.short if name == SHORT_LIVED else theft.life
    staple = np.minimum(theft.staple, life)
    crl = np.minimum(theft.pushed if name == PUSHED else theft.crl, life)
    first, second = np.minimum(staple, crl), np.maximum(staple, crl)
    total = np.zeros(len(life))
    for promised in (False, True):
        leaf = LEAF_OF.get(name, Leaf.SILENT)
        if leaf is Leaf.PROMISING and not promised:
            leaf = Leaf.SILENT
        for blocked in (False, True):

            def believed(*, has_staple: bool, has_crl: bool, leaf: Leaf = leaf, blocked: bool = blocked) -> float:
                return float(_believed(name, policy, leaf, has_staple=has_staple, has_crl=has_crl, blocked=blocked))

            seconds = first * believed(has_staple=True, has_crl=True)
            seconds += (second - first) * np.where(
                staple > crl, believed(has_staple=True, has_crl=False), believed(has_staple=False, has_crl=True)
            )
            seconds += (life - second) * believed(has_staple=False, has_crl=False)
            total += np.where((promises == promised) & (theft.blocked == blocked), seconds, 0.0)
    return total


def _believed(name: str, policy: Policy, leaf: Leaf, *, has_staple: bool, has_crl: bool, blocked: bool) -> bool:
    """Whether the client accepts at least one of the thief's ways: with the old good staple or without one."""
    silence = Said.NOBODY if blocked else Said.REVOKED
    # What is pushed comes whatever the thief does: he meets his victim too rarely to keep a day's updates away.
    listed = Said.GOOD if has_crl else Said.REVOKED if name == PUSHED else silence
    ways = (Said.GOOD, Said.NOBODY) if has_staple else (Said.NOBODY, Said.EXPIRED)
    return any(
        outcome(policy, Evidence(leaf, staple, ca_staple=Said.GOOD, ocsp=silence, crl=listed)).accepted
        for staple in ways
    )


def ca_exposures(parameters: Parameters, count: int, rng: np.random.Generator) -> dict[str, Floats]:
    """The same for the keys of intermediates, whose thief issues leaves and staples good answers for them himself."""
    life = rng.random(count) * parameters.seconds("intermediate.life_days")
    staple = parameters.seconds("staple.ca_response_days") - rng.random(count) * parameters.seconds(
        "staple.ca_resign_days"
    )
    staple = np.minimum(staple, life)
    found = {}
    for name, policy in CLIENTS.items():
        # A leaf of his own: it promises nothing, its staple is good, and so is any answer of "the CA".
        leaf = Leaf.SHORT if name == SHORT_LIVED else Leaf.SILENT
        own = Evidence(leaf, Said.GOOD, ocsp=Said.GOOD, crl=Said.GOOD)
        with_staple = outcome(policy, Evidence(leaf, Said.GOOD, Said.GOOD, Said.GOOD, Said.GOOD)).accepted
        without = outcome(policy, own).accepted
        found[name] = np.where(without, life, np.where(with_staple, staple, 0.0))
    return found

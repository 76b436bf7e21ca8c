"""Runs a simulation: replications of the world with their connections, the curve, and the sensitivities."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

import numpy as np

from mustaple.core.errors import InputError
from mustaple.lab.simulate.connections import draw_connections
from mustaple.lab.simulate.estimating import estimate, share
from mustaple.lab.simulate.exposure import ca_exposures, draw_thefts, exposures
from mustaple.lab.simulate.measuring import Measured, measure, rows
from mustaple.lab.simulate.parameters import Parameters, with_values
from mustaple.lab.simulate.world import draw_world
from mustaple.report.simulation import CurvePoint, Effect, Row, Simulation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Step = Callable[[str], None]

REPLICATIONS: Final = 32
FEWEST_REPLICATIONS: Final = 5
MOST_CONNECTIONS: Final = 10**12
# Curve and sensitivities are many runs; each has so many connections and replications at most.
SIDE_CONNECTIONS: Final = 1_000_000
SIDE_REPLICATIONS: Final = 8
# Revocations are drawn in this number in each replication, whatever their rate: the exposure is that of one.
THEFTS: Final = 2_000
SCALES: Final = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
_LIFETIMES: Final = (
    *("staple.response_days", "staple.resign_days", "staple.ca_response_days", "staple.ca_resign_days"),
    *("crl.life_days", "crl.publish_hours", "filter.push_hours", "short.life_days", "short.renew_days"),
)


def _silent(_what: str) -> None:
    """No progress is told."""


def simulate(
    parameters: Parameters,
    *,
    connections: int,
    seed: int,
    replications: int = REPLICATIONS,
    curve: bool = False,
    sensitivity: bool = False,
    step: Step = _silent,
) -> Simulation:
    """Simulate so many connections, in equal parts in so many worlds; `step` is called as each world is done.

    The curve and the sensitivities are smaller runs with the same seed, so that only what was changed differs.
    Raises InputError for numbers of no use.
    """
    if not 1 <= connections <= MOST_CONNECTIONS:
        raise InputError(f"{connections:,} connections: from 1 to {MOST_CONNECTIONS:,} can be simulated")
    if replications < FEWEST_REPLICATIONS:
        raise InputError(f"{replications} replications: an interval takes at least {FEWEST_REPLICATIONS}")
    if seed < 0:
        raise InputError(f"the seed {seed} is negative")
    replications = min(replications, connections)
    few, worlds = min(connections, SIDE_CONNECTIONS), min(replications, SIDE_REPLICATIONS)

    def aside(changed: Parameters, what: str) -> tuple[Row, ...]:
        return replicate(changed, few, seed, worlds, lambda: step(what))

    found = replicate(parameters, connections, seed, replications, lambda: step("connections"))
    points = tuple(CurvePoint(scale, aside(scaled(parameters, scale), "curve")) for scale in SCALES) if curve else ()
    effects = []
    for low, high in ends(parameters) if sensitivity else ():
        given = parameters.given[low[0]]
        sides = (aside(with_values(parameters, dict([end])), given.key) for end in (low, high))
        effects.append(Effect(given, *sides))
    return Simulation(connections, replications, seed, tuple(parameters.given.values()), found, points, tuple(effects))


def steps(parameters: Parameters, connections: int, replications: int, *, curve: bool, sensitivity: bool) -> int:
    """How often `simulate` calls its `step`."""
    replications = min(replications, connections)
    runs = (len(SCALES) if curve else 0) + (2 * len(ends(parameters)) if sensitivity else 0)
    return replications + runs * min(replications, SIDE_REPLICATIONS)


def scaled(parameters: Parameters, scale: float) -> Parameters:
    """The same where every proof, list, push and short certificate lives `scale` times as long."""
    return with_values(parameters, {key: parameters[key] * scale for key in _LIFETIMES})


def ends(parameters: Parameters) -> list[tuple[tuple[str, float], tuple[str, float]]]:
    """The two ends of every parameter that has them; one that would overtake another stops before it."""
    found = []
    for key, given in parameters.given.items():
        if given.low is None or given.high is None:
            continue
        found.append(((key, _tamed(parameters, key, given.low)), (key, _tamed(parameters, key, given.high))))
    return found


def _tamed(parameters: Parameters, key: str, value: float) -> float:
    try:
        with_values(parameters, {key: value})
    except InputError:
        return parameters[key]
    return value


def replicate(
    parameters: Parameters, connections: int, seed: int, replications: int, step: Callable[[], None]
) -> tuple[Row, ...]:
    """Every row, from so many independent worlds with equal parts of the connections."""
    measured: dict[tuple[str, str], list[Measured]] = defaultdict(list)
    exposed: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for number, source in enumerate(np.random.SeedSequence(seed).spawn(replications)):
        part = connections // replications + (number < connections % replications)
        # Each part of a world has randomness of its own, so that a change to one leaves the others as they were.
        of_world, of_connections, of_thefts = map(np.random.default_rng, source.spawn(3))
        world = draw_world(parameters, of_world)
        met = draw_connections(world, parameters, part, of_connections)
        for row in rows():
            measured[row].append(measure(world, met, parameters, *row))
        for client, found in _exposed(parameters, of_thefts).items():
            exposed[client].append(found)
        step()
    return tuple(_row(row, measured[row], exposed[row[0]], connections) for row in rows())


def _exposed(parameters: Parameters, rng: np.random.Generator) -> dict[str, tuple[float, float]]:
    """For each client the mean exposure to a leaf's thief, and to an intermediate's, in one replication."""
    promises = rng.random(THEFTS) < parameters["sites.promising"]
    of_leaves = exposures(draw_thefts(parameters, THEFTS, rng), promises)
    of_cas = ca_exposures(parameters, THEFTS, rng)
    return {client: (float(of_leaves[client].mean()), float(of_cas[client].mean())) for client in of_leaves}


def _row(
    row: tuple[str, str], measured: Sequence[Measured], exposed: Sequence[tuple[float, float]], connections: int
) -> Row:
    refused, client_requests, server_requests, waited = zip(*measured, strict=True)
    of_leaf, of_ca = zip(*exposed, strict=True)
    return Row(
        *row,
        exposure=estimate(of_leaf),
        ca_exposure=estimate(of_ca),
        refused=share(refused, connections),
        client_requests=estimate(client_requests),
        server_requests=estimate(server_requests),
        waited=estimate(waited),
    )

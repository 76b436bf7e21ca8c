"""Runs a simulation: replications of the world with their connections, the curve, and the sensitivities."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from numpy.random import SeedSequence, default_rng  # now: numpy loads it lazily, and loading swallows an interrupt

from mustaple.core.errors import InputError
from mustaple.lab.simulate.connections import draw_connections
from mustaple.lab.simulate.estimating import estimate, share
from mustaple.lab.simulate.exposure import ca_exposures, draw_thefts, exposures
from mustaple.lab.simulate.measuring import Measured, measure, rows
from mustaple.lab.simulate.parameters import ORDERED, RANGES, Parameters, with_values
from mustaple.lab.simulate.world import draw_world
from mustaple.report.simulation import CurvePoint, Effect, Given, Row, Simulation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.random import Generator

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
    if replications < FEWEST_REPLICATIONS:
        raise InputError(f"{replications} worlds: an interval takes at least {FEWEST_REPLICATIONS}")
    if not replications <= connections <= MOST_CONNECTIONS:
        raise InputError(
            f"{connections:,} connections: there can be from one for each of the {replications} worlds "
            f"up to {MOST_CONNECTIONS:,}"
        )
    if seed < 0:
        raise InputError(f"the seed {seed} is negative")
    few, worlds = min(connections, SIDE_CONNECTIONS), min(replications, SIDE_REPLICATIONS)

    def aside(changed: Parameters, what: str) -> tuple[Row, ...]:
        return replicate(changed, few, seed, worlds, lambda: step(what))

    found = replicate(parameters, connections, seed, replications, lambda: step("connections"))
    points = tuple(CurvePoint(scale, aside(scaled(parameters, scale), "curve")) for scale in SCALES) if curve else ()
    effects = []
    for given, low, high in ends(parameters) if sensitivity else ():
        sides = (aside(with_values(parameters, {given.key: end}), given.key) for end in (low, high))
        effects.append(Effect(replace(given, low=low, high=high), *sides))
    return Simulation(connections, replications, seed, tuple(parameters.given.values()), found, points, tuple(effects))


def steps(parameters: Parameters, replications: int, *, curve: bool, sensitivity: bool) -> int:
    """How often `simulate` calls its `step`."""
    runs = (len(SCALES) if curve else 0) + (2 * len(ends(parameters)) if sensitivity else 0)
    return replications + runs * min(replications, SIDE_REPLICATIONS)


def scaled(parameters: Parameters, scale: float) -> Parameters:
    """The same where every proof, list, push and short certificate lives `scale` times as long."""
    return with_values(parameters, {key: max(parameters[key] * scale, RANGES[key][0]) for key in _LIFETIMES})


def ends(parameters: Parameters) -> list[tuple[Given, float, float]]:
    """Every parameter that has two ends, each of which stops where it would overtake another parameter."""
    found = []
    for key, given in parameters.given.items():
        if given.low is None or given.high is None:
            continue
        least = max((parameters[shorter] for shorter, longer in ORDERED if longer == key), default=given.low)
        most = min((parameters[longer] for shorter, longer in ORDERED if shorter == key), default=given.high)
        found.append((given, max(given.low, least), min(given.high, most)))
    return found


def replicate(
    parameters: Parameters, connections: int, seed: int, replications: int, step: Callable[[], None]
) -> tuple[Row, ...]:
    """Every row, from so many independent worlds with equal parts of the connections."""
    measured: dict[tuple[str, str], list[Measured]] = defaultdict(list)
    exposed: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for number, source in enumerate(SeedSequence(seed).spawn(replications)):
        part = connections // replications + (number < connections % replications)
        # Each part of a world has randomness of its own, so that a change to one leaves the others as they were.
        of_world, of_connections, of_thefts = map(default_rng, source.spawn(3))
        world = draw_world(parameters, of_world)
        met = draw_connections(world, parameters, part, of_connections)
        for row in rows():
            measured[row].append(measure(world, met, parameters, *row))
        for client, found in _exposed(parameters, of_thefts).items():
            exposed[client].append(found)
        step()
    return tuple(_row(row, measured[row], exposed[row[0]], connections) for row in rows())


def _exposed(parameters: Parameters, rng: Generator) -> dict[str, tuple[float, float]]:
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

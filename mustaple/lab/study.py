"""The whole study: the comparison over real sockets, what checking costs, and the long view, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mustaple.lab.compare.order import compare
from mustaple.lab.cost import FULL, QUICK, measure_cost
from mustaple.lab.cost import steps as cost_steps
from mustaple.lab.simulate.parameters import shipped
from mustaple.lab.simulate.running import REPLICATIONS, simulate
from mustaple.lab.simulate.running import steps as simulation_steps
from mustaple.report.study import Study

if TYPE_CHECKING:
    from collections.abc import Callable

    from mustaple.lab.compare.ledger import Ledger
    from mustaple.lab.compare.order import Order

# What is simulated in the whole study and in a quick one: connections, and worlds that share them.
CONNECTIONS: Final = {True: 10_000_000, False: 100_000}
WORLDS: Final = {True: REPLICATIONS, False: 8}


def steps(order: Order, ledger: Ledger, *, full: bool) -> int:
    """How often `study` calls its `step`."""
    grid = FULL if full else QUICK
    cost = 0 if ledger.cost_of(grid.name) is not None else cost_steps(grid)
    return (
        len(frozenset(order.keys) - ledger.cells.keys())
        + cost
        + simulation_steps(shipped(), WORLDS[full], curve=True, sensitivity=False)
    )


def study(order: Order, ledger: Ledger, step: Callable[[str], None], *, full: bool) -> Study:
    """Measure what the ledger does not hold yet, and simulate; `step` is told of each thing that is done.

    Not `full`: the cost picture has a small grid, and the simulation few connections. Raises as `compare` and
    `measure_cost` do.
    """
    comparison = compare(order, ledger, step)
    grid = FULL if full else QUICK
    cost = ledger.cost_of(grid.name)
    if cost is None:
        cost = measure_cost(grid, step=step)
        ledger.add_cost(grid.name, cost)
    simulation = simulate(
        shipped(), connections=CONNECTIONS[full], replications=WORLDS[full], seed=order.seed, curve=True, step=step
    )
    return Study(comparison, cost, simulation)

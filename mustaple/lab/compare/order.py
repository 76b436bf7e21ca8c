"""A whole comparison: which clients meet which situations, what has been measured already, and what it all says."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import mustaple
from mustaple.lab.compare.clients import Other, Preset
from mustaple.lab.compare.corpus import Corpus
from mustaple.lab.compare.grid import HONEST
from mustaple.lab.compare.running import measure
from mustaple.lab.compare.world import World
from mustaple.lab.grade_client.grading import ControlError
from mustaple.lab.grade_client.program import Program
from mustaple.report.compare_findings import findings
from mustaple.report.comparison import Comparison, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mustaple.lab.compare.clients import Tester
    from mustaple.lab.compare.ledger import Ledger
    from mustaple.lab.compare.stage import Stage
    from mustaple.lab.grade_client import Recipe
    from mustaple.report.comparison import Case, Key

SEED: Final = 1


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is asked for: these clients in these situations; `corpus` are those that `as_situations` made.

    `command` is what reproduces it.
    """

    cases: tuple[Case, ...] = ()
    corpus: tuple[Case, ...] = ()
    presets: tuple[str, ...] = ()
    recipes: tuple[Recipe, ...] = ()
    seed: int = SEED
    command: str = "mustaple compare"

    @property
    def keys(self) -> list[Key]:
        """Every cell that it takes, situation by situation."""
        names = (*self.presets, *(each.name for each in self.recipes))
        return [(name, *case.key) for case in (*self.cases, *self.corpus) for name in names]


def compare(order: Order, ledger: Ledger, step: Callable[[str], None] = lambda _: None) -> Comparison:
    """Measure what the ledger does not hold yet, and keep it there; `step` is told of each cell that is done.

    Raises ControlError where a program does not accept an honest server, InputError where it cannot be run, and
    NetworkError where a connection fails that nobody has touched; what has been measured is in the ledger then.
    """
    with ExitStack() as stack:
        programs = [stack.enter_context(Program(recipe)) for recipe in order.recipes]
        testers: list[Tester] = [*map(Preset, order.presets), *map(Other, programs)]
        stages: list[tuple[Callable[[], Stage], Sequence[Case]]] = [(lambda: World(order.seed), order.cases)]
        if order.corpus:
            stages.append((lambda: Corpus(each.name for each in order.corpus), order.corpus))
        wanted = frozenset(order.keys) - ledger.cells.keys()
        if wanted:
            _control([each for each in testers if each.client.program], order.seed)
        for make, cases in stages:
            if not any((tester.client.name, *case.key) in wanted for tester in testers for case in cases):
                continue
            with make() as stage:
                for cell in measure(stage, cases, testers, known=ledger.cells):
                    ledger.add(cell)
                    step(f"{cell.case} {cell.preset}")
    cells = [ledger.cells[key] for key in order.keys]
    return Comparison(
        version=mustaple.__version__,
        command=order.command,
        seed=order.seed,
        at=ledger.at,
        seconds=round(sum(cell.seconds for cell in cells), 3),
        clients=[tester.client for tester in testers],
        cells=cells,
        findings=findings(cells),
    )


def _control(programs: Sequence[Tester], seed: int) -> None:
    """Of a program that refuses an honest server nothing can be said."""
    if not programs:
        return
    with World(seed) as world, world.scenery(HONEST) as scenery:
        for each in programs:
            scenery.seen.forget()
            done = each.meet(scenery)
            world.counts()
            if done.outcome is not Outcome.ACCEPTED:
                raise ControlError(
                    f"{each.client.name} does not accept the honest server, so nothing can be said of it: {done.detail}"
                )

"""What somebody asked to compare, by name, as an order: the presets, situations and programs that are meant."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mustaple.core.errors import InputError
from mustaple.core.policy import PRESETS
from mustaple.lab.cases import cases as corpus_cases
from mustaple.lab.cases import find
from mustaple.lab.compare.cases import CASES
from mustaple.lab.compare.corpus import as_situations
from mustaple.lab.compare.grid import grid
from mustaple.lab.compare.order import SEED, Order
from mustaple.lab.grade_client import load, recipe_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mustaple.lab.cases import Case as CorpusCase
    from mustaple.lab.grade_client import Recipe
    from mustaple.report.comparison import Case

_OURS = "mustaple-"  # recipes that drive our own client, which is there as presets


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Names as they were given; nothing given is everything that belongs to it.

    `cases` are cases of `CASES`, with `full` worlds of the grid, and with a slash ids of the corpus.
    """

    presets: tuple[str, ...] = ()
    cases: tuple[str, ...] = ()
    full: bool = False
    corpus: bool = False
    families: tuple[str, ...] = ()
    clients: tuple[str, ...] = ()
    every_client: bool = False
    html: str | None = None
    seed: int = SEED


def order_of(choice: Choice) -> Order:
    """The order. Raises InputError for a name that there is none of, and for a program that is not here."""
    presets = tuple(dict.fromkeys(choice.presets or PRESETS))
    for name in presets:
        if name not in PRESETS:
            raise InputError(f"no preset is called {name!r}; there are {', '.join(PRESETS)}")
    return Order(
        cases=_situations(choice),
        corpus=as_situations(_corpus(choice)),
        presets=presets,
        recipes=_recipes(choice),
        seed=choice.seed,
        command=_command(choice),
    )


def _situations(choice: Choice) -> tuple[Case, ...]:
    there = grid() if choice.full else CASES
    named = [name for name in choice.cases if "/" not in name]
    if not named:
        others = choice.corpus or choice.families or choice.cases
        return there if choice.full or not others else ()
    known = dict.fromkeys(each.name for each in there)
    for name in named:
        if name not in known:
            raise InputError(f"no case is called {name!r}; there are {', '.join(known)}")
    return tuple(each for each in there if each.name in named)


def _corpus(choice: Choice) -> Sequence[CorpusCase]:
    if choice.corpus:
        return corpus_cases()
    named = [find(name) for name in choice.cases if "/" in name]
    return tuple({each.id: each for each in (*corpus_cases(choice.families), *named)}.values())


def _recipes(choice: Choice) -> tuple[Recipe, ...]:
    recipes = [load(name) for name in dict.fromkeys(choice.clients)]
    if choice.every_client:
        others = (load(name) for name in recipe_names() if not name.startswith(_OURS) and name not in choice.clients)
        recipes += [each for each in others if not each.missing]
    return tuple(recipes)


def _command(choice: Choice) -> str:
    """The command line that makes the same order."""
    words = ["mustaple", "compare"]
    words += ["--full"] * choice.full + ["--corpus"] * choice.corpus
    words += _repeated("--family", choice.families) + _repeated("--case", choice.cases)
    words += _repeated("--preset", choice.presets) + _repeated("--client", choice.clients)
    words += ["--clients"] * choice.every_client + ["--seed", str(choice.seed)]
    words += ["--html", choice.html] if choice.html is not None else []
    return shlex.join(words)


def _repeated(option: str, values: Iterable[str]) -> list[str]:
    return [word for value in values for word in (option, value)]

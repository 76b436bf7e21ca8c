"""What a case is: a situation made on demand, and what each preset should make of it, declared by `@case`."""

from __future__ import annotations

import enum
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from mustaple.core.verdict import Code, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mustaple.lab.cases.setup import Setup
    from mustaple.lab.cases.world import World


class Importance(enum.StrEnum):
    """What it means for a client to deviate.

    MUST: an RFC forbids it, or it lets a thief of the key in. SHOULD: an RFC advises against it, or it breaks honest
    servers. CURIOUS: no text settles it; the corpus says what ours does and why.
    """

    MUST = "must"
    SHOULD = "should"
    CURIOUS = "curious"


class Expected(NamedTuple):
    """What a preset should say: the outcome, and the code of its most telling reason, or note where it accepts."""

    outcome: Outcome
    code: str | None = None

    def __str__(self) -> str:
        return self.outcome.value + (f": {self.code}" if self.code is not None else "")


_CODES: Final = frozenset(code.value for code in Code)
ACCEPTED: Final = Expected(Outcome.ACCEPTED)


def refused(code: str) -> Expected:
    """Refused for this reason. Raises ValueError for a code that there is none of."""
    return Expected(Outcome.REFUSED, _known(code))


def noted(code: str) -> Expected:
    """Accepted with a note that says this. Raises ValueError for a code that there is none of."""
    return Expected(Outcome.ACCEPTED, _known(code))


def _known(code: str) -> str:
    if code not in _CODES:
        raise ValueError(f"There is no reason {code!r}.")
    return code


@dataclass(frozen=True)
class Case:
    """One case: `make` builds its situation, `expected` says for each preset what is right.

    `description` is what it shows, in whole sentences; `clauses` are ids of rfc_notes/.
    """

    family: str
    name: str
    description: str
    clauses: tuple[str, ...]
    importance: Importance
    expected: Mapping[str, Expected]
    make: Callable[[World], Setup]

    @property
    def id(self) -> str:
        """Its place and name, as `freshness/expired`."""
        return f"{self.family}/{self.name}"

    def setup(self, world: World) -> Setup:
        """Its situation in this world, the same for the same seed whatever else is made of it."""
        with world.drawing(self.id):
            return self.make(world)


def case(
    *clauses: str,
    importance: Importance = Importance.MUST,
    ignore: Expected | str = ACCEPTED,
    soft_fail: Expected | str = ACCEPTED,
    must_staple: Expected | str = ACCEPTED,
    hard_fail: Expected | str = ACCEPTED,
    strict: Expected | str = ACCEPTED,
) -> Callable[[Callable[[World], Setup]], Case]:
    """Make a case of a function: its module is the family, its name the name, its docstring the description.

    A preset that is not named accepts without a note; a plain string is the code of a refusal.
    """
    said = {
        "ignore": ignore,
        "soft-fail": soft_fail,
        "must-staple": must_staple,
        "hard-fail": hard_fail,
        "strict": strict,
    }
    expected = {preset: refused(each) if isinstance(each, str) else each for preset, each in said.items()}

    def declare(make: Callable[[World], Setup]) -> Case:
        family = make.__module__.rpartition(".")[2].replace("_", "-")
        name = make.__name__.replace("_", "-")
        return Case(family, name, inspect.getdoc(make) or "", clauses, importance, expected, make)

    return declare

"""The divergences of other judges that are known, each with its reason: their file, and what a run has beside it."""

from __future__ import annotations

import tomllib
from datetime import date
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mustaple.core.errors import InputError
from mustaple.report.cases_corpus import CaseId, ClauseId

if TYPE_CHECKING:
    from mustaple.report.outside_run import OutsideRun

Sentence = Annotated[str, Field(min_length=20)]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Divergence(_Shape):
    """Cases in which one judge says one and the same that ours does not."""

    judge: str
    outcome: Literal["good", "revoked", "unknown", "refused", "crash", "hang"]
    cases: list[CaseId] = Field(min_length=1)


class DivergenceClass(_Shape):
    """Divergences for one reason: `why` says it, with the clauses that it is about."""

    name: str = Field(pattern="^[a-z-]+$")
    clauses: list[ClauseId] = Field(min_length=1)
    why: Sentence
    divergence: list[Divergence] = Field(min_length=1)


class Known(_Shape):
    """The file: when and with which versions it was measured, and the divergences by class."""

    measured: date
    judges: dict[str, str]
    classes: list[DivergenceClass] = Field(alias="class")

    @property
    def outcomes(self) -> dict[tuple[str, str], str]:
        """What each judge says of each case in which it is known to differ."""
        return {
            (each.judge, case): each.outcome for kind in self.classes for each in kind.divergence for case in each.cases
        }


def parse_known(text: str, name: str) -> Known:
    """Read the file. Raises InputError, in one line, where it is none or has a case of a judge twice."""
    try:
        known = Known.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{name} is not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{name}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    named = [(each.judge, case) for kind in known.classes for each in kind.divergence for case in each.cases]
    for judge, case in named:
        if named.count((judge, case)) > 1:
            raise InputError(f"{name}: {judge} has {case} twice")
    return known


def surprises(run: OutsideRun, known: Known) -> list[str]:
    """What the run has that the file does not say, and the other way round; a line each.

    Only judges that were asked count, and only cases that were asked for; a known divergence in a case that is not put
    to its judge any more is a surprise too.
    """
    said = {(each.judge, each.case): each for each in run.compared}
    tried = {*run.without, *(case for _, case in said), *(case for why in run.not_put.values() for case in why)}
    found = []
    for key, each in said.items():
        expected = known.outcomes.get(key)
        if not each.agrees and expected is None:
            found.append(f"new: {each.judge} says {each.theirs} to {each.case}, ours {each.ours} ({each.detail})")
        elif not each.agrees and expected != each.theirs:
            found.append(f"changed: {each.judge} says {each.theirs} to {each.case}, known is {expected}")
    for (judge, case), expected in known.outcomes.items():
        if judge not in run.judges or case not in tried:
            continue
        if (judge, case) not in said:
            found.append(f"not asked: {judge} was known to say {expected} to {case}")
        elif said[judge, case].agrees:
            found.append(f"gone: {judge} agrees with ours on {case}, known is {expected}")
    return found

"""The corpus put to judges of other making, and their answers beside ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mustaple.lab.cases import World
from mustaple.lab.outside.answer import agrees
from mustaple.lab.outside.judges import ask
from mustaple.lab.outside.question import questions
from mustaple.report.outside_run import Compared, OutsideRun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mustaple.lab.cases import Case
    from mustaple.lab.outside.judge import Judge

# Where the certificates say that the CA answers: nobody listens there, for no judge is to ask anybody.
_NOBODY: Final = "http://127.0.0.1:1/"


def compare(
    cases: Iterable[Case],
    judges: Sequence[Judge],
    *,
    start: Callable[[int], None] = lambda _: None,
    heard: Callable[[], None] = lambda: None,
) -> OutsideRun:
    """Put the question of each case to each of these judges.

    `start` is called with the number of answers to come, `heard` for each of them. Raises RuntimeError where a judge
    cannot be started.
    """
    put, without = questions(cases, World(url=_NOBODY))
    not_put = {
        judge.name: {each.case: why for each in put if (why := judge.why_not(each)) is not None} for judge in judges
    }
    start(sum(len({each.same for each in put if each.case not in why}) for why in not_put.values()))
    said = ask(judges, put, heard)
    compared = tuple(
        Compared(
            case=each.case,
            judge=judge.name,
            ours=each.ours,
            code=each.code.value if each.code is not None else None,
            theirs=answer.outcome,
            detail=answer.detail,
            agrees=agrees(each.ours, answer.outcome),
        )
        for each in put
        for judge in judges
        if (answer := said[judge.name].get(each.case)) is not None
    )
    return OutsideRun({judge.name: judge.about for judge in judges}, compared, without, not_put)

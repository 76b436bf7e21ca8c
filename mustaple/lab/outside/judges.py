"""The list of judges, and what all of them say to the same questions, side by side."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from mustaple.core.errors import InputError
from mustaple.lab.outside.by_command import OcspTool, OpenSsl
from mustaple.lab.outside.by_line import Go, Jsse, Pyhanko

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mustaple.lab.outside.answer import Answer
    from mustaple.lab.outside.judge import Judge
    from mustaple.lab.outside.question import Question

JUDGES: Final[tuple[Judge, ...]] = (OpenSsl(), OcspTool(), Jsse(), Pyhanko(), Go())


def find_judges(names: Iterable[str]) -> tuple[Judge, ...]:
    """The judges of these names. Raises InputError for one that there is none of, or whose program is not here."""
    known = {judge.name: judge for judge in JUDGES}
    found = []
    for name in dict.fromkeys(names):
        if name not in known:
            raise InputError(f"no judge is called {name!r}; there are {', '.join(known)}")
        missing = known[name].missing()
        if missing is not None:
            raise InputError(f"the judge {name} needs {missing}, which is not here")
        found.append(known[name])
    return tuple(found)


def judges_here() -> tuple[Judge, ...]:
    """The judges whose programs are all here."""
    return tuple(judge for judge in JUDGES if judge.missing() is None)


def ask(
    judges: Sequence[Judge], questions: Sequence[Question], heard: Callable[[], None] = lambda: None
) -> dict[str, dict[str, Answer]]:
    """What each judge, by name, says to each question that it can be asked, by the case's id.

    All judges are asked at once, and the same once; `heard` is called for each answer. Raises RuntimeError where a
    judge cannot be started.
    """
    return asyncio.run(_ask_all(judges, questions, heard))


def versions(judges: Sequence[Judge]) -> dict[str, str]:
    """What each judge, by name, says of its version."""

    async def all_of_them() -> dict[str, str]:
        return {judge.name: await judge.version() for judge in judges}

    return asyncio.run(all_of_them())


async def _ask_all(
    judges: Sequence[Judge], questions: Sequence[Question], heard: Callable[[], None]
) -> dict[str, dict[str, Answer]]:
    async with asyncio.TaskGroup() as group:
        tasks = {judge.name: group.create_task(_ask_one(judge, questions, heard)) for judge in judges}
    return {name: task.result() for name, task in tasks.items()}


async def _ask_one(judge: Judge, questions: Sequence[Question], heard: Callable[[], None]) -> dict[str, Answer]:
    put = [question for question in questions if judge.why_not(question) is None]
    once = {question.same: question for question in put}
    said: dict[tuple[bytes, ...], Answer] = {}
    waiting = iter(once)
    async for answer in judge.answers(list(once.values())):
        said[next(waiting)] = answer
        heard()
    return {question.case: said[question.same] for question in put}

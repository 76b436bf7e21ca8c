"""The whole corpus through the strict client's judge, case by case, as it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mustaple.core.policy import PRESETS
from mustaple.lab.cases.judging import Court
from mustaple.report.cases_run import Tried, found_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mustaple.lab.cases.model import Case
    from mustaple.lab.cases.world import World


def run(cases: Iterable[Case], world: World, presets: Iterable[str] = tuple(PRESETS)) -> Iterator[list[Tried]]:
    """Judge each case by each of these presets, in each of its protocols; one list for each case."""
    court = Court()
    chosen = tuple(presets)
    for case in cases:
        setup = case.setup(world)
        found = []
        for protocol in setup.protocols:
            for name in chosen:
                try:
                    words, detail = found_words(court.verdict(setup, PRESETS[name], protocol))
                except Exception as error:  # noqa: BLE001 - a crash is an outcome of its own, and the table says so
                    words, detail = f"crash: {type(error).__name__}", str(error)
                expected = str(case.expected[name])
                found.append(
                    Tried(case.id, protocol, name, expected, words, detail, case.importance.value, case.clauses)
                )
        yield found

"""What a run of the corpus found: each case by each preset in each protocol, and where it was not as expected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mustaple.core.verdict import ChainVerdict


class Tried(NamedTuple):
    """One case, judged by one preset. `expected` and `found` are in the words `accepted`, `refused: expired`.

    What is no verdict is a crash, and `found` says which. `clauses` and `importance` are the case's.
    """

    case: str
    protocol: str
    preset: str
    expected: str
    found: str
    detail: str
    importance: str
    clauses: tuple[str, ...]

    @property
    def deviates(self) -> bool:
        """Whether it is not what the corpus says."""
        return self.expected != self.found


def found_words(verdict: ChainVerdict) -> tuple[str, str]:
    """A verdict in the words of an expectation, and the detail of the reason, or note, that they name."""
    told = verdict.all_reasons or sorted(
        (note for each in verdict.certificates for note in each.notes), key=lambda note: note.rank
    )
    if not told:
        return verdict.outcome.value, ""
    return f"{verdict.outcome.value}: {told[0].code.value}", told[0].detail


def run_json(tried: Sequence[Tried]) -> dict[str, Any]:
    """The run as JSON: how many were judged, and every deviation."""
    deviations = [each for each in tried if each.deviates]
    return {
        "cases": len({each.case for each in tried}),
        "judged": len(tried),
        "deviations": [{**each._asdict(), "clauses": list(each.clauses)} for each in deviations],
    }

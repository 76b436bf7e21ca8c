"""What kind of client it is: the preset whose expectations it meets most, weighted by what deviating would mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mustaple.core.policy import PRESETS
from mustaple.core.verdict import Outcome as Verdict
from mustaple.lab.cases import Importance
from mustaple.report.grade_client import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mustaple.lab.cases import Case
    from mustaple.lab.grade_client.outcome import Tried
    from mustaple.report.grade_client import Wanted

WEIGHTS: Final = {Importance.MUST: 4, Importance.SHOULD: 2, Importance.CURIOUS: 1}


def wanted(case: Case, preset: str) -> Wanted:
    """Whether a client of this preset accepts the case or refuses it."""
    return "accept" if case.expected[preset].outcome is Verdict.ACCEPTED else "refuse"


def agreement(tried: Iterable[Tried]) -> dict[str, float]:
    """For each preset, from the loosest to the tightest, which part of the judged cases came out as it should.

    Weighted by importance, between 0 and 1. A crash or a hang agrees with no preset. Where none was judged, 0.
    """
    judged = [each for each in tried if each.outcome is not Outcome.SKIPPED]
    whole = sum(WEIGHTS[each.case.importance] for each in judged)
    return {preset: _agreeing(judged, preset) / whole if whole else 0.0 for preset in PRESETS}


def _agreeing(judged: Sequence[Tried], preset: str) -> int:
    return sum(WEIGHTS[each.case.importance] for each in judged if each.outcome.value == wanted(each.case, preset))


def nearest(agreements: Mapping[str, float]) -> str:
    """The preset with most agreement; of equals the loosest, since nothing has shown that the client is stricter."""
    return max(agreements, key=lambda preset: agreements[preset])

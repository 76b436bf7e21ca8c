"""What a judge of other making answers: an outcome in the words of ours, or that it crashed or hung."""

from __future__ import annotations

from typing import Final, NamedTuple

from mustaple.core.verdict import Status
from mustaple.lab.outside.question import REFUSED

GOOD: Final = Status.GOOD.value
REVOKED: Final = Status.REVOKED.value
UNKNOWN: Final = Status.UNKNOWN.value
CRASH: Final = "crash"
HANG: Final = "hang"
OUTCOMES: Final = (GOOD, REVOKED, UNKNOWN, REFUSED, CRASH, HANG)
_LONGEST: Final = 300  # characters of a detail


class Answer(NamedTuple):
    """What one judge says to one question: good, revoked, unknown, refused, crash or hang, and its own words."""

    outcome: str
    detail: str = ""


def answered(outcome: str, detail: str = "") -> Answer:
    """The answer with its detail in one line of bounded length."""
    return Answer(outcome, " ".join(detail.split())[:_LONGEST])


def agrees(ours: str, theirs: str) -> bool:
    """Whether both say the same. Who has no word for "unknown" refuses, which is the same to whoever relies on it."""
    return theirs == ours or (ours == UNKNOWN and theirs == REFUSED)

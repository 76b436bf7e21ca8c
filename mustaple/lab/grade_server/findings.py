"""What the scenes have found so far: answers with their evidence, and the counts of requests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from mustaple.report.grade_server import Evidence

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mustaple.report.grade_server import Reaction

YES: Final = True
NO: Final = False
UNSEEN: Final = None


@dataclass
class Findings:
    """Answers by their names in the report. What nobody answers is null."""

    answers: dict[str, bool | None] = field(default_factory=dict)
    evidence: dict[str, Evidence] = field(default_factory=dict)
    reaction: Reaction | None = None
    well: int = 0
    well_handshakes: int = 0
    failing: int = 0
    failing_handshakes: int = 0
    refresh_at: float | None = None

    def say(self, name: str, answer: bool | None, said: str, events: Iterable[int] = ()) -> None:  # noqa: FBT001  it is the answer
        """Answer a question, once and for all."""
        self.answers[name] = answer
        self.evidence[name] = Evidence(said=said, events=sorted(set(events)))

    def tell(self, name: str, said: str, events: Iterable[int] = ()) -> None:
        """Evidence for what has another answer than yes or no."""
        self.evidence[name] = Evidence(said=said, events=sorted(set(events)))

"""A judge of other making: what it can be asked, and what it leaves to its caller."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Final

from mustaple.core.verdict import Code, Source
from mustaple.lab.outside.running import environment, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from mustaple.lab.outside.answer import Answer
    from mustaple.lab.outside.question import Question

TIMES: Final = frozenset({Code.EXPIRED, Code.NOT_YET_VALID, Code.TOO_OLD, Code.NO_NEXT_UPDATE, Code.INVERTED_WINDOW})
"""Our reasons that are about thisUpdate and nextUpdate."""
CERT_ID: Final = frozenset({Code.OTHER_CERTIFICATE, Code.CERT_ID_HASH, Code.CONTRADICTION})
"""Our reasons that are about which certificate an answer is for."""
SKEW: Final = 60  # seconds, as ours by default
MAX_AGE: Final = 10 * 86_400  # seconds, as ours by default


class Judge(ABC):
    """Somebody else's judge of evidence.

    `name` is its column, `about` what it is; `sources` are the kinds of evidence that it judges. `leaves` are those of
    our reasons that it does not look at and says so: times that its caller compares, say. `takes_nonce` says whether
    it can be told what the request carried.
    """

    name: ClassVar[str]
    about: ClassVar[str]
    programs: ClassVar[tuple[str, ...]] = ()
    sources: ClassVar[frozenset[Source]] = frozenset({Source.OCSP})
    leaves: ClassVar[frozenset[Code]] = frozenset()
    takes_nonce: ClassVar[bool] = False

    def missing(self) -> str | None:
        """What it needs and is not here, or None."""
        return next((each for each in self.programs if shutil.which(each) is None), None)

    def why_not(self, question: Question) -> str | None:
        """Why this question cannot be put to it so that the answers compare, or None."""
        if question.source not in self.sources:
            return f"it is asked about no {question.source.name}"
        if question.code is not None and question.code in self.leaves:
            return f"it leaves that to its caller: {question.code.value}"
        if question.nonce is not None and not self.takes_nonce:
            return "it is not told the nonce of the request"
        return None

    @abstractmethod
    async def version(self) -> str:
        """What it says of its own version, in one line."""

    @abstractmethod
    def answers(self, questions: Sequence[Question]) -> AsyncIterator[Answer]:
        """Its answer to each of these questions, in their order."""


async def first_line(command: Sequence[str]) -> str:
    """The first line that a command prints, as its version."""
    ended = await run(command, environment())
    return ended.said.strip().splitlines()[0] if ended is not None and ended.said.strip() else "unknown"

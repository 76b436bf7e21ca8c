"""What a test expects of a check: acceptance, or a refusal, perhaps for one reason among others."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from mustaple.core.errors import InputError
from mustaple.core.verdict import Code, Outcome

if TYPE_CHECKING:
    from mustaple.core.verdict import ChainVerdict

_CODES: Final = {code.value: code for code in Code}


@dataclass(frozen=True, slots=True)
class Expectation:
    """An outcome; for a refusal, with a `code` that has to be among its reasons, or None for any."""

    outcome: Outcome = Outcome.ACCEPTED
    code: Code | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `accepted`, `refused` or `refused:CODE`. Raises InputError, which names what comes near."""
        outcome, colon, code = text.partition(":")
        if outcome == Outcome.ACCEPTED and not colon:
            return cls()
        if outcome != Outcome.REFUSED:
            raise InputError(f"{text!r} is nothing to expect; write accepted, refused, or refused:CODE")
        if not colon:
            return cls(Outcome.REFUSED)
        if code not in _CODES:
            near = difflib.get_close_matches(code, _CODES, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(_CODES))}"
            raise InputError(f"{code!r} is no reason to refuse; {hint}")
        return cls(Outcome.REFUSED, _CODES[code])

    def __str__(self) -> str:
        return f"{self.outcome}:{self.code.value}" if self.code is not None else f"{self.outcome}"

    def met_by(self, verdict: ChainVerdict) -> bool:
        """Whether the verdict is the one expected; a code is looked for among all its reasons, not the first alone."""
        if verdict.outcome is not self.outcome:
            return False
        return self.code is None or any(reason.code is self.code for reason in verdict.all_reasons)

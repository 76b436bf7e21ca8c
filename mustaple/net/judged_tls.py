"""What the strict client's TLS is whichever library does the handshake: a verdict, and data only where it accepts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from mustaple.core.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from certtools.chain import Link
    from mustaple.core.flight import Flight
    from mustaple.core.verdict import ChainVerdict, Judgement
    from mustaple.net.tls_judge import HandshakeJudge

JudgeT = TypeVar("JudgeT", bound="HandshakeJudge")


class JudgedTLS(Generic[JudgeT]):
    """One connection, without I/O: feed it with `receive`, send what `to_send` gives, until `done`.

    Then `verdict` stands, unless a NetworkError was raised on the way. A PENDING verdict waits for `supply`; only an
    accepted one lets application data through `read` and `write`. Both engines are subclasses, with those methods.
    """

    def __init__(self, judge: JudgeT) -> None:
        self.done = False
        self._judge = judge

    @property
    def verdict(self) -> ChainVerdict | None:
        """The verdict, once the handshake has ended; before that, and after a NetworkError, None."""
        return self._judge.verdict if self.done else None

    @property
    def flight(self) -> Flight | None:
        """What the server sent, certificates and staples; None where it was not read, as where no staple was asked."""
        return self._judge.flight

    @property
    def wanted(self) -> tuple[Link, ...]:
        """The links for which a PENDING verdict wants evidence."""
        return self._judge.wanted

    def supply(self, evidence: Mapping[bytes, Sequence[Judgement]]) -> ChainVerdict:
        """Decide again with more judgements, by fingerprint; RuntimeError where nothing has been decided."""
        return self._judge.supply(evidence)

    def _end(self) -> None:
        """The handshake goes no further; what came up in a callback of it is raised now."""
        self.done = True
        self._judge.forget()
        problem, self._judge.problem = self._judge.problem, None
        if problem is not None:
            self._judge.verdict = None
            raise problem

    def _admit(self) -> None:
        """Raise RefusedError unless the verdict accepts."""
        verdict = self.verdict
        if verdict is None:
            raise RuntimeError("The handshake has not been completed.")
        if not verdict.accepted:
            raise RefusedError(verdict)

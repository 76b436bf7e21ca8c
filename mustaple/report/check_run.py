"""What a run of `mustaple check` consists of: each target's result, what was expected of it, and the sum."""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol, Self

from certtools.chain import name_of
from mustaple.core.errors import MustapleError, RefusedError
from mustaple.core.verdict import ChainVerdict, Source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime, timedelta

    from cryptography import x509

    from mustaple.core.expectation import Expectation

EXIT_AS_WANTED: Final = 0
EXIT_REFUSED: Final = 1
EXIT_NO_ANSWER: Final = 3
EXIT_INTERNAL: Final = 4
_WORST_FIRST: Final = (EXIT_INTERNAL, EXIT_REFUSED, EXIT_NO_ANSWER)


class Ending(enum.StrEnum):
    """How the check of one target ended."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    NO_ANSWER = "no-answer"
    INTERNAL_ERROR = "internal-error"


@dataclass(frozen=True, slots=True)
class Dying:
    """A staple, a fetched answer or a certificate that is good still, but not for long. `dies_at` is aware UTC."""

    what: str  # "certificate", or the source of the evidence: "staple", "ocsp", "crl"
    subject: str
    dies_at: datetime
    left: timedelta


def lifetimes(verdict: ChainVerdict) -> Iterator[tuple[str, x509.Certificate, datetime]]:
    """Everything that this verdict rests on and that dies: what it is, of which certificate, when (aware UTC).

    The certificates of the path, trust anchor included, and the piece of evidence that decided for each.
    """
    for each in verdict.certificates:
        if each.judgement is not None and each.judgement.dies_at is not None:
            yield each.judgement.source.value, each.link.subject, each.judgement.dies_at
        yield "certificate", each.link.subject, each.link.subject.not_valid_after_utc
    if verdict.certificates:
        anchor = verdict.certificates[-1].link.issuer
        yield "certificate", anchor, anchor.not_valid_after_utc


def dies_at(verdict: ChainVerdict) -> datetime | None:
    """When the first thing dies that this verdict rests on, aware UTC; None where it rests on nothing."""
    return min((moment for _, _, moment in lifetimes(verdict)), default=None)


def staples_die_at(verdict: ChainVerdict) -> datetime | None:
    """When the first staple dies that this verdict rests on, aware UTC; None where it rests on none."""
    return min((moment for what, _, moment in lifetimes(verdict) if what == Source.STAPLE), default=None)


def dying(verdict: ChainVerdict, within: timedelta) -> tuple[Dying, ...]:
    """What will be dead `within` this span of the verdict's time, soonest first.

    What is dead already is a reason or a note of the verdict, and no warning.
    """
    found = [
        Dying(what, name_of(certificate), moment, left)
        for what, certificate, moment in lifetimes(verdict)
        if (left := moment - verdict.at) <= within and left.total_seconds() >= 0
    ]
    return tuple(sorted(found, key=lambda each: each.dies_at))


@dataclass(frozen=True, slots=True)
class TargetResult:
    """What became of one target: a verdict, or the problem that kept it from one.

    `target` is as the user wrote it, `seconds` how long the check took. `problem` is one sentence; `internal` says
    that it is a fault of this program, not of the target or the network. `remarks` are lines that weigh nothing.
    """

    target: str
    verdict: ChainVerdict | None
    problem: str | None
    seconds: float
    expectation: Expectation | None = None
    warnings: tuple[Dying, ...] = ()
    internal: bool = False
    remarks: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        target: str,
        answer: ChainVerdict | Exception,
        seconds: float,
        *,
        expectation: Expectation | None = None,
        warn_before: timedelta | None = None,
        remarks: tuple[str, ...] = (),
    ) -> Self:
        """The result of a check that returned a verdict or raised; `warn_before` asks for warnings of what dies soon.

        An exception that is not of this package's making is an internal error.
        """
        if isinstance(answer, RefusedError):
            answer = answer.verdict
        if isinstance(answer, ChainVerdict):
            warnings = dying(answer, warn_before) if warn_before is not None else ()
            return cls(target, answer, None, seconds, expectation, warnings, remarks=remarks)
        internal = not isinstance(answer, MustapleError)
        said = f"{type(answer).__name__}: {answer}" if internal else str(answer)
        return cls(target, None, said, seconds, expectation, internal=internal)

    @property
    def ending(self) -> Ending:
        """How it ended, whatever was expected."""
        if self.verdict is None:
            return Ending.INTERNAL_ERROR if self.internal else Ending.NO_ANSWER
        return Ending.ACCEPTED if self.verdict.accepted else Ending.REFUSED

    @property
    def as_expected(self) -> bool:
        """Whether it is what was expected; where nothing was, whether it was accepted."""
        if self.verdict is None:
            return False
        return self.verdict.accepted if self.expectation is None else self.expectation.met_by(self.verdict)

    @property
    def code(self) -> str | None:
        """The most telling reason's stable code; None where there is no refusing reason."""
        reasons = self.verdict.all_reasons if self.verdict is not None else ()
        return reasons[0].code.value if reasons else None

    @property
    def exit_code(self) -> int:
        """The exit code of a run of this target alone (DESIGN §4)."""
        match self.ending:
            case Ending.INTERNAL_ERROR:
                return EXIT_INTERNAL
            case Ending.NO_ANSWER:
                return EXIT_NO_ANSWER
            case _:
                return EXIT_AS_WANTED if self.as_expected else EXIT_REFUSED

    @property
    def summary_line(self) -> str:
        """One sentence without the target: the outcome and its most telling reason, or the problem."""
        if self.verdict is None:
            return f"{self.ending.value}: {self.problem}"
        return self.verdict.headline


@dataclass(frozen=True, slots=True)
class Run:
    """What all targets of a run have in common, known before the first of them is done.

    `at` (aware UTC) is when it began or, with `--at`, the time that is asked about. `targets` is their number, None
    where it is not known yet. `version` is that of mustaple.
    """

    policy: str
    at: datetime
    version: str
    targets: int | None = None
    report_only: bool = False


@dataclass(frozen=True, slots=True)
class Summary:
    """The sum of a run: how many targets ended how, how many were refused for which (most telling) code."""

    total: int
    endings: Mapping[Ending, int]
    codes: Mapping[str, int]
    unexpected: int
    warnings: int
    exit_code: int
    report_only: bool
    seconds: float


@dataclass(slots=True)
class Tally:
    """Counts results as they come, and keeps none of them.

    With `fail_on_warning` a warning weighs as much as a refusal in the exit code.
    """

    report_only: bool = False
    fail_on_warning: bool = False
    endings: Counter[Ending] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    exits: Counter[int] = field(default_factory=Counter)
    unexpected: int = 0
    warnings: int = 0

    def add(self, result: TargetResult) -> None:
        """Count one result."""
        self.endings[result.ending] += 1
        if result.ending is Ending.REFUSED and result.code is not None:
            self.codes[result.code] += 1
        self.exits[result.exit_code] += 1
        self.unexpected += not result.as_expected
        self.warnings += len(result.warnings)
        if self.fail_on_warning and result.warnings:
            self.exits[EXIT_REFUSED] += 1

    def summary(self, seconds: float) -> Summary:
        """The sum so far; `seconds` is how long the run took."""
        return Summary(
            total=self.endings.total(),
            endings={ending: self.endings[ending] for ending in Ending},
            codes=dict(self.codes.most_common()),
            unexpected=self.unexpected,
            warnings=self.warnings,
            exit_code=self._exit_code(),
            report_only=self.report_only,
            seconds=seconds,
        )

    def _exit_code(self) -> int:
        """The worst of all: 4 > 1 > 3 > 0; a run that only reports does not fail for a refusal."""
        forgiven = {EXIT_REFUSED} if self.report_only else set[int]()
        return next((code for code in _WORST_FIRST if self.exits[code] and code not in forgiven), EXIT_AS_WANTED)


class Format(enum.StrEnum):
    """The formats a run can be reported in."""

    TEXT = "text"
    JSON = "json"
    JUNIT = "junit"
    SARIF = "sarif"
    GITHUB = "github"
    PROMETHEUS = "prometheus"
    HTML = "html"


class Reporter(Protocol):
    """Renders a run piece by piece: what it yields, put together, is the document.

    `begin` once, `add` for each result as it comes, `end` once. No reporter keeps the results it was given: what a
    format wants to say of them at its end is spooled to disk (`check_spool`), so that memory stays flat.
    """

    def begin(self, run: Run) -> Iterator[str]:
        """What can be said before the first result."""

    def add(self, result: TargetResult) -> Iterator[str]:
        """What one result adds."""

    def end(self, summary: Summary) -> Iterator[str]:
        """What ends the document."""

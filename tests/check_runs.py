"""Runs of `mustaple check` whose verdicts the judge and the policy really reached, for tests of their reports."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from certtools.authority import Authority
from certtools.forge import CertificateStatus, answer, sign, single
from mustaple.core.decide import Situation, decide
from mustaple.core.errors import NetworkError
from mustaple.core.expectation import Expectation
from mustaple.core.ocsp import judge
from mustaple.core.policy import preset
from mustaple.report.check_report import reporter_for
from mustaple.report.check_run import Format, Run, Tally, TargetResult

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from pathlib import Path

    from mustaple.core.verdict import ChainVerdict
    from mustaple.report.check_run import Summary

DAY: Final = timedelta(days=1)
# What a certificate may say of itself: signs that end a line, a string, an element, a command, a cell; colours; a wrong
# direction of writing. A name holds 64 characters.
HOSTILE_NAME: Final = "\x1b[31m\x9b]]>-->\n::error::x\r##[error]<script>\"'%0A,|`\\\u202e\u2028&lt;{{"
# What a target list or an error might say, which need not be what a certificate can hold.
HOSTILE: Final = f"{HOSTILE_NAME}\x00\x7f\ufffe\udc80\U000e0001 <img src=x onerror=alert(1)> [a](b) *b*\naccepted: y"


@dataclass(frozen=True)
class World:
    """A CA and one moment; `verdict` judges what a server of its leaf staples."""

    at: datetime
    name: str = "test CA"

    def verdict(self, staple: str | None, policy: str = "must-staple") -> ChainVerdict:
        """What comes of a staple: good, dying, revoked, expired, garbage, or None for nothing."""
        root = Authority.root("root", not_before=self.at - 30 * DAY, not_after=self.at + 900 * DAY)
        ca = root.intermediate(self.name)
        chain = ca.leaf(["site.test"], not_after=self.at + 60 * DAY).as_chain()
        link = chain.links[0]
        told = {
            "good": {},
            "dying": {"next_update": self.at + timedelta(hours=3)},
            "revoked": {"status": CertificateStatus.REVOKED, "revocation_time": self.at - DAY},
            "expired": {"this_update": self.at - 9 * DAY, "next_update": self.at - DAY},
        }
        evidence = {}
        if staple is not None:
            der = sign(answer([single(link, self.at, **told[staple])], ca), ca) if staple in told else b"garbage"
            evidence = {link.fingerprint: [judge(der, link, self.at, origin="TLS 1.3 Certificate, entry 0")]}
        offered = frozenset({5})
        return decide(Situation(chain, self.at, offered, offered, "TLSv1.3", "openssl", evidence), preset(policy))

    def results(self) -> list[TargetResult]:
        """One target of each kind that a run can meet."""

        def result(
            name: str, came: ChainVerdict | Exception, expected: str | None = None, warn: timedelta | None = None
        ) -> TargetResult:
            expectation = Expectation.parse(expected) if expected is not None else None
            return TargetResult.of(name, came, 0.0125, expectation=expectation, warn_before=warn)

        return [
            result("good.test:443", self.verdict("good")),
            result("dying.test:443", self.verdict("dying"), warn=DAY),
            result("ignored.test:443", self.verdict("revoked", "ignore")),
            result("revoked.test:443", self.verdict("revoked")),
            result("expired.test:443", self.verdict("expired", "strict")),
            result("missing.test:443", self.verdict(None)),
            result("garbage.test:443", self.verdict("garbage")),
            result("wanted.test:443", self.verdict("revoked"), "refused:revoked"),
            result("unwanted.test:443", self.verdict("good"), "refused:revoked"),
            result("other.test:443", self.verdict("expired"), "refused:revoked"),
            result("gone.test:443", NetworkError("gone.test:443: connection refused")),
            result("[::1]:443", ValueError("no such thing")),
        ]


def hostile_results(at: datetime) -> list[TargetResult]:
    """Targets, names and errors that try to be more than text."""
    world = World(at, HOSTILE_NAME)
    return [
        TargetResult.of(HOSTILE, world.verdict("good"), 1.0),
        TargetResult.of(HOSTILE, world.verdict("revoked", "strict"), 1.0),
        TargetResult.of(HOSTILE, world.verdict("dying", "strict"), 1.0, warn_before=DAY),
        TargetResult.of(HOSTILE, world.verdict("expired"), 1.0, expectation=Expectation.parse("refused:revoked")),
        TargetResult.of(HOSTILE, NetworkError(HOSTILE), 1.0),
        TargetResult.of(HOSTILE, RuntimeError(HOSTILE), 1.0),
    ]


def run_of(at: datetime, results: list[TargetResult], *, report_only: bool = False) -> Run:
    """What the command would say of the run."""
    return Run("must-staple", at, "0.1.0", len(results), report_only)


def summed(results: Iterable[TargetResult], *, report_only: bool = False) -> Summary:
    """The sum of the results."""
    tally = Tally(report_only)
    for result in results:
        tally.add(result)
    return tally.summary(2.5)


def rendered(
    form: Format, at: datetime, results: list[TargetResult], summary: Path | None = None, *, report_only: bool = False
) -> str:
    """The whole document."""
    reporter = reporter_for(form, step_summary=summary)
    pieces = [*reporter.begin(run_of(at, results, report_only=report_only))]
    for result in results:
        pieces += reporter.add(result)
    pieces += reporter.end(summed(results, report_only=report_only))
    return "".join(pieces)

"""How `mustaple check` runs: once with a report, again and again for a record, or only to sum a record up."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from contextlib import ExitStack, aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

from mustaple import __version__
from mustaple.cli.progress import Bar
from mustaple.core.errors import InputError
from mustaple.net.check_many import check_many
from mustaple.net.readiness import Effect, Readiness
from mustaple.net.targets import ListedTarget
from mustaple.report.check_output import report_output
from mustaple.report.check_report import reporter_for
from mustaple.report.check_run import Format, Run, Tally, TargetResult
from mustaple.report.readiness import change_text, readiness_exit, readiness_json, readiness_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import timedelta

    from mustaple.cli.check_options import FormatName
    from mustaple.core.policy import Policy
    from mustaple.net.check_many import Checked
    from mustaple.net.settings import Settings
    from mustaple.net.targets import TargetList

    Write = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Reporting:
    """In which format, and where to: a file, or stdout where it is None."""

    form: Format
    output: Path | None

    @classmethod
    def asked_for(cls, form: FormatName | None, output: Path | None, *, json: bool) -> Self:
        """What the options say together. Raises InputError where they contradict each other."""
        if json and form is not None and form.value != Format.JSON:
            raise InputError(f"--json is --format json, and --format {form.value} is something else")
        chosen = Format.JSON if json else Format(form.value) if form is not None else Format.TEXT
        return cls(chosen, None if str(output) == "-" else output)

    @property
    def live(self) -> bool:
        """Whether somebody may read it as it comes, so that a slow target must not hold back the others."""
        return self.form is Format.TEXT and self.output is None

    @property
    def leaves_room_for_a_bar(self) -> bool:
        """Whether a progress bar may stand on the terminal: a document that is written there would be torn by it."""
        return self.live or self.output is not None or not sys.stdout.isatty()


@dataclass(frozen=True, slots=True)
class Orders:
    """What the command line asks for, besides the settings of the client."""

    reporting: Reporting
    at_once: int
    retries: int
    warn_before: timedelta | None
    fail_on_warning: bool
    report_only: bool
    http: bool
    every: timedelta | None
    span: timedelta | None
    database: Path | None

    def see_to_it_that_they_agree(
        self, *, summary: bool, at: str | None, expect: str | None, expect_hosts: Path | None
    ) -> None:
        """Raises InputError for options that make no sense together."""
        nothing_fails = "says what fails, and --report-only that nothing does"
        over_time = "needs --report-only: over time, refusals are counted and fail nothing"
        for wrong, said in (
            (self.every is not None and not self.report_only, f"--every {over_time}"),
            (self.span is not None and not self.report_only, f"--for {over_time}"),
            (self.database is not None and not self.report_only and not summary, f"--database {over_time}"),
            (self.report_only and expect is not None, f"--expect {nothing_fails}"),
            (self.report_only and self.fail_on_warning, f"--fail-on-warning {nothing_fails}"),
            (
                self.fail_on_warning and self.warn_before is None,
                "--fail-on-warning needs --warn-before, which says what to warn of",
            ),
            (summary and self.database is None, "--summary needs --database, the record to sum up"),
            (self.span is not None and self.every is None, "--for needs --every: how often to check meanwhile"),
            (self.every is not None and not self.every, "--every needs a span that is longer than nothing"),
            (self.every is not None and at is not None, "--at asks about one moment, and --every goes through many"),
            (self.http and expect_hosts is None, "--http needs --expect-hosts, the file to remember hosts in"),
            (self.http and at is not None, "--at asks about another time, and --http learns what holds now"),
            (self.http and self.every is not None, "--http learns once; --every goes on without it"),
            (
                (self.every is not None or summary) and self.reporting.form not in {Format.TEXT, Format.JSON},
                f"a summary over time is --format text or json, not {self.reporting.form}",
            ),
        ):
            if wrong:
                raise InputError(said)


def check_once(targets: TargetList, settings: Settings, orders: Orders) -> int:
    """Check them all, report each, and return the exit code."""
    step_summary = os.environ.get("GITHUB_STEP_SUMMARY")
    reporter = reporter_for(orders.reporting.form, step_summary=Path(step_summary) if step_summary else None)
    tally = Tally(orders.report_only, orders.fail_on_warning)
    policy = _name(settings.policy)
    at = settings.at if settings.at is not None else datetime.now(UTC)
    run = Run(policy, at, __version__, len(targets), report_only=orders.report_only)
    began = time.monotonic()

    async def go() -> None:
        checks = check_many(
            targets,
            settings,
            at_once=orders.at_once,
            in_order=not orders.reporting.live,
            retries=orders.retries,
            keep_going=True,
            http=orders.http,
        )
        # Not before: settings of no use end the run before a word of the report is out.
        _write_all(write, reporter.begin(run))
        async with aclosing(checks) as results:
            async for checked in results:
                if record is not None:
                    record.add(str(checked.target), checked.result, checked.seconds)
                result = _result(checked, orders)
                tally.add(result)
                _write_all(write, reporter.add(result))
                bar.step(f"{tally.unexpected} not as wanted" if tally.unexpected else "")

    with ExitStack() as opened:
        record = opened.enter_context(Readiness(orders.database, policy)) if orders.database is not None else None
        write = opened.enter_context(report_output(orders.reporting.output))
        wanted = len(targets) > 1 and orders.reporting.leaves_room_for_a_bar
        bar = opened.enter_context(Bar.shown(len(targets), "checking", wanted=wanted))
        if orders.reporting.live:
            write = bar.write
        asyncio.run(go())
        summary = tally.summary(time.monotonic() - began)
        _write_all(write, reporter.end(summary))
    return summary.exit_code


def check_over_time(targets: TargetList, settings: Settings, orders: Orders) -> int:
    """Check them all round after round, and sum up at the end, which SIGINT and SIGTERM may bring; the exit code."""
    from mustaple.cli.running import run_until_told
    from mustaple.net.watching import watch

    every = orders.every.total_seconds() if orders.every is not None else 0.0
    span = orders.span.total_seconds() if orders.span is not None else None
    rounds = -int(-span // every) if span is not None else None

    async def go() -> None:
        watching = watch(
            targets, settings, record, every=every, span=span, at_once=orders.at_once, retries=orders.retries
        )
        lost = 0
        async with aclosing(watching) as seen:
            async for each in seen:
                if each.changed and orders.reporting.live:
                    bar.write(change_text(each.target, each.at, each.ended) + "\n")
                lost += each.ended.effect is Effect.LOST
                if each.round_over:
                    bar.step(f"{lost} would have been lost")

    with ExitStack() as opened:
        record = opened.enter_context(Readiness(orders.database, _name(settings.policy)))
        write = opened.enter_context(report_output(orders.reporting.output))
        with Bar.shown(rounds, "rounds") as bar:
            run_until_told(go())
        return _sum_up(record, orders.reporting.form, write)


def sum_up(orders: Orders) -> int:
    """Say what is in the record, and return the exit code."""
    if orders.database is None:
        raise InputError("--summary needs --database, the record to sum up")
    with Readiness.existing(orders.database) as record, report_output(orders.reporting.output) as write:
        return _sum_up(record, orders.reporting.form, write)


def _sum_up(record: Readiness, form: Format, write: Write) -> int:
    totals = record.totals()
    render = readiness_json if form is Format.JSON else readiness_text
    _write_all(write, render(totals, record.targets()))
    return readiness_exit(totals)


def _result(checked: Checked, orders: Orders) -> TargetResult:
    """What became of a target, against what was expected of it; where nothing can fail, nothing is expected."""
    target = checked.target
    expectation = target.expectation if isinstance(target, ListedTarget) and not orders.report_only else None
    return TargetResult.of(
        str(target),
        checked.result,
        checked.seconds,
        expectation=expectation,
        warn_before=orders.warn_before,
        remarks=_remarks(checked),
    )


def _remarks(checked: Checked) -> tuple[str, ...]:
    if checked.header is None:
        return ()
    from mustaple.report.check_header import header_text  # it brings an HTTP library, which few runs need

    return (header_text(checked.header),)


def _write_all(write: Write, pieces: Iterable[str]) -> None:
    for piece in pieces:
        write(piece)


def _name(policy: Policy | str) -> str:
    return policy if isinstance(policy, str) else policy.name

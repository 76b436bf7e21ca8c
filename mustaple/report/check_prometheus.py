"""A run of `mustaple check` in Prometheus' text format, as the node exporter's textfile collector takes it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from mustaple.report.check_run import Ending, dies_at, staples_die_at
from mustaple.report.check_spool import Spool
from mustaple.report.plain import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from mustaple.report.check_run import Run, Summary, TargetResult


class Metric(NamedTuple):
    """A family of samples, all of them gauges: what they say is true of one run."""

    name: str
    help: str


ACCEPTED: Final = Metric("mustaple_check_accepted", "1 where the policy accepted the target, else 0.")
AS_EXPECTED: Final = Metric("mustaple_check_as_expected", "1 where the target came to what was expected of it, else 0.")
ANSWERED: Final = Metric("mustaple_check_answered", "1 where the target answered in TLS, else 0.")
REASON: Final = Metric("mustaple_check_refused_reason", "1 for each code that the target was refused for.")
STAPLES: Final = Metric("mustaple_check_staple_expiry_timestamp_seconds", "When the first of the staples used dies.")
EXPIRY: Final = Metric(
    "mustaple_check_expiry_timestamp_seconds", "When the first staple, answer or certificate used dies."
)
SECONDS: Final = Metric("mustaple_check_duration_seconds", "How long the check of the target took.")
REQUESTS: Final = Metric("mustaple_check_ca_requests", "Requests that the client itself made to CAs for the target.")
PER_TARGET: Final = (ACCEPTED, AS_EXPECTED, ANSWERED, REASON, STAPLES, EXPIRY, SECONDS, REQUESTS)
TARGETS: Final = Metric("mustaple_check_targets", "Targets of the run, by how they ended.")
EXIT_CODE: Final = Metric("mustaple_check_exit_code", "The exit code of the run.")
LAST_RUN: Final = Metric("mustaple_check_run_timestamp_seconds", "The time that the run asked about.")
RUN_SECONDS: Final = Metric("mustaple_check_run_duration_seconds", "How long the run took.")


class PrometheusReporter:
    """The text format wants all samples of a metric together, so that each metric has a spool of its own."""

    def __init__(self) -> None:
        self._spools = {metric: Spool() for metric in PER_TARGET}
        self._seen: Counter[str] = Counter()
        self._at: datetime | None = None

    def begin(self, run: Run) -> Iterator[str]:
        """Nothing yet."""
        self._at = run.at
        yield from ()

    def add(self, result: TargetResult) -> Iterator[str]:
        """Nothing yet: the samples are spooled."""
        self._seen[result.target] += 1
        labels = {"target": result.target}
        if self._seen[result.target] > 1:
            labels["nth"] = str(self._seen[result.target])  # a series may have one value only

        def put(metric: Metric, value: float, **more: str) -> None:
            self._spools[metric].write(_sample(metric, value, {**labels, **more}))

        put(ACCEPTED, result.ending is Ending.ACCEPTED)
        put(AS_EXPECTED, result.as_expected)
        put(ANSWERED, result.verdict is not None)
        put(SECONDS, result.seconds)
        if result.verdict is not None:
            put(REQUESTS, len(result.verdict.requests))
            for code in dict.fromkeys(reason.code for reason in result.verdict.all_reasons):
                put(REASON, 1, code=code.value)
            for metric, moment in ((STAPLES, staples_die_at(result.verdict)), (EXPIRY, dies_at(result.verdict))):
                if moment is not None:
                    put(metric, moment.timestamp())
        yield from ()

    def end(self, summary: Summary) -> Iterator[str]:
        """Every metric, with its HELP and TYPE once."""
        for metric, spool in self._spools.items():
            yield _head(metric)
            yield from spool.drain()
        yield _head(TARGETS)
        for ending, count in summary.endings.items():
            yield _sample(TARGETS, count, {"ending": ending.value})
        run = [(EXIT_CODE, summary.exit_code), (RUN_SECONDS, summary.seconds)]
        if self._at is not None:
            run.append((LAST_RUN, self._at.timestamp()))
        for metric, value in run:
            yield _head(metric) + _sample(metric, value, {})


def _head(metric: Metric) -> str:
    return f"# HELP {metric.name} {metric.help}\n# TYPE {metric.name} gauge\n"


def _sample(metric: Metric, value: float, labels: dict[str, str]) -> str:
    inside = ",".join(f'{name}="{_label(text)}"' for name, text in labels.items())
    return f"{metric.name}{{{inside}}} {_number(value)}\n" if inside else f"{metric.name} {_number(value)}\n"


def _number(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _label(text: str) -> str:
    """A label's value: without what does not print, backslash and quote escaped."""
    return printable(text).replace("\\", "\\\\").replace('"', '\\"')

"""The agent's numbers for Prometheus: read from what there is to see at each scrape, and counters of what happened."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from mustaple.agent.events import Kind
from mustaple.agent.fleet.standing import Standing
from mustaple.agent.state import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client.metrics_core import Metric

    from mustaple.agent.events import Event
    from mustaple.agent.fleet.standing import View
    from mustaple.agent.state import Row, State

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_LABELS: Final = ("certificate", "fingerprint")
_STATUSES: Final = ("good", "revoked", "early", "none", "waiting")


class Metrics(Collector):
    """Feed it `see` and `count`, in any thread; `page()` is what Prometheus reads. `clock` tells the ages."""

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._clock = clock
        self._lock = Lock()
        self._state: State | None = None
        self._events: Counter[tuple[str, str]] = Counter()
        self._answers: Counter[str] = Counter()
        self._collectors = CollectorRegistry()
        self._collectors.register(self)

    def see(self, state: State) -> None:
        """What there is to see from now on."""
        with self._lock:
            self._state = state

    def count(self, event: Event) -> None:
        """Something happened."""
        with self._lock:
            self._events[event.kind.value, event.severity.value] += 1
            if event.kind is Kind.ASKED:
                self._answers[str(event.details["answered"])] += 1

    def page(self) -> bytes:
        """The page in Prometheus' text format."""
        return generate_latest(self._collectors)

    def collect(self) -> Iterator[Metric]:
        """Every metric, as the registry asks for them."""
        with self._lock:
            state, events, answers = self._state, Counter(self._events), Counter(self._answers)
        counter = CounterMetricFamily(
            "mustaple_agent_events", "What happened, by kind and severity.", labels=("event", "severity")
        )
        for (kind, severity), count in sorted(events.items()):
            counter.add_metric((kind, severity), count)
        yield counter
        answered = CounterMetricFamily(
            "mustaple_agent_answers", "What the caching responder answered.", labels=("answer",)
        )
        for answer, count in sorted(answers.items()):
            answered.add_metric((answer,), count)
        yield answered
        if state is not None:
            yield from self._certificates(state.certificates)
            yield from _targets(state)
            if state.fleet is not None:
                yield _standing(state.fleet)

    def _certificates(self, rows: tuple[Row, ...]) -> Iterator[Metric]:
        at = self._clock()
        dies = GaugeMetricFamily("mustaple_agent_staple_dies_seconds", "Until the staple is dead.", labels=_LABELS)
        age = GaugeMetricFamily("mustaple_agent_staple_age_seconds", "Since thisUpdate.", labels=_LABELS)
        failures = GaugeMetricFamily("mustaple_agent_failures", "Failed fetches in a row.", labels=_LABELS)
        totals = Counter((row.status, row.must_staple) for row in rows)
        for row in rows:
            labels = (row.subject, row.fingerprint)
            for gauge, text, sign in ((dies, row.dies_at, 1), (age, row.this_update, -1)):
                moment = parse(text)
                if moment is not None:
                    gauge.add_metric(labels, sign * (moment - at).total_seconds())
            failures.add_metric(labels, row.failures)
        yield from (dies, age, failures)
        count = GaugeMetricFamily(
            "mustaple_agent_certificates", "Certificates by what there is for them.", labels=("status", "must_staple")
        )
        for status in _STATUSES:
            for obliged in (False, True):
                count.add_metric((status, str(obliged).lower()), totals[status, obliged])
        yield count


def _standing(view: View) -> Metric:
    standing = GaugeMetricFamily("mustaple_agent_fleet", "1 for this agent's place in its fleet.", labels=("standing",))
    for each in (Standing.LEADING, Standing.FOLLOWING, Standing.PARTITIONED):
        standing.add_metric((each.value,), float(view.standing is each))
    return standing


def _targets(state: State) -> Iterator[Metric]:
    labels = ("chain", "target")
    failing = GaugeMetricFamily("mustaple_agent_target_failing", "1 where the last deployment failed.", labels=labels)
    staples = GaugeMetricFamily("mustaple_agent_target_staples", "Staples that the target has.", labels=labels)
    for row in state.targets:
        failing.add_metric((row.chain, row.target), float(bool(row.error)))
        staples.add_metric((row.chain, row.target), row.staples)
    yield from (failing, staples)

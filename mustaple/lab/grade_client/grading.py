"""The grade of one client: controls first, then every case, several at once, then what it all says of the client."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import mustaple
from mustaple.core.errors import NetworkError
from mustaple.core.policy import PRESETS
from mustaple.lab.cases import find
from mustaple.lab.grade_client.bench import Bench
from mustaple.lab.grade_client.outcome import needs_nonce
from mustaple.lab.grade_client.profile import agreement, nearest, wanted
from mustaple.report.grade_client import SCHEMA, Deviation, GradedCase, GradeReport, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mustaple.lab.cases import Case
    from mustaple.lab.grade_client.outcome import Tried
    from mustaple.lab.grade_client.recipe import Recipe

HONEST: Final = "control/all-well"
WRONG_NAME: Final = "control/other-name"
_CONTROLS: Final = {HONEST: Outcome.ACCEPT, WRONG_NAME: Outcome.REFUSE}
_NO_NONCE: Final = "it turns on a nonce in the client's OCSP request, and the client sends none"


class ControlError(NetworkError):
    """The client does not do what every client does, so that nothing can be said of it."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is asked for: this client against these cases, so many at once.

    `against` names the preset it is measured against, None the nearest one; `timeout` (seconds) replaces the recipe's.
    `controls` may be False for a client that is known to check no name or no path.
    """

    recipe: Recipe
    cases: tuple[Case, ...]
    jobs: int = 1
    timeout: float | None = None
    against: str | None = None
    controls: bool = True


def grade(order: Order, step: Callable[[str], None] = lambda _: None) -> GradeReport:
    """Grade the client; `step` is told the id of each case that is done.

    Raises ControlError where it does not accept the honest server or does not refuse the one with another's name, and
    InputError where it cannot be run.
    """
    at, begun = datetime.now(UTC), time.monotonic()
    controls = [find(each) for each in _CONTROLS]
    with Bench([*order.cases, *controls], order.recipe, timeout=order.timeout) as bench:
        version = bench.version()
        tried = {case.id: bench.try_case(case) for case in controls} if order.controls else {}
        _check(order.recipe, list(tried.values()))
        tried |= _all(bench, [case for case in order.cases if case.id not in tried], order.jobs, step)
        requests, nonces = bench.requests, bench.sends_nonces
    found = [in_hindsight(tried[case.id], asks=requests > 0, nonces=nonces) for case in order.cases]
    agreements = agreement(found)
    profile = nearest(agreements)
    against = order.against or profile
    cases = [_graded(each, against) for each in found]
    facts = {
        "schema": SCHEMA,
        "version": mustaple.__version__,
        "client": order.recipe.name,
        "client_version": version,
        "command": list(order.recipe.command),
        "at": at.replace(microsecond=0),
        "seconds": round(time.monotonic() - begun, 3),
        "profile": profile,
        "agreement": {name: round(share, 4) for name, share in agreements.items()},
        "measured_against": against,
        "totals": {outcome: sum(each.outcome is outcome for each in cases) for outcome in Outcome},
        "requests": requests,
        "cases": cases,
        "deviations": [deviation(each) for each in cases if each.deviates],
        "changes": None,
    }
    return GradeReport.model_validate(facts)


def _check(recipe: Recipe, controls: Sequence[Tried]) -> None:
    for each in controls:
        if each.outcome is _CONTROLS[each.case.id]:
            continue
        what = "accept the honest server" if each.case.id == HONEST else "refuse a certificate for another name"
        raise ControlError(
            f"{recipe.name} does not {what}, so nothing can be said of it: {each.outcome}, {each.detail}"
        )


def _all(bench: Bench, cases: Sequence[Case], jobs: int, step: Callable[[str], None]) -> dict[str, Tried]:
    tried = {}
    with ThreadPoolExecutor(jobs, thread_name_prefix="mustaple-grade") as pool:
        futures = [pool.submit(bench.try_case, case) for case in cases]
        try:
            for future in as_completed(futures):
                found = future.result()
                tried[found.case.id] = found
                step(found.case.id)
        except BaseException:
            # Also when somebody presses Ctrl-C: no further client is started, and those that run are ended.
            pool.shutdown(wait=False, cancel_futures=True)
            bench.end_clients()
            raise
    return tried


def in_hindsight(tried: Tried, *, asks: bool, nonces: bool) -> Tried:
    """Only when all is over it is known whether the client asks responders, and sends them nonces."""
    if tried.outcome is Outcome.SKIPPED or not needs_nonce(tried.case) or not asks or nonces:
        return tried
    return replace(tried, outcome=Outcome.SKIPPED, detail=_NO_NONCE)


def _graded(tried: Tried, against: str) -> GradedCase:
    case = tried.case
    expected = case.expected[against]
    facts = {
        "id": case.id,
        "family": case.family,
        "description": case.description,
        "importance": case.importance.value,
        "clauses": list(case.clauses),
        "outcome": tried.outcome,
        "expected": wanted(case, against),
        "code": expected.code,
        "by_policy": {preset: wanted(case, preset) for preset in PRESETS},
        "detail": tried.detail,
        "protocol": tried.protocol,
        "offered": sorted(tried.offered),
        "alert": tried.alert,
        "seconds": round(tried.seconds, 3),
    }
    return GradedCase.model_validate(facts)


def deviation(case: GradedCase) -> Deviation:
    """What is said of a case that did not come out as expected."""
    said = {name: getattr(case, name) for name in Deviation.model_fields}
    return Deviation.model_validate(said)

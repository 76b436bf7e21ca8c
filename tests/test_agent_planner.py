"""The planner: what is next for a staple and when, as data; never late, never past a death, never for nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mustaple.core.refresh import (
    PATIENCE,
    SPREAD,
    Action,
    Known,
    Level,
    Pace,
    Trouble,
    level_at,
    next_fetch,
    next_step,
)

START = datetime(2026, 6, 1, tzinfo=UTC)
DAY, HOUR, SECOND = timedelta(days=1), timedelta(hours=1), timedelta(seconds=1)
PACE = Pace(first=5.0, longest=3600.0, warning=0.3, critical=0.1)
FAR = START + 365 * DAY
EMPTY = Known(FAR, level=Level.DEAD)
HELD = Known(FAR, START, START + 8 * DAY, None, START, level=Level.FINE)


def test_without_a_staple_it_is_fetched_at_once() -> None:
    step = next_step(EMPTY, START, PACE)
    assert (step.action, step.when) == (Action.FETCH, START)


def test_a_staple_is_renewed_at_half_life_and_spread_by_the_lot() -> None:
    assert next_fetch(HELD, START, PACE) == START + 4 * DAY
    assert next_fetch(replace(HELD, lot=0.5), START, PACE) == START + 4 * DAY + 8 * DAY / SPREAD / 2


def test_cache_control_puts_it_off_a_little_and_never_hastens_it() -> None:
    assert next_fetch(replace(HELD, kept_until=START + HOUR), START, PACE) == START + 4 * DAY
    assert next_fetch(replace(HELD, kept_until=START + 4.5 * DAY), START, PACE) == START + 4.5 * DAY
    assert next_fetch(replace(HELD, kept_until=START + 30 * DAY), START, PACE) == START + 4.8 * DAY


def test_the_death_clock_is_the_least_of_next_update_and_not_after() -> None:
    assert HELD.death == START + 8 * DAY
    assert replace(HELD, expires_at=START + DAY).death == START + DAY
    assert EMPTY.death is None


def test_half_life_is_half_of_what_the_certificate_lets_it_live() -> None:
    assert next_fetch(replace(HELD, expires_at=START + 2 * DAY), START, PACE) == START + DAY


def test_nothing_is_fetched_for_a_certificate_that_expires_before() -> None:
    assert next_fetch(replace(EMPTY, expires_at=START), START, PACE) is None
    assert next_step(replace(EMPTY, expires_at=START), START, PACE).action is Action.REST
    late = replace(HELD, expires_at=START + DAY, own=Trouble(20, START + 23.9 * HOUR))
    fetch = next_fetch(late, START + 23.9 * HOUR, PACE)
    assert fetch is None or fetch < START + DAY


def test_it_is_withdrawn_the_moment_it_dies_before_anything_else() -> None:
    step = next_step(HELD, START + 8 * DAY, PACE)
    assert (step.action, step.when) == (Action.WITHDRAW, START + 8 * DAY)
    before = next_step(replace(HELD, level=Level.CRITICAL), START + 8 * DAY - SECOND, PACE, asking=True)
    assert (before.action, before.when) == (Action.WITHDRAW, START + 8 * DAY)


def test_levels_are_told_when_they_are_reached() -> None:
    step = next_step(HELD, START, PACE, asking=True)
    assert (step.action, step.when) == (Action.TELL, START + 5.6 * DAY)
    assert level_at(HELD, START + 5.6 * DAY - SECOND, PACE) is Level.FINE
    assert level_at(HELD, START + 5.6 * DAY, PACE) is Level.WARNING
    assert level_at(HELD, START + 7.2 * DAY, PACE) is Level.CRITICAL
    assert level_at(HELD, START + 8 * DAY, PACE) is Level.DEAD
    assert next_step(HELD, START + 6 * DAY, PACE).action is Action.TELL
    assert next_step(replace(HELD, level=Level.WARNING), START + 6 * DAY, PACE).action is Action.FETCH


def test_failures_back_off_doubling_up_to_the_longest() -> None:
    waits = [next_fetch(replace(EMPTY, own=Trouble(count, START)), START, PACE) for count in (1, 2, 3, 20)]
    assert waits == [START + each * SECOND for each in (5, 10, 20, 3600)]


def test_no_back_off_takes_more_than_a_part_of_the_life_that_is_left() -> None:
    tried = START + 8 * DAY - HOUR
    fetch = next_fetch(replace(HELD, own=Trouble(20, tried)), tried, PACE)
    assert fetch == tried + HOUR / PATIENCE


def test_a_responder_in_trouble_holds_everybody_back_who_asks_it() -> None:
    known = replace(HELD, responder=Trouble(20, START + 5 * DAY))
    assert next_fetch(known, START + 5 * DAY, PACE) == START + 5 * DAY + HOUR
    assert next_fetch(replace(known, responder=Trouble()), START + 5 * DAY, PACE) == START + 5 * DAY


def test_retry_after_is_respected_but_may_not_let_a_staple_die() -> None:
    tried = START + 5 * DAY
    known = replace(HELD, responder=Trouble(1, tried, tried + HOUR))
    assert next_fetch(known, tried, PACE) == tried + HOUR
    year = replace(HELD, responder=Trouble(1, tried, tried + 365 * DAY))
    assert next_fetch(year, tried, PACE) == tried + 3 * DAY / PATIENCE
    # Asked again on the way there, it says the same: the wait does not grow by being looked at.
    assert next_fetch(year, tried + HOUR, PACE) == tried + 3 * DAY / PATIENCE
    assert next_fetch(replace(EMPTY, responder=year.responder), tried, PACE) is None, "the certificate expires before"


def test_a_clock_that_was_set_back_makes_no_wait_longer() -> None:
    known = replace(EMPTY, own=Trouble(1, START + DAY))
    assert next_fetch(known, START, PACE) == START + 5 * SECOND


@given(
    life=st.integers(60, 400 * 86_400),
    at=st.floats(0, 1.2),
    failures=st.integers(0, 40),
    theirs=st.integers(0, 40),
    tried=st.floats(-0.5, 1.5),
    wait=st.none() | st.floats(0, 3),
    lot=st.floats(0, 1, exclude_max=True),
    kept=st.none() | st.floats(-1, 3),
)
def test_whatever_is_known_the_plan_is_in_time(
    life: int,
    at: float,
    failures: int,
    theirs: int,
    tried: float,
    wait: float | None,
    lot: float,
    kept: float | None,
) -> None:
    span = life * SECOND
    now, last = START + at * span, START + tried * span
    known = replace(
        HELD,
        expires_at=START + 2 * span,
        dies_at=START + span,
        kept_until=None if kept is None else START + kept * span,
        own=Trouble(failures, last if failures else None),
        responder=Trouble(theirs, last if theirs else None, None if wait is None else START + wait * span),
        lot=lot,
        level=None,
    )
    step = next_step(known, now, PACE)
    assert step.when >= now
    if now >= START + span:
        assert step.action is Action.WITHDRAW
        return
    assert step.action is Action.TELL, "the level was not told yet"
    told = replace(known, level=level_at(known, now, PACE))
    later = next_step(told, now, PACE)
    assert later.action is not Action.REST
    assert later.when <= START + span, "nobody sleeps over a death"
    fetch = next_fetch(told, now, PACE)
    assert fetch is not None
    assert fetch >= now
    if not failures and not theirs and wait is None and at < 0.5:
        assert START + span / 2 <= fetch <= START + span * (0.6 + 1 / SPREAD) + 2 * SECOND


@pytest.mark.parametrize("asking", [False, True])
def test_while_one_fetch_is_under_way_no_other_is_planned(asking: bool) -> None:
    step = next_step(replace(HELD, level=Level.FINE), START + 5 * DAY, PACE, asking=asking)
    assert (step.action is Action.FETCH) is not asking

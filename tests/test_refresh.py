"""When to fetch the next answer: at half-life, never at once again, and less and less often after failures."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mustaple.core.refresh import backoff, half_life, next_refresh

START = datetime(2026, 6, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_half_life_is_the_middle() -> None:
    assert half_life(START, START + 4 * HOUR) == START + 2 * HOUR


@pytest.mark.parametrize(
    ("age", "wait"),
    [
        (timedelta(), 5 * HOUR),
        (2 * HOUR, 3 * HOUR),
        (4 * HOUR, HOUR),
        (5 * HOUR, HOUR / 2),
        (9 * HOUR, HOUR / 10),
        (10 * HOUR, timedelta(seconds=1)),
        (20 * HOUR, timedelta(seconds=1)),
    ],
    ids=str,
)
def test_an_answer_is_renewed_at_half_life_or_soon_after_if_older(age: timedelta, wait: timedelta) -> None:
    at = START + age
    assert next_refresh(START, START + 10 * HOUR, at) == at + wait


def test_failures_double_the_wait_up_to_a_limit() -> None:
    assert [backoff(failures) for failures in (1, 2, 3, 4)] == [0.1, 0.2, 0.4, 0.8]
    assert backoff(100) == backoff(10_000) == 60.0
    assert backoff(0) == 0.1
    assert backoff(3, first=2, longest=5) == 5

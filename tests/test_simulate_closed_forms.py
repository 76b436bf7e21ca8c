"""The simulation agrees with what can be worked out with pencil and paper, within its own confidence intervals."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from mustaple.lab.simulate.outages import up_seconds
from mustaple.lab.simulate.parameters import Parameters, shipped, with_values
from mustaple.lab.simulate.running import simulate

if TYPE_CHECKING:
    from mustaple.report.simulation import Estimate, Row

DAY = 86_400.0
# Rows are sites that are all alike, so that connections are time: many CAs, since a site is only as good as its own.
BASE = {
    "sites.count": 400,
    "sites.popularity": 0,
    "ca.count": 400,
    "time.days": 120,
    "revocations.per_year": 0,
    "naive.restarts_per_month": 0,
}


def world(**values: float) -> Parameters:
    """The shipped parameters, sites alike, and these; `__` stands for the point."""
    return with_values(shipped(), BASE | {key.replace("__", "."): value for key, value in values.items()})


def rows(parameters: Parameters, connections: int = 400_000, worlds: int = 12) -> dict[str, Row]:
    return {row.name: row for row in simulate(parameters, connections=connections, seed=11, replications=worlds).rows}


def agrees(found: Estimate, expected: float, *, within: float = 0.0) -> bool:
    """Whether the expected value lies in the interval made twice as wide, or within this part of itself.

    Twice as wide, since of twenty honest tests of the plain interval one would fail.
    """
    wide = max(found.high - found.value, found.value - found.low) * 2
    return abs(found.value - expected) <= max(wide, within * expected)


def unavailability(parameters: Parameters) -> float:
    """The share of time that a responder is down: mean outage over mean cycle."""
    up, down = up_seconds(parameters), parameters.seconds("outages.hours")
    return down / (up + down)


def met(parameters: Parameters, after: float) -> float:
    """The chance that a responder that was up is down so many seconds later: two states, each left at its own rate."""
    rates = 1 / up_seconds(parameters) + 1 / parameters.seconds("outages.hours")
    return unavailability(parameters) * (1 - math.exp(-rates * after))


@pytest.fixture(scope="module")
def bare() -> tuple[Parameters, dict[str, Row]]:
    """Nobody staples, and responders are often down: every client that cares has to ask."""
    parameters = world(sites__stapling=0, outages__share=0.99, outages__hours=48)
    return parameters, rows(parameters)


def test_exposure_under_must_staple_is_the_residual_life_of_the_freshest_staple() -> None:
    """Even between the whole life, just signed, and the life less the time until the next signing."""
    for response, resign in ((7.0, 7.0), (7.0, 3.5), (10.0, 0.0)):
        found = rows(world(staple__response_days=response, staple__resign_days=resign, sites__count=10), 12)
        for name in ("must-staple, agent", "strict, naive"):
            assert agrees(found[name].exposure, (response - resign / 2) * DAY, within=1e-9), (name, resign)


def test_exposure_without_hard_failure_is_what_is_left_of_the_certificate() -> None:
    found = rows(world(), 12)
    left = (90 - 60 / 2) * DAY
    assert agrees(found["ignore"].exposure, left)
    assert agrees(found["soft-fail, agent"].exposure, left)
    assert agrees(found["ignore"].ca_exposure, 1095 / 2 * DAY)
    assert agrees(found["must-staple, agent"].ca_exposure, 1095 / 2 * DAY), "nobody looks at the intermediate"
    # Of 7 days less up to 3.5, and never beyond the intermediate's own end, which lies there for 1 in 209 at most.
    assert agrees(found["strict, agent"].ca_exposure, (7 - 3.5 / 2) * DAY, within=0.005)


def test_a_thief_who_cannot_block_is_found_out_when_his_staple_dies() -> None:
    found = rows(world(attacker__blocks=0), 12)
    assert agrees(found["soft-fail, agent"].exposure, (7 - 3.5 / 2) * DAY)
    half = rows(world(attacker__blocks=0.5), 12)
    assert agrees(half["soft-fail, agent"].exposure, ((7 - 3.5 / 2) + 60) / 2 * DAY)


def test_exposure_where_lists_and_filters_are_delivered() -> None:
    found = rows(world(client__crl_cached=1, crl__publish_hours=0), 12)
    assert agrees(found["crl"].exposure, 7 / 2 * DAY)
    assert agrees(found["pushed-filter"].exposure, 12 / 2 * 3600)
    assert agrees(found["short-lived"].exposure, (6 - 3 / 2) * DAY)
    later = rows(world(client__crl_cached=0), 12)
    assert agrees(later["pushed-filter"].exposure, (12 + 6) * 3600)
    assert agrees(later["crl"].exposure, 0, within=1), "who holds no list, and gets none, believes nobody"


def test_requests_of_clients_where_nobody_staples(bare: tuple[Parameters, dict[str, Row]]) -> None:
    parameters, found = bare
    asked = 1_000_000.0
    assert found["soft-fail, agent"].client_requests.value == asked, "one for each connection"
    assert found["ignore"].client_requests.value == 0
    assert found["strict, agent"].client_requests.value == 0
    assert agrees(found["crl"].client_requests, asked * (1 - 0.9))
    no_answer = 1 - (1 - unavailability(parameters)) * (1 - 0.15)
    # A hard-failer asks the responder, and where it hears nothing and holds no list, for the list.
    assert agrees(found["hard-fail, agent"].client_requests, asked * (1 + no_answer * (1 - 0.9)))


def test_refusals_where_nobody_staples(bare: tuple[Parameters, dict[str, Row]]) -> None:
    parameters, found = bare
    down = unavailability(parameters)
    assert 0.05 < down < 0.1
    assert found["strict, agent"].refused.value == 1
    assert found["soft-fail, agent"].refused.value == 0
    # CRL and responder fail apart, and the client's own network takes both.
    nothing = 0.15 + 0.85 * down * down
    assert agrees(found["hard-fail, agent"].refused, nothing * (1 - 0.9))
    assert agrees(found["crl"].refused, (1 - (1 - down) * 0.85) * (1 - 0.9))


def test_time_waited_where_nobody_staples(bare: tuple[Parameters, dict[str, Row]]) -> None:
    parameters, found = bare
    answered = (1 - unavailability(parameters)) * 0.85
    assert agrees(found["soft-fail, agent"].waited, answered * 0.02 + (1 - answered) * 2.0)


def test_a_naive_server_is_without_a_staple_when_its_end_meets_an_outage() -> None:
    """A renewal process: each staple lives L, and the responder is down at its end, or is not.

    Outages have no memory, so what is left of one is as long as any; and the first try after it comes, of tries every
    r seconds, r / (1 - e^(-r / D)) after the staple's end, on the average.
    """
    parameters = world(
        staple__response_days=2, staple__resign_days=0, outages__share=0.99, outages__hours=6, naive__lag_seconds=0
    )
    down, retry, life = 6 * 3600.0, 300.0, 2 * DAY
    lost = met(parameters, life) * retry / (1 - math.exp(-retry / down))
    found = rows(parameters, 1_200_000)
    assert agrees(found["must-staple, naive"].refused, lost / (life + lost))
    assert agrees(found["must-staple, naive"].server_requests, DAY / (life + lost), within=0.01)


def test_an_agent_is_without_a_staple_only_in_outages_longer_than_half_its_life() -> None:
    """It asks at L / 2; the outage that meets it has to last L / 2 more, and what is left then is as long as any."""
    parameters = world(
        staple__response_days=1,
        staple__resign_days=0,
        outages__share=0.999,
        outages__hours=12,
        agent__retry_seconds=900,
    )
    down, retry, life = 12 * 3600.0, 900.0, DAY
    meets = met(parameters, life / 2)
    waits = retry / (1 - math.exp(-retry / down))
    lost = meets * math.exp(-life / 2 / down) * waits
    found = rows(parameters, 1_200_000)
    assert agrees(found["must-staple, agent"].refused, lost / (life / 2 + meets * waits), within=0.01)
    assert agrees(found["must-staple, agent"].server_requests, DAY / (life / 2 + meets * waits), within=0.01)
    assert found["must-staple, naive"].refused.low > found["must-staple, agent"].refused.high


def test_restarts_cost_a_naive_server_what_it_held() -> None:
    """Restarts are a Poisson process; without outages, each loses the lag, and so does each end of a staple's life."""
    parameters = world(staple__resign_days=0, outages__share=0, naive__restarts_per_month=30, naive__lag_seconds=600)
    rate, life = 1 / DAY, 7 * DAY
    held = (1 - math.exp(-rate * life)) / rate  # the mean of a staple's life or the time to a restart, the shorter
    found = rows(parameters, 1_200_000)
    assert agrees(found["must-staple, naive"].refused, 600 / (held + 600))
    assert found["must-staple, agent"].refused.value == 0


def test_an_interval_narrows_with_the_root_of_the_connections() -> None:
    parameters = world(outages__share=0)
    few, many = (rows(parameters, count)["crl"].refused for count in (40_000, 4_000_000))
    assert agrees(few, 0.15 * 0.1)
    assert agrees(many, 0.15 * 0.1)
    assert 5 < (few.high - few.low) / (many.high - many.low) < 20


def test_a_staple_serves_no_thief_beyond_the_certificate() -> None:
    found = rows(world(leaf__life_days=5, leaf__renew_days=5, staple__resign_days=0), 12)
    assert agrees(found["must-staple, agent"].exposure, 5 / 2 * DAY)


def test_servers_as_they_are_staple_for_the_leaf_alone() -> None:
    found = rows(world(sites__chain_stapling=0), 1200)
    assert found["strict, naive"].refused.value == 1
    assert found["must-staple, naive"].refused.value < 0.01
    assert found["strict, agent"].refused.value < 0.01
    half = rows(world(sites__chain_stapling=0.5), 120_000)
    assert agrees(half["strict, naive"].refused, 0.5)

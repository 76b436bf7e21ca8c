"""The simulation: its outcomes are the strict client's, its worlds are what their parameters say, and it repeats."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mustaple.core.policy import PRESETS, Action
from mustaple.core.refresh import next_refresh
from mustaple.core.verdict import Source
from mustaple.lab.compare import CASES, run
from mustaple.lab.simulate import measuring
from mustaple.lab.simulate.connections import CHUNK, draw_connections
from mustaple.lab.simulate.estimating import estimate, share, student
from mustaple.lab.simulate.outages import draw_outages, up_seconds
from mustaple.lab.simulate.outcomes import CLIENTS, Evidence, Leaf, Said, outcome
from mustaple.lab.simulate.parameters import Parameters, shipped, with_values
from mustaple.lab.simulate.refreshing import Plan, agent_plan, follow
from mustaple.lab.simulate.running import simulate
from mustaple.lab.simulate.world import BINS, Stands, World, draw_world

if TYPE_CHECKING:
    from mustaple.report.comparison import Cell

GOOD, EXPIRED, REVOKED, NOBODY = Said.GOOD, Said.EXPIRED, Said.REVOKED, Said.NOBODY
SMALL = {"sites.count": 40, "time.days": 60, "ca.count": 8}

# Situations of the live comparison, as the simulation writes them down.
LIVE = {
    "good-staple": Evidence(staple=GOOD, ca_staple=GOOD, ocsp=GOOD),
    "no-staple": Evidence(ca_staple=GOOD, ocsp=GOOD),
    "no-promise": Evidence(Leaf.SILENT, ca_staple=GOOD, ocsp=GOOD),
    "leaf-staple-only": Evidence(staple=GOOD, ocsp=GOOD),
    "expired-staple": Evidence(staple=EXPIRED, ca_staple=GOOD, ocsp=GOOD),
    "responder-down": Evidence(ca_staple=GOOD),
    "no-promise-down": Evidence(Leaf.SILENT, ca_staple=GOOD),
    "revoked-staple": Evidence(staple=REVOKED, ca_staple=GOOD, ocsp=REVOKED),
    "stripped": Evidence(ca_staple=GOOD, ocsp=REVOKED),
    "stripped-and-blocked": Evidence(ca_staple=GOOD),
    "no-promise-blocked": Evidence(Leaf.SILENT, ca_staple=GOOD),
    "old-good-staple": Evidence(staple=EXPIRED, ca_staple=GOOD),
    "revoked-intermediate": Evidence(staple=GOOD, ocsp=GOOD),
}


def small(**values: float) -> Parameters:
    """The shipped parameters for a small population, and these; `__` stands for the point."""
    return with_values(shipped(), SMALL | {key.replace("__", "."): value for key, value in values.items()})


@pytest.fixture(scope="module")
def live() -> dict[tuple[str, str], Cell]:
    """The same situations over real sockets."""
    chosen = tuple(case for case in CASES if case.name in LIVE)
    return {(cell.preset, cell.case): cell for cell in run(chosen)}


@pytest.mark.parametrize("name", LIVE)
@pytest.mark.parametrize("preset", PRESETS)
def test_a_client_does_over_real_sockets_what_it_does_here(
    live: dict[tuple[str, str], Cell], preset: str, name: str
) -> None:
    cell = live[preset, name]
    done = outcome(PRESETS[preset], LIVE[name])
    assert done.accepted is cell.accepted
    if LIVE[name].ocsp is not NOBODY:
        assert (Source.OCSP in done.asked) is (cell.ca_requests > 0)


def test_a_small_scenario_counts_what_live_clients_do(live: dict[tuple[str, str], Cell]) -> None:
    """Four sites for the same time each: one staples, one has lost its staple, one's CA is down too, one is bare."""
    met = {"good-staple": 400, "no-staple": 300, "responder-down": 200, "leaf-staple-only": 100}
    stands = {
        "good-staple": Stands.NAIVE_STAPLE | Stands.NAIVE_CA_STAPLE | Stands.OCSP,
        "no-staple": Stands.NAIVE_CA_STAPLE | Stands.OCSP,
        "responder-down": Stands.NAIVE_CA_STAPLE,
        "leaf-staple-only": Stands.NAIVE_STAPLE | Stands.OCSP,
    }
    counted = np.zeros(BINS, np.int64)
    for name, number in met.items():
        counted[int(stands[name] | Stands.CLIENT_REACHES | Stands.PROMISE)] += number
    world = World(
        1.0, np.ones(1), np.zeros(2, np.int64), np.zeros(1), np.zeros(1, np.int64), dict.fromkeys(Stands, 0.0)
    )
    for preset in ("ignore", "soft-fail", "must-staple", "strict"):
        refresh = "" if preset == "ignore" else measuring.NAIVE
        found = measuring.measure(world, counted, small(), preset, refresh)
        refused = sum(number for name, number in met.items() if not live[preset, name].accepted)
        asked = sum(number * bool(live[preset, name].ca_requests) for name, number in met.items())
        assert found.refused == refused / 1000, preset
        blocked = 200 if preset == "soft-fail" else 0  # it asks a responder that is down, where nobody counts
        assert found.client_requests == pytest.approx((asked + blocked) * 1000), preset


def test_outcomes_are_asked_of_the_policy_and_not_written_down() -> None:
    bare = Evidence(Leaf.SILENT)
    assert outcome(PRESETS["soft-fail"], bare).accepted
    assert not outcome(replace(PRESETS["soft-fail"], missing=Action.REFUSE), bare).accepted


def test_what_takes_the_place_of_ocsp() -> None:
    assert outcome(CLIENTS["crl"], Evidence(crl=GOOD)).accepted
    assert not outcome(CLIENTS["crl"], Evidence(staple=GOOD, ocsp=GOOD)).accepted
    assert outcome(CLIENTS["pushed-filter"], Evidence(crl=GOOD)).accepted
    assert not outcome(CLIENTS["pushed-filter"], Evidence(crl=REVOKED)).accepted
    assert outcome(CLIENTS["short-lived"], Evidence(Leaf.SHORT)).accepted
    assert not outcome(CLIENTS["short-lived"], Evidence(Leaf.SILENT)).accepted
    assert not any(outcome(policy, Evidence(Leaf.EXPIRED, GOOD, GOOD)).accepted for policy in CLIENTS.values())


def test_the_table_of_combinations_is_what_decide_says_of_each() -> None:
    refuses = measuring.table("strict", measuring.AGENT).refuses
    both = int(Stands.AGENT_STAPLE | Stands.AGENT_CA_STAPLE)
    combinations = np.arange(BINS)
    assert (refuses == ((combinations & both) != both)).all()
    promised = int(Stands.PROMISE)
    must = measuring.table("must-staple", measuring.NAIVE)
    expected = ((combinations & promised) != 0) & ((combinations & int(Stands.NAIVE_STAPLE)) == 0)
    assert (must.refuses == expected).all()
    assert not measuring.table("ignore", "").refuses[int(Stands.SHORT_LEAF)]


def test_the_agent_waits_as_the_refresh_rules_say() -> None:
    """The formulas here are those of `core.refresh.next_refresh`, which works on one moment at a time."""
    plan = agent_plan(shipped())
    origin = datetime(2026, 1, 1, tzinfo=UTC)
    rng = np.random.default_rng(4)
    signed = rng.random(200) * 1e6
    at = signed + rng.random(200) * plan.life
    ours = plan.wanted_at(at, signed)
    for number in range(200):
        this_update, now = (origin + timedelta(seconds=float(column[number])) for column in (signed, at))
        theirs = next_refresh(this_update, this_update + timedelta(seconds=plan.life), now)
        assert (theirs - origin).total_seconds() == pytest.approx(ours[number], abs=1e-3)


def test_outages_are_as_long_and_as_frequent_as_they_should_be() -> None:
    parameters = with_values(shipped(), {"ca.count": 2000})
    until = parameters.seconds("outages.watched_days")
    outages = draw_outages(parameters, np.random.default_rng(1), 0.0, until)
    assert len(np.unique(outages.ca)) / 2000 == pytest.approx(0.368, abs=0.03)
    whole = outages.end < until
    assert (outages.end - outages.start)[whole].mean() == pytest.approx(4 * 3600, rel=0.1)
    assert (np.diff(outages.start)[np.diff(outages.ca) == 0] > 0).all()
    none = draw_outages(with_values(parameters, {"outages.share": 0}), np.random.default_rng(1), 0.0, until)
    assert not len(none.ca)
    assert math.isinf(up_seconds(with_values(parameters, {"outages.share": 0})))


def test_the_beginning_is_like_any_other_moment() -> None:
    """Where outages are long and frequent, as many are down at the first moment as are on the average."""
    parameters = with_values(shipped(), {"ca.count": 2000, "outages.share": 0.99, "outages.hours": 480})
    outages = draw_outages(parameters, np.random.default_rng(9), 0.0, 86_400.0)
    down = 480 * 3600 / (up_seconds(parameters) + 480 * 3600)
    assert np.count_nonzero(outages.start == 0) / 2000 == pytest.approx(down, abs=0.04)


def test_who_is_down_comes_up_when_the_outage_ends() -> None:
    outages = draw_outages(small(outages__share=0.99), np.random.default_rng(2), 0.0, 60 * 86_400.0)
    middle = (outages.start + outages.end) / 2
    assert (outages.until_up(outages.ca, middle) == outages.end).all()
    other = (outages.ca + 1) % 8
    truly = [
        bool(((outages.ca == ca) & (outages.start <= at) & (at < outages.end)).any())
        for ca, at in zip(other, middle, strict=True)
    ]
    assert ((outages.until_up(other, middle) > middle) == truly).all()


@pytest.mark.parametrize("ahead", ["half-life", "late"])
def test_gaps_of_a_site_follow_one_another(ahead: str) -> None:
    parameters = small(outages__share=0.99, outages__hours=200)
    rng = np.random.default_rng(3)
    outages = draw_outages(parameters, rng, -2e6, 5e6)
    plan = Plan(400_000.0, 200_000.0, 300.0, ahead, lag=5.0, losses=1e-6)
    gaps = follow(plan, np.arange(40) % 8, outages, 5e6, rng=rng)
    assert len(gaps.site) > 40
    assert (gaps.start >= 0).all()
    assert (gaps.end <= 5e6).all()
    for site in range(40):
        own = gaps.site == site
        order = np.argsort(gaps.start[own])
        start, end = gaps.start[own][order], gaps.end[own][order]
        assert (start < end).all()
        assert (start[1:] >= end[:-1]).all()


def test_a_revocation_costs_a_naive_server_the_staple_of_the_new_certificate() -> None:
    plan = Plan(400_000.0, 0.0, 300.0, "late", lag=60.0)
    none = draw_outages(small(outages__share=0), np.random.default_rng(3), -1e6, 2e6)
    gaps = follow(plan, np.zeros(9, np.int64), none, 2e6, rng=np.random.default_rng(3), losses_at=np.full(9, 1e6))
    lost = gaps.start == 1e6
    assert (np.sort(gaps.site[lost]) == np.arange(9)).all()
    assert (gaps.end[lost] - gaps.start[lost] == 60).all()

    def without(rate: float) -> float:
        """Seconds without a staple, of each site on the average, where each end of one costs an hour."""
        parameters = small(revocations__per_year=rate, outages__share=0, naive__lag_seconds=3600)
        world = draw_world(parameters, np.random.default_rng(4))
        ends = np.where(np.append(np.diff(world.begins), -1) < 0, world.horizon, np.append(world.begins[1:], 0))
        return float((ends - world.begins)[(world.stands & int(Stands.NAIVE_STAPLE)) == 0].sum()) / 40

    assert without(50) - without(0) > 600


def test_segments_say_what_stands_when() -> None:
    """At random moments the segments agree with the gaps and outages they were made of."""
    parameters = small(outages__share=0.999, outages__hours=48)
    world = draw_world(parameters, np.random.default_rng(5))
    assert (world.stands >= 0).all()
    assert (world.stands < BINS).all()
    assert world.weight.sum() == pytest.approx(1)
    for site in range(40):
        begins = world.begins[world.offset[site] : world.offset[site + 1]]
        assert begins[0] == 0
        assert (np.diff(begins) >= 0).all()
        last = world.stands[world.offset[site + 1] - 1]
        assert last == int(Stands.PROMISE) + int(Stands.SHORT_LEAF) * 2 - 1, "at the horizon every gap has ended"


def test_the_sites_share_the_connections_as_their_popularity_says() -> None:
    even = draw_world(small(sites__popularity=0), np.random.default_rng(6)).weight
    assert even == pytest.approx(np.full(40, 1 / 40))
    zipf = np.sort(draw_world(small(sites__popularity=1), np.random.default_rng(6)).weight)[::-1]
    assert zipf == pytest.approx(1 / np.arange(1, 41) / (1 / np.arange(1, 41)).sum())


def test_every_connection_is_counted_once() -> None:
    parameters = small()
    world = draw_world(parameters, np.random.default_rng(6))
    for count in (5, 1000, 3 * CHUNK + 7):
        assert draw_connections(world, parameters, count, np.random.default_rng(7)).sum() == count


def test_clients_are_as_they_should_be() -> None:
    parameters = small(client__fetch_failure=0.3, client__crl_cached=0.6)
    world = draw_world(parameters, np.random.default_rng(6))
    met = draw_connections(world, parameters, 400_000, np.random.default_rng(7))
    combinations = np.arange(BINS)
    reaches, cached = ((combinations & int(bit)) > 0 for bit in (Stands.CLIENT_REACHES, Stands.CRL_CACHED))
    assert met[reaches].sum() / 400_000 == pytest.approx(0.7, abs=0.005)
    assert met[cached].sum() / 400_000 == pytest.approx(0.6, abs=0.005)
    assert met[reaches & cached].sum() / 400_000 == pytest.approx(0.42, abs=0.005), "and independent of one another"


def test_the_same_seed_gives_the_same_and_another_another() -> None:
    first, second = (simulate(small(), connections=20_000, seed=3, replications=6) for _ in range(2))
    assert first == second
    assert simulate(small(), connections=20_000, seed=4, replications=6).rows != first.rows


def test_the_curve_and_the_ends_change_what_they_should_and_nothing_else() -> None:
    found = simulate(small(), connections=5_000, seed=1, replications=5, curve=True)
    by_name = [{row.name: row for row in point.rows} for point in found.curve]
    assert [point.scale for point in found.curve] == sorted(point.scale for point in found.curve)
    for row in found.rows:
        along = [rows[row.name].exposure.value for rows in by_name]
        if row.client in {"ignore", "soft-fail"}:
            assert len(set(along)) == 1
        else:
            assert along == sorted(along)
            assert along[0] < along[-1] / 20


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(8)
    found = [estimate([float(each) for each in rng.exponential(2.0, 32)]) for _ in range(2000)]
    assert sum(each.low <= 2.0 <= each.high for each in found) / 2000 == pytest.approx(0.94, abs=0.02)
    for freedom, quantile in ((4, 2.776), (7, 2.365), (31, 2.040), (1000, 1.962)):
        assert student(freedom) == pytest.approx(quantile, rel=2e-3)


def test_none_seen_is_not_never() -> None:
    assert share([0.0] * 8, 1000).high == pytest.approx(3 / 1000, rel=0.01)
    assert share([0.0, 0.5], 10).value == 0.25

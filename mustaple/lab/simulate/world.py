"""One world of a simulation: sites, CAs, outages, staples, revocations, and what stands at each moment of each."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from mustaple.core.errors import InputError
from mustaple.lab.simulate.outages import Outages, draw_outages, up_seconds
from mustaple.lab.simulate.refreshing import Gaps, Plan, agent_plan, follow, naive_plan, renewal_plan, warm_up

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mustaple.lab.simulate.parameters import Parameters

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


class Stands(enum.IntFlag):
    """What an honest connection meets, one bit each; the last three are drawn for the connection or the site."""

    NAIVE_STAPLE = 1
    NAIVE_CA_STAPLE = 2
    AGENT_STAPLE = 4
    AGENT_CA_STAPLE = 8
    OCSP = 16
    CRL = 32
    SHORT_LEAF = 64
    CLIENT_REACHES = 128
    CRL_CACHED = 256
    PROMISE = 512


BINS: Final = 1024
MOST_EVENTS: Final = 20_000_000  # of all sites in one world
_BY_TIME: Final = Stands.SHORT_LEAF * 2 - 1


@dataclass(frozen=True, slots=True)
class World:
    """Sites over a span of `horizon` seconds, each with a line of segments in which nothing changes.

    The segments of site s are those from `offset[s]` to `offset[s + 1]`: each begins at `begins` and has `stands`.
    `weight` is each site's share of the connections; `requests` what its server asked CAs for, by what for.
    """

    horizon: float
    weight: Floats
    offset: Ints
    begins: Floats
    stands: Ints
    requests: dict[Stands, float]


def draw_world(parameters: Parameters, rng: np.random.Generator) -> World:
    """Draw everything that happens, but for the connections. Raises InputError where it would be too much."""
    horizon = parameters.seconds("time.days")
    agent, agent_ca = agent_plan(parameters), agent_plan(parameters, "ca_")
    naive, naive_ca = naive_plan(parameters), naive_plan(parameters, "ca_")
    renewal = renewal_plan(parameters)
    _within_reason(parameters, naive, naive_ca)
    since = -warm_up(agent, agent_ca, naive, naive_ca, renewal)
    sites = parameters.whole("sites.count")
    ca = rng.integers(parameters.whole("ca.count"), size=sites)
    ocsp, crl, issuance = (draw_outages(parameters, rng, since, horizon) for _ in range(3))
    # Who revokes gets a new certificate at once; a naive server is without a staple for it until it has asked.
    revoked_at = _revocations(parameters, rng, sites, horizon)
    followed = {
        Stands.NAIVE_STAPLE: follow(naive, ca, ocsp, horizon, rng=rng, losses_at=revoked_at),
        Stands.NAIVE_CA_STAPLE: follow(naive_ca, ca, ocsp, horizon, rng=rng),
        Stands.AGENT_STAPLE: follow(agent, ca, ocsp, horizon, rng=rng),
        Stands.AGENT_CA_STAPLE: follow(agent_ca, ca, ocsp, horizon, rng=rng),
        Stands.SHORT_LEAF: follow(renewal, ca, issuance, horizon, rng=rng),
    }
    gaps = dict(followed)
    gaps |= {Stands.OCSP: _of_sites(ocsp, ca, horizon), Stands.CRL: _of_sites(crl, ca, horizon)}
    begins, stands, offset = _segments(gaps, _never(parameters, rng, sites), horizon)
    days = horizon / 86_400
    rank = rng.permutation(sites) + 1.0
    weight = rank ** -parameters["sites.popularity"]
    return World(
        horizon,
        weight / weight.sum(),
        offset,
        begins,
        stands,
        {what: float(found.requests.sum()) / sites / days for what, found in followed.items()},
    )


def _within_reason(parameters: Parameters, *plans: Plan) -> None:
    """Raises InputError where more would happen than there is room for."""
    span = parameters.seconds("time.days")
    each = 3 * span / (up_seconds(parameters) + parameters.seconds("outages.hours"))
    each += sum(span / max(plan.life - plan.resign, plan.life / 2) + span * plan.losses for plan in plans)
    if 2 * each * parameters["sites.count"] > MOST_EVENTS:
        raise InputError(
            "sites.count, time.days: so many sites for so long have more outages and staples than there is room for"
        )


def _revocations(parameters: Parameters, rng: np.random.Generator, sites: int, horizon: float) -> Floats:
    """When each site's first revocation comes; infinite where none does."""
    rate = parameters["revocations.per_year"] / (365.25 * 86_400)
    if rate == 0:
        return np.full(sites, math.inf)
    at = rng.exponential(1 / rate, sites)
    return np.where(at < horizon, at, math.inf)


def _never(parameters: Parameters, rng: np.random.Generator, sites: int) -> Ints:
    """The bits that each site never has, because its server does not staple, or not for the intermediate."""
    staples = rng.random(sites) < parameters["sites.stapling"]
    whole_chain = rng.random(sites) < parameters["sites.chain_stapling"]
    promises = rng.random(sites) < parameters["sites.promising"]
    of_staples = int(
        Stands.NAIVE_STAPLE | Stands.NAIVE_CA_STAPLE | Stands.AGENT_STAPLE | Stands.AGENT_CA_STAPLE,
    )
    never = np.where(staples, 0, of_staples) | np.where(whole_chain, 0, int(Stands.NAIVE_CA_STAPLE))
    return (never | np.where(promises, 0, int(Stands.PROMISE))).astype(np.int64)


def _of_sites(outages: Outages, ca: Ints, horizon: float) -> Gaps:
    """The outages of each site's CA within the horizon, as the site's own gaps."""
    count = np.bincount(outages.ca, minlength=int(ca.max()) + 1)
    first = np.concatenate(([0], np.cumsum(count)))[:-1]
    repeats = count[ca]
    site = np.repeat(np.arange(len(ca)), repeats)
    within = np.arange(len(site)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    place = first[ca[site]] + within
    start, end = np.maximum(outages.start[place], 0.0), np.minimum(outages.end[place], horizon)
    real = end > start
    return Gaps(site[real], start[real], end[real], np.zeros(len(ca), np.int64))


def _segments(gaps: dict[Stands, Gaps], never: Ints, horizon: float) -> tuple[Floats, Ints, Ints]:
    """The times at which anything changes at each site, and what stands from then on."""
    sites = len(never)
    columns: list[tuple[Ints, Floats, Ints]] = [(np.arange(sites), np.zeros(sites), np.zeros(sites, np.int64))]
    for bit, found in gaps.items():
        size = len(found.site)
        columns.append((found.site, found.start, np.full(size, -int(bit))))
        columns.append((found.site, found.end, np.full(size, int(bit))))
    site, at, change = (np.concatenate(column) for column in zip(*columns, strict=True))
    # By site, then by time. A gap's beginning stands before its end, also where rounding makes them one: stable.
    order = np.argsort(site * (horizon + 1.0) + at, kind="stable")
    # Every gap ends, so the changes of each site add up to nothing, and one sum runs over all sites.
    stands = int(_BY_TIME) + np.cumsum(change[order])
    site = site[order]
    offset = np.searchsorted(site, np.arange(sites + 1))
    return at[order], (stands | int(Stands.PROMISE)) & ~never[site], offset

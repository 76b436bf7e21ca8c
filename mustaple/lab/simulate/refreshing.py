"""When a server has a staple and when it has none: the agent asks ahead of time, the naive server when it is late."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from mustaple.core.refresh import SHORTEST_WAIT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mustaple.lab.simulate.outages import Outages
    from mustaple.lab.simulate.parameters import Parameters

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_SHORTEST_WAIT: Final = SHORTEST_WAIT.total_seconds()


@dataclass(frozen=True, slots=True)
class Plan:
    """How something that runs out is renewed. Times are seconds.

    What the CA hands out lives for `life` from when it was signed, and is at most `resign` old. `ahead` is how the
    next one is asked for: "half-life" (`mustaple.core.refresh`), "late" (when the last one is gone, `lag` after it), or
    "fixed" (`after` from the last). A request that fails is made again after `retry`. `losses` are how often, on the
    average, in a second, what is held is lost before its time.
    """

    life: float
    resign: float
    retry: float
    ahead: str
    lag: float = 0.0
    after: float = 0.0
    losses: float = 0.0

    def wanted_at(self, at: Floats, signed: Floats) -> Floats:
        """When the next request is due, after one at `at` that brought something signed at `signed`."""
        if self.ahead == "fixed":
            return at + self.after
        dies = signed + self.life
        if self.ahead == "late":
            return np.maximum(dies + self.lag, at)
        # The same two formulas as `core.refresh.next_refresh`, for many at once (a test holds them together).
        return np.maximum(signed + self.life / 2, at + np.maximum((dies - at) / 10, _SHORTEST_WAIT))


@dataclass(frozen=True, slots=True)
class Gaps:
    """When which site had nothing to show, within the horizon, and how often each asked the CA in that time."""

    site: Ints
    start: Floats
    end: Floats
    requests: Ints


def agent_plan(parameters: Parameters, prefix: str = "") -> Plan:
    """The staple agent: asks at half-life, keeps what it has through restarts, and tries again where nobody answers."""
    life, resign = (parameters.seconds(f"staple.{prefix}{name}_days") for name in ("response", "resign"))
    return Plan(life, resign, parameters.seconds("agent.retry_seconds"), "half-life")


def naive_plan(parameters: Parameters, prefix: str = "") -> Plan:
    """A server that asks when its staple is gone: because it died, or because the server was started anew."""
    life, resign = (parameters.seconds(f"staple.{prefix}{name}_days") for name in ("response", "resign"))
    retry, lag = parameters.seconds("naive.retry_seconds"), parameters.seconds("naive.lag_seconds")
    losses = parameters["naive.restarts_per_month"] / (30 * 86_400)
    return Plan(life, resign, retry, "late", lag=lag, losses=losses)


def renewal_plan(parameters: Parameters) -> Plan:
    """Short-lived certificates, each issued anew on request."""
    life, after = parameters.seconds("short.life_days"), parameters.seconds("short.renew_days")
    return Plan(life, 0.0, parameters.seconds("short.retry_seconds"), "fixed", after=after)


def warm_up(*plans: Plan) -> float:
    """How long before the horizon everything has to start so that nothing remembers how it did, in seconds."""
    return 2 * max(plan.life for plan in plans)


def follow(
    plan: Plan, ca: Ints, outages: Outages, horizon: float, *, rng: np.random.Generator, losses_at: Floats | None = None
) -> Gaps:
    """Follow every site through all its requests from `outages.since` to the horizon; `ca` is the CA of each.

    `losses_at` is a moment for each site at which what it holds is of no use any more, infinite where there is none.
    """
    sites = len(ca)
    lost_at = np.full(sites, math.inf) if losses_at is None else losses_at
    phase = rng.random(sites) * plan.resign
    at = outages.since + rng.random(sites) * plan.life / 2
    gone = np.full(sites, -math.inf)  # when what each holds is gone; nothing is held at first
    requests = np.zeros(sites, np.int64)
    gaps: list[tuple[Ints, Floats, Floats]] = []
    left = np.flatnonzero(at < horizon)
    while left.size:
        now = at[left]
        up = outages.until_up(ca[left], now)
        down = up > now
        at[left[down]] = now[down] + np.ceil((up[down] - now[down]) / plan.retry) * plan.retry
        got, now = left[~down], now[~down]
        requests[got] += now >= 0
        late = now > gone[got]
        gaps.append((got[late], gone[got[late]], now[late]))
        signed = now if plan.resign == 0 else now - np.mod(now - phase[got], plan.resign)
        # Restarts have no memory, so the next one may be drawn anew whenever there is something to lose.
        loss = np.where(lost_at[got] > now, lost_at[got], math.inf)
        if plan.losses:
            loss = np.minimum(loss, now + rng.exponential(1 / plan.losses, now.shape))
        gone[got] = np.minimum(signed + plan.life, loss)
        at[got] = np.maximum(np.minimum(plan.wanted_at(now, signed), loss + plan.lag), now + _SHORTEST_WAIT)
        left = left[at[left] < horizon]
    gaps.append((np.arange(sites), gone, np.full(sites, horizon)))
    site, start, end = (np.concatenate(column) for column in zip(*gaps, strict=True))
    start, end = np.maximum(start, 0.0), np.minimum(end, horizon)
    real = end > start
    return Gaps(site[real], start[real], end[real], requests)

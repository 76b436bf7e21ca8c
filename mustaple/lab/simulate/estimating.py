"""Means with confidence intervals from independent replications."""

from __future__ import annotations

import math
from statistics import NormalDist, fmean, stdev
from typing import TYPE_CHECKING, Final

from mustaple.report.simulation import Estimate

if TYPE_CHECKING:
    from collections.abc import Sequence

CONFIDENCE: Final = 0.95


def estimate(values: Sequence[float], *, least: float = 0.0, most: float = math.inf) -> Estimate:
    """The mean of what the replications found, with the interval of Student's t around it, cut to what is possible.

    Each replication is a world of its own, so what they found is independent, and so is their number of connections.
    """
    mean = fmean(values)
    if len(values) < 2:
        return Estimate(mean, least, most)
    half = student(len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return Estimate(mean, max(mean - half, least), min(mean + half, most))


def share(values: Sequence[float], trials: int) -> Estimate:
    """The same for shares of so many trials in all.

    Where nothing was found at all, it ends at the share of which nothing would be seen one time in twenty: about three
    trials. That is too narrow where what is counted comes in clusters, as outages do.
    """
    if not any(values):
        return Estimate(0.0, 0.0, float(-math.expm1(math.log(1 - CONFIDENCE) / trials)))
    return estimate(values, most=1.0)


def student(freedom: int, confidence: float = CONFIDENCE) -> float:
    """The two-sided quantile of Student's t, by the expansion of Cornish and Fisher (Abramowitz and Stegun 26.7.5).

    To 0.1 % from four degrees of freedom on; fewer replications than five are not run.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return float(z + sum(term / freedom ** (power + 1) for power, term in enumerate(terms)))

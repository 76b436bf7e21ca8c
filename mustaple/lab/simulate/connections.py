"""Connections to a world: each gets its site, its moment and its client, and is counted under what it meets there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from mustaple.lab.simulate.world import BINS, Stands

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mustaple.lab.simulate.parameters import Parameters
    from mustaple.lab.simulate.world import World

    Ints = NDArray[np.int64]

CHUNK: Final = 1 << 17  # connections that are in memory at once


def draw_connections(world: World, parameters: Parameters, count: int, rng: np.random.Generator) -> Ints:
    """How many of `count` connections met each combination of `Stands`, the combination as the index.

    Each connection is drawn by itself: its site by the sites' weights, its moment evenly within the horizon, its client
    as one that reaches CAs or not, and that holds a CRL or not.
    """
    met = np.zeros(BINS, np.int64)
    reaches, cached = 1 - parameters["client.fetch_failure"], parameters["client.crl_cached"]
    # One number between 0 and 1 says both of a client.
    marks = np.array([reaches * cached, reaches, reaches + (1 - reaches) * cached])
    both = int(Stands.CLIENT_REACHES | Stands.CRL_CACHED)
    kinds = np.array([both, int(Stands.CLIENT_REACHES), int(Stands.CRL_CACHED), 0], np.int16)
    for site in np.flatnonzero(counts := rng.multinomial(count, world.weight)):
        first, last = world.offset[site], world.offset[site + 1]
        begins, stands = world.begins[first:last], world.stands[first:last].astype(np.int16)
        left = int(counts[site])
        while left:
            size = min(left, CHUNK)
            left -= size
            at = rng.random(size)
            at *= world.horizon
            combination = stands[begins.searchsorted(at, "right") - 1]
            combination |= kinds[marks.searchsorted(rng.random(size), "right")]
            met += np.bincount(combination, minlength=BINS)
    return met

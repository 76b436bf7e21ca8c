"""What a replication's connections came to for each client: refused wrongly, requests to CAs, time waited for them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mustaple.core.verdict import Source
from mustaple.lab.simulate.exposure import LEAF_OF
from mustaple.lab.simulate.outcomes import CLIENTS, PUSHED, SHORT_LIVED, Evidence, Leaf, Said, outcome
from mustaple.lab.simulate.world import BINS, Stands

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mustaple.lab.simulate.parameters import Parameters
    from mustaple.lab.simulate.world import World

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

AGENT, NAIVE = "agent", "naive"
_STAPLES = {
    AGENT: (Stands.AGENT_STAPLE, Stands.AGENT_CA_STAPLE),
    NAIVE: (Stands.NAIVE_STAPLE, Stands.NAIVE_CA_STAPLE),
}


class Table(NamedTuple):
    """For each combination of `Stands` whether the client refuses, and whether it asks a responder, and for a CRL."""

    refuses: Bools
    asks_ocsp: Bools
    asks_crl: Bools


class Measured(NamedTuple):
    """What one row of one replication came to, in the units of `report.simulation.MEASURES`."""

    refused: float
    client_requests: float
    server_requests: float
    waited: float


def rows() -> tuple[tuple[str, str], ...]:
    """Client and refresh of each row: both ways for a client that looks at staples, none for another."""
    return tuple(
        (name, refresh)
        for name, policy in CLIENTS.items()
        for refresh in ((AGENT, NAIVE) if policy.asks_for_staples and name != SHORT_LIVED else ("",))
    )


@cache
def table(client: str, refresh: str) -> Table:
    """What `decide()` makes of every combination, all certificates being good."""
    policy = CLIENTS[client]
    staple, ca_staple = _STAPLES[refresh or NAIVE]
    columns = np.zeros((3, BINS), np.bool_)
    for combination in range(BINS):
        stands = Stands(combination)
        done = outcome(policy, _evidence(client, stands, staple, ca_staple))
        columns[:, combination] = (not done.accepted, Source.OCSP in done.asked, Source.CRL in done.asked)
    return Table(*columns)


def _evidence(client: str, stands: Stands, staple: Stands, ca_staple: Stands) -> Evidence:
    def said(*one_of: Stands) -> Said:
        return Said.GOOD if any(each in stands for each in one_of) else Said.NOBODY

    leaf = LEAF_OF.get(client, Leaf.SILENT)
    if leaf is Leaf.PROMISING and Stands.PROMISE not in stands:
        leaf = Leaf.SILENT
    if leaf is Leaf.SHORT:
        # Whoever has such certificates does not staple for them.
        return Evidence(leaf if Stands.SHORT_LEAF in stands else Leaf.EXPIRED)
    crl = Said.GOOD if client == PUSHED else said(Stands.CRL | Stands.CLIENT_REACHES, Stands.CRL_CACHED)
    return Evidence(leaf, said(staple), said(ca_staple), said(Stands.OCSP | Stands.CLIENT_REACHES), crl)


def measure(world: World, met: Ints, parameters: Parameters, client: str, refresh: str) -> Measured:
    """What these connections came to for this client, with servers that refresh in this way."""
    refuses, asks_ocsp, asks_crl = table(client, refresh)
    combinations = np.arange(BINS)
    all_met = float(met.sum())

    def stand(bits: Stands) -> Bools:
        stands: Bools = (combinations & int(bits)) == int(bits)
        return stands

    if client == PUSHED:
        asks_crl = np.zeros(BINS, np.bool_)
    fetches_crl = asks_crl & ~stand(Stands.CRL_CACHED)
    requests = float(met[asks_ocsp].sum() + met[fetches_crl].sum())
    answered = float(
        met[asks_ocsp & stand(Stands.OCSP | Stands.CLIENT_REACHES)].sum()
        + met[fetches_crl & stand(Stands.CRL | Stands.CLIENT_REACHES)].sum()
    )
    waited = (
        answered * parameters["client.latency_seconds"] + (requests - answered) * parameters["client.timeout_seconds"]
    )
    return Measured(
        float(met[refuses].sum()) / all_met,
        requests / all_met * 1e6,
        _server_requests(world, parameters, client, refresh),
        waited / all_met,
    )


def _server_requests(world: World, parameters: Parameters, client: str, refresh: str) -> float:
    """What servers ask of CAs so that these clients are served, per site and day."""
    if client == SHORT_LIVED:
        return world.requests[Stands.SHORT_LEAF]
    if client == PUSHED:
        # One for each CA's list and each push, whoever makes the filter.
        return parameters["ca.count"] * 24 / parameters["filter.push_hours"] / parameters["sites.count"]
    if not refresh:
        return 0.0
    leaf, ca = _STAPLES[refresh]
    if client == "strict":
        shares = parameters["sites.chain_stapling"] if refresh == NAIVE else 1.0
        return parameters["sites.stapling"] * (world.requests[leaf] + shares * world.requests[ca])
    return parameters["sites.stapling"] * world.requests[leaf]

"""The whole study as data, and what each of the article's proposals buys and costs, worked out from its numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mustaple.report.compare_findings import share
from mustaple.report.comparison import Kind, Outage, Revoked
from mustaple.report.cost_text import milliseconds
from mustaple.report.sheet import Sheet
from mustaple.report.simulate_text import figure, row_about, span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mustaple.report.comparison import Cell, Comparison, Finding
    from mustaple.report.cost import Cost, Series
    from mustaple.report.simulation import Row, Simulation


@dataclass(frozen=True, slots=True)
class Study:
    """What `mustaple compare --full --html` puts on one page."""

    comparison: Comparison
    cost: Cost
    simulation: Simulation


# What is asked of every client, and which finding answers it.
_ASKED: Final = {
    "thief blocks OCSP and staples nothing; a leaf is revoked that promised one": "blocked-and-stripped/{}/promised",
    "the same; the leaf promised none": "blocked-and-stripped/{}/unpromised",
    "the same; an intermediate is revoked": "blocked-and-stripped/{}/intermediate",
    "thief blocks OCSP, staples what is expired, another's or forged": "wrong-staple/{}",
    "thief staples a good answer from before, until it expires": "fresh-staple/{}",
    "good servers shut out while the responder is down, without the agent": "outage/naive/{}",
    "the same, with the agent's cache": "outage/agent/{}",
    "visits that told the CA of the site, in clear": "privacy/{}",
}


def answers(comparison: Comparison) -> Sheet:
    """The findings side by side: a row for each question, a column for each client; "!" where it was not expected."""
    by_id = {each.id: each for each in comparison.findings}
    names = tuple(each.name for each in comparison.clients)
    rows = []
    for asked, pattern in _ASKED.items():
        found = [by_id.get(pattern.format(name)) for name in names]
        if any(found):
            cells = ("–" if each is None else _answer(each) for each in found)
            rows.append((asked, *cells))
    return Sheet("Attacks that succeeded, good servers shut out, visits given away", ("", *names), tuple(rows))


def _answer(finding: Finding) -> str:
    return f"{finding.count} of {finding.of}{' !' if finding.expected is False else ''}"


def proposals(study: Study) -> Sheet:
    """A row for each proposal: what it protects from, and what it costs, in this run's numbers."""
    rows = (
        ("leaf stapling", _leaf_protects(study), _staple_costs(study, "staple-leaf", "none")),
        ("must-staple", _blocked(study, "must-staple"), _outages(study, "must-staple")),
        (
            "multi-staple, and a client that demands it",
            _blocked(study, "strict"),
            f"{_staple_costs(study, 'staple-chain', 'staple-leaf')} {_outages(study, 'strict')}",
        ),
        (
            "Expect-Staple",
            "From nothing by itself: a host that breaks its word is reported, and nobody refused.",
            "Nothing. It tells a site whether it could promise, as `mustaple check --report-only` does for yours.",
        ),
        ("hard fail", _blocked(study, "hard-fail"), _outages(study, "hard-fail")),
        ("a pushed filter, as CRLite", _exposed(study, "pushed-filter"), _burden(study, "pushed-filter")),
        ("short-lived certificates", _exposed(study, "short-lived"), _burden(study, "short-lived")),
    )
    return Sheet("What each proposal buys", ("proposal", "protects", "costs"), rows)


def _leaf_protects(study: Study) -> str:
    cells = [cell for cell in study.comparison.cells if cell.preset == "soft-fail" and cell.revoked is Revoked.LEAF]
    honest = [cell for cell in cells if cell.attacker.value == "none"]
    told = _count(
        [cell for cell in study.comparison.cells if cell.preset == "soft-fail" and _all_well(cell)],
        lambda cell: any(each.names_site for each in cell.told),
    )
    return (
        f"By itself from no thief: of the honest servers whose leaf is revoked soft-fail refuses "
        f"{_count(honest, lambda cell: not cell.accepted)}; who steals the key staples what serves them best. "
        f"Privacy: of the servers where all is well, with staples and without, {told} had soft-fail tell the CA."
    )


def _all_well(cell: Cell) -> bool:
    return not cell.is_revoked and cell.outage is Outage.NONE and not cell.attacker.on_path


def _staple_costs(study: Study, name: str, without: str) -> str:
    with_it, bare = _series(study.cost, name), _series(study.cost, without)
    if with_it is None or bare is None:
        return "Not measured in this run."
    said = f"{with_it.traffic.stapled - bare.traffic.stapled:,} bytes more from the server"
    own = _series(study.cost, "ocsp-leaf" if name == "staple-leaf" else "ocsp-all")
    if own is not None:
        trips = own.method.round_trips - with_it.method.round_trips
        slower = milliseconds(own.at(study.cost.compared_at).median)
        saved = f"{trips} round trips less than asking the CA ({slower} ms at {study.cost.compared_at * 1000:g} ms)"
        said += f"; {saved}"
    extra = with_it.traffic.server_extra
    return f"{said}{f', but {extra} more by congestion control, computed' if extra else ''}."


def _blocked(study: Study, preset: str) -> str:
    """The attacks that succeed all the same, by which certificate is revoked."""
    own = [cell for cell in study.comparison.cells if cell.preset == preset and cell.is_revoked]
    parts = []
    for revoked, words in ((Revoked.LEAF, "a revoked leaf"), (Revoked.INTERMEDIATE, "a revoked intermediate")):
        cells = [cell for cell in own if cell.revoked is revoked and cell.attacker.blocks]
        cells = [cell for cell in cells if cell.attacker.staples != "fresh"]  # which passes wherever staples do
        if cells:
            parts.append(f"{_count(cells, lambda cell: cell.kind is Kind.ATTACK_SUCCEEDED)} with {words}")
    if not parts:
        return "Not measured in this run."
    return f"Of thieves who block OCSP and have no fresh staple succeed {' and '.join(parts)}."


def _outages(study: Study, preset: str) -> str:
    """False outages while the responder is down, without and with the agent's cache."""
    own = [
        cell
        for cell in study.comparison.cells
        if cell.preset == preset and not cell.is_revoked and cell.outage is not Outage.NONE
    ]
    naive = [cell for cell in own if cell.outage.naive]
    agent = [cell for cell in own if not cell.outage.naive]
    if not naive or not agent:
        return "Outages were not measured in this run."
    wrong = (_count(cells, lambda cell: cell.kind is Kind.FALSE_OUTAGE) for cells in (naive, agent))
    return "While the responder is down it shuts out {} good servers without the agent, and {} with it.".format(*wrong)


def _exposed(study: Study, client: str) -> str:
    row = _row(study.simulation, client)
    if row is None:
        return "Not simulated in this run."
    strict = _row(study.simulation, "strict")
    beside = f", where strict believes them {span(strict.exposure.value)}" if strict is not None else ""
    return (
        f"Simulated: it believes the thief of a revoked leaf's key for {span(row.exposure.value)}{beside}, and of an "
        f"intermediate's for {span(row.ca_exposure.value)}."
    )


def _burden(study: Study, client: str) -> str:
    row = _row(study.simulation, client)
    if row is None:
        return "Not simulated in this run."
    return (
        f"Simulated: {figure(row.refused.value * 1e6)} of a million connections refused wrongly, "
        f"{figure(row.client_requests.value)} requests of clients to CAs in a million connections."
    )


def _row(simulation: Simulation, client: str) -> Row | None:
    rows = [row for row in simulation.rows if row.client == client]
    return row_about(rows, client) if rows else None


def _series(cost: Cost, name: str) -> Series | None:
    return next((each for each in cost.sweep if each.method.name == name), None)


def _count(cells: Iterable[Cell], holds: Callable[[Cell], bool]) -> str:
    found = [holds(cell) for cell in cells]
    return share(sum(found), len(found))

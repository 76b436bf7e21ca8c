"""The rows of a comparison's tables, before anybody sets them: the grid in letters, the corpus by family, the sums."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mustaple.report.compare_findings import summaries
from mustaple.report.comparison import Kind, Server

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mustaple.report.comparison import Cell, Finding

LEGEND: Final = (
    "A letter for each server: without stapling, with the leaf's, with the whole chain's. A: an attack that succeeded, "
    "accepted while revoked. O: a false outage, refused while good. x: somebody on the path made the connection fail. "
    "Dots: right. Spaces: not tried."
)
SUMS: Final = (
    "client",
    "attacks succeeded",
    "false outages",
    "path breaks",
    "CA told",
    "CA requests",
    "median ms",
    "server bytes",
    "CA bytes",
)
SUMS_LEGEND: Final = (
    "CA told: visits in which a CA learned which site was visited. Times are to the verdict, bytes the mean of a visit."
)
# Findings that there is one of for each client, by what their ids begin with.
_BY_CLIENT: Final = {
    "outage/naive": "False outages while the responder is down, without the agent's cache",
    "outage/agent": "The same with the agent's cache",
    "wrong-staple": "Attackers let in who block OCSP and staple what is expired, another's or forged",
    "fresh-staple": "Attackers let in, until it expires, who staple a good answer from before the revocation",
}


@dataclass(frozen=True, slots=True)
class Section:
    """Rows under one heading: what each is called, and what stands in it for each client."""

    heading: str
    rows: tuple[tuple[str, tuple[str, ...]], ...]


def clients_of(cells: Sequence[Cell]) -> list[str]:
    """The columns, in the order of the cells."""
    return list(dict.fromkeys(cell.preset for cell in cells))


def is_corpus(cell: Cell) -> bool:
    """Whether its situation is a case of the corpus."""
    return "/" in cell.case


def grid_sections(cells: Sequence[Cell]) -> list[Section]:
    """A section for each world, a row for each attacker, and in it a letter for each server."""
    worlds: dict[str, dict[str, dict[str, dict[Server, str]]]] = {}
    for cell in cells:
        row = worlds.setdefault(cell.case, {}).setdefault(_attacker(cell), {})
        row.setdefault(cell.preset, {})[cell.server] = letter(cell)
    names = clients_of(cells)
    return [
        Section(
            world,
            tuple(
                (attacker, tuple("".join(row.get(name, {}).get(server, " ") for server in Server) for name in names))
                for attacker, row in rows.items()
            ),
        )
        for world, rows in worlds.items()
    ]


def corpus_sections(cells: Sequence[Cell]) -> list[Section]:
    """One section, a row for each family: how many attacks succeeded, how many false outages, of how many cases."""
    families: dict[str, dict[str, list[Cell]]] = defaultdict(lambda: defaultdict(list))
    for cell in cells:
        families[cell.case.partition("/")[0]][cell.preset].append(cell)
    names = clients_of(cells)
    rows = tuple((family, tuple(_wrongs(of[name]) for name in names)) for family, of in families.items())
    return [Section("corpus", rows)] if rows else []


def sums(cells: Sequence[Cell]) -> list[tuple[str, ...]]:
    """A row for each client under `SUMS`; times and bytes are of one visit."""
    return [
        (
            each.client,
            f"{each.attacks_succeeded} of {each.attacks}",
            f"{each.false_outages} of {each.good}",
            f"{each.connections_failed} of {each.tampered}",
            f"{each.told_site} of {each.cells}",
            str(each.ca_requests),
            f"{each.seconds * 1000:.0f}",
            f"{each.server_bytes:.0f}",
            f"{each.ca_bytes:.0f}",
        )
        for each in summaries(cells)
    ]


def by_client(found: Sequence[Finding]) -> list[str]:
    """A line for each thing that is counted for every client, and those that are counted once."""
    lines = []
    for start, words in _BY_CLIENT.items():
        own = [each for each in found if each.id.startswith(f"{start}/")]
        if own:
            counts = (f"{each.id.rpartition('/')[2]} {each.count} of {each.of}" for each in own)
            lines.append(f"{words}: {', '.join(counts)}.")
    return [*lines, *(each.text for each in found if "/" not in each.id)]


def letter(cell: Cell) -> str:
    """What became of it: A, O, x or a dot."""
    if cell.connection_failed:
        return "x"
    return {Kind.RIGHT: ".", Kind.ATTACK_SUCCEEDED: "A", Kind.FALSE_OUTAGE: "O"}[cell.kind]


def _attacker(cell: Cell) -> str:
    return {"none": "nobody attacks"}.get(cell.attacker.value, cell.attacker.value.replace("-", " "))


def _wrongs(cells: Sequence[Cell]) -> str:
    attacks = sum(cell.kind is Kind.ATTACK_SUCCEEDED for cell in cells)
    outages = sum(cell.kind is Kind.FALSE_OUTAGE for cell in cells)
    said = [f"{count} {name}" for count, name in ((attacks, "A"), (outages, "O")) if count]
    return f"{', '.join(said) or '.'} of {len(cells)}"

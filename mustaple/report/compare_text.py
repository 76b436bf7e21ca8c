"""The comparison of clients as tables for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mustaple.report.compare_findings import headline
from mustaple.report.compare_rows import (
    LEGEND,
    SUMS,
    SUMS_LEGEND,
    by_client,
    clients_of,
    corpus_sections,
    grid_sections,
    is_corpus,
    sums,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

    from mustaple.report.compare_rows import Section
    from mustaple.report.comparison import Cell, Comparison

# From this width on a cell says in one line what a narrower table breaks into two, and cases have their titles.
_WIDE = 150
_CASE = 26  # letters of the longest case's name and what follows it
_STYLES = {"right": "green", "attack-succeeded": "bold red", "false-outage": "yellow"}
_WRONG = {"attack-succeeded": "ATTACK", "false-outage": "OUTAGE"}
_WRONG_WIDE = {"attack-succeeded": "ATTACK SUCCEEDED", "false-outage": "FALSE OUTAGE"}


def compare_text(comparison: Comparison, width: int) -> RenderableType:
    """All of it for a terminal of `width` columns: a table where a row is a case, or the grid; the corpus; the sums."""
    from rich.console import Group
    from rich.text import Text

    corpus = [cell for cell in comparison.cells if is_corpus(cell)]
    cells = [cell for cell in comparison.cells if not is_corpus(cell)]
    parts: list[RenderableType] = []
    is_grid = len({cell.case for cell in cells}) < len({cell.key[1:] for cell in cells})
    if is_grid:
        parts += [*_tables(cells, grid_sections, width), Text(LEGEND, style="dim"), Text()]
    elif cells:
        parts += [compare_table(own, width) for own in _in_columns(cells, width - _CASE, len("accepted"))]
    if corpus:
        legend = "A: attacks that succeeded. O: false outages. Of so many cases."
        parts += [*_tables(corpus, corpus_sections, width), Text(legend, style="dim"), Text()]
    if is_grid or corpus:
        parts += [_sums(comparison.cells), Text(SUMS_LEGEND, style="dim")]
        said = [headline(comparison.findings), *by_client(comparison.findings)]
        parts += [Text(f"\n{each}") for each in said if each]
    return Group(*parts)


def compare_table(cells: Sequence[Cell], width: int) -> RenderableType:
    """Cases down, presets across, for a terminal of `width` columns; what went wrong stands out, colour or not."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    wide = width >= _WIDE
    presets = list(dict.fromkeys(cell.preset for cell in cells))
    table = Table(box=None, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=not wide)
    for preset in presets:
        table.add_column(preset, no_wrap=True)
    found = {(cell.case, cell.preset): cell for cell in cells}
    cases = {cell.case: cell for cell in cells}
    for revoked, heading in ((False, "EVERY CERTIFICATE IS GOOD"), (True, "A CERTIFICATE IS REVOKED")):
        own = [cell for cell in cases.values() if cell.is_revoked is revoked]
        if own:
            table.add_row(Text(heading, style="bold"))
        for case in own:
            row = [_cell_text(found[case.case, preset], wide=wide) for preset in presets]
            table.add_row(case.title if wide else case.case, *row)
    legend = "ATTACK: it succeeded, accepted while revoked. OUTAGE: a false one, refused while good."
    title = Text("Client policies, against real servers", style="italic")
    return Group(title, table, Text(legend, style="dim"), Text(), _summary(cells, presets))


def _cell_text(cell: Cell, *, wide: bool) -> Text:
    from rich.text import Text

    kind, outcome = cell.kind.value, cell.outcome.value
    if kind in _WRONG:
        outcome += f": {_WRONG_WIDE[kind]}" if wide else f"\n= {_WRONG[kind]}"
    return Text(outcome, style=_STYLES[kind])


def _summary(cells: Sequence[Cell], presets: Sequence[str]) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("policy", "attacks that succeeded", "false outages", "requests to the CA"):
        table.add_column(heading, justify="left" if heading == "policy" else "right")
    for preset in presets:
        own = [cell for cell in cells if cell.preset == preset]
        attacks = [cell for cell in own if cell.is_revoked]
        good = [cell for cell in own if not cell.is_revoked]
        table.add_row(
            preset,
            f"{sum(cell.kind.value == 'attack-succeeded' for cell in attacks)} of {len(attacks)}",
            f"{sum(cell.kind.value == 'false-outage' for cell in good)} of {len(good)}",
            str(sum(cell.ca_requests for cell in own)),
        )
    return table


def _tables(cells: Sequence[Cell], make: Callable[[Sequence[Cell]], list[Section]], width: int) -> Iterator[Table]:
    """The same rows again for every few clients that fit into the width."""
    sections = make(cells)
    label = max(len(name) for section in sections for name, _ in section.rows)
    value = max(len(each) for section in sections for _, values in section.rows for each in values)
    for own in _in_columns(cells, width - label - 1, value):
        yield _sections(clients_of(own), make(own))


def _in_columns(cells: Sequence[Cell], width: int, least: int) -> Iterator[list[Cell]]:
    """The cells of so many clients at a time as columns, each `least` letters wide or more, fit into the width."""
    chosen: list[str] = []
    for name in clients_of(cells):
        if chosen and sum(max(len(each), least) + 1 for each in (*chosen, name)) > width:
            yield [cell for cell in cells if cell.preset in chosen]
            chosen = []
        chosen.append(name)
    yield [cell for cell in cells if cell.preset in chosen]


def _sections(clients: Sequence[str], sections: Iterable[Section]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    for client in clients:
        table.add_column(Text(client), no_wrap=True)
    for section in sections:
        table.add_row(Text(section.heading.upper(), style="bold"))
        for name, values in section.rows:
            table.add_row(Text(name), *(Text(each, style=_letters(each)) for each in values))
    return table


def _letters(value: str) -> str:
    return "bold red" if "A" in value else "yellow" if "O" in value else "dim" if not value.strip() else "green"


def _sums(cells: Sequence[Cell]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 1, 0, 0))
    for place, heading in enumerate(SUMS):
        table.add_column(Text(heading.replace(" ", "\n")), justify="right" if place else "left", no_wrap=True)
    for row in sums(cells):
        table.add_row(*map(Text, row))
    return table

"""The comparison of presets as a table for a terminal, and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

    from mustaple.report.comparison import Cell

# From this width on a cell says in one line what a narrower table breaks into two, and cases have their titles.
_WIDE = 150
_STYLES = {"right": "green", "attack-succeeded": "bold red", "false-outage": "yellow"}
_WRONG = {"attack-succeeded": "ATTACK", "false-outage": "OUTAGE"}
_WRONG_WIDE = {"attack-succeeded": "ATTACK SUCCEEDED", "false-outage": "FALSE OUTAGE"}


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


def compare_json(cells: Sequence[Cell]) -> dict[str, Any]:
    """Every cell with the whole verdict; `seconds` is the time to it."""
    return {"cells": [cell.model_dump(mode="json") for cell in cells]}

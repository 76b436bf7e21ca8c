"""A comparison as data: JSON with everything in it and its schema, CSV with a cell a line, and Markdown."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, Final

from mustaple.report.compare_findings import headline
from mustaple.report.compare_rows import (
    LEGEND,
    SUMS,
    SUMS_LEGEND,
    clients_of,
    corpus_sections,
    grid_sections,
    is_corpus,
    sums,
)
from mustaple.report.comparison import SCHEMA, Cell, Comparison
from mustaple.report.plain import json_text, printable
from mustaple.report.sheet import Sheet, piped

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mustaple.report.compare_rows import Section

_SHARED: Final = (
    "preset", "program", "case", "attacker", "server", "revoked", "outage", "ocsp", "must_staple", "protocol",
    "outcome", "kind", "connection_failed", "reason", "alert", "seconds",
)  # fmt: skip
_COUNTED: Final = (
    "server_connections", "server_sent", "server_received", "ca_connections", "ca_sent", "ca_received", "ca_requests",
    "ca_signatures", "staples_signed", "told_serials", "told_site",
)  # fmt: skip


def compare_json(comparison: Comparison) -> str:
    """Every cell with its whole verdict, the clients, and what it all says."""
    return json_text(comparison.model_dump(mode="json", by_alias=True)) + "\n"


def compare_csv(comparison: Comparison) -> str:
    """A line for each cell, without its verdict; bytes and seconds as in JSON, serial numbers parted by spaces."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*_SHARED, *_COUNTED))
    for cell in comparison.cells:
        facts = cell.model_dump(mode="json", include=set(_SHARED))
        writer.writerow(["" if facts[name] is None else facts[name] for name in _SHARED] + _counts(cell))
    return text.getvalue()


def _counts(cell: Cell) -> list[object]:
    traffic = [
        number for each in (cell.to_server, cell.to_ca) for number in (each.connections, each.sent, each.received)
    ]
    told = " ".join(each.serial for each in cell.told)
    site = any(each.names_site for each in cell.told)
    return [*traffic, cell.ca_requests, cell.ca_signatures, cell.staples_signed, told, site]


def compare_markdown(comparison: Comparison) -> str:
    """What it says, in sentences and tables, and how to have it again."""
    cells = comparison.cells
    grid, corpus = [cell for cell in cells if not is_corpus(cell)], [cell for cell in cells if is_corpus(cell)]
    parts = [
        "# Soft fail against hard fail, over real sockets",
        f"mustaple {comparison.version}, {len(cells)} cells. To have it again: `{comparison.command}`",
        headline(comparison.findings),
        "\n".join(f"- {printable(each.text)}" for each in comparison.findings),
        f"## What each client cost\n\n{_table(SUMS, sums(cells))}\n\n{SUMS_LEGEND}",
    ]
    if grid:
        parts.append(f"## The grid\n\n{LEGEND}\n\n{_sections(clients_of(grid), grid_sections(grid), code=True)}")
    if corpus:
        parts.append(f"## The corpus\n\n{_sections(clients_of(corpus), corpus_sections(corpus))}")
    return "\n\n".join(part for part in parts if part) + "\n"


def _sections(clients: Sequence[str], sections: Iterable[Section], *, code: bool = False) -> str:
    rows = [
        (section.heading, name, *((f"`{each}`" if each.strip() else "") if code else each for each in values))
        for section in sections
        for name, values in section.rows
    ]
    return _table(("world", "row", *clients), rows)


def _table(headings: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    return "\n".join(piped(Sheet("", headings, tuple(rows))))


def compare_schema() -> dict[str, Any]:
    """The JSON schema, draft 2020-12, of what `compare_json` gives."""
    made = Comparison.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"urn:{SCHEMA.replace('/', ':')}", **made}


if __name__ == "__main__":
    print(json_text(compare_schema()))  # noqa: T201  it is what the command is for

"""A table of words, and how it stands in a terminal, in Markdown and on a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mustaple.report.html_page import as_text
from mustaple.report.plain import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table: what stands above it, its headings, its rows. The first column says what a row is of."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def aligned(sheet: Sheet) -> Iterator[str]:
    """Its lines with columns as wide as their widest cell; the first to the left, numbers to the right."""
    table = (sheet.headings, *sheet.rows)
    widths = [max(len(row[column]) for row in table) for column in range(len(sheet.headings))]
    for row in table:
        cells = [
            cell.ljust(width) if not place else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def piped(sheet: Sheet) -> Iterator[str]:
    """Its lines in Markdown."""
    yield _piped(sheet.headings)
    yield _piped(["---"] * len(sheet.headings))
    yield from map(_piped, sheet.rows)


def as_html(sheet: Sheet) -> str:
    """The table in HTML; every cell names its column, for a page as narrow as a phone."""
    head = "".join(f'<th scope="col">{as_text(heading)}</th>' for heading in sheet.headings)
    lines = [f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>"]
    for first, *rest in sheet.rows:
        cells = zip(sheet.headings[1:], rest, strict=True)
        shown = "".join(f'<td data-is="{as_text(name)}"><span>{as_text(cell)}</span></td>' for name, cell in cells)
        lines.append(f'<tr><th scope="row">{as_text(first)}</th>{shown}</tr>')
    return "\n".join([*lines, "</tbody>\n</table>\n"])


def _piped(cells: Sequence[str]) -> str:
    return f"| {' | '.join(printable(cell).replace('|', '&#124;') for cell in cells)} |"

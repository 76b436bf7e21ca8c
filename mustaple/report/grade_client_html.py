"""The grade of a TLS client as one HTML file that needs nothing else: no script, no font, no other address."""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING, Final

from mustaple.report.check_html_style import STYLE
from mustaple.report.clauses import clause_url
from mustaple.report.grade_client_text import MEANING, WEIGHT, counts_line
from mustaple.report.html_page import PAGE_END, as_text, page_top

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mustaple.report.grade_client import GradedCase, GradeReport

_OWN_STYLE: Final = """\
meter { width: 8rem; max-width: 100%; vertical-align: middle; }
.bars td { border: 0; padding-right: 1rem; }
.bars tr:first-child { display: table-row; }
.nearest { font-weight: 600; }
.accept, .refuse, .skipped { color: var(--soft); }
.deviates { color: var(--bad); font-weight: 600; }
.curious { color: var(--dim); font-weight: 600; }
"""
_COLUMNS: Final = ("case", "did", "should", "weight", "clauses", "seen")
_ID: Final = re.compile(r"RFC(\d+)-([0-9A-Z.]+)-\d+")


def grade_html(report: GradeReport) -> str:
    """The whole page."""
    return "".join(_page(report))


def _page(report: GradeReport) -> Iterator[str]:
    yield from page_top(f"mustaple grade client: {report.client}: {report.profile}", STYLE, _OWN_STYLE)
    yield f"<header>\n<h1>{as_text(report.client)}: {report.profile}</h1>\n<p>{MEANING[report.profile]}</p>\n"
    about = f"{report.at:%Y-%m-%d %H:%M} UTC, measured against {report.measured_against}, mustaple {report.version}"
    version = f"{report.client_version}, " if report.client_version is not None else ""
    yield f"<p>{as_text(version + about)}</p>\n<p>{as_text(counts_line(report))}</p>\n"
    yield '<ul class="tiles">\n'
    for outcome, number in report.totals.items():
        yield f"<li><b>{number}</b> {outcome}</li>\n"
    yield f'<li class="refused"><b>{len(report.deviations)}</b> deviations</li>\n</ul>\n'
    yield from _agreement(report)
    yield from _changes(report)
    yield '</header>\n<main>\n<label class="filter"><input type="checkbox" id="only"> only families with deviations'
    yield "</label>\n"
    for family, cases in groupby(report.cases, key=lambda each: each.family):
        yield from _family(family, list(cases))
    yield f"</main>\n{PAGE_END}"


def _agreement(report: GradeReport) -> Iterator[str]:
    yield '<table class="bars">\n'
    for preset, share in report.agreement.items():
        mark = ' class="nearest"' if preset == report.profile else ""
        bar = f'<meter min="0" max="1" value="{share}">{share:.1%}</meter> {share:.1%}'
        yield f'<tr{mark}><td data-is="policy"><span>{preset}</span></td><td data-is="agreement">{bar}</td></tr>\n'
    yield "</table>\n"


def _changes(report: GradeReport) -> Iterator[str]:
    if report.changes is not None and not report.changes:
        yield "<p>As in the baseline.</p>\n"
    for each in report.changes or ():
        yield f'<p class="reason">Changed: {each.id or "the profile"}: {each.before} before, {each.now} now</p>\n'


def _family(family: str, cases: list[GradedCase]) -> Iterator[str]:
    deviating = sum(each.deviates for each in cases)
    wanted, is_open = ("unwanted", " open") if deviating else ("wanted", "")
    aside = f"{len(cases)} cases, {deviating} deviate" if deviating else f"{len(cases)} cases"
    yield f'<details class="{wanted}"{is_open}>\n<summary><span class="name">{family}</span> '
    yield f'<span class="aside">{aside}</span></summary>\n'
    yield f"<table>\n<tr>{''.join(f'<th>{column}' for column in _COLUMNS)}</tr>\n"
    yield from map(_row, cases)
    yield "</table>\n</details>\n"


def _row(case: GradedCase) -> str:
    kind = case.outcome.value
    if case.deviates:
        kind = "deviates" if case.fails else "curious"
    code = f" ({case.code.value})" if case.code is not None else ""
    stricter = "<br>stricter" if case.deviates and case.kind == "stricter" else ""
    cells = (
        f"<b>{case.id.partition('/')[2]}</b><br>{as_text(' '.join(case.description.split()))}",
        f'<span class="{kind}">{case.outcome}</span>{stricter}',
        f"{case.expected}{code}",
        f'<span title="{WEIGHT[case.importance]}">{case.importance}</span>',
        " ".join(map(_clause, case.clauses)) or "–",
        as_text(case.detail),
    )
    named = zip(_COLUMNS, cells, strict=True)
    return "<tr>" + "".join(f'<td data-is="{name}"><span>{cell}</span></td>' for name, cell in named) + "</tr>\n"


def _clause(name: str) -> str:
    found = _ID.fullmatch(name)
    url = clause_url(f"RFC {found[1]} §{found[2]}") if found is not None else None
    return f'<a href="{as_text(url)}" rel="noreferrer">{name}</a>' if url is not None else as_text(name)

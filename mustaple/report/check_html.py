"""A run of `mustaple check` as one HTML file that needs nothing else: no script, no font, no other address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mustaple.core.verdict import Status
from mustaple.report.check_html_style import STYLE
from mustaple.report.check_run import Ending, dies_at
from mustaple.report.check_spool import Spool
from mustaple.report.check_text import expected_text, totals_text, warning_text
from mustaple.report.clauses import clause_url
from mustaple.report.html_page import PAGE_END, as_text, page_top
from mustaple.report.verdict_text import span_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from mustaple.core.verdict import CertVerdict, ChainVerdict, Judgement, Reason
    from mustaple.report.check_run import Run, Summary, TargetResult

_COLUMNS: Final = ("evidence", "says", "from", "until", "signed by")
_TILES: Final = {
    Ending.ACCEPTED: "accepted",
    Ending.REFUSED: "refused",
    Ending.NO_ANSWER: "no answer",
    Ending.INTERNAL_ERROR: "internal error",
}


class HtmlReporter:
    """HTML. The totals stand on top, so that the targets wait in a spool until the end."""

    def __init__(self) -> None:
        self._targets = Spool()
        self._run: Run | None = None

    def begin(self, run: Run) -> Iterator[str]:
        """Nothing yet."""
        self._run = run
        yield from ()

    def add(self, result: TargetResult) -> Iterator[str]:
        """Nothing yet: the target is spooled."""
        for piece in _target(result):
            self._targets.write(piece)
        yield from ()

    def end(self, summary: Summary) -> Iterator[str]:
        """The whole page."""
        yield from page_top(f"mustaple check: {_verdict_of(summary)}", STYLE)
        yield from self._head(summary)
        yield '<main>\n<label class="filter"><input type="checkbox" id="only"> only what is not as wanted</label>\n'
        yield from self._targets.drain()
        yield f"</main>\n{PAGE_END}"

    def _head(self, summary: Summary) -> Iterator[str]:
        yield "<header>\n<h1>mustaple check</h1>\n"
        if self._run is not None:
            only = ", report only" if self._run.report_only else ""
            about = f"policy {self._run.policy}, at {_when(self._run.at)}{only}, mustaple {self._run.version}"
            yield f"<p>{as_text(about)}</p>\n"
        yield '<ul class="tiles">\n'
        for ending, words in _TILES.items():
            if summary.endings[ending] or ending in {Ending.ACCEPTED, Ending.REFUSED}:
                yield f'<li class="{ending}"><b>{summary.endings[ending]}</b> {words}</li>\n'
        yield "</ul>\n"
        yield from (f"<p>{as_text(line)}</p>\n" for line in totals_text(summary))
        yield "</header>\n"


def _verdict_of(summary: Summary) -> str:
    return f"{summary.unexpected} of {summary.total} not as wanted" if summary.unexpected else "all as wanted"


def _target(result: TargetResult) -> Iterator[str]:
    wanted = "wanted" if result.as_expected else "unwanted"
    is_open = " open" if result.warnings or not result.as_expected else ""
    yield f'<details class="{result.ending} {wanted}"{is_open}>\n<summary><span class="badge">{result.ending}</span> '
    yield f'<span class="name">{as_text(result.target)}</span> <span class="aside">{as_text(_aside(result))}</span>'
    yield "</summary>\n"
    expected = expected_text(result)
    if expected is not None:
        yield f'<p class="{wanted}">{as_text(expected)}</p>\n'
    yield from (f'<p class="warning">{as_text(warning_text(each))}</p>\n' for each in result.warnings)
    if result.problem is not None:
        yield f"<p>{as_text(result.problem)}</p>\n"
    if result.verdict is not None:
        yield from _verdict(result.verdict)
    yield "</details>\n"


def _aside(result: TargetResult) -> str:
    moment = dies_at(result.verdict) if result.verdict is not None else None
    said = [result.code] if result.code is not None else []
    if result.verdict is not None and result.verdict.accepted and not result.verdict.checked:
        said.append("nothing checked")
    if result.verdict is not None and moment is not None and moment >= result.verdict.at:
        said.append(f"dies in {span_text(moment - result.verdict.at)}")
    return " · ".join((*said, f"{result.seconds * 1000:.0f} ms"))


def _verdict(verdict: ChainVerdict) -> Iterator[str]:
    how = ", ".join(part for part in (verdict.protocol, verdict.engine, f"policy {verdict.policy}") if part)
    yield f'<p class="how">{as_text(how)}, at {_when(verdict.at)}</p>\n'
    if verdict.accepted and not verdict.checked:
        yield "<p>nothing was checked: this policy looks at no evidence of revocation</p>\n"
    yield from _reasons(verdict.reasons, "reason")
    yield from _reasons(verdict.notes, "note")
    for certificate in verdict.certificates:
        yield from _certificate(certificate, verdict.at)
    for request in verdict.requests:
        about = "nothing" if request.serial_number is None else f"the serial number {request.serial_number:x}"
        how = "encrypted" if request.encrypted else "in clear"
        where = ", then ".join((request.url, *request.redirects))
        said = f"asked a CA by itself: {request.method} {where}, {how}, which told it {about}: {request.answer}"
        yield f'<p class="note">{as_text(said)}</p>\n'


def _certificate(verdict: CertVerdict, at: datetime) -> Iterator[str]:
    promise = ' <span class="promise">must-staple</span>' if verdict.obliged else ""
    status = "not looked at" if verdict.status is Status.NOT_CHECKED else verdict.status.value
    told = f'<span class="status {verdict.status}">{status}</span>'
    yield f"<section>\n<h2>{as_text(verdict.subject)} {told}{promise}</h2>\n"
    yield f'<p class="how">issued by {as_text(verdict.issuer)}, serial {verdict.link.serial_number:x}</p>\n'
    yield from _reasons(verdict.reasons, "reason")
    yield from _reasons(verdict.notes, "note")
    if verdict.judgements:
        yield f"<table>\n<tr>{''.join(f'<th>{column}' for column in _COLUMNS)}</tr>\n"
        yield from (_evidence(judgement, at) for judgement in verdict.judgements)
        yield "</table>\n"
    yield "</section>\n"


def _evidence(judgement: Judgement, at: datetime) -> str:
    until = _when(judgement.next_update)
    if judgement.next_update is not None:
        left = judgement.next_update - at
        until += f" ({span_text(left)} left)" if left.total_seconds() >= 0 else f" (stale for {span_text(-left)})"
    cells = (
        f"{judgement.source.value}: {judgement.origin}",
        judgement.status.value,
        _when(judgement.this_update),
        until,
        judgement.responder or "–",
    )
    named = zip(_COLUMNS, cells, strict=True)
    return (
        "<tr>" + "".join(f'<td data-is="{column}"><span>{as_text(cell)}</span>' for column, cell in named) + "</tr>\n"
    )


def _reasons(reasons: Iterable[Reason], kind: str) -> Iterator[str]:
    for reason in reasons:
        clause, url = as_text(reason.clause), clause_url(reason.clause)
        where = f'<a href="{as_text(url)}" rel="noreferrer">{clause}</a>' if url is not None else clause
        todo = f"<br>To do: {as_text(reason.advice)}." if kind == "reason" else ""
        yield f'<p class="{kind}"><b>{reason.code.value}</b> {as_text(reason.detail)} ({where}){todo}</p>\n'


def _when(moment: datetime | None) -> str:
    return "–" if moment is None else f"{moment:%Y-%m-%d %H:%M} UTC"

"""The grade of TLS servers as one HTML file that needs nothing else: no script, no font, no other address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mustaple.report.check_html_style import STYLE
from mustaple.report.grade_server import QUESTIONS
from mustaple.report.grade_server_text import event_text, sign
from mustaple.report.html_page import PAGE_END, as_text, page_top

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mustaple.report.grade_server import ServerReport

_WORDS: Final = {True: "yes", False: "no", None: "?"}
_CLASS: Final = {"+": "good", "-": "revoked", " ": ""}


def server_html(reports: Sequence[ServerReport]) -> str:
    """The page."""
    return "".join(_page(reports))


def _page(reports: Sequence[ServerReport]) -> Iterator[str]:
    names = ", ".join(each.server for each in reports)
    yield from page_top(f"mustaple grade server: {names}", STYLE)
    yield "<header><h1>How servers staple</h1></header>\n<main>\n"
    for report in reports:
        yield from _server(report)
    yield f"</main>\n{PAGE_END}"


def _server(report: ServerReport) -> Iterator[str]:
    front = ", with the staple agent in front" if report.agent else ""
    yield f"<section><h2>{as_text(report.server)}{front}</h2>\n"
    yield f"<p>{as_text(report.server_version or '')} {as_text(report.about)}; {report.at:%Y-%m-%d}</p>\n<table>\n"
    yield "<tr><th>question</th><th>answer</th><th>what was seen</th></tr>\n"
    for name, question in QUESTIONS.items():
        answer = getattr(report, name)
        yield _row(question, _WORDS[answer], report.evidence[name].said, _CLASS[sign(name, answer)])
    said = report.evidence["must_staple_without_staple"].said
    yield _row("must-staple, and no staple to be had", report.must_staple_without_staple or "?", said)
    for point in report.sleevi:
        yield _row(f"eight points: {point.name}", _WORDS[point.holds], point.said)
    yield f"</table>\n<details><summary>The timeline: {len(report.timeline)} events</summary>\n<pre>"
    yield "\n".join(as_text(event_text(each)) for each in report.timeline)
    yield "</pre></details></section>\n"


def _row(question: str, answer: str, said: str, kind: str = "") -> str:
    cells = (("question", as_text(question)), ("answer", f'<span class="status {kind}">{as_text(answer)}</span>'))
    shown = "".join(f'<td data-is="{name}">{cell}</td>' for name, cell in (*cells, ("seen", as_text(said))))
    return f"<tr>{shown}</tr>\n"

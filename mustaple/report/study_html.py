"""The study as one HTML file that needs nothing else: question, set-up, findings, tables, pictures, limits, command."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from mustaple.report.check_html_style import STYLE
from mustaple.report.compare_findings import headline, summaries
from mustaple.report.compare_rows import LEGEND, SUMS, clients_of, corpus_sections, grid_sections, is_corpus, sums
from mustaple.report.cost_svg import cost_svg
from mustaple.report.cost_text import cost_notes, cost_sheets
from mustaple.report.html_page import PAGE_END, as_text, page_top
from mustaple.report.sheet import Sheet, as_html
from mustaple.report.simulate_svg import simulation_svg
from mustaple.report.simulate_text import LEGEND as SIMULATION_LEGEND
from mustaple.report.simulate_text import parameters_sheet, sheets
from mustaple.report.study import answers, proposals
from mustaple.report.study_svg import wrongs_svg

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mustaple.report.compare_rows import Section
    from mustaple.report.comparison import Comparison
    from mustaple.report.study import Study

_OWN_STYLE: Final = """\
h2 { font-size: 1.25rem; margin: 2rem 0 .3rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .2rem; }
.answer { border-left: .25rem solid var(--ink); font-size: 1.05rem; margin: 1rem 0; padding-left: .8rem; }
.surprise { font-weight: 600; }
figure { background: #fff; border: 1px solid var(--line); border-radius: .4rem; margin: .8rem 0; overflow-x: auto;
  padding: .4rem; }
figure svg { display: block; height: auto; margin: 0 auto; max-width: 100%; }
figcaption { color: #1c2024; font-size: .85rem; padding: .2rem .4rem; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: .4rem; overflow-x: auto;
  padding: .6rem .8rem; white-space: pre-wrap; }
code { font: .9em/1.5 ui-monospace, monospace; }
th[scope=row] { color: var(--ink); }
td:nth-child(2) { white-space: normal; }
.letters td span { font-family: ui-monospace, monospace; white-space: pre; }
tbody tr:first-child { display: table-row; }
@media (max-width: 40rem) {
  thead { display: none; }
  tbody tr, tbody tr:first-child { display: block; }
  tbody th { border: 0; display: block; font-weight: 600; padding: .3rem 0 0; }
  td { grid-template-columns: 8rem 1fr; }
  figure svg { max-width: none; width: 44rem; }
}
@media print { figure { break-inside: avoid; } }
"""

_LIMITS: Final = (
    "The live part is a grid of situations, each met once by each client: it says where it happens, not how often.",
    "How often is the simulation's to say, and its parameters are partly assumed.",
    "Presets are policies of our strict client, modelled after kinds of clients; real programs only where asked for.",
    "Everything ran on one machine: times include its work for both ends, and compare only with one another.",
)


def study_html(study: Study) -> str:
    """The whole page. Raises InputError where matplotlib is not installed."""
    return "".join(_page(study))


def _page(study: Study) -> Iterator[str]:
    yield from page_top("Soft fail against hard fail", STYLE, _OWN_STYLE)
    yield "<header>\n<h1>Soft fail against hard fail</h1>\n"
    about = f"measured and simulated by mustaple {study.comparison.version} on {study.comparison.at:%Y-%m-%d %H:%M} UTC"
    yield f"<p>{as_text(about)}</p>\n</header>\n<main>\n"
    yield from _question(study)
    yield from _findings(study.comparison)
    yield f"<h2>What each proposal buys</h2>\n{as_html(proposals(study))}"
    yield from _live(study.comparison)
    yield from _cost(study)
    yield from _long_view(study)
    yield from _limits(study)
    yield from _again(study)
    yield from _appendix(study.comparison)
    yield f"</main>\n{PAGE_END}"


def _question(study: Study) -> Iterator[str]:
    comparison = study.comparison
    worlds = len({(cell.case, cell.attacker, cell.server) for cell in comparison.cells})
    yield "<h2>The question</h2>\n"
    yield _paragraph(
        "A TLS client that cannot learn whether a certificate is revoked may go on (soft fail) or refuse (hard fail). "
        "What does either cost, whom does it protect, and what do the proposals change that have servers staple the "
        "proof: for the leaf, by promise, for every certificate?"
    )
    yield "<h2>The set-up</h2>\n"
    yield _paragraph(
        f"{len(comparison.clients)} clients ({', '.join(each.name for each in comparison.clients)}) met {worlds} "
        f"situations over real sockets on loopback: {len(comparison.cells)} cells. Each situation is a true state of "
        "the certificates, an attacker and a server; a relay stands before the server and another before the CA's "
        "responder, counts every byte, and blocks or changes what the attacker would. The thief holds the stolen key "
        "of the revoked certificate; who merely stands on the path holds none, and can only break a handshake."
    )
    yield _paragraph(
        "Right is to refuse what is revoked and to accept what is good. An attack succeeded where a client accepted "
        "while a certificate was revoked; a false outage is a good server refused. What no client could have saved, a "
        "connection broken on the path, is counted on its own."
    )


def _findings(comparison: Comparison) -> Iterator[str]:
    yield "<h2>The answer</h2>\n"
    said = headline(comparison.findings)
    if said:
        yield f'<p class="answer">{as_text(said)}</p>\n'
    yield as_html(answers(comparison))
    surprising = [each for each in comparison.findings if each.expected is False]
    yield from (f'<p class="surprise">{as_text(each.text)}</p>\n' for each in surprising)
    yield f"<details>\n<summary>The same in {len(comparison.findings)} sentences</summary>\n<ul>\n"
    yield from (f"<li>{as_text(each.text)}</li>\n" for each in comparison.findings)
    yield "</ul>\n</details>\n"
    yield _figure(
        wrongs_svg(summaries([cell for cell in comparison.cells if not is_corpus(cell)] or comparison.cells)),
        "Attacks that succeeded and good servers shut out, for each client, in the grid.",
    )


def _live(comparison: Comparison) -> Iterator[str]:
    yield "<h2>What each client cost</h2>\n"
    yield as_html(Sheet("", SUMS, tuple(sums(comparison.cells))))
    yield _paragraph(
        "Times and bytes are of one visit, both directions. A visit told to a CA is one in which the client itself "
        "asked about the site's own certificate, so that the CA knows who visits what; over plain HTTP others on the "
        "way can read it too."
    )


def _cost(study: Study) -> Iterator[str]:
    yield "<h2>What checking costs in time</h2>\n"
    yield _figure(
        cost_svg(study.cost),
        "Until a connection is usable, over the round trip to server and CA; what congestion control would add; and "
        "the server's first flight.",
    )
    for sheet in cost_sheets(study.cost):
        yield f"<h3>{as_text(sheet.title)}</h3>\n{as_html(sheet)}"


def _long_view(study: Study) -> Iterator[str]:
    simulation = study.simulation
    yield "<h2>The long view</h2>\n"
    yield _paragraph(
        f"{simulation.connections:,} connections in {simulation.replications} simulated worlds, seed "
        f"{simulation.seed}: sites, responder outages and revocations over months, every connection decided by the "
        "same policies."
    )
    yield _figure(
        simulation_svg(simulation),
        "For how long the thief of a revoked leaf's key is believed, against how often good servers are refused.",
    )
    for sheet in sheets(simulation, "must-staple", wide=True):
        yield f"<h3>{as_text(sheet.title)}</h3>\n{as_html(sheet)}"
    yield "".join(_paragraph(line) for line in _sentences(SIMULATION_LEGEND))
    parameters = parameters_sheet(simulation.parameters)
    yield f"<details>\n<summary>{as_text(parameters.title)}: every parameter and its source</summary>\n"
    yield f"{as_html(parameters)}</details>\n"


def _limits(study: Study) -> Iterator[str]:
    yield "<h2>Limits</h2>\n<ul>\n"
    yield "".join(f"<li>{as_text(each)}</li>\n" for each in (*_LIMITS, *cost_notes(study.cost)))
    yield "</ul>\n"


def _again(study: Study) -> Iterator[str]:
    yield "<h2>To have it again</h2>\n"
    yield f"<pre><code>{as_text(study.comparison.command)}</code></pre>\n"
    yield _paragraph(
        f"The seed {study.comparison.seed} decides keys, serial numbers and the simulated worlds: the same verdicts "
        "and the same simulation come out. Times are measured, and do not."
    )
    programs = [f"{each.name}: {each.version}" for each in study.comparison.clients if each.version is not None]
    if programs:
        yield "<ul>\n" + "".join(f"<li>{as_text(each)}</li>\n" for each in programs) + "</ul>\n"


def _appendix(comparison: Comparison) -> Iterator[str]:
    grid = [cell for cell in comparison.cells if not is_corpus(cell)]
    corpus = [cell for cell in comparison.cells if is_corpus(cell)]
    if grid:
        yield "<details>\n<summary>Every cell of the grid</summary>\n"
        yield f'{_paragraph(LEGEND)}<div class="letters">\n'
        yield from _sections(clients_of(grid), grid_sections(grid))
        yield "</div>\n</details>\n"
    if corpus:
        yield "<details>\n<summary>The corpus, by families</summary>\n"
        yield from _sections(clients_of(corpus), corpus_sections(corpus))
        yield "</details>\n"


def _sections(clients: Sequence[str], found: Sequence[Section]) -> Iterator[str]:
    for section in found:
        rows = tuple((name, *values) for name, values in section.rows)
        yield f"<h3>{as_text(section.heading)}</h3>\n{as_html(Sheet(section.heading, ('', *clients), rows))}"


def _paragraph(text: str) -> str:
    return f"<p>{as_text(text)}</p>\n"


def _figure(svg: str, caption: str) -> str:
    """A picture in the page itself: without what only a file of its own needs, and with its caption read aloud."""
    drawing = svg[svg.index("<svg") :].replace("<svg", f'<svg role="img" aria-label="{as_text(caption)}"', 1)
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    return f"<figure>\n{drawing}<figcaption>{as_text(caption)}</figcaption>\n</figure>\n"


def _sentences(legend: str) -> Iterator[str]:
    """The lines of a legend, those that go on joined to the one before."""
    yield from re.sub(r"\n +", " ", legend).splitlines()

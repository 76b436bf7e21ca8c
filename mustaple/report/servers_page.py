"""The table of servers that docs/servers.md shows: who does what today, alone and with the staple agent in front."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mustaple.report.grade_server_text import sign
from mustaple.report.plain import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import date

    from mustaple.report.grade_server import Prefetch, ServerReport

_COLUMNS: Final = {
    "staples_first_handshake": "first handshake",
    "fetches_outside_handshake": "fetches outside it",
    "keeps_over_restart": "kept over restart",
    "respects_next_update": "respects nextUpdate",
    "retains_on_error": "retained on error",
    "serves_errors": "serves errors",
    "serves_revoked": "serves `revoked`",
    "serves_unusable": "serves the unusable",
    "staples_chain": "whole chain",
}
_IMC: Final = ("prefetch", "cache", "respect nextUpdate", "retain on error")
_WORDS: Final = {True: "yes", False: "no", None: "–"}
_INTRODUCTION: Final = """\
# How TLS servers staple

Made by `make servers` on {day}, with mustaple {version}, from the servers as their distribution packages them. Each is
started from a recipe before a responder that is honest, slow, silent, wrong or gone as the question wants it, and
watched by handshakes that refuse nothing. `mustaple grade server NAME` answers the same for one of them, with the
timeline that shows it; `mustaple grade server --help` says how to grade another.

How to read it: – means that it could not be seen, as "retained on error" of a server that never asks a responder: it
is given its staple as a file, which the bench fills once, as a job that runs by the clock would. **Bold** is what
costs clients a staple, or gives them one of no use. What hours do to a staple is seen by setting the server's clock
forward, or making it run faster (libfaketime); where that is no way to go, responses live for seconds, which the last
table says. HAProxy lets go of a staple 300 s before its nextUpdate.
"Serves the unusable" counts `unknown`, expired, another certificate's, a wrong signature and what is no response.
A weakness is named here by its class and the clause it is against (RFC 6066 §8, RFC 6960 §3.2, RFC 7633 §4.3,
RFC 9919 §6), for the one configuration that the recipe shows, and is no judgement of the product.
"""


def servers_page(
    day: date, alone: Sequence[ServerReport], fronted: Sequence[ServerReport], missing: Mapping[str, str]
) -> str:
    """The page in Markdown; `missing` says of each server that could not be graded why not."""
    version = alone[0].version if alone else "?"
    return "".join(_page(_INTRODUCTION.format(day=day.isoformat(), version=version), alone, fronted, missing))


def _page(
    introduction: str, alone: Sequence[ServerReport], fronted: Sequence[ServerReport], missing: Mapping[str, str]
) -> Iterator[str]:
    yield introduction
    yield "\n## By themselves\n\n"
    yield from _answers(alone)
    if fronted:
        yield "\n## With the staple agent in front\n\n"
        yield from _answers(fronted)
    yield "\n## The table of 2018, today\n\n"
    yield "The four columns of Table 3 in “Is the Web Ready for OCSP Must-Staple?” (Chung and others, IMC 2018).\n\n"
    yield from _table(["server", *_IMC], ([each.server, *_plain(each.imc_2018)] for each in alone))
    yield "\n## Ryan Sleevi's eight points for servers\n\n"
    if alone:
        heads = ["server", *(point.name for point in alone[0].sleevi)]
        yield from _table(heads, ([each.server, *(_WORDS[point.holds] for point in each.sleevi)] for each in alone))
    yield "\n## What each asks, and what it says\n\n"
    heads = ["server", "version", "asks by", "asks again at", "in an outage", "must-staple without staple", "clock"]
    yield from _table(heads, map(_asks, alone))
    if missing:
        yield "\n## Not graded\n\n"
        yield from (f"- {name}: {printable(why)}\n" for name, why in missing.items())


def _answers(reports: Sequence[ServerReport]) -> Iterator[str]:
    rows = ([each.server, *(_cell(name, getattr(each, name)) for name in _COLUMNS)] for each in reports)
    yield from _table(["server", *_COLUMNS.values()], rows)


def _cell(name: str, answer: bool | None) -> str:  # noqa: FBT001  the answer is what it is about
    return f"**{_WORDS[answer]}**" if sign(name, answer) == "-" else _WORDS[answer]


def _plain(answers: Prefetch) -> list[str]:
    return [_WORDS[answer] for _, answer in answers]


def _asks(report: ServerReport) -> list[str]:
    requests = report.requests
    again = "–" if requests.refresh_at is None else f"{requests.refresh_at:.0%} of the life"
    outage = "–"
    if requests.failing_handshakes:
        outage = f"{requests.failing} requests for {requests.failing_handshakes} handshakes"
    asks = "/".join(requests.methods) or "nobody"
    nonce = ", nonce" if requests.nonces else ""
    clock = {"set-forward": "set forward", "waited-for": "waited for", None: "–"}[report.clock]
    version = report.server_version or "?"
    return [report.server, version, f"{asks}{nonce}", again, outage, report.must_staple_without_staple or "–", clock]


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}\n"
    for row in rows:
        yield f"| {' | '.join(printable(cell).replace('|', chr(92) + '|') for cell in row)} |\n"

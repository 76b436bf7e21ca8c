"""The grades of several clients as one page of Markdown: what each is, and in which class of cases it differs.

python -m mustaple.report.grade_client_page REPORT.json… > docs/clients.md
"""

from __future__ import annotations

import sys
from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mustaple.report.grade_client import GradeReport
from mustaple.report.grade_client_text import MEANING
from mustaple.report.plain import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mustaple.report.grade_client import GradedCase

_HEAD: Final = """\
# How TLS clients behave

Each client met the cases of the corpus (`mustaple cases list`) as live servers on loopback, each server with a
certificate of its own under a root that the client trusted. `make clients` makes this page; `mustaple grade client
--recipes` lists how the clients are driven.

A profile is the policy of ours that the client comes nearest to: *agreement* is the part of the judged cases that came
out as that policy has it, weighted by importance. Its differences are given by class of case and by clause. *Lets in*
means that it accepts what its profile refuses; *shuts out*, that it refuses what every policy accepts; *stricter*, that
it refuses what its profile accepts and another policy refuses; *fault*, that it crashed or hung. *Must*: an RFC forbids
it, or a thief of the key gets in. *Should*: an RFC advises against it, or honest servers suffer. *Curious*: no text
settles it. What could not be judged fairly, the edges of the clock among it, was skipped.

The nearest of five policies need not be near: below nine tenths the table says more than the name. And a client that
asks the CA itself may let in, on the good answer that it gets there, a server that our policy holds to its promise of
a good staple: it broke the promise, and was not fooled.
"""
# What a family of cases is about, where its name does not say it.
_CLASS: Final = {
    "control": "path and name",
    "presence": "which staples are there",
    "freshness": "age of evidence",
    "binding": "evidence about another certificate",
    "signature": "signature of evidence",
    "delegation": "delegated responders",
    "weak": "weak algorithms",
    "algorithms": "kinds of keys",
    "status": "status and form of responses",
    "singles": "responses about several certificates",
    "extensions": "extensions of responses",
    "nonce": "nonces",
    "feature": "TLS Feature lists",
    "depth": "longer chains and their order",
    "wire12": "form of messages in TLS 1.2",
    "wire13": "form of messages in TLS 1.3",
    "crl": "CRLs",
}
_KINDS: Final = {"fault": "fault", "lets-in": "lets in", "shuts-out": "shuts out", "stricter": "stricter"}
_IMPORTANCE: Final = ("must", "should", "curious")


def clients_page(reports: Sequence[GradeReport]) -> str:
    """The whole page."""
    return "\n".join((_HEAD, *_overview(reports), *(line for each in reports for line in _client(each))))


def _overview(reports: Sequence[GradeReport]) -> Iterator[str]:
    heads = " | ".join(f"{words} (must)" for words in _KINDS.values())
    yield f"| client | profile | agreement | judged | {heads} | asked the CA |"
    yield f"|---|---|--:|--:|{'--:|' * len(_KINDS)}--:|"
    for each in reports:
        judged = sum(case.judged for case in each.cases)
        counts = " | ".join(_count(each, kind) for kind in _KINDS)
        share = f"{each.agreement[each.profile]:.0%}"
        yield f"| {_cell(each.client)} | {each.profile} | {share} | {judged} | {counts} | {each.requests} |"
    yield ""


def _count(report: GradeReport, kind: str) -> str:
    own = [each.importance for each in report.deviations if each.kind == kind]
    return f"{len(own)} ({own.count('must')})" if own else "–"


def _client(report: GradeReport) -> Iterator[str]:
    yield f"## {_cell(report.client)}: {report.profile}"
    yield ""
    version = f"{_cell(report.client_version)}. " if report.client_version is not None else ""
    yield f"{version}Graded on {report.at:%Y-%m-%d} by mustaple {report.version}."
    shares = ", ".join(f"{preset} {share:.0%}" for preset, share in report.agreement.items())
    counted = ", ".join(f"{number} {outcome}" for outcome, number in report.totals.items() if number)
    yield f"{MEANING[report.profile].capitalize()}. Agreement: {shares}. Outcomes: {counted}."
    yield ""
    if not report.deviations:
        yield "It differs in no case."
        yield ""
        return
    yield "| class of cases | how | cases | weight | clauses |"
    yield "|---|---|--:|---|---|"
    deviating = sorted((case for case in report.cases if case.deviates), key=_place)
    for place, group in groupby(deviating, key=_place):
        yield _row(place, list(group))
    yield ""


def _place(case: GradedCase) -> tuple[int, int]:
    return list(_CLASS).index(case.family), list(_KINDS).index(case.kind)


def _row(place: tuple[int, int], cases: Sequence[GradedCase]) -> str:
    weights = Counter(case.importance for case in cases)
    said = ", ".join(f"{weights[each]} {each}" for each in _IMPORTANCE if weights[each])
    clauses = ", ".join(sorted({case.clause for case in cases}))
    return (
        f"| {list(_CLASS.values())[place[0]]} | {list(_KINDS.values())[place[1]]} | {len(cases)} | {said} | {clauses} |"
    )


def _cell(text: str) -> str:
    return printable(text).replace("|", r"\|")


def _read(path: str) -> GradeReport:
    return GradeReport.model_validate_json(Path(path).read_bytes())


if __name__ == "__main__":
    print(clients_page([_read(path) for path in sys.argv[1:]]), end="")  # noqa: T201  it is what the command is for

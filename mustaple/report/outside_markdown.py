"""The page about judges of other making, in Markdown: how they compare with ours, and why they differ."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mustaple.report.outside_known import DivergenceClass, Known
    from mustaple.report.outside_run import OutsideRun

_HEAD: Final = """\
# Judges of other making

Every case of the corpus that comes down to one question, *what does this response or CRL prove about this certificate
at this time?*, is put to other people's judges too, each a program of its own that asks nobody on a network. They trust
the issuer; where they can be told, they get the same time, skew (60 seconds) and greatest age (10 days) as ours. Ours
answers with its default rules, those of the preset `strict`.

A divergence is no fault by itself: much is left to a client's policy, or to the caller of a library. Each has its
class, the clauses that it is about, and a reason. A crash (for a library: an exception that is none of its own) and a
hang are outcomes of their own. "unknown" and "refused" count as the same where a judge has no word for the first.

This page is written by `make outside` from `docs/divergences.toml` and a run; the tests fail where a judge differs
anew, or agrees where it was known to differ."""


def outside_markdown(run: OutsideRun, known: Known) -> str:
    """The page; the file says when it was measured, with what, and why."""
    return "\n".join([_HEAD, *_judges(run, known), *_not_asked(run), *_classes(known)]) + "\n"


def _judges(run: OutsideRun, known: Known) -> Iterator[str]:
    asked = Counter(each.judge for each in run.compared)
    outcomes = Counter((each.judge, each.theirs in {"crash", "hang"}) for each in run.compared if not each.agrees)
    yield f"\n## Who was asked\n\nMeasured on {known.measured:%Y-%m-%d}.\n"
    yield "| judge | what | version | asked | agrees | differs | crashes or hangs |"
    yield "|---|---|---|---|---|---|---|"
    for name, about in run.judges.items():
        apart, crashed = outcomes[name, False], outcomes[name, True]
        cells = [name, about, known.judges.get(name, ""), asked[name], asked[name] - apart - crashed, apart, crashed]
        yield f"| {' | '.join(map(str, cells))} |"


def _not_asked(run: OutsideRun) -> Iterator[str]:
    why = Counter(run.without.values())
    put = len({each.case for each in run.compared})
    yield f"\n## What was not asked\n\n{put} cases put a question. Of the others:\n"
    yield from (f"- {count}: {reason}" for reason, count in why.most_common())
    yield "\nOf the questions, these are not put to some:\n"
    for judge, reasons in run.not_put.items():
        counted = Counter(reasons.values())
        if counted:
            yield f"- {judge}: " + "; ".join(f"{reason} ({count})" for reason, count in counted.most_common())


def _classes(known: Known) -> Iterator[str]:
    yield "\n## Where they differ"
    for each in known.classes:
        yield from _class(each)


def _class(kind: DivergenceClass) -> Iterator[str]:
    yield f"\n### {kind.name}\n\n{kind.why}\n\nClauses: {', '.join(kind.clauses)}\n"
    yield "| judge | says | to |"
    yield "|---|---|---|"
    for each in kind.divergence:
        yield f"| {each.judge} | {each.outcome} | {', '.join(each.cases)} |"

"""What judges of other making said beside ours, as data, and as a table and JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from mustaple.report.plain import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class Compared(NamedTuple):
    """One answer of one judge beside ours.

    `ours` is good, revoked, unknown or refused, with the code of the reason where it is a refusal; `theirs` may be
    crash or hang too, and `detail` is in their words.
    """

    case: str
    judge: str
    ours: str
    code: str | None
    theirs: str
    detail: str
    agrees: bool


@dataclass(frozen=True)
class OutsideRun:
    """A run: which judges (with what each is), their answers, and which questions were not put.

    `without` says for each case without a question of its own why there is none; `not_put` the same for each judge, of
    the questions that others got.
    """

    judges: Mapping[str, str]
    compared: Sequence[Compared]
    without: Mapping[str, str]
    not_put: Mapping[str, Mapping[str, str]]


def outside_json(run: OutsideRun) -> dict[str, Any]:
    """Everything that was asked and answered, and why the rest was not."""
    return {
        "judges": dict(run.judges),
        "compared": [each._asdict() for each in run.compared],
        "not_compared": {"cases": dict(run.without), "judges": {name: dict(why) for name, why in run.not_put.items()}},
    }


def outside_text(run: OutsideRun, *, everything: bool = False) -> str:
    """The cases in which somebody differs, or all, side by side: = is the same as ours, - was not asked."""
    rows: dict[str, dict[str, Compared]] = {}
    for each in run.compared:
        rows.setdefault(each.case, {})[each.judge] = each
    shown = {case: row for case, row in rows.items() if everything or not all(each.agrees for each in row.values())}
    table = [("case", "ours", *run.judges)]
    for case, row in shown.items():
        ours = next(iter(row.values())).ours
        table.append((case, ours, *(_cell(row.get(judge)) for judge in run.judges)))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
    return "\n".join([*(lines if shown else []), *counted(run)])


def _cell(compared: Compared | None) -> str:
    if compared is None:
        return "-"
    return "=" if compared.agrees else printable(compared.theirs)


def counted(run: OutsideRun) -> Iterator[str]:
    """For each judge how many questions it got, and in how many it differs, crashes among them."""
    asked = Counter(each.judge for each in run.compared)
    differing = Counter(each.judge for each in run.compared if not each.agrees)
    crashed = Counter(each.judge for each in run.compared if each.theirs in {"crash", "hang"})
    for judge in run.judges:
        also = f", {crashed[judge]} of them a crash or a hang" if crashed[judge] else ""
        yield f"{judge}: {asked[judge]} asked, {differing[judge]} differ from ours{also}"

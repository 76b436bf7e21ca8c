"""The corpus in words for a terminal: the list, one case explained, and what a run found."""

from __future__ import annotations

import textwrap
from base64 import b64decode
from itertools import groupby
from typing import TYPE_CHECKING, Final

from mustaple.core.verdict import Code, Outcome
from mustaple.report.plain import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from mustaple.report.cases_corpus import Entry, Expectation, Family, Listed, Preset
    from mustaple.report.cases_run import Tried

_SHORT: Final[dict[Preset, str]] = {
    "ignore": "ignore",
    "soft-fail": "soft",
    "must-staple": "must",
    "hard-fail": "hard",
    "strict": "strict",
}
_VERB: Final = {Outcome.ACCEPTED: "accept", Outcome.REFUSED: "refuse"}
_WIDTH: Final = 100
_EXTENSIONS: Final = {5: "5 (status_request)", 17: "17 (status_request_v2)"}


def cases_table(listed: Sequence[Listed], families: Sequence[Family]) -> RenderableType:
    """Cases down, presets across; each family under what it is about."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 1, 0, 0))
    table.add_column("case", no_wrap=True)
    for name in _SHORT.values():
        table.add_column(name, no_wrap=True)
    for family in families:
        own = [each for each in listed if each.family == family.name]
        if own:
            table.add_row(Text(f"{family.name}/", style="bold"))
        for case in own:
            cells = [_VERB[case.expected[preset].outcome] for preset in _SHORT]
            styled = [Text(cell, style="yellow" if cell == "refuse" else "dim") for cell in cells]
            table.add_row(f"  {case.id.partition('/')[2]}", *styled)
    number = f"{_cases(len(listed))}. One explained: mustaple cases show {listed[0].id}" if listed else "no cases"
    return Group(table, Text(number, style="dim"))


def case_text(case: Entry) -> str:
    """One case: what it is, what the client sees, and what each preset should make of it."""
    lines = [case.id, *_paragraph(case.description), ""]
    lines.append(f"importance  {case.importance}: {_IMPORTANCE[case.importance]}")
    if case.clauses:
        lines.append(f"clauses     {', '.join(case.clauses)}")
    lines += [*_situation(case), "", "what each policy should do:"]
    lines += [f"  {preset:<12} {_should(case.expected[preset])}" for preset in _SHORT]
    return "\n".join(lines)


_IMPORTANCE: Final = {
    "must": "an RFC forbids to deviate, or a thief of the key gets in",
    "should": "an RFC advises against deviating, or honest servers suffer",
    "curious": "no text settles it",
}


def _paragraph(text: str) -> list[str]:
    return textwrap.wrap(printable(text.replace("\n", " ")), _WIDTH, initial_indent="  ", subsequent_indent="  ")


def _situation(case: Entry) -> Iterator[str]:
    yield f"client      connects to {case.server_name} at {case.at:%Y-%m-%d %H:%M:%S} UTC"
    asked = sorted({each for handshake in case.handshakes for each in handshake.offered})
    protocols = " and ".join(dict.fromkeys(each.protocol for each in case.handshakes))
    yield f"            in {protocols}, offering {', '.join(_EXTENSIONS[each] for each in asked)}"
    if case.sent is None:
        yield "server      does something odd on the wire; see the handshakes of the export"
    else:
        staples = ", ".join(_bytes_words(each.staple) for each in case.sent)
        yield f"server      sends {len(case.sent)} certificate{'s' * (len(case.sent) != 1)}, stapled: {staples}"
    if case.path:
        yield f"OCSP        for each certificate: {', '.join(_bytes_words(each.ocsp) for each in case.path)}"
    if any(each.crl is not None for each in case.path):
        yield f"CRL         for each certificate: {', '.join(_bytes_words(each.crl) for each in case.path)}"


def _bytes_words(encoded: str | None) -> str:
    return "nothing" if encoded is None else f"{len(b64decode(encoded)):,} bytes"


def _should(expected: Expectation) -> str:
    verb = _VERB[expected.outcome]
    if expected.code is None:
        return verb
    code: Code = expected.code
    noted = " with the note" if expected.outcome is Outcome.ACCEPTED else ""
    return f"{verb}{noted}: {code.value} ({code.rule.clause})"


def run_text(tried: Sequence[Tried]) -> str:
    """What a run found: a table of deviations, case by case, or that there is none."""
    cases = len({each.case for each in tried})
    deviations = [each for each in tried if each.deviates]
    judged = f"{_cases(cases)}, {len(tried):,} verdicts"
    if not deviations:
        return f"{judged}: all as expected"
    apart = _cases(len({each.case for each in deviations}))
    return "\n".join([*_deviations(deviations), f"{judged}: {len(deviations)} of them, in {apart}, not as expected"])


def _cases(number: int) -> str:
    return f"{number} case{'s' * (number != 1)}"


def _deviations(deviations: Sequence[Tried]) -> Iterator[str]:
    # Columns by hand: the names of cases stand above their rows, and may be wider than any of them.
    wide = max(len("expected"), *(len(each.expected) for each in deviations))
    yield f"  {'preset':<11}  protocol  {'expected':<{wide}}  found"
    for name, own in groupby(deviations, key=lambda each: each.case):
        yield name
        for each in own:
            detail = f" ({printable(each.detail)})" if each.detail else ""
            yield f"  {each.preset:<11}  {each.protocol}   {each.expected:<{wide}}  {printable(each.found)}{detail}"

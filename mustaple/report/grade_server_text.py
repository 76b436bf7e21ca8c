"""The grade of a TLS server for a terminal: each question with its answer and what was seen."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final

from mustaple.report.grade_server import NEUTRAL, NOT_TRIED, QUESTIONS, UNWANTED
from mustaple.report.plain import printable

if TYPE_CHECKING:
    from mustaple.report.grade_server import Event, ServerReport

_WIDTH: Final = 118
_WORDS: Final = {True: "yes", False: "no", None: "?"}
IMC_2018: Final = {
    "prefetch": "prefetch",
    "cache": "cache",
    "respect_next_update": "respect nextUpdate",
    "retain_on_error": "retain on error",
}


def sign(name: str, answer: bool | None) -> str:  # noqa: FBT001  the answer is what it is about
    """How good an answer is: `+`, `-`, or a blank where it is neither or was not seen."""
    if answer is None or name in NEUTRAL:
        return " "
    return "+" if answer is not (name in UNWANTED) else "-"


def server_text(report: ServerReport, *, timeline: bool = False) -> str:
    """The report as text; with `timeline`, every event that it rests on too."""
    version = f" ({report.server_version})" if report.server_version else ""
    front = ", with the staple agent in front" if report.agent else ""
    lines = [printable(f"{report.server}{version}{front}: {report.about}"), ""]
    for name, question in QUESTIONS.items():
        if report.evidence[name].said == NOT_TRIED:
            continue
        answer = getattr(report, name)
        lines += _answer(sign(name, answer), _WORDS[answer], question, report.evidence[name].said)
    reaction = report.must_staple_without_staple
    said = report.evidence["must_staple_without_staple"].said
    if said != NOT_TRIED:
        lines += _answer(" ", reaction or "?", "must-staple, and no staple to be had", said)
    lines += ["", "Ryan Sleevi's eight points for servers"]
    lines += [f"  {_WORDS[each.holds]:<4} {each.name}: {printable(each.said)}" for each in report.sleevi]
    columns = ", ".join(f"{IMC_2018[name]}: {_WORDS[answer]}" for name, answer in report.imc_2018)
    lines += ["", f"The table of 2018 would say: {columns}"]
    if timeline:
        lines += ["", "timeline (seconds, server's time, what)", *map(event_text, report.timeline)]
    return "\n".join(lines) + "\n"


def event_text(event: Event) -> str:
    """One event as a line."""
    took = f" ({event.lasted * 1000:.0f} ms)" if event.lasted is not None else ""
    return printable(f"{event.at:9.3f}  {event.clock:%m-%d %H:%M:%S}  {event.kind:<9}  {event.said}{took}")


def _answer(mark: str, word: str, question: str, said: str) -> list[str]:
    head = f"{mark} {word:<7} {question}"
    told = textwrap.wrap(printable(said), _WIDTH - 12) or [""]
    return [head, *(f"            {line}" for line in told[:3])]

"""What a policy would have cost over time, for a terminal and as JSON: how many connections, of whom, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mustaple.core.verdict import Code
from mustaple.net.readiness import Effect
from mustaple.report.check_run import EXIT_AS_WANTED, EXIT_INTERNAL, EXIT_NO_ANSWER
from mustaple.report.plain import json_text, printable
from mustaple.report.verdict_json import time_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from mustaple.net.readiness import Cause, Ended, TargetRecord, Totals

# The number rises where a field goes or changes its meaning.
SCHEMA: Final = "mustaple-readiness/1"
SHOWN: Final = 50  # targets in the text; the JSON has them all
_WOULD: Final = {
    Effect.KEPT: "would have been kept",
    Effect.LOST: "would have been lost",
    Effect.UNANSWERED: "not answered",
    Effect.FAULT: "could not be checked",
}
_RULES: Final = {code.value: code.rule for code in Code}


def readiness_text(totals: Totals, targets: Iterable[TargetRecord], *, shown: int = SHOWN) -> Iterator[str]:
    """The record as lines: the sum first, then each target that lost a connection or did not answer, and why."""
    yield f"readiness for policy {totals.policy}{_span(totals)}\n"
    if not totals.connections:
        yield "  no connection has been tried yet\n"
        return
    tried = _counted(totals.connections, "connection")
    yield f"  {tried} to {_counted(totals.targets, 'target')}\n"
    yield f"  {totals.lost:,} would have been lost"
    if totals.lost:
        of_them = f"{_share(totals.lost, totals.connections)}, of {_counted(totals.targets_lost, 'target')}"
        yield f" ({of_them}): {', '.join(f'{code} {count:,}' for code, count in totals.codes.items())}"
    yield "\n"
    for effect, said in ((Effect.UNANSWERED, "were not answered"), (Effect.FAULT, "could not be checked")):
        if totals.effects[effect]:
            yield f"  {totals.effects[effect]:,} {said}\n"
    wanting = (each for each in targets if each.count() != each.count(Effect.KEPT))
    left = 0
    for position, target in enumerate(wanting):
        if position < shown:
            yield from (f"{printable(line)}\n" for line in _target_lines(target))
        left = max(0, position + 1 - shown)
    if left:
        yield f"  … and {_counted(left, 'target')} more, in --json\n"


def _target_lines(target: TargetRecord) -> Iterator[str]:
    yield f"{target.target}: lost {target.count(Effect.LOST)} of {target.count()}"
    for cause in target.causes:
        if cause.effect is Effect.KEPT:
            continue
        when = f"last {cause.last_at:%Y-%m-%d %H:%M} UTC"
        rule = _RULES.get(cause.code)
        clause = f" ({rule.clause})" if rule is not None else ""
        yield f"  {cause.count} × {cause.code or cause.effect}, {when}: {cause.detail}{clause}"
        if rule is not None:
            yield f"    to do: {rule.advice}"


def readiness_json(totals: Totals, targets: Iterable[TargetRecord]) -> Iterator[str]:
    """The same as one JSON document, target by target. Times are UTC."""
    head: dict[str, Any] = {
        "schema": SCHEMA,
        "policy": totals.policy,
        "first_at": time_json(totals.first_at),
        "last_at": time_json(totals.last_at),
        "connections": totals.connections,
        **{effect.value: count for effect, count in totals.effects.items()},
        "codes": dict(totals.codes),
        "targets_lost": totals.targets_lost,
        "targets_silent": totals.silent,
    }
    yield json_text(head).removesuffix("\n}") + ',\n  "targets": ['
    between = "\n"
    for target in targets:
        yield between + json_text(_target_json(target), indent="    ")
        between = ",\n"
    yield "\n  ]\n}\n"


def _target_json(target: TargetRecord) -> dict[str, Any]:
    return {
        "target": target.target,
        "connections": target.count(),
        **{effect.value: target.count(effect) for effect in Effect},
        "causes": [_cause_json(cause) for cause in target.causes if cause.effect is not Effect.KEPT],
    }


def _cause_json(cause: Cause) -> dict[str, Any]:
    return {
        "effect": cause.effect.value,
        "code": cause.code or None,
        "count": cause.count,
        "first_at": time_json(cause.first_at),
        "last_at": time_json(cause.last_at),
        "detail": cause.detail,
    }


def change_text(target: str, moment: datetime, ended: Ended) -> str:
    """One line for a target whose connections end otherwise than before."""
    why = ": ".join(part for part in (ended.code, ended.detail) if part)
    return printable(f"{moment:%Y-%m-%d %H:%M:%S} UTC  {target}: {_WOULD[ended.effect]}" + (f": {why}" if why else ""))


def _span(totals: Totals) -> str:
    if totals.first_at is None or totals.last_at is None:
        return ""
    return f", {totals.first_at:%Y-%m-%d %H:%M} to {totals.last_at:%Y-%m-%d %H:%M} UTC"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _share(part: int, whole: int) -> str:
    """A share in per cent; one that is not nothing is never shown as nothing, nor all but one as all."""
    share = 100 * part / whole
    if part and share < 0.1:
        return "< 0.1 %"
    return "> 99.9 %" if part < whole and share > 99.9 else f"{share:.3g} %"


def readiness_exit(totals: Totals) -> int:
    """The exit code (DESIGN §4): a refusal is no failure here; a target that never answered was never checked."""
    if totals.effects[Effect.FAULT]:
        return EXIT_INTERNAL
    return EXIT_NO_ANSWER if totals.silent else EXIT_AS_WANTED

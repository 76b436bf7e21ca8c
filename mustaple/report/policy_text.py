"""Policies for people and programs: one as a table of its axes, several side by side, and each as a JSON value."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from certtools.chain import name_of
from mustaple.core.axes import AXES
from mustaple.report.plain import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.table import Table

    from mustaple.core.policy import Policy

_UNITS: Final = (("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("m", timedelta(minutes=1)))
_NONE: Final = "–"


def policy_json(policy: Policy, about: str, rests_on: Sequence[str], measured_on: Sequence[str]) -> dict[str, Any]:
    """A policy with what is said of it; `axes` has the keys and the spelling of a policy file."""
    return {
        "name": policy.name,
        "about": about,
        "rests_on": list(rests_on),
        "measured_on": list(measured_on),
        "axes": {key: axis_value(policy, key) for key in AXES},
    }


def axis_value(policy: Policy, key: str) -> str | list[str]:
    """The value on one axis as a policy file spells it; a trusted responder is its subject's name."""
    where: object = policy if key in {each.name for each in fields(policy)} else policy.rules
    value = getattr(where, key)
    if isinstance(value, timedelta):
        return span_key(value)
    if isinstance(value, frozenset):
        return [each for each in AXES[key].values if each in value]
    if isinstance(value, tuple):
        return [name_of(each) for each in value]
    return str(value)


def span_key(span: timedelta) -> str:
    """A span of time as a policy file spells it, in the largest unit that divides it: `10d`, `90s`."""
    for letter, unit in _UNITS:
        if span and not span % unit:
            return f"{span // unit}{letter}"
    return f"{int(span.total_seconds())}s"


def policy_table(policy: Policy) -> Table:
    """One policy: each axis with its value, its question and what the value answers to it."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column()
    for key in AXES:
        value = axis_value(policy, key)
        for number, one in enumerate(_several(value)):
            meaning = AXES[key].values.get(one, "") if number else _meaning(key, one)
            table.add_row("" if number else key, Text(printable(one), style="bold"), meaning)
    return table


def policies_table(policies: Iterable[Policy]) -> Table:
    """Several policies side by side, an axis a row."""
    from rich.table import Table

    shown = list(policies)
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("", no_wrap=True)
    for policy in shown:
        table.add_column(policy.name)
    for key in AXES:
        table.add_row(key, *("\n".join(_several(axis_value(policy, key))) for policy in shown))
    return table


def _several(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value or [_NONE]


def _meaning(key: str, value: str) -> str:
    about = AXES[key]
    meaning = about.values.get(value)
    return f"{about.question} {meaning}" if meaning else about.question

"""The staple agent's state as a table for a terminal."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from mustaple.report.plain import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

_HEADINGS: Final = ("certificate", "status", "age", "dies in", "next fetch", "last error")
_MOST_ERROR: Final = 80


def status_text(state: Mapping[str, Any], at: datetime) -> str:
    """A table of certificates, those nearest to death first, then what is wrong with targets and files.

    `state` is the document of `mustaple.agent.state`; `at` (aware UTC) is when ages are told.
    """
    rows = sorted(state["certificates"], key=lambda row: (row["dies_at"] or "", row["subject"]))
    lines = [_HEADINGS, *(_row(row, at) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADINGS))]
    text = ["  ".join(f"{part:<{width}}" for part, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    for target in state["targets"]:
        if target["error"]:
            text.append(f"{target['chain']}: {target['error']}")
        elif target["held_back"]:
            text.append(f"{target['chain']}: {target['target']} waits for a staple of the new certificate")
    text += [f"{path}: {problem}" for path, problem in sorted(state["problems"].items())]
    fleet = state.get("fleet")
    if fleet is not None:
        text.append(_fleet(fleet))
    text.append(f"written {_ago(state['at'], at)} ago by process {state['pid']}")
    return "\n".join(printable(line) for line in text)


def _fleet(fleet: Mapping[str, Any]) -> str:
    whom = f" {fleet['leader']}" if fleet["standing"] == "following" and fleet["leader"] else ""
    why = f": {fleet['said']}" if fleet["said"] else ""
    return f"fleet at {fleet['store']}: {fleet['standing']}{whom}{why}"


def _row(row: Mapping[str, Any], at: datetime) -> tuple[str, ...]:
    error = row["last_error"]
    return (
        row["subject"] + (" (must-staple)" if row["must_staple"] else ""),
        row["status"] if row["level"] in {"fine", "dead"} else f"{row['status']}, {row['level']}",
        _ago(row["this_update"], at),
        _until(row["dies_at"], at),
        _until(row["next_fetch"], at),
        error if len(error) <= _MOST_ERROR else f"{error[: _MOST_ERROR - 3]}...",
    )


def _ago(text: str | None, at: datetime) -> str:
    return "-" if text is None else span(at - datetime.fromisoformat(text))


def _until(text: str | None, at: datetime) -> str:
    return "-" if text is None else span(datetime.fromisoformat(text) - at)


def span(length: timedelta) -> str:
    """A span in its two largest units: 3d 12h, 5h 1m, 40s; "now" where there is none left."""
    seconds = int(length.total_seconds())
    if seconds <= 0:
        return "now"
    parts: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count or parts:
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2])

"""A simulation as data: JSON with everything in it, and CSV with one number a line."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, Final

from mustaple.report.plain import printable
from mustaple.report.simulation import MEASURES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mustaple.report.simulation import Estimate, Given, Row, Simulation

_COLUMNS: Final = ("part", "parameter", "at", "client", "staples", "measure", "unit", "value", "low", "high")
INTERVALS: Final = (
    "95 %: Student's t over independent worlds; where nothing was refused, the share at which that is 5 % likely, "
    "if connections were independent"
)


def simulation_json(simulation: Simulation) -> dict[str, Any]:
    """Everything: what went in with its sources, each client, the curve, the sensitivities. Times are seconds."""
    return {
        "connections": simulation.connections,
        "worlds": simulation.replications,
        "seed": simulation.seed,
        "intervals": INTERVALS,
        "units": {name: unit for name, (_, unit) in MEASURES.items()},
        "parameters": [_given(each) for each in simulation.parameters],
        "clients": _rows(simulation.rows),
        "curve": [{"scale": point.scale, "clients": _rows(point.rows)} for point in simulation.curve],
        "sensitivity": [
            {
                "parameter": effect.given.key,
                "low": {"value": effect.given.low, "clients": _rows(effect.low)},
                "high": {"value": effect.given.high, "clients": _rows(effect.high)},
            }
            for effect in simulation.effects
        ],
    }


def simulation_csv(simulation: Simulation) -> str:
    """One number a line, with all that it is about; `part` is clients, curve or sensitivity."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(_lines("clients", "", "", simulation.rows))
    for point in simulation.curve:
        writer.writerows(_lines("curve", "scale", f"{point.scale:g}", point.rows))
    for effect in simulation.effects:
        for end, rows in ((effect.given.low, effect.low), (effect.given.high, effect.high)):
            writer.writerows(_lines("sensitivity", effect.given.key, f"{end:g}", rows))
    return text.getvalue()


def _lines(part: str, parameter: str, at: str, rows: Sequence[Row]) -> Iterator[tuple[str, ...]]:
    for row in rows:
        for name, (_, unit) in MEASURES.items():
            found: Estimate = getattr(row, name)
            numbers = (repr(found.value), repr(found.low), repr(found.high))
            yield (part, parameter, at, row.client, row.refresh, name, unit, *numbers)


def _rows(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [
        {"client": row.client, "staples": row.refresh or None}
        | {name: _estimate(getattr(row, name)) for name in MEASURES}
        for row in rows
    ]


def _estimate(found: Estimate) -> dict[str, float]:
    return {"value": found.value, "low": found.low, "high": found.high}


def _given(given: Given) -> dict[str, Any]:
    said = {"unit": given.unit, "status": given.status, "source": given.source, "note": given.note}
    return {"key": given.key, "value": given.value} | {name: printable(text) for name, text in said.items()}

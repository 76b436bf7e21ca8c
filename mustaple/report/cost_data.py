"""The cost of each way of checking as data: JSON with everything in it, and CSV with one number a line."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from mustaple.report.cost import INITIAL_WINDOW, SEGMENT
from mustaple.report.cost_text import cost_notes
from mustaple.report.plain import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mustaple.report.cost import Cost, Series

_COLUMNS: Final = ("method", "protocol", "key", "certificates", "server", "round_trip", "measure", "unit", "value")


def cost_json(cost: Cost) -> dict[str, Any]:
    """Everything. Times are seconds, sizes bytes; `computed` is what was not measured."""
    return {
        "at": cost.at,
        "made_with": list(cost.made_with),
        "elapsed": round(cost.elapsed, 3),
        "repeats": cost.repeats,
        "repeats_aside": cost.repeats_aside,
        "compared_at": cost.compared_at,
        "initial_window": {"segment": SEGMENT, "bytes": INITIAL_WINDOW},
        "notes": list(cost_notes(cost)),
        "series": [_series(each) for each in cost.series],
        "not_available": [
            {"method": each.method.name, "key": each.key, "why": printable(each.why)} for each in cost.missing
        ],
    }


def cost_csv(cost: Cost) -> str:
    """One number a line, with all that it is about; `computed` measures are in no time."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for each in cost.series:
        about = (each.method.name, each.method.protocol, each.key, str(each.certificates), each.server)
        writer.writerows((*about, *numbers) for numbers in _numbers(each))
    return text.getvalue()


def _series(series: Series) -> dict[str, Any]:
    method = series.method
    return {
        "method": method.name,
        "title": method.title,
        "protocol": method.protocol,
        "key": series.key,
        "certificates": series.certificates,
        "server": series.server,
        "round_trips": {"expected": method.round_trips, "fitted": series.fitted},
        "work": series.work,
        "timings": [
            {"round_trip": each.round_trip, "median": each.median, "seconds": list(each.seconds)}
            for each in series.timings
        ],
        "bytes": asdict(series.traffic),
        "computed": {
            "server_round_trips": series.traffic.server_extra,
            "ca_round_trips": series.traffic.ca_extra,
        },
    }


def _numbers(series: Series) -> Iterator[tuple[str, str, str, str]]:
    for timing in series.timings:
        delay = f"{timing.round_trip:g}"
        yield delay, "median", "s", repr(timing.median)
        yield delay, "fastest", "s", repr(timing.fastest)
    if series.fitted is not None:
        yield "", "slope", "round trips", repr(series.fitted)
    yield "", "expected", "round trips", str(series.method.round_trips)
    for name, count in asdict(series.traffic).items():
        yield "", name, "" if name == "ca_connections" else "bytes", str(count)
    yield "", "computed_server_round_trips", "round trips", str(series.traffic.server_extra)
    yield "", "computed_ca_round_trips", "round trips", str(series.traffic.ca_extra)

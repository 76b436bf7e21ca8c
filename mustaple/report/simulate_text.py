"""A simulation as tables, for a terminal and in Markdown: every client, the curve, and what each parameter moves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mustaple.report.sheet import Sheet, aligned, piped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mustaple.report.simulation import CurvePoint, Effect, Estimate, Given, Row, Simulation

_SPANS: Final = ((86_400.0, "d"), (3600.0, "h"), (60.0, "min"))
_HEADINGS: Final = ("client, its servers", "leaf", "CA", "refused", "clients", "servers", "waited")
LEGEND: Final = """\
client, its servers: how these get staples. The agent asks ahead of time and
    keeps what it has; naive servers ask when theirs is gone.
leaf, CA: how long the client believes the thief of the key of a revoked leaf,
    of a revoked intermediate.
refused: connections refused though every certificate was good, of a million.
clients, servers: requests to CAs, per million connections; per site and day.
waited: for CAs, ms per connection."""


def simulation_text(simulation: Simulation, about: str) -> str:
    """Everything as text; the sensitivities are those of the client `about`, with naive servers."""
    lines = [_question(simulation), ""]
    for sheet in sheets(simulation, about, wide=False):
        lines += [sheet.title, *aligned(sheet), ""]
        if sheet.headings == _HEADINGS:
            lines += [LEGEND, ""]
    given = [each for each in simulation.parameters if each.status == "given"]
    lines += [f"set here: {', '.join(_setting(each) for each in given)}", ""] if given else []
    lines.append(_basis(simulation))
    return "\n".join(lines) + "\n"


def simulation_markdown(simulation: Simulation, about: str) -> str:
    """The same in Markdown, with the parameters and their sources."""
    lines = ["# Exposure against false outage", "", _question(simulation), ""]
    for sheet in (*sheets(simulation, about, wide=True), parameters_sheet(simulation.parameters)):
        lines += [f"## {sheet.title}", "", *piped(sheet), ""]
        if sheet.headings == _HEADINGS:
            lines += [*(f"- {line}" for line in LEGEND.splitlines()), ""]
    lines.append(_basis(simulation))
    return "\n".join(lines) + "\n"


def sheets(simulation: Simulation, about: str, *, wide: bool) -> Iterator[Sheet]:
    """Every table that there is something for; a narrow curve has three points."""
    yield Sheet("What each client costs, and for how long it lets a thief in", _HEADINGS, _client_rows(simulation.rows))
    if points := simulation.curve:
        yield _curve(points if wide else (points[0], points[len(points) // 2], points[-1]))
    if simulation.effects:
        yield _effects(simulation, about)


def _client_rows(rows: Sequence[Row]) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (
            row.name,
            span(row.exposure.value),
            span(row.ca_exposure.value),
            _of_a_million(row.refused),
            figure(row.client_requests.value),
            figure(row.server_requests.value),
            figure(row.waited.value * 1000),
        )
        for row in rows
    )


def _curve(points: Sequence[CurvePoint]) -> Sheet:
    found = []
    for row in points[-1].rows:
        cells = []
        for point in points:
            same = next(each for each in point.rows if each.name == row.name)
            cells.append(f"{span(same.exposure.value)} / {_short(same.refused)}")
        found.append((row.name, *cells))
    headings = ("exposed / refused", *(f"× {_fraction(point.scale)}" for point in points))
    return Sheet("The trade: all evidence lives so much shorter", headings, tuple(found))


def _effects(simulation: Simulation, about: str) -> Sheet:
    """The parameters that move anything, the strongest first; what stays within the intervals does not."""
    base = row_about(simulation.rows, about)
    found = []
    still = []
    for effect in simulation.effects:
        low, high = row_about(effect.low, about), row_about(effect.high, about)
        swings = (_swing(low.exposure, high.exposure), _swing(low.refused, high.refused))
        if not any(swings):
            still.append(effect.given.key)
            continue
        cells = (
            f"{span(low.exposure.value)} … {span(high.exposure.value)}" if swings[0] else "–",
            f"{_short(low.refused)} … {_short(high.refused)}" if swings[1] else "–",
        )
        found.append((max(swings), (effect.given.key, _ends(effect), *cells)))
    found.sort(key=lambda each: (-each[0], each[1]))
    title = f"What moves {base.name}: {span(base.exposure.value)} exposed, {_short(base.refused)} of a million refused"
    rows = [cells for _, cells in found]
    if still:
        rows.append(("all others", f"{len(still)} parameters", "–", "–"))
    return Sheet(title, ("parameter", "from … to", "exposed", "refused"), tuple(rows))


def parameters_sheet(given: Sequence[Given]) -> Sheet:
    """Every parameter, with where its value comes from."""
    rows = tuple(
        (each.key, f"{each.value:g} {each.unit}", each.status, ". ".join(filter(None, (each.source, each.note))))
        for each in given
    )
    return Sheet("What went in", ("parameter", "value", "status", "source and note"), rows)


def row_about(rows: Sequence[Row], client: str) -> Row:
    """The row of a client; of two, that with naive servers."""
    return [row for row in rows if row.client == client][-1]


def span(seconds: float) -> str:
    """A span of time in its largest unit, to three figures."""
    for size, unit in _SPANS:
        if seconds >= size:
            return f"{figure(seconds / size)} {unit}"
    return f"{figure(seconds)} s"


def figure(value: float) -> str:
    """A number to three figures, written out."""
    if value == 0:
        return "0"
    return f"{value:.3g}" if abs(value) < 1000 else f"{float(f'{value:.3g}'):,.0f}"


def _of_a_million(share: Estimate) -> str:
    if share.value == 0:
        return f"0 (< {figure(share.high * 1e6)})"
    return f"{figure(share.value * 1e6)} ± {figure((share.high - share.value) * 1e6)}"


def _short(share: Estimate) -> str:
    return figure(share.value * 1e6)


def _fraction(scale: float) -> str:
    return f"1/{1 / scale:g}" if scale < 1 else f"{scale:g}"


def _swing(low: Estimate, high: Estimate) -> float:
    """By what part of the greater they differ; 0 where their intervals meet."""
    if low.high >= high.low and high.high >= low.low:
        return 0.0
    return abs(high.value - low.value) / max(high.value, low.value)


def _ends(effect: Effect) -> str:
    return f"{effect.given.low:g} … {effect.given.high:g} {effect.given.unit}"


def _setting(given: Given) -> str:
    return f"{given.key}={given.value:g}"


def _question(simulation: Simulation) -> str:
    return (
        f"{simulation.connections:,} connections in {simulation.replications} worlds, seed {simulation.seed}; "
        "each is decided by every client"
    )


def _basis(simulation: Simulation) -> str:
    quoted, assumed = (sum(each.status == kind for each in simulation.parameters) for kind in ("quoted", "assumed"))
    return (
        f"of {len(simulation.parameters)} parameters {quoted} are quoted and {assumed} assumed: "
        "--format md names their sources"
    )

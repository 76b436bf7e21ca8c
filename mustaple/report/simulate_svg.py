"""The trade-off as a picture: for how long a thief is believed, against how often the honest are refused; SVG."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mustaple.report.svg import as_svg

if TYPE_CHECKING:
    from mustaple.report.simulation import Row, Simulation

# Told apart by shape and by their names beside them; the colours (Okabe and Ito) only help.
_LOOKS: Final = {
    "ignore": ("X", "#000000"),
    "soft-fail": ("v", "#E69F00"),
    "must-staple": ("o", "#0072B2"),
    "hard-fail": ("s", "#009E73"),
    "strict": ("D", "#CC79A7"),
    "crl": ("P", "#D55E00"),
    "pushed-filter": ("*", "#56B4E9"),
    "short-lived": ("^", "#7F7F7F"),
}
_TICKS: Final = {
    600: "10 min",
    3600: "1 h",
    21_600: "6 h",
    86_400: "1 d",
    604_800: "7 d",
    5_184_000: "60 d",
}


def simulation_svg(simulation: Simulation) -> str:
    """The picture as SVG, the same for the same simulation, to the byte.

    One line for each client and refresh: along it all evidence lives shorter, from the marker with its name on. Whoever
    refused nobody lies on the floor. Raises InputError where matplotlib is not installed.
    """

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        floor = _floor(simulation)
        for row in simulation.rows:
            _draw(axes, simulation, row, floor)
        _dress(axes, simulation, floor)

    return as_svg((9, 6), draw, "mustaple simulate")


def _floor(simulation: Simulation) -> float:
    """Where those lie who refused nobody: well below the rarest refusal that was seen."""
    rows = [*simulation.rows, *(row for point in simulation.curve for row in point.rows)]
    return min((row.refused.value for row in rows if row.refused.value), default=1e-6) / 4


def _draw(axes: Any, simulation: Simulation, row: Row, floor: float) -> None:
    marker, colour = _LOOKS[row.client]
    shorter = [next(each for each in point.rows if each.name == row.name) for point in simulation.curve[:-1]]
    exposed = [each.exposure.value for each in (*shorter, row)]
    refused = [max(each.refused.value, floor) for each in (*shorter, row)]
    naive = row.refresh == "naive"
    hollow = {"markerfacecolor": "white"} if naive else {}
    line = ":" if naive else "-"
    axes.plot(exposed, refused, line, marker=marker, color=colour, markersize=4, linewidth=1.2, zorder=3, **hollow)
    axes.plot(exposed[-1:], refused[-1:], marker, color=colour, markersize=9, zorder=4, label=row.name, **hollow)


def _dress(axes: Any, simulation: Simulation, floor: float) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(list(_TICKS), list(_TICKS.values()))
    axes.minorticks_off()
    axes.axhspan(floor / 2, floor * 2, color="#000000", alpha=0.06, linewidth=0, zorder=0)
    axes.annotate("refused nobody", (0.0, floor * 2), (6, -4), ("axes fraction", "data"), "offset points", va="top")
    axes.set_ylim(bottom=floor / 2)
    axes.grid(visible=True, color="#000000", alpha=0.12)
    axes.set_xlabel("exposed: how long the thief of a revoked leaf's key is believed")
    axes.set_ylabel("refused wrongly: share of connections")
    axes.set_title(
        f"Exposure against false outage: {simulation.connections:,} connections, seed {simulation.seed}\n"
        "large: as the parameters say; along each line to the left all evidence lives shorter",
        fontsize=10,
    )
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)

"""The cost of each way of checking as a picture: time over the round trip, what congestion adds, and flights; SVG."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mustaple.report.cost import INITIAL_WINDOW
from mustaple.report.cost_text import key_name
from mustaple.report.svg import as_svg

if TYPE_CHECKING:
    from mustaple.report.cost import Cost, Series

# Told apart by line and marker; the colours (Okabe and Ito) only help. TLS 1.2 is hollow.
_LOOKS: Final = {
    "none": ("-", "o", "#000000"),
    "none-1.2": ("-", "o", "#000000"),
    "crl-small": (":", "P", "#D55E00"),
    "crl-large": ("-.", "X", "#D55E00"),
    "ocsp-leaf": ("--", "v", "#E69F00"),
    "ocsp-all": ("--", "^", "#E69F00"),
    "staple-leaf": ("-.", "s", "#0072B2"),
    "staple-leaf-1.2": ("-.", "s", "#0072B2"),
    "staple-chain": (":", "D", "#CC79A7"),
    "staple-chain-1.2": (":", "D", "#CC79A7"),
}
_IN_FLIGHT: Final = ("none", "staple-leaf", "staple-chain", "none-1.2", "staple-leaf-1.2", "staple-chain-1.2")


def cost_svg(cost: Cost) -> str:
    """The picture as SVG. Raises InputError where matplotlib is not installed."""

    def draw(figure: Any) -> None:
        lines, bars, flights = figure.subplots(3, height_ratios=(5, 4, 4))
        _draw_lines(lines, cost)
        _draw_bars(bars, cost)
        _draw_flights(flights, cost)

    return as_svg((9, 12.5), draw, "mustaple compare --cost")


def _look(name: str) -> dict[str, Any]:
    line, marker, colour = _LOOKS[name]
    hollow = {"markerfacecolor": "white"} if name.endswith("-1.2") else {}
    return {"linestyle": line, "marker": marker, "color": colour, "markersize": 6, "linewidth": 1.2, **hollow}


def _draw_lines(axes: Any, cost: Cost) -> None:
    for each in cost.sweep:
        delayed = [timing for timing in each.timings if timing.round_trip]
        places = [timing.round_trip * 1000 for timing in delayed]
        axes.plot(
            places, [timing.median * 1000 for timing in delayed], label=each.method.title, **_look(each.method.name)
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis, ticks in ((axes.xaxis, (10, 20, 50, 100, 200, 300)), (axes.yaxis, (20, 50, 100, 200, 500, 1000))):
        axis.set_ticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.minorticks_off()
    axes.grid(visible=True, color="#000000", alpha=0.12)
    axes.set_xlabel("round-trip time, ms")
    axes.set_ylabel("until a connection is usable, ms")
    axes.set_title(f"Measured{_of(cost)}", fontsize=10)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)


def _draw_bars(axes: Any, cost: Cost) -> None:
    """What was measured, plain, and what congestion control would add, hatched."""
    swept, longest = cost.sweep[::-1], 0.0
    for place, each in enumerate(swept):
        measured = each.at(cost.compared_at).median * 1000
        extra = (each.traffic.server_extra + each.traffic.ca_extra) * cost.compared_at * 1000
        longest = max(longest, measured + extra)
        axes.barh(place, measured, color="#9a9a9a", edgecolor="#000000", linewidth=0.8)
        axes.barh(place, extra, left=measured, color="white", edgecolor="#000000", linewidth=0.8, hatch="////")
        said = f"{measured:,.0f}" + (f" + {extra:,.0f} computed" if extra else "")
        axes.annotate(said, (measured + extra, place), (5, 0), "data", "offset points", va="center", fontsize=9)
    axes.set_xlim(0, longest * 1.3)  # room for what stands beside the longest
    axes.set_yticks(range(len(swept)), [each.method.title for each in swept])
    axes.grid(visible=True, axis="x", color="#000000", alpha=0.12)
    axes.set_axisbelow(True)
    axes.set_xlabel("until a connection is usable, ms")
    title = f"Round trip {cost.compared_at * 1000:g} ms; hatched: computed, from TCP's initial window (RFC 6928)"
    axes.set_title(title, fontsize=10)


def _draw_flights(axes: Any, cost: Cost) -> None:
    combinations = list(dict.fromkeys((each.key, each.certificates) for each in cost.series))[::-1]
    for name in _IN_FLIGHT:
        own = [each for each in cost.series if each.method.name == name]
        if own:
            look = _look(name) | {"linestyle": "none"}
            places = [combinations.index((each.key, each.certificates)) for each in own]
            axes.plot([each.traffic.server_flight for each in own], places, label=own[0].method.title, **look)
    axes.axvline(INITIAL_WINDOW, color="#000000", linestyle="--", linewidth=1)
    said = f"{INITIAL_WINDOW:,} bytes: beyond, one more round trip"
    beside = {"ha": "right", "va": "center", "fontsize": 9}
    axes.annotate(said, (INITIAL_WINDOW, -0.35), (-4, 0), "data", "offset points", **beside)
    axes.set_ylim(-0.7, len(combinations) - 0.4)
    axes.set_yticks(range(len(combinations)), [f"{key_name(key)}, {count} sent" for key, count in combinations])
    axes.set_xlim(left=0)
    axes.grid(visible=True, color="#000000", alpha=0.12)
    axes.set_xlabel("the server's first flight, bytes")
    axes.set_title("Flights, by kind of key and certificates sent", fontsize=10)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)


def _of(cost: Cost) -> str:
    first: Series | None = next(iter(cost.sweep), None)
    return "" if first is None else f": {key_name(first.key)}, {first.certificates} certificates sent"

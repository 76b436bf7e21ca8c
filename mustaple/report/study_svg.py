"""The live part as a picture: attacks that succeeded against false outages, for each client; SVG."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mustaple.report.svg import as_svg

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mustaple.report.compare_findings import Summary

# Told apart by hatching and by the words beside them; the colours only help.
_ATTACKS: Final = {"color": "#D55E00", "edgecolor": "#000000", "linewidth": 0.8}
_OUTAGES: Final = {"color": "#FFFFFF", "edgecolor": "#000000", "linewidth": 0.8, "hatch": "////"}


def wrongs_svg(summaries: Sequence[Summary]) -> str:
    """The picture as SVG. Raises InputError where matplotlib is not installed."""

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        for place, each in enumerate(reversed(summaries)):
            _bar(axes, place + 0.19, each.attacks_succeeded, each.attacks, _ATTACKS)
            _bar(axes, place - 0.19, each.false_outages, each.good, _OUTAGES)
        axes.set_yticks(range(len(summaries)), [each.client for each in reversed(summaries)])
        axes.set_xlim(0, 118)
        axes.set_xticks(range(0, 101, 20), [f"{share} %" for share in range(0, 101, 20)])
        axes.grid(visible=True, axis="x", color="#000000", alpha=0.12)
        axes.set_axisbelow(True)
        axes.set_title("filled: attacks that succeeded; hatched: good servers shut out", fontsize=10)

    return as_svg((9, 1.2 + 0.55 * len(summaries)), draw, "mustaple compare")


def _bar(axes: Any, place: float, count: int, of: int, look: dict[str, Any]) -> None:
    length = 100 * count / of if of else 0.0
    axes.barh(place, length, height=0.36, **look)
    axes.annotate(f"{count} of {of}", (length, place), (5, 0), "data", "offset points", va="center", fontsize=9)

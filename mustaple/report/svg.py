"""Draws a picture with matplotlib as SVG: the same numbers give the same bytes, and text is drawn as shapes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

from mustaple.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

_SETTINGS: Final[dict[Any, Any]] = {
    "svg.hashsalt": "mustaple",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "hatch.linewidth": 0.6,
}


def as_svg(size: tuple[float, float], draw: Callable[[Any], None], creator: str) -> str:
    """What `draw` puts on a figure of this size (inches); `creator` is the command that made it.

    Raises InputError where matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError:
        raise InputError("pictures take matplotlib: pip install 'mustaple[study]'") from None
    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": creator})
    return text.getvalue()

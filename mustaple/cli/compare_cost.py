"""What `mustaple compare --cost` does: measure, write in the form asked for, draw."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from mustaple.report.cost import Cost


def compare_cost(form: str, output: Path | None, svg: Path | None, *, quick: bool) -> None:
    """Measure what each way of checking costs, over the small grid if `quick`; `form` is text, json, csv or md."""
    from mustaple.cli.progress import Bar
    from mustaple.lab.cost import FULL, QUICK, measure_cost, steps
    from mustaple.report.check_output import report_output

    grid = QUICK if quick else FULL
    with ExitStack() as stack:
        # Both are opened before the work, so that nothing is measured in vain.
        write = stack.enter_context(report_output(output))
        draw = stack.enter_context(report_output(svg)) if svg is not None else None
        with Bar.shown(steps(grid), "measuring") as bar:
            found = measure_cost(grid, step=bar.step)
        if draw is not None:
            from mustaple.report.cost_svg import cost_svg

            draw(cost_svg(found))
        write(_written(found, form))


def _written(found: Cost, form: str) -> str:
    from mustaple.report.cost_data import cost_csv, cost_json
    from mustaple.report.cost_text import cost_markdown, cost_text
    from mustaple.report.plain import json_text

    if form == "json":
        return json_text(cost_json(found)) + "\n"
    if form == "csv":
        return cost_csv(found)
    return cost_markdown(found) if form == "md" else cost_text(found)

"""Grades every server that is here and writes the page of them all: `make servers`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mustaple.core.errors import InputError, NetworkError
from mustaple.lab.grade_server.grading import Order, grade
from mustaple.lab.grade_server.recipe import load, recipe_names
from mustaple.report.check_output import report_output
from mustaple.report.servers_page import servers_page

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mustaple.report.grade_server import ServerReport


def everything(names: Iterable[str]) -> tuple[list[ServerReport], list[ServerReport], dict[str, str]]:
    """Every server by itself, those that have such a recipe with the agent in front, and why others are missing."""
    alone: list[ServerReport] = []
    fronted: list[ServerReport] = []
    missing: dict[str, str] = {}
    for name in names:
        recipe = load(name)
        print(f"{name}: grading, which takes a minute or so", file=sys.stderr)  # noqa: T201  nobody else tells
        try:
            report = grade(Order(recipe=recipe))
        except (InputError, NetworkError) as error:
            missing[name] = str(error)
            print(f"{name}: {error}", file=sys.stderr)  # noqa: T201
        else:
            (fronted if recipe.agent else alone).append(report)
    return alone, fronted, missing


def main() -> None:
    """Write the page to the file that is named."""
    with report_output(Path(sys.argv[1])) as write:
        alone, fronted, missing = everything(recipe_names())
        write(servers_page(datetime.now(UTC).date(), alone, fronted, missing))


if __name__ == "__main__":
    main()

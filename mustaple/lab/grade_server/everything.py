"""Grades every server that is here and writes the page of them all: `make servers`."""

from __future__ import annotations

import json
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mustaple.core.errors import InputError, NetworkError
from mustaple.lab.grade_server.grading import Order, grade
from mustaple.lab.grade_server.recipe import load, recipe_names
from mustaple.report.check_output import report_output
from mustaple.report.grade_server import ServerReport, server_json
from mustaple.report.servers_page import servers_page

if TYPE_CHECKING:
    from collections.abc import Iterable


def grade_into(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Grade these servers, one after the other; each report goes into the folder. Why others are missing."""
    missing: dict[str, str] = {}
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        _tell(f"{name}: grading, which takes some minutes")
        try:
            report = grade(Order(recipe=load(name)))
        except (InputError, NetworkError) as error:
            missing[name] = str(error)
            _tell(f"{name}: {error}")
            continue
        with report_output(folder / f"{name}.json") as write:
            write(server_json([report]))
    return missing


def page_of(folder: Path, missing: dict[str, str]) -> str:
    """The page of all reports in the folder."""
    found = (json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json")))
    reports = [ServerReport.model_validate(each) for each in found]
    alone, fronted = [each for each in reports if not each.agent], [each for each in reports if each.agent]
    return servers_page(datetime.now(UTC).date(), alone, fronted, missing)


def _tell(said: str) -> None:
    print(said, file=sys.stderr)  # noqa: T201  nobody else tells of what takes minutes


def main() -> None:
    """Grade the servers named after the page and the folder of reports, or all, and write the page of the folder."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # and the server that is being graded ends with this
    page, folder, names = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    with report_output(page) as write:
        missing = grade_into(folder, names or recipe_names())
        write(page_of(folder, missing))


if __name__ == "__main__":
    main()

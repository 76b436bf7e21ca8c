"""How a report is written and where to: the options of every command that makes one."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated, Final

import typer

REPORT: Final = "Report"  # the panel of these options in the help


class Form(enum.StrEnum):
    """How the result of a study is written."""

    TEXT = "text"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "md"


StudyForm = Annotated[Form, typer.Option("--format", help="How to write the result.", rich_help_panel=REPORT)]
Json = Annotated[bool, typer.Option("--json", help="The same as --format json.", rich_help_panel=REPORT)]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="FILE", help="Write the report there, whole or not at all.", rich_help_panel=REPORT
    ),
]

"""How a study's result is written, for the commands that make one."""

from __future__ import annotations

import enum


class Form(enum.StrEnum):
    """How the result is written."""

    TEXT = "text"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "md"

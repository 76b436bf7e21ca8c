"""Where a clause can be read: the RFC editor's page, at its section."""

from __future__ import annotations

import re
from typing import Final

_CLAUSE: Final = re.compile(r"RFC (\d+)(?: §([0-9A-Z.]*[0-9A-Z]))?")


def clause_url(clause: str) -> str | None:
    """The address of a clause such as `RFC 6960 §4.2.2.2`; None where it names no RFC."""
    found = _CLAUSE.match(clause)
    if found is None:
        return None
    section = f"#section-{found[2]}" if found[2] else ""
    return f"https://www.rfc-editor.org/rfc/rfc{found[1]}{section}"

"""Text that a report has to say later than it is known: kept in memory while it is short, on disk when it is long."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

IN_MEMORY: Final = 1 << 20  # bytes
_CHUNK: Final = 1 << 16  # characters


class Spool:
    """Text is added piece by piece, and taken out once, from its beginning."""

    def __init__(self) -> None:
        # Nothing but this object knows the file, so it ends with it, also where a report breaks off.
        self._file = tempfile.SpooledTemporaryFile(  # noqa: SIM115  it outlives this function
            max_size=IN_MEMORY, mode="w+", encoding="utf-8", newline=""
        )

    def __del__(self) -> None:
        self._file.close()

    def write(self, text: str) -> None:
        """Add a piece at the end."""
        self._file.write(text)

    def drain(self) -> Iterator[str]:
        """Everything in pieces; nothing can be added after it."""
        with self._file as file:
            file.seek(0)
            while piece := file.read(_CHUNK):
                yield piece

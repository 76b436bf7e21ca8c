"""Files at the places that a server's own configuration names: replaced together, put back, and noted as taken up."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from certtools.ca_dir.files import PUBLIC, sync_folder, write_atomic, write_together

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    File = tuple[bytes, int]  # content and mode


class PlacedFiles:
    """The files of one chain, some of which may not be there. Every method raises OSError.

    `mark` is the name of a file in which `note` keeps, over a crash too, what the server has taken up.
    """

    def __init__(self, mark: Path) -> None:
        self._mark = mark
        self._before: dict[Path, File | None] | None = None

    def put(self, files: Mapping[Path, File | None]) -> bool:
        """Have just this there, None for no file; whether that is a change."""
        present = {path: _read(path) for path in files}
        if all(_content(present[path]) == _content(file) for path, file in files.items()):
            return False
        _write(files)
        self._before = present
        return True

    def back(self) -> bool:
        """Have there what was before the last `put` that was a change; whether there was one."""
        if self._before is None:
            return False
        before, self._before = self._before, None
        _write(before)
        self._mark.unlink(missing_ok=True)
        return True

    def note(self, said: str) -> None:
        """Keep this for `noted`."""
        write_atomic(self._mark, said.encode(), PUBLIC)

    def noted(self) -> str:
        """What was noted last; nothing where that is not known."""
        try:
            return self._mark.read_text()
        except FileNotFoundError:
            return ""


def _read(path: Path) -> File | None:
    try:
        return path.read_bytes(), path.stat().st_mode & 0o777
    except FileNotFoundError:
        return None


def _content(file: File | None) -> bytes | None:
    return None if file is None else file[0]


def _write(files: Mapping[Path, File | None]) -> None:
    write_together({path: file for path, file in files.items() if file is not None}, replace=True)
    for path in [path for path, file in files.items() if file is None]:
        with suppress(FileNotFoundError):
            path.unlink()
            sync_folder(path.parent)

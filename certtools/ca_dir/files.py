"""Files that are either whole or not there: private ones are never readable by others, not even for a moment."""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PRIVATE: Final = 0o600
PUBLIC: Final = 0o644


def write_new(path: Path, data: bytes, mode: int = PRIVATE) -> None:
    """A new file, on the disk when this returns; FileExistsError where there is one."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def write_atomic(path: Path, data: bytes, mode: int = PRIVATE) -> None:
    """A file with this content, or the old one unchanged where that fails."""
    write_together({path: (data, mode)}, replace=True)


def write_together(files: Mapping[Path, tuple[bytes, int]], *, replace: bool) -> None:
    """All of these files (content and mode each), or none of them; without `replace`, none may exist.

    Everything that can fail is done under temporary names first. Raises OSError.
    """
    staged: dict[Path, Path] = {}
    placed: list[Path] = []
    try:
        for path, (data, mode) in files.items():
            temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
            staged[path] = temporary
            write_new(temporary, data, mode)
        for path, temporary in staged.items():
            if replace:
                temporary.replace(path)
            else:
                _place(temporary, path)
                placed.append(path)
    except BaseException:
        for path in placed:
            path.unlink()
        raise
    finally:
        for temporary in staged.values():
            with suppress(FileNotFoundError):
                temporary.unlink()
    for folder in {path.parent for path in files}:
        sync_folder(folder)


def _place(temporary: Path, path: Path) -> None:
    """Give a file its name; FileExistsError where something has it."""
    try:
        os.link(temporary, path)  # unlike a rename, it fails where the name is taken
    except FileExistsError:
        raise
    except OSError:
        # A file system without hard links.
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        temporary.rename(path)


def sync_folder(folder: Path) -> None:
    """Put a folder's list of names on the disk, so that a rename survives a crash."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

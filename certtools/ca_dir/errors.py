"""What can go wrong with a CA directory, in one clear sentence each."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class CaDirError(ValueError):
    """A CA directory that cannot be used as asked; the text is one sentence that says why."""


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what SQLite and the file system raise about `path` into CaDirError."""
    try:
        yield
    except sqlite3.Error as error:
        raise CaDirError(_sentence(path, error)) from error
    except OSError as error:
        where = error.filename if error.filename is not None else path
        raise CaDirError(f"The CA directory cannot be used: {error.strerror or error}: {where}.") from error


def _sentence(path: Path, error: sqlite3.Error) -> str:
    # The primary code is the low byte of the extended one (https://sqlite.org/rescode.html).
    match getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return f"The register {path} is locked by another process; try again when that has ended."
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
            return f"The register {path} is read-only here."
        case sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CORRUPT:
            return f"The register {path} is damaged: {error}."
        case sqlite3.SQLITE_FULL:
            return f"There is no room left for the register {path}."
    return f"The register {path} cannot be used: {error}."

"""Opens an SQLite database of this project's own making, with its version checked and its errors in one sentence."""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

from mustaple.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PATIENCE: Final = 10.0  # seconds that a write of another process is waited for
_PRIVATE: Final = 0o600


class Schema(NamedTuple):
    """What a database holds. `application` (32 bits) and `version` are in its header; `name` is for sentences."""

    name: str
    application: int
    version: int
    tables: str


def open_database(path: Path | None, schema: Schema, *, create: bool = True) -> sqlite3.Connection:
    """A connection in autocommit mode to a database of this schema, made (mode 0600, WAL) where there is none.

    None is a database that is forgotten when it is closed, its pages beyond a cache in a temporary file. Raises
    InputError for a path that cannot be used, for another program's database, and for one of a newer version.
    """
    if path is None:
        database = sqlite3.connect("", isolation_level=None)
        database.executescript(schema.tables)
        return database
    with explained(path, schema.name):
        fresh = _touch(path, create=create)
        # A URI, so that what has gone in the meantime is an error and no new, empty database.
        database = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=_PATIENCE, isolation_level=None
        )
        try:
            _prepare(database, path, schema, fresh=fresh)
        except BaseException:
            database.close()
            raise
    return database


def _touch(path: Path, *, create: bool) -> bool:
    """Whether the file, made where that is allowed and it is not there, is still empty. SQLite says less of a path."""
    os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), _PRIVATE))
    return create and path.stat().st_size == 0


def _prepare(database: sqlite3.Connection, path: Path, schema: Schema, *, fresh: bool) -> None:
    if fresh:
        database.execute("PRAGMA journal_mode = WAL")
        # Of two processes that begin at once, the second finds the tables made.
        database.execute("BEGIN IMMEDIATE")
        if not database.execute("PRAGMA application_id").fetchone()[0]:
            for statement in filter(str.strip, schema.tables.split(";")):
                database.execute(statement)
            database.execute(f"PRAGMA application_id = {schema.application}")
            database.execute(f"PRAGMA user_version = {schema.version}")
        database.execute("COMMIT")
    application, version = (
        database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
    )
    if application != schema.application:
        raise InputError(f"{path} is another program's database, not {schema.name}")
    if version != schema.version:
        made = "a newer mustaple made it" if version > schema.version else "an older mustaple made it"
        raise InputError(f"{path} cannot be used as {schema.name}: {made}")
    database.execute("PRAGMA synchronous = NORMAL")
    database.execute("PRAGMA foreign_keys = ON")


@contextmanager
def explained(path: Path | None, name: str) -> Iterator[None]:
    """Turn what SQLite and the file system raise about a database into InputError."""
    where = f"{path} cannot be used as {name}" if path is not None else f"{name} cannot be kept"
    try:
        yield
    except sqlite3.Error as error:
        raise InputError(f"{where}: {error}") from error
    except OSError as error:
        raise InputError(f"{where}: {error.strerror or error}") from error

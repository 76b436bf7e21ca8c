"""An SQLite database of this project's own making: its version is checked, and its errors are one sentence."""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from certtools.ca_dir.files import write_new
from certtools.ca_dir.transaction import transaction
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


class Database:
    """A database of this schema, made (mode 0600, WAL) where there is none unless `create` is False; a context manager.

    None for the path is a database that is forgotten when it is closed, its pages beyond a cache in a temporary file.
    Safe for threads, which take turns, and for processes that use the same file. Raises InputError, here and in every
    method, for a path that cannot be used, for another program's database, and for one of a newer version.
    """

    def __init__(self, path: Path | None, schema: Schema, *, create: bool = True) -> None:
        self._path = path
        self._what = schema.name
        self._lock = threading.RLock()
        self._database = _opened(path, schema, create=create)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; again does nothing."""
        with self._lock:
            self._database.close()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, in autocommit mode; other threads wait meanwhile."""
        with self._lock, _explained(self._path, self._what):
            yield self._database

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """The connection in one transaction, which no other process's write can come between."""
        with self._reading() as database, transaction(database):
            yield database


def _opened(path: Path | None, schema: Schema, *, create: bool) -> sqlite3.Connection:
    if path is None:
        database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        database.executescript(schema.tables)
        return database
    with _explained(path, schema.name):
        if create and not (path.exists() and path.stat().st_size):
            _make(path, schema)
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))  # SQLite says less of a path
        # A URI, so that what has gone in the meantime is an error and no new, empty database.
        database = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=rw",
            uri=True,
            timeout=_PATIENCE,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            _prepare(database, path, schema)
        except BaseException:
            database.close()
            raise
    return database


def _make(path: Path, schema: Schema) -> None:
    """A new database at this path, whole when it appears: of several processes that begin at once, one's stands.

    SQLite cannot do that in place: for the switch to WAL it waits for nobody, and says "locked".
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        write_new(temporary, b"", _PRIVATE)
        with closing(sqlite3.connect(temporary, isolation_level=None)) as database:
            database.execute("PRAGMA journal_mode = WAL")
            header = f"PRAGMA application_id = {schema.application}; PRAGMA user_version = {schema.version};"
            database.executescript(f"BEGIN; {schema.tables} {header} COMMIT;")
        if path.exists() and not path.stat().st_size:
            temporary.replace(path)  # an empty file, as mktemp makes it
        else:
            with suppress(FileExistsError):
                os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _prepare(database: sqlite3.Connection, path: Path, schema: Schema) -> None:
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
def _explained(path: Path | None, name: str) -> Iterator[None]:
    """Turn what SQLite and the file system raise about a database into InputError."""
    where = f"{path} cannot be used as {name}" if path is not None else f"{name} cannot be kept"
    try:
        yield
    except sqlite3.Error as error:
        raise InputError(f"{where}: {error}") from error
    except OSError as error:
        raise InputError(f"{where}: {error.strerror or error}") from error

"""One transaction of an SQLite database that several processes write."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """A transaction that no other process's write can come between; undone where the body raises.

    `database` is in autocommit mode. Raises sqlite3.Error where the database cannot be written.
    """
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if database.in_transaction:  # an error such as a full disk has ended it by itself
            database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")

"""Keeps the Expect-Staple reports that came, in bounded SQLite: the last ones whole, and how many came of each."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from mustaple.net.database import Database, Schema

if TYPE_CHECKING:
    from pathlib import Path

MOST_REPORTS: Final = 2000  # single reports that are kept, each of at most 64 KiB
MOST_TALLIES: Final = 10_000  # hosts, each by port and statuses
_SCHEMA: Final = Schema(
    "a record of Expect-Staple reports",
    application=0x4D534552,  # "MSER"
    version=1,
    tables="""
        CREATE TABLE report (id INTEGER PRIMARY KEY AUTOINCREMENT, received_at TEXT NOT NULL, body BLOB NOT NULL);
        CREATE TABLE tally (
            hostname TEXT NOT NULL, port INTEGER NOT NULL, response_status TEXT NOT NULL, cert_status TEXT NOT NULL,
            count INTEGER NOT NULL, first_at TEXT NOT NULL, last_at TEXT NOT NULL,
            PRIMARY KEY (hostname, port, response_status, cert_status)
        ) WITHOUT ROWID;
        CREATE INDEX tally_eviction ON tally (last_at);
    """,
)


class Subject(NamedTuple):
    """What a report is about. `cert_status` is None unless a staple was PROVIDED."""

    hostname: str
    port: int
    response_status: str
    cert_status: str | None


class Tally(NamedTuple):
    """How many reports about the same came, the first and the last when (aware UTC)."""

    subject: Subject
    reports: int
    first_at: datetime
    last_at: datetime


class ReportStore(Database):
    """Reports in a file, or with None for its path until it is closed; a context manager, for several threads.

    The oldest single reports go beyond `most_reports`, and of the counts those whose last report is oldest. A file of
    mode 0600 is made where there is none, unless `create` is False.

    Raises InputError, here and in every method, for a file that cannot be used.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        create: bool = True,
        most_reports: int = MOST_REPORTS,
        most_tallies: int = MOST_TALLIES,
    ) -> None:
        super().__init__(path, _SCHEMA, create=create)
        self._most_reports = most_reports
        self._most_tallies = most_tallies

    def add(self, subject: Subject, body: bytes, at: datetime) -> None:
        """Keep one report, received at this time (aware UTC)."""
        moment = at.astimezone(UTC).isoformat(timespec="seconds")
        key = (subject.hostname, subject.port, subject.response_status, subject.cert_status or "")
        with self._writing() as database:
            added = database.execute("INSERT INTO report (received_at, body) VALUES (?, ?)", (moment, body))
            database.execute("DELETE FROM report WHERE id <= ?", ((added.lastrowid or 0) - self._most_reports,))
            database.execute(
                """INSERT INTO tally VALUES (?, ?, ?, ?, 1, ?, ?) ON CONFLICT DO UPDATE SET
                   count = count + 1, last_at = excluded.last_at""",
                (*key, moment, moment),
            )
            (tallies,) = database.execute("SELECT count(*) FROM tally").fetchone()
            if tallies > self._most_tallies:
                database.execute(
                    """DELETE FROM tally WHERE (hostname, port, response_status, cert_status) IN (
                       SELECT hostname, port, response_status, cert_status FROM tally ORDER BY last_at LIMIT ?)""",
                    (tallies - self._most_tallies,),
                )

    def tallies(self) -> list[Tally]:
        """What came, the latest first."""
        with self._reading() as database:
            rows = database.execute("SELECT * FROM tally ORDER BY last_at DESC, hostname, port").fetchall()
        return [
            Tally(
                Subject(hostname, port, response_status, cert_status or None),
                count,
                datetime.fromisoformat(first_at),
                datetime.fromisoformat(last_at),
            )
            for hostname, port, response_status, cert_status, count, first_at, last_at in rows
        ]

    def bodies(self) -> list[bytes]:
        """The single reports that are kept, as they came, the oldest first."""
        with self._reading() as database:
            return [row[0] for row in database.execute("SELECT body FROM report ORDER BY id")]

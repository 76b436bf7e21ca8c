"""The memory of Expect-Staple hosts, as browsers keep one for HSTS: an SQLite file that threads and processes share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from mustaple.core.expect_staple import KnownHost, canonical_name, itself_and_above, note, parse_header
from mustaple.net.database import Database, Schema

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from mustaple.core.expect_staple import ExpectStapleHeader

MOST_HOSTS: Final = 10_000
MOST_REPORTS: Final = 10_000  # reports whose sending is remembered
REPORT_AGAIN: Final = timedelta(days=1)  # until a host is reported once more
MOST_TO_ONE: Final = 100  # reports to one receiver within that time, whoever asked for them
_SCHEMA: Final = Schema(
    "a memory of Expect-Staple hosts",
    application=0x4D534558,  # "MSEX"
    version=1,
    tables="""
        CREATE TABLE host (
            name TEXT PRIMARY KEY, noted_at REAL NOT NULL, expires_at REAL NOT NULL, used_at REAL NOT NULL,
            include_subdomains INTEGER NOT NULL, preload INTEGER NOT NULL, report_uri TEXT
        ) WITHOUT ROWID;
        CREATE INDEX host_eviction ON host (expires_at, used_at);
        CREATE TABLE report (name TEXT PRIMARY KEY, receiver TEXT NOT NULL, sent_at REAL NOT NULL) WITHOUT ROWID;
        CREATE INDEX report_eviction ON report (sent_at);
        CREATE INDEX report_receiver ON report (receiver, sent_at);
    """,
)
_COLUMNS: Final = "name, noted_at, expires_at, include_subdomains, preload, report_uri"


class ExpectHosts(Database):
    """Known Expect-Staple Hosts in the file `path`, made with mode 0600 where there is none; a context manager.

    Every time is given from outside, aware UTC. At most `most_hosts` are kept: beyond that the host that expires
    soonest goes, and of several such the one that was asked for longest ago. Safe for threads, and for processes
    that use the same file.

    Raises InputError, here and in every method, for a file that is another program's, damaged, or not to be used.
    """

    def __init__(self, path: Path, *, most_hosts: int = MOST_HOSTS) -> None:
        super().__init__(path, _SCHEMA)
        self.path = path
        self._most_hosts = most_hosts

    def remembered(self, host: str, at: datetime) -> KnownHost | None:
        """What is known of this host at this time: by its own name first, else by one above it that includes it.

        None too for an IP address and for what has expired (Expect-Staple §2.3.2, RFC 6797 §8.2).
        """
        name = canonical_name(host)
        if name is None:
            return None
        names = list(itself_and_above(name))
        asked = f"SELECT {_COLUMNS} FROM host WHERE name IN ({', '.join('?' * len(names))})"  # noqa: S608 - only marks
        with self._reading() as database:
            found = {row[0]: _known(row) for row in database.execute(asked, names)}
        known = next((found[each] for each in names if each in found and found[each].applies_to(name, at)), None)
        if known is not None:
            self._used(known.name, at)
        return known

    def learn(self, host: str, header: str | bytes | ExpectStapleHeader, at: datetime) -> KnownHost | None:
        """Note, renew or forget this host as its header says; what is now known by its own name.

        Only for a header that came over a connection without errors and with a valid staple (Expect-Staple §2.3.1):
        `expect_http.look_http` sees to that. Raises HeaderError for a header that does not conform; an IP address is
        never noted.
        """
        said = parse_header(header) if isinstance(header, str | bytes) else header
        name = canonical_name(host)
        if name is None:
            return None
        known = note(said, name, at)
        if known is None:
            self.forget(name)
        else:
            self._keep(known, at)
        return known

    def forget(self, host: str) -> bool:
        """Forget this host; whether it was there. One above it that includes it stays."""
        name = canonical_name(host)
        with self._writing() as database:
            return database.execute("DELETE FROM host WHERE name = ?", (name,)).rowcount > 0

    def clear(self) -> int:
        """Forget every host, as whoever cares for their privacy may want; how many there were (Expect-Staple §5)."""
        with self._writing() as database:
            database.execute("DELETE FROM report")
            return database.execute("DELETE FROM host").rowcount

    def hosts(self, at: datetime) -> list[KnownHost]:
        """Every host known at this time, by name."""
        with self._reading() as database:
            rows = database.execute(
                f"SELECT {_COLUMNS} FROM host WHERE expires_at > ? ORDER BY name",  # noqa: S608 - a constant
                (at.timestamp(),),
            ).fetchall()
        return [_known(row) for row in rows]

    def may_report(self, host: str, receiver: str, at: datetime) -> bool:
        """Whether a report about this host may go out now, which is noted: once a day (Expect-Staple §2.1.1).

        `receiver` is the host that would get it. Of many threads and processes that see the same failure at once, one
        is told yes. No receiver gets more than MOST_TO_ONE a day, however many hosts name it (Expect-Staple §4.2).
        """
        name, moment = canonical_name(host), at.timestamp()
        if name is None:
            return False
        # Times that lie ahead come from a clock that was set back since, and count for nothing.
        lately = (moment - REPORT_AGAIN.total_seconds(), moment)
        with self._writing() as database:
            told = "SELECT count(*) FROM report WHERE {} = ? AND sent_at > ? AND sent_at <= ?"
            if _count(database, told.format("name"), name, *lately):
                return False
            if _count(database, told.format("receiver"), receiver.lower(), *lately) >= MOST_TO_ONE:
                return False
            database.execute("INSERT OR REPLACE INTO report VALUES (?, ?, ?)", (name, receiver.lower(), moment))
            _drop_beyond(database, "report", MOST_REPORTS, "sent_at")
            return True

    def _keep(self, known: KnownHost, at: datetime) -> None:
        row = (
            *(known.name, known.noted_at.timestamp(), known.expires_at.timestamp(), at.timestamp()),
            *(known.include_subdomains, known.preload, known.report_uri),
        )
        with self._writing() as database:
            database.execute("DELETE FROM host WHERE expires_at <= ?", (at.timestamp(),))
            database.execute("DELETE FROM host WHERE name = ?", (known.name,))
            _drop_beyond(database, "host", self._most_hosts - 1, "expires_at, used_at")
            database.execute("INSERT INTO host VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def _used(self, name: str, at: datetime) -> None:
        """Note that a host was asked for; no more than once a day, so that asking seldom writes."""
        moment = at.timestamp()
        with self._reading() as database:
            database.execute(
                "UPDATE host SET used_at = ? WHERE name = ? AND used_at < ?", (moment, name, moment - 86400)
            )


def _count(database: sqlite3.Connection, asked: str, *values: object) -> int:
    count: int = database.execute(asked, values).fetchone()[0]
    return count


def _drop_beyond(database: sqlite3.Connection, table: str, most: int, order: str) -> None:
    """Delete the first rows by this order until no more than `most` are left; the names are our own."""
    too_many = _count(database, f"SELECT count(*) FROM {table}") - most  # noqa: S608
    if too_many > 0:
        first = f"SELECT name FROM {table} ORDER BY {order} LIMIT ?"  # noqa: S608
        database.execute(f"DELETE FROM {table} WHERE name IN ({first})", (too_many,))  # noqa: S608


def _known(row: tuple[str, float, float, int, int, str | None]) -> KnownHost:
    name, noted_at, expires_at, include_subdomains, preload, report_uri = row
    return KnownHost(name, _moment(noted_at), _moment(expires_at), bool(include_subdomains), bool(preload), report_uri)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)

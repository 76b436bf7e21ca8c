"""The register: what a CA issued and what it revoked, in SQLite, written and read by several processes at once."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from certtools.ca_dir.errors import CaDirError, explained
from certtools.ca_dir.files import write_new
from certtools.ca_dir.transaction import transaction
from certtools.chain import name_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCHEMA_VERSION: Final = 1
PAGE: Final = 1000  # entries read at a time when all are streamed

_SCHEMA: Final = """
CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE issuer (
    fingerprint BLOB PRIMARY KEY,           -- SHA-256 of its certificate
    position INTEGER NOT NULL UNIQUE,       -- the root is 0
    certificate BLOB NOT NULL,
    crl_number INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE certificate (
    id INTEGER PRIMARY KEY,
    issuer BLOB NOT NULL REFERENCES issuer,
    serial TEXT NOT NULL,                   -- hexadecimal, since serial numbers exceed 64 bits
    subject TEXT NOT NULL,
    not_after INTEGER NOT NULL,             -- times are seconds since 1970, UTC
    der BLOB NOT NULL,
    revoked_at INTEGER,                     -- NULL: good
    reason TEXT,
    UNIQUE (issuer, serial)
);
CREATE INDEX revoked ON certificate (issuer, id) WHERE revoked_at IS NOT NULL;
"""
_COLUMNS: Final = "id, issuer, serial, subject, not_after, der, revoked_at, reason"


@dataclass(frozen=True)
class Entry:
    """One certificate in the register. Times are aware UTC; `issuer` is the SHA-256 of its issuer's certificate."""

    issuer: bytes
    serial_number: int
    subject: str
    not_after: datetime
    der: bytes
    revocation_time: datetime | None = None
    reason: x509.ReasonFlags | None = None

    @property
    def revoked(self) -> bool:
        """Whether it is revoked now, certificateHold included."""
        return self.revocation_time is not None

    @property
    def on_hold(self) -> bool:
        """Whether its revocation may be lifted again (RFC 5280 §5.3.1)."""
        return self.reason is x509.ReasonFlags.certificate_hold

    @property
    def certificate(self) -> x509.Certificate:
        """The certificate itself, parsed."""
        return x509.load_der_x509_certificate(self.der)


class Register:
    """One connection to the register, to be used by any thread; each process opens its own.

    `timeout` is how long to wait for another process's write, in seconds. On a read-only file system it can be
    read all the same. Every method raises CaDirError.
    """

    def __init__(self, path: Path, *, timeout: float) -> None:
        self.path = path
        self.read_only = not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK))
        self._timeout = timeout
        self._lock = threading.RLock()
        self._own_writes = 0
        self._frozen_at: tuple[int, ...] | None = None
        with explained(path):
            self._database = self._connect()
            version = self._database.execute("PRAGMA user_version").fetchone()[0]
        if version != SCHEMA_VERSION:
            self.close()
            newer = "a newer mustaple made it" if version > SCHEMA_VERSION else "it is another program's database"
            raise CaDirError(f"The register {path} cannot be used: {newer}.")

    @staticmethod
    def create(path: Path) -> None:
        """A new, empty register; CaDirError where there is a file already."""
        with explained(path):
            write_new(path, b"")
            with closing(sqlite3.connect(path, isolation_level=None)) as database:
                database.execute("PRAGMA journal_mode = WAL")
                database.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")

    def _connect(self) -> sqlite3.Connection:
        if not self.read_only:
            return self._open("rw")
        try:
            return self._open("ro")
        except sqlite3.OperationalError:
            # The shared memory that WAL readers need cannot be made here. Without a log of unmerged writes the
            # file alone is the whole truth until it changes, and then it is opened again.
            log = self.path.with_name(f"{self.path.name}-wal")
            if log.exists() and log.stat().st_size > 0:
                raise
            self._frozen_at = self._stamp()
            return self._open("ro&immutable=1")

    def _open(self, mode: str) -> sqlite3.Connection:
        # autocommit, so that transactions begin where `_writing` says and nowhere else
        database = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=self._timeout,
            isolation_level=None,
            check_same_thread=False,  # `_lock` sees to it
        )
        try:
            database.execute("PRAGMA foreign_keys = ON")
            database.execute("PRAGMA schema_version")  # the first read, which shows whether it can be read at all
        except BaseException:
            database.close()
            raise
        return database

    def _stamp(self) -> tuple[int, ...]:
        seen = self.path.stat()
        return seen.st_ino, seen.st_size, seen.st_mtime_ns

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, explained(self.path):
            if self._frozen_at is not None and self._frozen_at != self._stamp():
                self._database.close()
                self._frozen_at = None
                self._own_writes += 1
                self._database = self._connect()
            yield self._database

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, which no other process's write can come between; undone where the body raises."""
        with self._lock, explained(self.path):
            if self._database.in_transaction:  # part of a greater one
                yield self._database
                return
            if self.read_only:
                raise CaDirError(f"The register {self.path} is read-only here.")
            with transaction(self._database):
                yield self._database
            self._own_writes += 1

    def data_version(self) -> int:
        """A number that differs after any process, this one too, has changed the register (microseconds)."""
        version: int
        if self._frozen_at is None:
            # Asked at every request of a responder: without the two context managers it costs half as much.
            with self._lock, suppress(sqlite3.Error):
                version = self._database.execute("PRAGMA data_version").fetchone()[0]
                return version + (self._own_writes << 32)
        with self._reading() as database:
            version = database.execute("PRAGMA data_version").fetchone()[0]
            return version + (self._own_writes << 32)

    def add_issuer(self, certificate: x509.Certificate) -> None:
        """A CA of this directory, each below the one added before."""
        with self.writing() as database:
            database.execute(
                "INSERT INTO issuer (fingerprint, position, certificate) VALUES (?, (SELECT count(*) FROM issuer), ?)",
                (certificate.fingerprint(SHA256()), certificate.public_bytes(Encoding.DER)),
            )

    def issuers(self) -> list[x509.Certificate]:
        """The certificates of the CAs, root first."""
        with self._reading() as database:
            rows = database.execute("SELECT certificate FROM issuer ORDER BY position").fetchall()
        return [x509.load_der_x509_certificate(row[0]) for row in rows]

    def next_crl_number(self, issuer: bytes) -> int:
        """One more than the last time, whichever process asked (RFC 5280 §5.2.3)."""
        with self.writing() as database:
            row = database.execute(
                "UPDATE issuer SET crl_number = crl_number + 1 WHERE fingerprint = ? RETURNING crl_number", (issuer,)
            ).fetchone()
            if row is None:
                raise CaDirError(f"There is no issuer {issuer.hex()} in the register {self.path}.")
            number: int = row[0]
            return number

    def setting(self, name: str) -> str | None:
        """What is kept under this name."""
        with self._reading() as database:
            row = database.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def set_setting(self, name: str, value: str | None) -> None:
        """Keep a value under this name; None forgets it."""
        with self.writing() as database:
            database.execute("DELETE FROM setting WHERE name = ?", (name,))
            if value is not None:
                database.execute("INSERT INTO setting VALUES (?, ?)", (name, value))

    def record(self, certificate: x509.Certificate, issuer: bytes) -> None:
        """Remember a certificate that was issued. CaDirError where this issuer gave out its serial number before."""
        values = (
            issuer,
            f"{certificate.serial_number:x}",
            name_of(certificate),
            int(certificate.not_valid_after_utc.timestamp()),
            certificate.public_bytes(Encoding.DER),
        )
        with self.writing() as database:
            try:
                database.execute(
                    "INSERT INTO certificate (issuer, serial, subject, not_after, der) VALUES (?, ?, ?, ?, ?)", values
                )
            except sqlite3.IntegrityError as error:
                said = f"The issuer gave out serial number {certificate.serial_number:x} before."
                raise CaDirError(said) from error

    def find(self, serial_number: int, issuer: bytes | None = None) -> list[Entry]:
        """The entries with this serial number, of one issuer or of all."""
        query = f"SELECT {_COLUMNS} FROM certificate WHERE serial = ? AND (?2 IS NULL OR issuer = ?2)"  # noqa: S608
        with self._reading() as database:
            return [_entry(row) for row in database.execute(query, (f"{serial_number:x}", issuer))]

    def status(self, issuer: bytes, serial_number: int) -> Entry | None:
        """The entry of a certificate; None where this issuer never gave out the serial number."""
        found = self.find(serial_number, issuer)
        return found[0] if found else None

    def entries(self, issuer: bytes, *, revoked: bool) -> Iterator[Entry]:
        """The entries of an issuer, a page at a time: the revoked ones, or all.

        Between pages others may write. Read `data_version` first, and what they changed shows in it afterwards.
        """
        only = "AND revoked_at IS NOT NULL" if revoked else ""
        query = f"SELECT {_COLUMNS} FROM certificate WHERE issuer = ? AND id > ? {only} ORDER BY id LIMIT ?"  # noqa: S608
        last = 0
        while True:
            with self._reading() as database:
                rows = database.execute(query, (issuer, last, PAGE)).fetchall()
            yield from map(_entry, rows)
            if len(rows) < PAGE:
                return
            last = rows[-1][0]

    def set_status(self, entry: Entry, at: datetime | None, reason: x509.ReasonFlags | None) -> None:
        """Mark an entry revoked at a time and for a reason, or good again with None."""
        values = (
            None if at is None else int(at.timestamp()),
            None if reason is None else reason.name,
            entry.issuer,
            f"{entry.serial_number:x}",
        )
        with self.writing() as database:
            database.execute(
                "UPDATE certificate SET revoked_at = ?, reason = ? WHERE issuer = ? AND serial = ?", values
            )

    def close(self) -> None:
        """Let go of the file."""
        with self._lock, explained(self.path):
            self._database.close()


def _entry(row: tuple[Any, ...]) -> Entry:
    _, issuer, serial, subject, not_after, der, revoked_at, reason = row
    return Entry(
        issuer=issuer,
        serial_number=int(serial, 16),
        subject=subject,
        not_after=datetime.fromtimestamp(not_after, UTC),
        der=der,
        revocation_time=None if revoked_at is None else datetime.fromtimestamp(revoked_at, UTC),
        reason=None if reason is None else x509.ReasonFlags[reason],
    )

"""Remembers, over hours and days, which connections a policy would have lost and why, in SQLite."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from mustaple.core.errors import InputError, MustapleError, RefusedError
from mustaple.core.verdict import ChainVerdict
from mustaple.net.database import Database, Schema

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping
    from pathlib import Path

MAX_RESULTS: Final = 1_000_000  # single results that are kept; the sums go back to the beginning all the same
MAX_TARGETS: Final = 1_000_000
_MAX_DETAIL: Final = 500  # characters of a reason

_SCHEMA: Final = Schema(
    "a record of readiness",
    application=0x4D535452,  # "MSTR"
    version=1,
    tables="""
        CREATE TABLE policy (name TEXT NOT NULL);
        CREATE TABLE target (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
        CREATE TABLE result (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            target INTEGER NOT NULL REFERENCES target,
            at TEXT NOT NULL,
            seconds REAL NOT NULL,
            effect TEXT NOT NULL,
            code TEXT NOT NULL,
            detail TEXT NOT NULL
        );
        CREATE TABLE tally (
            target INTEGER NOT NULL REFERENCES target,
            effect TEXT NOT NULL,
            code TEXT NOT NULL,
            count INTEGER NOT NULL,
            first_at TEXT NOT NULL,
            last_at TEXT NOT NULL,
            detail TEXT NOT NULL,
            PRIMARY KEY (target, effect, code)
        ) WITHOUT ROWID;
    """,
)


class Effect(enum.StrEnum):
    """What the policy would have done to one connection; or nobody answered, or the check itself failed."""

    KEPT = "kept"
    LOST = "lost"
    UNANSWERED = "unanswered"
    FAULT = "fault"


class Ended(NamedTuple):
    """How one connection ended: `code` is the most telling reason's, empty where none refused; `detail` its words."""

    effect: Effect
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Cause:
    """One way in which connections to a target ended: how many, when (aware UTC), and why the last time.

    `code` is that of the most telling reason, empty where none refused.
    """

    effect: Effect
    code: str
    count: int
    first_at: datetime
    last_at: datetime
    detail: str


@dataclass(frozen=True, slots=True)
class TargetRecord:
    """All that happened to one target."""

    target: str
    causes: tuple[Cause, ...]

    def count(self, *effects: Effect) -> int:
        """How many connections ended in one of these ways; with none named, all of them."""
        return sum(cause.count for cause in self.causes if not effects or cause.effect in effects)


@dataclass(frozen=True, slots=True)
class Totals:
    """The sum over all targets. `codes` counts lost connections by reason, the most frequent first; times are UTC.

    `silent` is how many targets never answered.
    """

    policy: str
    targets: int
    effects: Mapping[Effect, int]
    codes: Mapping[str, int]
    silent: int
    targets_lost: int
    first_at: datetime | None
    last_at: datetime | None

    @property
    def connections(self) -> int:
        """How many connections were tried."""
        return sum(self.effects.values())

    @property
    def lost(self) -> int:
        """How many the policy would have lost."""
        return self.effects[Effect.LOST]


class Readiness(Database):
    """The record of a policy, in a file or, with None for its path, until it is closed. A context manager.

    One that is there already is continued, by several processes at once if need be. The last million results are kept
    one by one, and the sums over all of them for each target and reason. Times are aware UTC.

    Raises InputError for a file that is no such record, or the record of another policy.
    """

    def __init__(self, path: Path | None, policy: str | None = None, *, max_results: int = MAX_RESULTS) -> None:
        super().__init__(path, _SCHEMA, create=policy is not None)
        self._max_results = max_results
        try:
            self.policy = self._settle_policy(policy)
        except BaseException:
            self.close()
            raise

    @classmethod
    def existing(cls, path: Path) -> Self:
        """The record in this file, whatever its policy. Raises InputError where there is none."""
        return cls(path)

    def add(
        self, target: str, answer: ChainVerdict | Exception, seconds: float = 0.0, *, at: datetime | None = None
    ) -> Ended:
        """Remember what a check came to, and say what the policy would have done."""
        ended = effect, code, detail = _ended(answer)
        moment = (at if at is not None else datetime.now(UTC)).astimezone(UTC).isoformat(timespec="milliseconds")
        with self._writing() as database:
            known = self._target(database, target)
            database.execute(
                """INSERT INTO tally VALUES (?, ?, ?, 1, ?, ?, ?) ON CONFLICT DO UPDATE SET
                   count = count + 1, last_at = excluded.last_at, detail = excluded.detail""",
                (known, effect, code, moment, moment, detail),
            )
            added = database.execute(
                "INSERT INTO result (target, at, seconds, effect, code, detail) VALUES (?, ?, ?, ?, ?, ?)",
                (known, moment, seconds, effect, code, detail),
            )
            database.execute("DELETE FROM result WHERE id <= ?", ((added.lastrowid or 0) - self._max_results,))
        return ended

    def totals(self) -> Totals:
        """The sum of it all."""
        with self._reading() as database:
            effects = dict(database.execute("SELECT effect, sum(count) FROM tally GROUP BY effect").fetchall())
            codes = database.execute(
                "SELECT code, sum(count) AS lost FROM tally WHERE effect = ? GROUP BY code ORDER BY lost DESC, code",
                (Effect.LOST,),
            ).fetchall()
            targets, silent, targets_lost = database.execute(
                """SELECT count(*), total(answered = 0), total(lost > 0) FROM (
                   SELECT total(effect IN ('kept', 'lost')) AS answered, total(effect = 'lost') AS lost
                   FROM tally GROUP BY target)"""
            ).fetchone()
            first, last = database.execute("SELECT min(first_at), max(last_at) FROM tally").fetchone()
        return Totals(
            policy=self.policy,
            targets=targets,
            effects={effect: effects.get(effect, 0) for effect in Effect},
            codes=dict(codes),
            silent=int(silent),
            targets_lost=int(targets_lost),
            first_at=datetime.fromisoformat(first) if first else None,
            last_at=datetime.fromisoformat(last) if last else None,
        )

    def targets(self, limit: int | None = None) -> Iterator[TargetRecord]:
        """Each target's record, those that lost most first, then those that answered least."""
        with self._reading() as database:
            ordered = database.execute(
                """SELECT target.id, target.name FROM tally JOIN target ON target.id = tally.target GROUP BY target.id
                   ORDER BY total(count * (effect = 'lost')) DESC, total(count * (effect <> 'kept')) DESC, target.id
                   LIMIT ?""",
                (-1 if limit is None else limit,),
            )
            for number, name in ordered:
                rows = database.execute(
                    """SELECT effect, code, count, first_at, last_at, detail FROM tally WHERE target = ?
                       ORDER BY count DESC, code""",
                    (number,),
                ).fetchall()
                yield TargetRecord(name, tuple(_cause(row) for row in rows))

    def _settle_policy(self, policy: str | None) -> str:
        if policy is not None:
            with self._writing() as database:
                database.execute("INSERT INTO policy SELECT ? WHERE NOT EXISTS (SELECT * FROM policy)", (policy,))
        with self._reading() as database:
            kept: str = database.execute("SELECT name FROM policy").fetchone()[0]
        if policy is not None and kept != policy:
            raise InputError(f"{self._path} is the record of the policy {kept}; begin another file for {policy}")
        return kept

    def _target(self, database: sqlite3.Connection, name: str) -> int:
        row = database.execute("SELECT id FROM target WHERE name = ?", (name,)).fetchone()
        if row is None:
            row = database.execute("INSERT INTO target (name) VALUES (?) RETURNING id", (name,)).fetchone()
            if row[0] > MAX_TARGETS:
                raise InputError(f"{self._path} holds {MAX_TARGETS:,} targets already; begin another file")
        number: int = row[0]
        return number


def _ended(answer: ChainVerdict | Exception) -> Ended:
    if isinstance(answer, RefusedError):
        answer = answer.verdict
    if not isinstance(answer, ChainVerdict):
        effect = Effect.UNANSWERED if isinstance(answer, MustapleError) else Effect.FAULT
        return Ended(effect, "", (str(answer) or type(answer).__name__)[:_MAX_DETAIL])
    if answer.accepted:
        return Ended(Effect.KEPT, "", "")
    for reason in answer.all_reasons[:1]:
        return Ended(Effect.LOST, reason.code.value, reason.detail[:_MAX_DETAIL])
    return Ended(Effect.LOST, "", answer.headline[:_MAX_DETAIL])


def _cause(row: tuple[str, str, int, str, str, str]) -> Cause:
    effect, code, count, first_at, last_at, detail = row
    return Cause(Effect(effect), code, count, datetime.fromisoformat(first_at), datetime.fromisoformat(last_at), detail)

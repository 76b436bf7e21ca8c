"""The agent's state as one file: what `mustaple agent status` shows, and what the agent remembers over a restart."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from certtools.ca_dir.files import PUBLIC, write_atomic
from certtools.chain import name_of
from mustaple.agent.fleet.standing import Standing, View
from mustaple.core.errors import InputError
from mustaple.core.refresh import Trouble

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from mustaple.agent.entry import Entry
    from mustaple.agent.handover import Handover

FORMAT: Final = "mustaple agent state"
VERSION: Final = 1
MAX_BYTES: Final = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Row:
    """One certificate. Times are aware UTC, in ISO 8601; None where there is none.

    `problem` is "unreachable" or "bad" where the last fetch brought nothing good, else empty.
    """

    fingerprint: str
    subject: str
    chains: tuple[str, ...]
    must_staple: bool
    status: str
    level: str
    url: str | None
    this_update: str | None
    dies_at: str | None
    fetched_at: str | None
    next_fetch: str | None
    problem: str
    last_error: str
    failures: int
    tried_at: str | None


@dataclass(frozen=True, slots=True)
class TargetRow:
    """One target of one chain."""

    chain: str
    target: str
    deployed_at: str | None
    staples: int
    error: str
    held_back: bool


@dataclass(frozen=True, slots=True)
class State:
    """Everything there is to see. `at` is when it was written, `problems` are files that hold no whole chain.

    `fleet` is the agent's place in its fleet, None where it is alone.
    """

    at: str
    pid: int
    certificates: tuple[Row, ...]
    targets: tuple[TargetRow, ...]
    problems: Mapping[str, str]
    fleet: View | None = None

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        return {"format": FORMAT, "version": VERSION, **asdict(self)}

    def encode(self) -> bytes:
        """The same as text."""
        return json.dumps(self.document(), ensure_ascii=False).encode() + b"\n"


def row_of(entry: Entry, chains: Iterable[str], next_fetch: datetime | None) -> Row:
    """The row of one certificate."""
    staple = entry.staple
    return Row(
        entry.link.fingerprint.hex(),
        name_of(entry.link.subject),
        tuple(chains),
        entry.obliged,
        entry.condition,
        entry.level.value,
        entry.urls[0] if entry.urls else None,
        _text(staple.judgement.this_update) if staple is not None else None,
        _text(entry.death),
        _text(staple.fetched_at) if staple is not None else None,
        _text(next_fetch),
        entry.problem,
        entry.said,
        entry.trouble.failures,
        _text(entry.trouble.tried_at),
    )


def target_rows(handovers: Iterable[Handover]) -> tuple[TargetRow, ...]:
    """The rows of all targets."""
    return tuple(
        TargetRow(
            each.name,
            str(target.deployer),
            _text(target.since),
            sum(staple is not None for staple in target.given.staples) if target.given is not None else 0,
            target.said,
            each.held_back,
        )
        for each in handovers
        for target in each.targets
    )


def exit_code(state: State) -> int:
    """0 where every certificate that names a responder has its staple and every target took it.

    1 where an answer was bad or a target did not take it, 3 where somebody could only not be reached.
    """
    problems = {row.problem for row in state.certificates}
    if "bad" in problems or state.problems or any(row.error or row.held_back for row in state.targets):
        return 3 if "bad" not in problems and _only_held_back(state) and "unreachable" in problems else 1
    return 3 if "unreachable" in problems else 0


def _only_held_back(state: State) -> bool:
    return not state.problems and not any(row.error for row in state.targets)


def write_state(path: Path, state: State) -> None:
    """Replace the file, whole or not at all. Raises InputError where that fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, state.encode(), PUBLIC)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error


def read_state(path: Path) -> State | None:
    """The state in this file; None where there is none. Raises InputError for one that cannot be read."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        document: dict[str, Any] = json.loads(data)
        kind = (document.pop("format"), document.pop("version"))
        rows = tuple(Row(**{**each, "chains": tuple(each["chains"])}) for each in document.pop("certificates"))
        targets = tuple(TargetRow(**each) for each in document.pop("targets"))
        fleet = document.pop("fleet", None)
        view = View(**{**fleet, "standing": Standing(fleet["standing"])}) if fleet is not None else None
        known = kind == (FORMAT, VERSION)
        state = State(certificates=rows, targets=targets, fleet=view, **document) if known else None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        state = None
    if state is None:
        raise InputError(f"{path} is no state of this agent's version; remove it, and start the agent")
    return state


def restore(entries: Mapping[bytes, Entry], state: State) -> None:
    """Give back to these certificates what was known of their last failures, so that a restart asks nobody sooner."""
    rows = {row.fingerprint: row for row in state.certificates}
    for fingerprint, entry in entries.items():
        row = rows.get(fingerprint.hex())
        tried_at = parse(row.tried_at) if row is not None else None
        if row is not None and tried_at is not None and row.failures > 0:
            entry.trouble, entry.said, entry.problem = Trouble(row.failures, tried_at), row.last_error, row.problem
            entry.settled = True


def parse(text: str | None) -> datetime | None:
    """A time of a row as aware UTC; None where it is none."""
    try:
        moment = datetime.fromisoformat(text) if text is not None else None
    except (ValueError, TypeError):
        return None
    return moment.astimezone(UTC) if moment is not None and moment.tzinfo is not None else None


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None

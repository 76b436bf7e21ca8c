"""Readiness over time: what is remembered, what is refused as a record, and rounds that keep their time."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import subprocess
import sys
from contextlib import aclosing, closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from certtools.forge import MUTATIONS
from mustaple.core.decide import Situation, decide
from mustaple.core.errors import InputError, NetworkError, RefusedError
from mustaple.core.ocsp import judge
from mustaple.core.policy import preset
from mustaple.net.readiness import Effect, Readiness
from mustaple.net.rounds import rounds

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from certtools.chain import Chain
    from certtools.forge import Scene
    from mustaple.core.verdict import ChainVerdict

MOMENT = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def verdicts(chain: Chain, scene: Scene, staple: bytes, at: datetime) -> Mapping[str, ChainVerdict]:
    """Verdicts by what the server stapled."""
    policy = preset("must-staple")

    def verdict(response: bytes | None) -> ChainVerdict:
        found = () if response is None else (judge(response, chain.links[0], at, policy.rules),)
        evidence = {chain.links[0].fingerprint: found}
        return decide(Situation(chain, at, frozenset({5}), frozenset({5}), evidence=evidence), policy)

    return {
        "good": verdict(staple),
        "revoked": verdict(MUTATIONS["revoked"](scene)),
        "expired": verdict(MUTATIONS["expired"](scene)),
        "nothing": verdict(None),
    }


def test_the_sum_says_what_would_have_been_lost_and_why(verdicts: Mapping[str, ChainVerdict], tmp_path: Path) -> None:
    with Readiness(tmp_path / "r.sqlite", "must-staple") as record:
        assert record.add("a:1", verdicts["good"], 0.1, at=MOMENT).effect is Effect.KEPT
        assert record.add("a:1", verdicts["nothing"], 0.1, at=MOMENT + timedelta(minutes=1)).effect is Effect.LOST
        assert record.add("b:1", verdicts["revoked"], 0.1).effect is Effect.LOST
        assert record.add("b:1", RefusedError(verdicts["revoked"]), 0.1).effect is Effect.LOST
        assert record.add("c:1", NetworkError("c:1: connection refused"), 0.1).effect is Effect.UNANSWERED
        assert record.add("d:1", ZeroDivisionError("a fault"), 0.1).effect is Effect.FAULT
        totals = record.totals()
        targets = list(record.targets())
    assert totals.effects == {Effect.KEPT: 1, Effect.LOST: 3, Effect.UNANSWERED: 1, Effect.FAULT: 1}
    assert (totals.connections, totals.lost, totals.targets, totals.targets_lost, totals.silent) == (6, 3, 4, 2, 2)
    assert list(totals.codes.items()) == [("revoked", 2), ("promise-broken", 1)]
    assert totals.first_at == MOMENT
    assert [each.target for each in targets] == ["b:1", "a:1", "c:1", "d:1"]
    assert targets[0].count(Effect.LOST) == targets[0].count() == 2
    (cause,) = targets[2].causes
    assert (cause.effect, cause.code, cause.detail) == (Effect.UNANSWERED, "", "c:1: connection refused")


def test_a_record_is_continued(verdicts: Mapping[str, ChainVerdict], tmp_path: Path) -> None:
    file = tmp_path / "r.sqlite"
    for code in ("nothing", "expired", "nothing"):
        with Readiness(file, "must-staple") as record:
            record.add("a:1", verdicts[code])
    with Readiness.existing(file) as record:
        assert record.policy == "must-staple"
        assert record.totals().lost == 3
        (target,) = record.targets()
        assert sum(cause.count for cause in target.causes) == 3
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]  # what WAL needs beside it is gone once it is closed


def test_without_a_file_it_is_remembered_until_the_end(verdicts: Mapping[str, ChainVerdict]) -> None:
    with Readiness(None, "strict") as record:
        record.add("a:1", verdicts["nothing"])
        assert record.totals().lost == 1
    with Readiness(None, "must-staple") as record:
        assert record.totals().connections == 0
        assert record.totals().first_at is None


def test_single_results_are_bounded_and_sums_are_not(verdicts: Mapping[str, ChainVerdict], tmp_path: Path) -> None:
    file = tmp_path / "r.sqlite"
    with Readiness(file, "must-staple", max_results=10) as record:
        for _ in range(25):
            record.add("a:1", verdicts["nothing"])
        assert record.totals().lost == 25
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("SELECT count(*), min(id), max(id) FROM result").fetchone() == (10, 16, 25)


def test_a_reason_of_any_length_is_cut(tmp_path: Path) -> None:
    with Readiness(tmp_path / "r.sqlite", "must-staple") as record:
        record.add("a:1", NetworkError("x" * 100_000))
        (target,) = record.targets()
        assert len(target.causes[0].detail) == 500


def test_another_policy_needs_another_file(tmp_path: Path) -> None:
    file = tmp_path / "r.sqlite"
    Readiness(file, "must-staple").close()
    with pytest.raises(InputError, match="is the record of the policy must-staple; begin another file for strict"):
        Readiness(file, "strict")


def test_what_is_no_record_says_so(tmp_path: Path) -> None:
    other, text, newer = tmp_path / "other.sqlite", tmp_path / "notes.txt", tmp_path / "newer.sqlite"
    with closing(sqlite3.connect(other)) as database:
        database.execute("CREATE TABLE cookies (name TEXT)")
    text.write_text("a long text " * 1000)
    Readiness(newer, "strict").close()
    with closing(sqlite3.connect(newer)) as database:
        database.execute("PRAGMA user_version = 99")
    for path, said in (
        (other, "another program's database"),
        (text, "file is not a database"),
        (newer, "a newer mustaple made it"),
        (tmp_path, "Is a directory"),
        (tmp_path / "no" / "such.sqlite", "No such file or directory"),
    ):
        for policy in ("strict", None):
            with pytest.raises(InputError) as caught:
                Readiness(path, policy)
            assert said in str(caught.value)
            assert str(path) in str(caught.value)
    assert text.read_text().startswith("a long text")
    with pytest.raises(InputError, match="No such file"):
        Readiness.existing(tmp_path / "absent.sqlite")
    assert not (tmp_path / "absent.sqlite").exists()


def test_a_record_damaged_meanwhile_says_so(verdicts: Mapping[str, ChainVerdict], tmp_path: Path) -> None:
    file = tmp_path / "r.sqlite"
    with Readiness(file, "must-staple") as record:
        with closing(sqlite3.connect(file)) as database:
            database.execute("DROP TABLE tally")
        with pytest.raises(InputError, match="no such table"):
            record.add("a:1", verdicts["nothing"])
        with pytest.raises(InputError, match="no such table"):
            record.totals()


_WRITER = """
import sys
from pathlib import Path
from mustaple.core.errors import NetworkError
from mustaple.net.readiness import Readiness
with Readiness(Path(sys.argv[1]), "strict") as record:
    for number in range(100):
        record.add(f"host-{number % 7}:1", NetworkError("nobody"))
"""


def test_several_processes_write_one_record(tmp_path: Path) -> None:
    file = tmp_path / "r.sqlite"
    writers = [subprocess.Popen([sys.executable, "-c", _WRITER, str(file)]) for _ in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    with Readiness.existing(file) as record:
        assert record.totals().effects[Effect.UNANSWERED] == 300
        assert [target.count() for target in record.targets(2)] == [45, 45]


async def _starts(every: float, span: float | None, busy: float = 0.0, most: int = 100) -> list[int]:
    """The rounds that are begun, each of which is busy for so many seconds."""
    found = []
    async with aclosing(rounds(every, span)) as going:
        async for number in going:
            found.append(number)
            if len(found) == most:
                break
            await asyncio.sleep(busy)
    return found


def test_rounds_come_until_the_span_is_over() -> None:
    class Clock(asyncio.SelectorEventLoop):
        """A loop whose clock jumps to what is waited for, as if no other program ran on the machine."""

        moment = 0.0

        def time(self) -> float:
            return self.moment

        def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
            self.moment = max(self.moment, when)
            return super().call_at(when, callback, *args, context=context)

    with asyncio.Runner(loop_factory=Clock) as runner:
        assert runner.run(_starts(10.0, 60.0)) == [0, 1, 2, 3, 4, 5]
        assert runner.run(_starts(10.0, 61.0)) == [0, 1, 2, 3, 4, 5, 6]
        assert runner.run(_starts(10.0, 0.0)) == [0]
        assert runner.run(_starts(10.0, None, most=50)) == list(range(50))
        assert runner.run(_starts(600.0, 86400.0, most=1000)) == list(range(144))
        # a round that takes longer than it may leaves out those it has covered
        assert runner.run(_starts(10.0, 60.0, busy=15.0)) == [0, 2, 4]


def test_waiting_for_a_round_ends_when_it_is_cancelled() -> None:
    async def cancelled() -> None:
        task = asyncio.create_task(_starts(3600.0, None))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(asyncio.wait_for(cancelled(), 30))

"""Expect-Staple hosts are remembered as their headers say: bounded, private, by threads and processes together."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mustaple.core.errors import InputError
from mustaple.core.expect_staple import HeaderError, KnownHost
from mustaple.net import expect_hosts
from mustaple.net.expect_hosts import ExpectHosts

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
URI = "https://reports.test/"


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[ExpectHosts]:
    with ExpectHosts(tmp_path / "hosts.db") as made:
        yield made


@pytest.mark.requirement("EXPECT-STAPLE-2.3.1-2")
def test_a_host_is_remembered_until_its_time_is_over(memory: ExpectHosts) -> None:
    known = memory.learn("Site.Test", f'max-age=3600; preload; report-uri="{URI}"', AT)
    assert known == KnownHost("site.test", AT, AT + HOUR, preload=True, report_uri=URI)
    assert memory.remembered("SITE.test.", AT) == known
    assert memory.remembered("site.test", AT + HOUR - timedelta(seconds=1)) == known
    assert memory.remembered("site.test", AT + HOUR) is None
    assert memory.remembered("other.test", AT) is None


@pytest.mark.requirement("EXPECT-STAPLE-2.3.1-2")
def test_the_last_header_stands_and_zero_forgets(memory: ExpectHosts) -> None:
    memory.learn("site.test", f'max-age=3600; report-uri="{URI}"', AT)
    memory.learn("site.test", "max-age=7200", AT + HOUR / 2)
    assert memory.remembered("site.test", AT + HOUR) == KnownHost("site.test", AT + HOUR / 2, AT + 2.5 * HOUR)
    assert memory.learn("site.test", "max-age=0", AT + HOUR) is None
    assert memory.remembered("site.test", AT + HOUR) is None
    assert memory.learn("site.test", "max-age=0", AT + HOUR) is None


def test_a_header_that_does_not_conform_changes_nothing(memory: ExpectHosts) -> None:
    known = memory.learn("site.test", "max-age=3600", AT)
    for value in ("max-age=0; max-age=0", "includeSubDomains", "max-age=0\r\nX: y", b"\xff"):
        with pytest.raises(HeaderError):
            memory.learn("site.test", value, AT)
    assert memory.remembered("site.test", AT) == known


@pytest.mark.requirement("EXPECT-STAPLE-2.3.2-2")
def test_hosts_below_are_known_where_the_one_above_includes_them(memory: ExpectHosts) -> None:
    above = memory.learn("site.test", "max-age=3600; includeSubDomains", AT)
    memory.learn("lonely.test", "max-age=3600", AT)
    assert memory.remembered("a.www.site.test", AT) == above
    assert memory.remembered("www.lonely.test", AT) is None
    assert memory.remembered("othersite.test", AT) is None
    assert memory.remembered("test", AT) is None
    own = memory.learn("www.site.test", "max-age=60", AT)
    assert memory.remembered("www.site.test", AT) == own
    # What the host itself said is over; what the one above says holds still.
    assert memory.remembered("www.site.test", AT + timedelta(minutes=2)) == above
    memory.learn("www.site.test", "max-age=0", AT)
    assert memory.remembered("www.site.test", AT) == above


@pytest.mark.requirement("EXPECT-STAPLE-2.3.2-1")
@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "[::1]"])
def test_an_address_is_never_noted(memory: ExpectHosts, address: str) -> None:
    assert memory.learn(address, "max-age=3600; includeSubDomains", AT) is None
    assert memory.remembered(address, AT) is None
    assert memory.hosts(AT) == []


@pytest.mark.requirement("EXPECT-STAPLE-5-1")
def test_what_is_known_can_be_listed_and_forgotten(memory: ExpectHosts) -> None:
    for name, life in (("b.test", 3600), ("a.test", 3600), ("gone.test", 60)):
        memory.learn(name, f"max-age={life}", AT)
    assert [known.name for known in memory.hosts(AT + timedelta(minutes=1))] == ["a.test", "b.test"]
    assert memory.forget("A.test")
    assert not memory.forget("a.test")
    assert not memory.forget("127.0.0.1")
    assert memory.clear() == 2
    assert memory.hosts(AT) == []


def test_a_memory_outlives_its_process_and_is_nobody_elses(tmp_path: Path) -> None:
    path = tmp_path / "hosts.db"
    with ExpectHosts(path) as memory:
        known = memory.learn("site.test", "max-age=3600", AT)
        files = list(tmp_path.iterdir())
        assert len(files) > 1, "there is a write-ahead log beside it"
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    with ExpectHosts(path) as again:
        assert again.remembered("site.test", AT) == known


def test_beyond_the_most_the_soonest_to_expire_goes(tmp_path: Path) -> None:
    with ExpectHosts(tmp_path / "hosts.db", most_hosts=3) as memory:
        for name, life in (("long.test", 4000), ("short.test", 1000), ("middle.test", 2000)):
            memory.learn(name, f"max-age={life}", AT)
        memory.learn("new.test", "max-age=3000", AT)
        assert [known.name for known in memory.hosts(AT)] == ["long.test", "middle.test", "new.test"]
        memory.learn("long.test", "max-age=4000", AT)
        assert len(memory.hosts(AT)) == 3


def test_of_hosts_that_expire_together_the_one_not_asked_for_goes(tmp_path: Path) -> None:
    with ExpectHosts(tmp_path / "hosts.db", most_hosts=2) as memory:
        for name in ("asked.test", "forgotten.test"):
            memory.learn(name, f"max-age={5 * 86400}", AT)
        assert memory.remembered("asked.test", AT + 2 * DAY)
        memory.learn("new.test", f"max-age={10 * 86400}", AT + 2 * DAY)
        assert [known.name for known in memory.hosts(AT + 2 * DAY)] == ["asked.test", "new.test"]


def test_who_has_expired_takes_nobodys_place(tmp_path: Path) -> None:
    with ExpectHosts(tmp_path / "hosts.db", most_hosts=2) as memory:
        memory.learn("expired.test", "max-age=60", AT)
        memory.learn("alive.test", "max-age=3600", AT)
        memory.learn("new.test", "max-age=4000", AT + timedelta(minutes=2))
        assert [known.name for known in memory.hosts(AT)] == ["alive.test", "new.test"]


# --- what may be reported


@pytest.mark.requirement("EXPECT-STAPLE-2.1.1-2")
def test_a_host_is_reported_once_a_day(memory: ExpectHosts) -> None:
    assert memory.may_report("site.test", "reports.test", AT)
    assert not memory.may_report("SITE.test", "reports.test", AT)
    assert not memory.may_report("site.test", "elsewhere.test", AT + DAY - HOUR)
    assert memory.may_report("other.test", "reports.test", AT)
    assert memory.may_report("site.test", "reports.test", AT + DAY)
    assert not memory.may_report("127.0.0.1", "reports.test", AT)


def test_a_clock_set_back_does_not_silence_reports(memory: ExpectHosts) -> None:
    assert memory.may_report("site.test", "reports.test", AT + 100 * DAY)
    assert memory.may_report("site.test", "reports.test", AT)


@pytest.mark.requirement("EXPECT-STAPLE-4.2-1")
def test_no_receiver_is_flooded_whoever_names_it(memory: ExpectHosts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expect_hosts, "MOST_TO_ONE", 3)
    told = [memory.may_report(f"{number}.attacker.test", "Victim.test", AT) for number in range(5)]
    assert told == [True, True, True, False, False]
    assert memory.may_report("another.test", "elsewhere.test", AT)
    assert memory.may_report("4.attacker.test", "victim.test", AT + DAY)


def test_what_was_reported_is_bounded(memory: ExpectHosts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expect_hosts, "MOST_REPORTS", 3)
    for number in range(5):
        assert memory.may_report(f"{number}.test", f"{number}.test", AT + timedelta(seconds=number))
    with sqlite3.connect(memory.path) as database:
        assert database.execute("SELECT count(*) FROM report").fetchone() == (3,)
    database.close()


# --- together


def test_threads_share_a_memory(memory: ExpectHosts) -> None:
    start = threading.Barrier(8)

    def work(worker: int) -> int:
        start.wait()
        for number in range(20):
            memory.learn(f"{worker}-{number}.test", "max-age=3600", AT)
            assert memory.remembered(f"{worker}-{number}.test", AT)
        return sum(memory.may_report(f"{number}.test", f"{number}.test", AT) for number in range(20))

    with ThreadPoolExecutor(8) as pool:
        allowed = sum(pool.map(work, range(8)))
    assert len(memory.hosts(AT)) == 160
    assert allowed == 20, "each host once, whichever thread came first"


WORKER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from mustaple.net.expect_hosts import ExpectHosts
at = datetime(2026, 6, 1, 12, tzinfo=UTC)
print("ready", flush=True)
sys.stdin.readline()
with ExpectHosts(Path(sys.argv[1])) as memory:
    for number in range(20):
        memory.learn(f"{sys.argv[2]}-{number}.test", "max-age=3600", at)
    print(sum(memory.may_report(f"{number}.test", f"{number}.test", at) for number in range(20)))
"""


def test_processes_share_a_memory_which_none_had_made(tmp_path: Path) -> None:
    path = tmp_path / "hosts.db"
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(path), str(number)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    allowed = [int(worker.communicate(timeout=60)[0]) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0, 0, 0]
    assert sum(allowed) == 20
    with ExpectHosts(path) as memory:
        assert len(memory.hosts(AT)) == 80


# --- files that are none


def test_what_is_no_memory_is_refused_and_left_alone(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.db"
    with sqlite3.connect(foreign) as database:
        database.execute("CREATE TABLE theirs (x)")
    database.close()
    text = tmp_path / "text"
    text.write_text("this is no database" * 100)
    before = foreign.read_bytes()
    for path in (foreign, text, tmp_path, tmp_path / "no" / "folder"):
        with pytest.raises(InputError, match=r"cannot|another program"):
            ExpectHosts(path)
    assert foreign.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_an_empty_file_becomes_a_memory(tmp_path: Path) -> None:
    (tmp_path / "hosts.db").touch(0o600)
    with ExpectHosts(tmp_path / "hosts.db") as memory:
        assert memory.learn("site.test", "max-age=3600", AT)


def test_a_memory_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "hosts.db"
    ExpectHosts(path).close()
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(InputError, match="newer"):
        ExpectHosts(path)


def test_a_memory_that_is_closed_says_so(memory: ExpectHosts) -> None:
    memory.close()
    memory.close()
    with pytest.raises(InputError, match="cannot be used"):
        memory.learn("site.test", "max-age=3600", AT)

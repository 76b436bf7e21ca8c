"""A CA directory is used by several processes and threads at once, by some that may not write, and nothing is lost."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from certtools.ca_dir import CaDir, CaDirError, issuer_id
from certtools.ca_dir.errors import explained

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from certtools.authority import Issued

DAY = timedelta(days=1)


def test_another_process_s_change_is_seen_at_once(
    ca_dir: CaDir, ca_folder: Path, recorded: Issued, at: datetime
) -> None:
    with CaDir.open(ca_folder) as other:
        before = ca_dir.data_version(), other.data_version()
        assert (ca_dir.data_version(), other.data_version()) == before
        other.revoke(recorded.certificate, None, at)
        after = ca_dir.data_version(), other.data_version()
        assert after[0] != before[0]
        assert after[1] != before[1], "its own writes count"
    entry = ca_dir.status(ca_dir.issuing.certificate, recorded.certificate.serial_number)
    assert entry is not None
    assert entry.revoked


WORKER = """
import sys
from datetime import datetime, UTC
from pathlib import Path
from certtools.ca_dir import CaDir
at = datetime(2026, 6, 1, 12, tzinfo=UTC)
with CaDir.open(Path(sys.argv[1]), timeout=30) as ca:
    for number in range(int(sys.argv[2])):
        leaf = ca.issuing.leaf([f"host-{number}.example"]).certificate
        ca.record(leaf)
        ca.revoke(leaf, None, at)
        assert ca.status(ca.issuing.certificate, leaf.serial_number).revoked
        print(ca.next_crl_number(ca.issuing.certificate), ca.delegate(ca.issuing, at).certificate.serial_number)
"""


def test_processes_issue_and_revoke_at_once_and_lose_nothing(ca_dir: CaDir, ca_folder: Path) -> None:
    workers, each = 3, 20
    command = [sys.executable, "-W", "error", "-c", WORKER, str(ca_folder), str(each)]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(workers)
    ]
    said = [process.communicate(timeout=60) for process in running]
    assert [process.returncode for process in running] == [0] * workers, said
    lines = [line.split() for out, _ in said for line in out.splitlines()]
    assert sorted(int(number) for number, _ in lines) == list(range(1, workers * each + 1))
    assert len({signer for _, signer in lines}) == 1, "they share one delegate"
    assert len(list(ca_dir.entries(ca_dir.issuing.certificate))) == workers * each


def test_threads_share_one_ca_directory(ca_dir: CaDir, at: datetime) -> None:
    def work(number: int) -> bool:
        leaf = ca_dir.issuing.leaf([f"host-{number}.example"]).certificate
        ca_dir.record(leaf)
        ca_dir.revoke(leaf, None, at)
        entry = ca_dir.status(ca_dir.issuing.certificate, leaf.serial_number)
        return entry is not None and entry.revoked

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(64)))
    assert len(list(ca_dir.entries(ca_dir.issuing.certificate))) == 64


def test_a_locked_register_is_said_so_and_can_still_be_read(ca_dir: CaDir, ca_folder: Path, recorded: Issued) -> None:
    ca_dir.close()
    with closing(sqlite3.connect(ca_folder / "register.sqlite", isolation_level=None)) as greedy:
        greedy.execute("BEGIN IMMEDIATE")
        with CaDir.open(ca_folder, timeout=0.05) as patient:
            with pytest.raises(CaDirError, match="locked by another process; try again when that has ended"):
                patient.record(patient.issuing.leaf(["a"]).certificate)
            assert patient.status(patient.issuing.certificate, recorded.certificate.serial_number) is not None
            greedy.execute("ROLLBACK")
            patient.record(patient.issuing.leaf(["a"]).certificate)


def test_a_write_that_fails_leaves_nothing(ca_dir: CaDir, recorded: Issued, at: datetime) -> None:
    """The signer's file cannot be written, so the register has no entry of it either."""
    before = len(list(ca_dir.entries(ca_dir.issuing.certificate, revoked=False)))
    (ca_dir.path / f"{issuer_id(ca_dir.issuing.certificate)}.signer.pem").mkdir()
    with pytest.raises(CaDirError, match="cannot be used: Is a directory"):
        ca_dir.delegate(ca_dir.issuing, at)
    assert len(list(ca_dir.entries(ca_dir.issuing.certificate, revoked=False))) == before
    assert not [path for path in ca_dir.path.iterdir() if path.name.startswith(".")]
    assert ca_dir.revoke(recorded.certificate, None, at).revoked, "no transaction is left open"


# read-only

READER = """
import sys
from datetime import datetime, timedelta, UTC
from pathlib import Path
from certtools.ca_dir import CaDir, CaDirError
at = datetime(2026, 6, 1, 12, tzinfo=UTC)
folder, serial = Path(sys.argv[1]), int(sys.argv[2])
with CaDir.open(folder) as ca:
    def revoked():
        version = ca.data_version()
        return version, ca.status(ca.issuing.certificate, serial).revoked
    print(ca.read_only, revoked()[1])
    signer = ca.delegate(ca.issuing, at)
    assert ca.delegate(ca.issuing, at).certificate == signer.certificate
    assert ca.status(ca.issuing.certificate, signer.certificate.serial_number) is None
    try:
        ca.next_crl_number(ca.issuing.certificate)
    except CaDirError as error:
        print(error)
    before = revoked()
    print("ready", flush=True)
    sys.stdin.readline()
    after = revoked()
    print(before[0] != after[0], after[1])
"""


@pytest.mark.peer("mount", "mount namespace")
@pytest.mark.parametrize("live", [False, True], ids=["nobody writes", "a writer has it open"])
def test_a_read_only_directory_can_be_read_and_changes_are_seen(
    ca_dir: CaDir, ca_folder: Path, recorded: Issued, at: datetime, live: bool
) -> None:
    namespace = ["unshare", "--map-root-user", "--mount"]
    if not live:
        ca_dir.close()
    mounted = f'mount --bind {ca_folder} {ca_folder} && mount -o remount,ro,bind {ca_folder} && exec "$@"'
    reader = [sys.executable, "-W", "error", "-c", READER, str(ca_folder), str(recorded.certificate.serial_number)]
    process = subprocess.Popen(
        [*namespace, "sh", "-c", mounted, "_", *reader],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    said = [process.stdout.readline().strip() for _ in range(3)]
    # The writer sees the same ca_folder without the read-only mount.
    with CaDir.open(ca_folder) as writer:
        writer.revoke(recorded.certificate, None, at)
    rest, complaints = process.communicate("\n", timeout=60)
    assert said == ["True False", f"The register {ca_folder}/register.sqlite is read-only here.", "ready"], complaints
    assert rest.strip() == "True True", complaints


def test_a_directory_known_to_be_read_only_is_read_and_never_written(
    ca_dir: CaDir, ca_folder: Path, recorded: Issued, at: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What the system says of a read-only mount; root cannot be kept out by the mode.
    monkeypatch.setattr(os, "access", lambda _path, right: right != os.W_OK)
    with CaDir.open(ca_folder) as reader:
        assert reader.read_only
        assert reader.status(reader.issuing.certificate, recorded.certificate.serial_number) is not None
        with pytest.raises(CaDirError, match="is read-only here"):
            reader.revoke(recorded.certificate, None, at)
        signer = reader.delegate(reader.issuing, at)
        assert reader.delegate(reader.issuing, at).certificate == signer.certificate
        assert reader.delegate(reader.issuing, at + 13 * DAY).certificate != signer.certificate
    assert not [path for path in ca_folder.iterdir() if "signer" in path.name]
    assert ca_dir.status(ca_dir.issuing.certificate, signer.certificate.serial_number) is None


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("INSERT INTO setting VALUES ('a', 'b')", "is read-only here"),
        ("PRAGMA max_page_count = 1; INSERT INTO setting VALUES ('a', zeroblob(99999))", "no room left"),
        ("SELECT never", "cannot be used: no such column: never"),
    ],
)
def test_what_sqlite_says_becomes_one_sentence(ca_dir: CaDir, statement: str, said: str) -> None:
    path = ca_dir.path / "register.sqlite"
    mode = "ro" if "read-only" in said else "rw"

    def work() -> None:
        with explained(path), closing(sqlite3.connect(f"file:{path}?mode={mode}", uri=True)) as database:
            for each in statement.split("; "):
                database.execute(each)

    with pytest.raises(CaDirError, match=f"^The(re is)? .*{said}"):
        work()


def test_a_directory_without_the_right_to_write_is_read_only(ca_dir: CaDir, ca_folder: Path) -> None:
    """Root may write in spite of the mode, so this says what the system says of the right to write."""
    (ca_folder / "register.sqlite").chmod(0o400)
    with CaDir.open(ca_folder) as again:
        assert again.read_only is not os.access(ca_folder / "register.sqlite", os.W_OK)
    assert not ca_dir.read_only

"""A CA on disk: private, whole or not there, shared by processes that issue, revoke and answer at once."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from certtools.authority import Authority, AuthorityError
from certtools.ca_dir import CaDir, CaDirError, found, issuer_id
from certtools.ca_dir.errors import explained
from certtools.ca_dir.files import write_new, write_together
from certtools.ca_dir.register import PAGE, SCHEMA_VERSION
from certtools.chain import load_certificates
from certtools.keys import generate_key, key_to_pem, load_key

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from certtools.authority import Issued

Reason = x509.ReasonFlags
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the CA directory is made: the folder `ca` in what stands for `mustaple issue --out d`."""
    (tmp_path / "d").mkdir()
    return tmp_path / "d" / "ca"


@pytest.fixture
def ca(folder: Path, intermediate: Authority) -> Iterator[CaDir]:
    with CaDir.create(folder, intermediate, {"ocsp_url": "http://127.0.0.1:2560"}) as made:
        yield made


@pytest.fixture
def issued(ca: CaDir) -> Issued:
    """A certificate in the register."""
    leaf = ca.issuing.leaf(["localhost"])
    ca.record(leaf.certificate)
    return leaf


def tree(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# making and opening


def test_a_new_directory_holds_the_cas_with_their_keys(
    ca: CaDir, folder: Path, root: Authority, intermediate: Authority
) -> None:
    for path in (folder, folder.parent):
        with CaDir.open(path) as again:
            assert [each.certificate for each in again.issuers()] == [root.certificate, intermediate.certificate]
            assert [each.key.public_key() for each in again.issuers()] == [
                root.certificate.public_key(),
                intermediate.certificate.public_key(),
            ]
            assert again.issuing.parent == again.issuers()[0]
            assert again.issuers() is again.issuers(), "keys are read once"
            assert again.setting("ocsp_url") == "http://127.0.0.1:2560"
    assert ca.status(root.certificate, intermediate.certificate.serial_number) is not None
    assert not list(ca.entries(root.certificate))


@pytest.mark.parametrize("depth", [-1, 11])
def test_a_chain_has_a_sensible_depth(at: datetime, depth: int) -> None:
    with pytest.raises(AuthorityError, match="0 to 10 intermediates"):
        found(not_before=at, not_after=at + DAY, depth=depth)
    assert len(found(not_before=at, not_after=at + DAY, depth=10).path) == 11


def test_keys_are_private_from_the_start(ca: CaDir, folder: Path, at: datetime) -> None:
    ca.delegate(ca.issuing, at)
    assert mode(folder) == 0o700
    private = {path.name for path in folder.iterdir() if mode(path) == 0o600}
    names = [issuer_id(each.certificate) for each in ca.issuers()]
    assert private >= {f"{name}.key.pem" for name in names} | {f"{names[-1]}.signer.pem", "register.sqlite"}
    assert {path.name for path in folder.iterdir()} - private == {f"{name}.pem" for name in names}


def test_a_directory_that_is_there_is_never_made_anew(ca: CaDir, folder: Path, rogue: Authority) -> None:
    before = sorted(folder.parent.iterdir())
    with pytest.raises(CaDirError, match=r"something at .* already"):
        CaDir.create(folder, rogue)
    assert sorted(folder.parent.iterdir()) == before
    assert ca.issuing.certificate != rogue.certificate


def test_nothing_is_left_of_a_directory_that_could_not_be_made(folder: Path, root: Authority) -> None:
    twin = Authority(root.certificate, root.key, root)  # entered twice, which the register refuses
    with pytest.raises(CaDirError, match="cannot be used"):
        CaDir.create(folder, twin)
    assert list(folder.parent.iterdir()) == []
    with pytest.raises(CaDirError, match="No such file or directory"):
        CaDir.create(folder / "deeper" / "ca", root)


def test_what_is_no_ca_directory_is_said_so(tmp_path: Path, folder: Path) -> None:
    file = tmp_path / "file"
    file.write_text("hello")
    for path in (tmp_path, folder, file, file / "below"):
        with pytest.raises(CaDirError, match=r"is not a CA directory: there is no register\.sqlite"):
            CaDir.open(path)


def test_a_register_of_another_time_or_program_is_refused(ca: CaDir, folder: Path) -> None:
    ca.close()
    for version, why in ((SCHEMA_VERSION + 1, "a newer mustaple made it"), (0, "another program's database")):
        with closing(sqlite3.connect(folder / "register.sqlite")) as database:
            database.execute(f"PRAGMA user_version = {version}")
        with pytest.raises(CaDirError, match=why):
            CaDir.open(folder)


def test_a_damaged_register_is_said_so(ca: CaDir, folder: Path) -> None:
    ca.close()
    (folder / "register.sqlite").write_bytes(b"garbage " * 1000)
    with pytest.raises(CaDirError, match="is damaged: file is not a database"):
        CaDir.open(folder)


def test_a_register_without_a_ca_is_said_so(ca: CaDir, folder: Path) -> None:
    with closing(sqlite3.connect(folder / "register.sqlite")) as database, database:
        database.execute("DELETE FROM issuer")
    with pytest.raises(CaDirError, match="names no CA"):
        ca.issuers()


def test_a_key_that_is_missing_damaged_or_anothers_is_said_so(ca: CaDir, folder: Path, root: Authority) -> None:
    path = folder / f"{issuer_id(root.certificate)}.key.pem"
    path.write_bytes(key_to_pem(generate_key()))
    with pytest.raises(CaDirError, match="is not the private key of CN=test root"):
        ca.issuers()
    path.write_bytes(b"garbage")
    with pytest.raises(CaDirError, match=r"key\.pem is damaged: There is no readable PEM"):
        ca.issuers()
    path.unlink()
    with pytest.raises(CaDirError, match=r"No such file or directory: .*key\.pem"):
        ca.issuers()


# issuing and revoking


def test_a_recorded_certificate_is_good_until_it_is_revoked(ca: CaDir, issued: Issued, at: datetime) -> None:
    serial = issued.certificate.serial_number
    assert serial.bit_length() > 64
    entry = ca.status(ca.issuing.certificate, serial)
    assert entry is not None
    assert (entry.serial_number, entry.subject, entry.revoked) == (serial, "CN=localhost", False)
    assert entry.certificate == issued.certificate
    assert entry.not_after == issued.certificate.not_valid_after_utc
    after = ca.revoke(issued.certificate, Reason.key_compromise, at)
    assert after == ca.status(ca.issuing.certificate, serial)
    assert (after.revoked, after.reason, after.revocation_time) == (True, Reason.key_compromise, at)
    assert list(ca.entries(ca.issuing.certificate)) == [after]


def test_a_serial_number_is_one_issuers(ca: CaDir, issued: Issued, root: Authority) -> None:
    serial = issued.certificate.serial_number
    assert ca.status(root.certificate, serial) is None
    assert ca.status(ca.issuing.certificate, serial ^ 1) is None
    assert ca.status(b"\0" * 32, serial) is None


def test_a_certificate_is_recorded_once_and_only_if_a_ca_here_signed_it(
    ca: CaDir, issued: Issued, rogue: Authority, root: Authority
) -> None:
    with pytest.raises(CaDirError, match=r"gave out serial number [0-9a-f]{30,} before"):
        ca.record(issued.certificate)
    for stranger in (rogue.leaf(["a"]).certificate, root.certificate):
        with pytest.raises(CaDirError, match=r"No CA in .* signed"):
            ca.record(stranger)


def test_revoking_again_keeps_the_first_time_and_reason(ca: CaDir, issued: Issued, at: datetime) -> None:
    first = ca.revoke(issued.certificate, Reason.superseded, at)
    for reason in (Reason.superseded, Reason.key_compromise, Reason.certificate_hold, None):
        assert ca.revoke(issued.certificate, reason, at + DAY) == first


def test_a_hold_can_be_lifted_or_made_final(ca: CaDir, issued: Issued, at: datetime) -> None:
    def revoke(reason: x509.ReasonFlags | None, later: timedelta = DAY) -> tuple[object, object]:
        entry = ca.revoke(issued.certificate, reason, at + later)
        return entry.reason, entry.revocation_time

    assert revoke(Reason.certificate_hold) == (Reason.certificate_hold, at + DAY)
    assert revoke(Reason.certificate_hold, 2 * DAY) == (Reason.certificate_hold, at + DAY)
    assert revoke(Reason.remove_from_crl) == (None, None)
    assert revoke(Reason.certificate_hold, 3 * DAY) == (Reason.certificate_hold, at + 3 * DAY)
    assert revoke(Reason.key_compromise, 4 * DAY) == (Reason.key_compromise, at + 3 * DAY)
    with pytest.raises(CaDirError, match="CN=localhost is not on hold, and only a hold can be lifted"):
        revoke(Reason.remove_from_crl)


def test_what_is_good_cannot_be_lifted(ca: CaDir, issued: Issued, at: datetime) -> None:
    with pytest.raises(CaDirError, match="only a hold can be lifted"):
        ca.revoke(issued.certificate, Reason.remove_from_crl, at)


def test_a_reason_may_be_left_out(ca: CaDir, issued: Issued, at: datetime) -> None:
    entry = ca.revoke(issued.certificate, None, at)
    assert (entry.revoked, entry.reason, entry.on_hold) == (True, None, False)


def test_only_what_was_issued_here_can_be_revoked(
    ca: CaDir, issued: Issued, intermediate: Authority, at: datetime
) -> None:
    serial = issued.certificate.serial_number
    with pytest.raises(CaDirError, match=r"No CA in .* issued serial number 63"):
        ca.revoke(0x63, None, at)
    same_serial = intermediate.leaf(["localhost"], serial_number=serial).certificate
    with pytest.raises(CaDirError, match=r"No CA in .* issued CN=localhost"):
        ca.revoke(same_serial, None, at)
    assert ca.revoke(serial, None, at).revoked


def test_a_serial_number_of_several_cas_is_not_guessed(ca: CaDir, at: datetime) -> None:
    for each in ca.issuers():
        ca.record(each.leaf(["a"], serial_number=7).certificate)
    with pytest.raises(CaDirError, match="Several CAs here gave out serial number 7; name the certificate file"):
        ca.revoke(7, None, at)
    assert not list(ca.entries(ca.issuing.certificate))


def test_entries_are_streamed_in_pages(ca: CaDir, at: datetime, issued: Issued) -> None:
    fingerprint = ca.status(ca.issuing.certificate, issued.certificate.serial_number)
    assert fingerprint is not None
    many = 2 * PAGE + 1
    with closing(sqlite3.connect(ca.path / "register.sqlite")) as database, database:
        database.executemany(
            "INSERT INTO certificate (issuer, serial, subject, not_after, der, revoked_at) VALUES (?, ?, '', 0, '', ?)",
            [
                (fingerprint.issuer, f"{number:x}", int(at.timestamp()) if number % 2 else None)
                for number in range(many)
            ],
        )
    streamed = ca.entries(ca.issuing.certificate)
    assert next(streamed).serial_number == 1
    ca.revoke(issued.certificate, None, at)  # no reader is in the way
    assert [each.serial_number for each in streamed] == list(range(3, many, 2))
    assert len(list(ca.entries(ca.issuing.certificate, revoked=False))) == many + 1


def test_crl_numbers_rise_for_everybody(ca: CaDir, folder: Path, root: Authority) -> None:
    with CaDir.open(folder) as other:
        numbers = [each.next_crl_number(ca.issuing.certificate) for each in (ca, other, ca, other)]
    assert numbers == [1, 2, 3, 4]
    assert ca.next_crl_number(root.certificate) == 1
    with pytest.raises(CaDirError, match="no issuer 0000"):
        ca.next_crl_number(b"\0" * 32)


def test_settings_are_kept(ca: CaDir, folder: Path) -> None:
    ca.set_setting("crl_url", "http://127.0.0.1/a.crl")
    ca.set_setting("ocsp_url", None)
    with CaDir.open(folder) as again:
        assert (again.setting("crl_url"), again.setting("ocsp_url")) == ("http://127.0.0.1/a.crl", None)


# the delegated signer


def test_a_signer_is_kept_until_half_its_life_is_left(ca: CaDir, folder: Path, at: datetime) -> None:
    signer = ca.delegate(ca.issuing, at)
    with CaDir.open(folder) as other:
        assert other.delegate(other.issuing, at).certificate == signer.certificate
        assert other.delegate(other.issuing, at + 6 * DAY).key.public_key() == signer.certificate.public_key()
        renewed = other.delegate(other.issuing, at + 8 * DAY)
    assert renewed.certificate != signer.certificate
    assert ca.delegate(ca.issuing, at + 8 * DAY).certificate == renewed.certificate
    assert ca.delegate(ca.issuing, at).certificate not in {signer.certificate, renewed.certificate}, "not valid yet"
    assert ca.status(ca.issuing.certificate, renewed.certificate.serial_number) is not None
    assert renewed.chain[1:] == ca.issuing.path


def test_a_signer_lasts_as_long_as_its_issuer_and_is_not_renewed_for_that(folder: Path, at: datetime) -> None:
    root = Authority.root("short", not_before=at - DAY, not_after=at + DAY)
    with CaDir.create(folder, root) as ca:
        signer = ca.delegate(ca.issuing, at)
        assert signer.certificate.not_valid_after_utc == at + DAY
        assert ca.delegate(ca.issuing, at + 23 * HOUR).certificate == signer.certificate
        with pytest.raises(CaDirError, match="No OCSP signer can be made for CN=short"):
            ca.delegate(ca.issuing, at + 2 * DAY)


@pytest.mark.parametrize("spoil", ["garbage", "key", "stranger"])
def test_a_signer_that_cannot_serve_is_made_anew(ca: CaDir, at: datetime, rogue: Authority, spoil: str) -> None:
    signer = ca.delegate(ca.issuing, at)
    path = ca.path / f"{issuer_id(ca.issuing.certificate)}.signer.pem"
    certificates = load_certificates(path.read_bytes())
    assert load_key(path.read_bytes()).public_key() == certificates[0].public_key()
    stranger = rogue.ocsp_signer(not_before=at)
    path.write_bytes(
        {
            "garbage": b"garbage",
            "key": key_to_pem(generate_key()) + signer.chain_pem(),
            "stranger": stranger.key_pem() + stranger.chain_pem(),
        }[spoil]
    )
    anew = ca.delegate(ca.issuing, at)
    assert anew.certificate != signer.certificate
    assert anew.certificate.issuer == ca.issuing.certificate.subject
    assert ca.delegate(ca.issuing, at).certificate == anew.certificate


# several at once


def test_another_process_s_change_is_seen_at_once(ca: CaDir, folder: Path, issued: Issued, at: datetime) -> None:
    with CaDir.open(folder) as other:
        before = ca.data_version(), other.data_version()
        assert (ca.data_version(), other.data_version()) == before
        other.revoke(issued.certificate, None, at)
        after = ca.data_version(), other.data_version()
        assert after[0] != before[0]
        assert after[1] != before[1], "its own writes count"
    entry = ca.status(ca.issuing.certificate, issued.certificate.serial_number)
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


def test_processes_issue_and_revoke_at_once_and_lose_nothing(ca: CaDir, folder: Path) -> None:
    workers, each = 3, 20
    command = [sys.executable, "-W", "error", "-c", WORKER, str(folder), str(each)]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(workers)
    ]
    said = [process.communicate(timeout=60) for process in running]
    assert [process.returncode for process in running] == [0] * workers, said
    lines = [line.split() for out, _ in said for line in out.splitlines()]
    assert sorted(int(number) for number, _ in lines) == list(range(1, workers * each + 1))
    assert len({signer for _, signer in lines}) == 1, "they share one delegate"
    assert len(list(ca.entries(ca.issuing.certificate))) == workers * each


def test_threads_share_one_ca_directory(ca: CaDir, at: datetime) -> None:
    def work(number: int) -> bool:
        leaf = ca.issuing.leaf([f"host-{number}.example"]).certificate
        ca.record(leaf)
        ca.revoke(leaf, None, at)
        entry = ca.status(ca.issuing.certificate, leaf.serial_number)
        return entry is not None and entry.revoked

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(64)))
    assert len(list(ca.entries(ca.issuing.certificate))) == 64


def test_a_locked_register_is_said_so_and_can_still_be_read(ca: CaDir, folder: Path, issued: Issued) -> None:
    ca.close()
    with closing(sqlite3.connect(folder / "register.sqlite", isolation_level=None)) as greedy:
        greedy.execute("BEGIN IMMEDIATE")
        with CaDir.open(folder, timeout=0.05) as patient:
            with pytest.raises(CaDirError, match="locked by another process; try again when that has ended"):
                patient.record(patient.issuing.leaf(["a"]).certificate)
            assert patient.status(patient.issuing.certificate, issued.certificate.serial_number) is not None
            greedy.execute("ROLLBACK")
            patient.record(patient.issuing.leaf(["a"]).certificate)


def test_a_write_that_fails_leaves_nothing(ca: CaDir, issued: Issued, at: datetime) -> None:
    """The signer's file cannot be written, so the register has no entry of it either."""
    before = len(list(ca.entries(ca.issuing.certificate, revoked=False)))
    (ca.path / f"{issuer_id(ca.issuing.certificate)}.signer.pem").mkdir()
    with pytest.raises(CaDirError, match="cannot be used: Is a directory"):
        ca.delegate(ca.issuing, at)
    assert len(list(ca.entries(ca.issuing.certificate, revoked=False))) == before
    assert not [path for path in ca.path.iterdir() if path.name.startswith(".")]
    assert ca.revoke(issued.certificate, None, at).revoked, "no transaction is left open"


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


@pytest.mark.peer("unshare", "mount")
@pytest.mark.parametrize("live", [False, True], ids=["nobody writes", "a writer has it open"])
def test_a_read_only_directory_can_be_read_and_changes_are_seen(
    ca: CaDir, folder: Path, issued: Issued, at: datetime, live: bool
) -> None:
    namespace = ["unshare", "--map-root-user", "--mount"]
    if subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this kernel or container lets nobody make a mount namespace")
    if not live:
        ca.close()
    mounted = f'mount --bind {folder} {folder} && mount -o remount,ro,bind {folder} && exec "$@"'
    reader = [sys.executable, "-W", "error", "-c", READER, str(folder), str(issued.certificate.serial_number)]
    process = subprocess.Popen(
        [*namespace, "sh", "-c", mounted, "_", *reader],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    said = [process.stdout.readline().strip() for _ in range(3)]
    # The writer sees the same folder without the read-only mount.
    with CaDir.open(folder) as writer:
        writer.revoke(issued.certificate, None, at)
    rest, complaints = process.communicate("\n", timeout=60)
    assert said == ["True False", f"The register {folder}/register.sqlite is read-only here.", "ready"], complaints
    assert rest.strip() == "True True", complaints


def test_a_directory_known_to_be_read_only_is_read_and_never_written(
    ca: CaDir, folder: Path, issued: Issued, at: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What the system says of a read-only mount; root cannot be kept out by the mode.
    monkeypatch.setattr(os, "access", lambda _path, right: right != os.W_OK)
    with CaDir.open(folder) as reader:
        assert reader.read_only
        assert reader.status(reader.issuing.certificate, issued.certificate.serial_number) is not None
        with pytest.raises(CaDirError, match="is read-only here"):
            reader.revoke(issued.certificate, None, at)
        signer = reader.delegate(reader.issuing, at)
        assert reader.delegate(reader.issuing, at).certificate == signer.certificate
        assert reader.delegate(reader.issuing, at + 13 * DAY).certificate != signer.certificate
    assert not [path for path in folder.iterdir() if "signer" in path.name]
    assert ca.status(ca.issuing.certificate, signer.certificate.serial_number) is None


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("INSERT INTO setting VALUES ('a', 'b')", "is read-only here"),
        ("PRAGMA max_page_count = 1; INSERT INTO setting VALUES ('a', zeroblob(99999))", "no room left"),
        ("SELECT never", "cannot be used: no such column: never"),
    ],
)
def test_what_sqlite_says_becomes_one_sentence(ca: CaDir, statement: str, said: str) -> None:
    path = ca.path / "register.sqlite"
    mode = "ro" if "read-only" in said else "rw"

    def work() -> None:
        with explained(path), closing(sqlite3.connect(f"file:{path}?mode={mode}", uri=True)) as database:
            for each in statement.split("; "):
                database.execute(each)

    with pytest.raises(CaDirError, match=f"^The(re is)? .*{said}"):
        work()


def test_a_directory_without_the_right_to_write_is_read_only(ca: CaDir, folder: Path) -> None:
    """Root may write in spite of the mode, so this says what the system says of the right to write."""
    (folder / "register.sqlite").chmod(0o400)
    with CaDir.open(folder) as again:
        assert again.read_only is not os.access(folder / "register.sqlite", os.W_OK)
    assert not ca.read_only


# files


def test_files_are_written_together_or_not_at_all(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    write_together({one: (b"1", 0o600), two: (b"2", 0o644)}, replace=False)
    assert (one.read_bytes(), two.read_bytes()) == (b"1", b"2")
    assert (mode(one), mode(two) & 0o700) == (0o600, 0o600)
    one.unlink()
    with pytest.raises(FileExistsError):
        write_together({one: (b"3", 0o600), two: (b"4", 0o600)}, replace=False)
    assert not one.exists()
    assert two.read_bytes() == b"2"
    write_together({one: (b"3", 0o600), two: (b"4", 0o600)}, replace=True)
    assert (one.read_bytes(), two.read_bytes()) == (b"3", b"4")
    assert {path.name for path in tmp_path.iterdir()} == {"one", "two"}


def test_a_folder_that_is_not_there_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_together({tmp_path / "one": (b"1", 0o600), tmp_path / "no" / "two": (b"2", 0o600)}, replace=True)
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_hard_links_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    one = tmp_path / "one"
    write_together({one: (b"1", 0o600)}, replace=False)
    with pytest.raises(FileExistsError):
        write_together({one: (b"2", 0o600)}, replace=False)
    assert tree(tmp_path) == {"one": b"1"}


def test_a_new_file_is_never_an_old_one(tmp_path: Path) -> None:
    write_new(tmp_path / "key", b"secret")
    with pytest.raises(FileExistsError):
        write_new(tmp_path / "key", b"other")
    assert (tmp_path / "key").read_bytes() == b"secret"
    assert mode(tmp_path / "key") == 0o600

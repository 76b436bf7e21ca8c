"""A CA on disk: private, whole or not there, shared by processes that issue, revoke and answer at once."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from certtools.authority import Authority, AuthorityError
from certtools.ca_dir import CaDir, CaDirError, found, issuer_id
from certtools.ca_dir.register import PAGE, SCHEMA_VERSION
from certtools.chain import load_certificates
from certtools.keys import generate_key, key_to_pem, load_key

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from certtools.authority import Issued

Reason = x509.ReasonFlags
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# making and opening


def test_a_new_directory_holds_the_cas_with_their_keys(
    ca_dir: CaDir, ca_folder: Path, root: Authority, intermediate: Authority
) -> None:
    for path in (ca_folder, ca_folder.parent):
        with CaDir.open(path) as again:
            assert [each.certificate for each in again.issuers()] == [root.certificate, intermediate.certificate]
            assert [each.key.public_key() for each in again.issuers()] == [
                root.certificate.public_key(),
                intermediate.certificate.public_key(),
            ]
            assert again.issuing.parent == again.issuers()[0]
            assert again.issuers() is again.issuers(), "keys are read once"
            assert again.setting("ocsp_url") == "http://127.0.0.1:2560"
    assert ca_dir.status(root.certificate, intermediate.certificate.serial_number) is not None
    assert not list(ca_dir.entries(root.certificate))


@pytest.mark.parametrize("depth", [-1, 11])
def test_a_chain_has_a_sensible_depth(at: datetime, depth: int) -> None:
    with pytest.raises(AuthorityError, match="0 to 10 intermediates"):
        found(not_before=at, not_after=at + DAY, depth=depth)
    assert len(found(not_before=at, not_after=at + DAY, depth=10).path) == 11


def test_keys_are_private_from_the_start(ca_dir: CaDir, ca_folder: Path, at: datetime) -> None:
    ca_dir.delegate(ca_dir.issuing, at)
    assert mode(ca_folder) == 0o700
    private = {path.name for path in ca_folder.iterdir() if mode(path) == 0o600}
    names = [issuer_id(each.certificate) for each in ca_dir.issuers()]
    assert private >= {f"{name}.key.pem" for name in names} | {f"{names[-1]}.signer.pem", "register.sqlite"}
    assert {path.name for path in ca_folder.iterdir()} - private == {f"{name}.pem" for name in names}


def test_a_directory_that_is_there_is_never_made_anew(ca_dir: CaDir, ca_folder: Path, rogue: Authority) -> None:
    before = sorted(ca_folder.parent.iterdir())
    with pytest.raises(CaDirError, match=r"something at .* already"):
        CaDir.create(ca_folder, rogue)
    assert sorted(ca_folder.parent.iterdir()) == before
    assert ca_dir.issuing.certificate != rogue.certificate


def test_nothing_is_left_of_a_directory_that_could_not_be_made(ca_folder: Path, root: Authority) -> None:
    twin = Authority(root.certificate, root.key, root)  # entered twice, which the register refuses
    with pytest.raises(CaDirError, match="cannot be used"):
        CaDir.create(ca_folder, twin)
    assert list(ca_folder.parent.iterdir()) == []
    with pytest.raises(CaDirError, match="No such file or directory"):
        CaDir.create(ca_folder / "deeper" / "ca", root)


def test_what_is_no_ca_directory_is_said_so(tmp_path: Path, ca_folder: Path) -> None:
    file = tmp_path / "file"
    file.write_text("hello")
    for path in (tmp_path, ca_folder, file, file / "below"):
        with pytest.raises(CaDirError, match=r"is not a CA directory: there is no register\.sqlite"):
            CaDir.open(path)


def test_a_register_of_another_time_or_program_is_refused(ca_dir: CaDir, ca_folder: Path) -> None:
    ca_dir.close()
    for version, why in ((SCHEMA_VERSION + 1, "a newer mustaple made it"), (0, "another program's database")):
        with closing(sqlite3.connect(ca_folder / "register.sqlite")) as database:
            database.execute(f"PRAGMA user_version = {version}")
        with pytest.raises(CaDirError, match=why):
            CaDir.open(ca_folder)


def test_a_damaged_register_is_said_so(ca_dir: CaDir, ca_folder: Path) -> None:
    ca_dir.close()
    (ca_folder / "register.sqlite").write_bytes(b"garbage " * 1000)
    with pytest.raises(CaDirError, match="is damaged: file is not a database"):
        CaDir.open(ca_folder)


def test_a_register_without_a_ca_is_said_so(ca_dir: CaDir, ca_folder: Path) -> None:
    with closing(sqlite3.connect(ca_folder / "register.sqlite")) as database, database:
        database.execute("DELETE FROM issuer")
    with pytest.raises(CaDirError, match="names no CA"):
        ca_dir.issuers()


def test_a_key_that_is_missing_damaged_or_anothers_is_said_so(ca_dir: CaDir, ca_folder: Path, root: Authority) -> None:
    path = ca_folder / f"{issuer_id(root.certificate)}.key.pem"
    path.write_bytes(key_to_pem(generate_key()))
    with pytest.raises(CaDirError, match="is not the private key of CN=test root"):
        ca_dir.issuers()
    path.write_bytes(b"garbage")
    with pytest.raises(CaDirError, match=r"key\.pem is damaged: There is no readable PEM"):
        ca_dir.issuers()
    path.unlink()
    with pytest.raises(CaDirError, match=r"No such file or directory: .*key\.pem"):
        ca_dir.issuers()


# issuing and revoking


def test_a_recorded_certificate_is_good_until_it_is_revoked(ca_dir: CaDir, recorded: Issued, at: datetime) -> None:
    serial = recorded.certificate.serial_number
    assert serial.bit_length() > 64
    entry = ca_dir.status(ca_dir.issuing.certificate, serial)
    assert entry is not None
    assert (entry.serial_number, entry.subject, entry.revoked) == (serial, "CN=localhost", False)
    assert entry.certificate == recorded.certificate
    assert entry.not_after == recorded.certificate.not_valid_after_utc
    after = ca_dir.revoke(recorded.certificate, Reason.key_compromise, at)
    assert after == ca_dir.status(ca_dir.issuing.certificate, serial)
    assert (after.revoked, after.reason, after.revocation_time) == (True, Reason.key_compromise, at)
    assert list(ca_dir.entries(ca_dir.issuing.certificate)) == [after]


def test_a_serial_number_is_one_issuers(ca_dir: CaDir, recorded: Issued, root: Authority) -> None:
    serial = recorded.certificate.serial_number
    assert ca_dir.status(root.certificate, serial) is None
    assert ca_dir.status(ca_dir.issuing.certificate, serial ^ 1) is None
    assert ca_dir.status(b"\0" * 32, serial) is None


def test_a_certificate_is_recorded_once_and_only_if_a_ca_here_signed_it(
    ca_dir: CaDir, recorded: Issued, rogue: Authority, root: Authority
) -> None:
    with pytest.raises(CaDirError, match=r"gave out serial number [0-9a-f]{30,} before"):
        ca_dir.record(recorded.certificate)
    for stranger in (rogue.leaf(["a"]).certificate, root.certificate):
        with pytest.raises(CaDirError, match=r"No CA in .* signed"):
            ca_dir.record(stranger)


def test_revoking_again_keeps_the_first_time_and_reason(ca_dir: CaDir, recorded: Issued, at: datetime) -> None:
    first = ca_dir.revoke(recorded.certificate, Reason.superseded, at)
    for reason in (Reason.superseded, Reason.key_compromise, Reason.certificate_hold, None):
        assert ca_dir.revoke(recorded.certificate, reason, at + DAY) == first


def test_a_hold_can_be_lifted_or_made_final(ca_dir: CaDir, recorded: Issued, at: datetime) -> None:
    def revoke(reason: x509.ReasonFlags | None, later: timedelta = DAY) -> tuple[object, object]:
        entry = ca_dir.revoke(recorded.certificate, reason, at + later)
        return entry.reason, entry.revocation_time

    assert revoke(Reason.certificate_hold) == (Reason.certificate_hold, at + DAY)
    assert revoke(Reason.certificate_hold, 2 * DAY) == (Reason.certificate_hold, at + DAY)
    assert revoke(Reason.remove_from_crl) == (None, None)
    assert revoke(Reason.certificate_hold, 3 * DAY) == (Reason.certificate_hold, at + 3 * DAY)
    assert revoke(Reason.key_compromise, 4 * DAY) == (Reason.key_compromise, at + 3 * DAY)
    with pytest.raises(CaDirError, match="CN=localhost is not on hold, and only a hold can be lifted"):
        revoke(Reason.remove_from_crl)


def test_what_is_good_cannot_be_lifted(ca_dir: CaDir, recorded: Issued, at: datetime) -> None:
    with pytest.raises(CaDirError, match="only a hold can be lifted"):
        ca_dir.revoke(recorded.certificate, Reason.remove_from_crl, at)


def test_a_reason_may_be_left_out(ca_dir: CaDir, recorded: Issued, at: datetime) -> None:
    entry = ca_dir.revoke(recorded.certificate, None, at)
    assert (entry.revoked, entry.reason, entry.on_hold) == (True, None, False)


def test_only_what_was_issued_here_can_be_revoked(
    ca_dir: CaDir, recorded: Issued, intermediate: Authority, at: datetime
) -> None:
    serial = recorded.certificate.serial_number
    with pytest.raises(CaDirError, match=r"No CA in .* issued serial number 63"):
        ca_dir.revoke(0x63, None, at)
    same_serial = intermediate.leaf(["localhost"], serial_number=serial).certificate
    with pytest.raises(CaDirError, match=r"No CA in .* issued CN=localhost"):
        ca_dir.revoke(same_serial, None, at)
    assert ca_dir.revoke(serial, None, at).revoked


def test_a_serial_number_of_several_cas_is_not_guessed(ca_dir: CaDir, at: datetime) -> None:
    for each in ca_dir.issuers():
        ca_dir.record(each.leaf(["a"], serial_number=7).certificate)
    with pytest.raises(CaDirError, match="Several CAs here gave out serial number 7; name the certificate file"):
        ca_dir.revoke(7, None, at)
    assert not list(ca_dir.entries(ca_dir.issuing.certificate))


def test_entries_are_streamed_in_pages(ca_dir: CaDir, at: datetime, recorded: Issued) -> None:
    fingerprint = ca_dir.status(ca_dir.issuing.certificate, recorded.certificate.serial_number)
    assert fingerprint is not None
    many = 2 * PAGE + 1
    with closing(sqlite3.connect(ca_dir.path / "register.sqlite")) as database, database:
        database.executemany(
            "INSERT INTO certificate (issuer, serial, subject, not_after, der, revoked_at) VALUES (?, ?, '', 0, '', ?)",
            [
                (fingerprint.issuer, f"{number:x}", int(at.timestamp()) if number % 2 else None)
                for number in range(many)
            ],
        )
    streamed = ca_dir.entries(ca_dir.issuing.certificate)
    assert next(streamed).serial_number == 1
    ca_dir.revoke(recorded.certificate, None, at)  # no reader is in the way
    assert [each.serial_number for each in streamed] == list(range(3, many, 2))
    assert len(list(ca_dir.entries(ca_dir.issuing.certificate, revoked=False))) == many + 1


def test_crl_numbers_rise_for_everybody(ca_dir: CaDir, ca_folder: Path, root: Authority) -> None:
    with CaDir.open(ca_folder) as other:
        numbers = [each.next_crl_number(ca_dir.issuing.certificate) for each in (ca_dir, other, ca_dir, other)]
    assert numbers == [1, 2, 3, 4]
    assert ca_dir.next_crl_number(root.certificate) == 1
    with pytest.raises(CaDirError, match="no issuer 0000"):
        ca_dir.next_crl_number(b"\0" * 32)


def test_settings_are_kept(ca_dir: CaDir, ca_folder: Path) -> None:
    ca_dir.set_setting("crl_url", "http://127.0.0.1/a.crl")
    ca_dir.set_setting("ocsp_url", None)
    with CaDir.open(ca_folder) as again:
        assert (again.setting("crl_url"), again.setting("ocsp_url")) == ("http://127.0.0.1/a.crl", None)


# the delegated signer


def test_a_signer_is_kept_until_half_its_life_is_left(ca_dir: CaDir, ca_folder: Path, at: datetime) -> None:
    signer = ca_dir.delegate(ca_dir.issuing, at)
    with CaDir.open(ca_folder) as other:
        assert other.delegate(other.issuing, at).certificate == signer.certificate
        assert other.delegate(other.issuing, at + 6 * DAY).key.public_key() == signer.certificate.public_key()
        renewed = other.delegate(other.issuing, at + 8 * DAY)
    assert renewed.certificate != signer.certificate
    assert ca_dir.delegate(ca_dir.issuing, at + 8 * DAY).certificate == renewed.certificate
    assert ca_dir.delegate(ca_dir.issuing, at).certificate not in {signer.certificate, renewed.certificate}, (
        "not valid yet"
    )
    assert ca_dir.status(ca_dir.issuing.certificate, renewed.certificate.serial_number) is not None
    assert renewed.chain[1:] == ca_dir.issuing.path


def test_a_signer_lasts_as_long_as_its_issuer_and_is_not_renewed_for_that(ca_folder: Path, at: datetime) -> None:
    root = Authority.root("short", not_before=at - DAY, not_after=at + DAY)
    with CaDir.create(ca_folder, root) as ca_dir:
        signer = ca_dir.delegate(ca_dir.issuing, at)
        assert signer.certificate.not_valid_after_utc == at + DAY
        assert ca_dir.delegate(ca_dir.issuing, at + 23 * HOUR).certificate == signer.certificate
        with pytest.raises(CaDirError, match="No OCSP signer can be made for CN=short"):
            ca_dir.delegate(ca_dir.issuing, at + 2 * DAY)


@pytest.mark.parametrize("spoil", ["garbage", "key", "stranger"])
def test_a_signer_that_cannot_serve_is_made_anew(ca_dir: CaDir, at: datetime, rogue: Authority, spoil: str) -> None:
    signer = ca_dir.delegate(ca_dir.issuing, at)
    path = ca_dir.path / f"{issuer_id(ca_dir.issuing.certificate)}.signer.pem"
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
    anew = ca_dir.delegate(ca_dir.issuing, at)
    assert anew.certificate != signer.certificate
    assert anew.certificate.issuer == ca_dir.issuing.certificate.subject
    assert ca_dir.delegate(ca_dir.issuing, at).certificate == anew.certificate

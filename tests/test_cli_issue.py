"""Issue, csr and revoke from the command line: what they write, that it is whole or not there, and what they refuse."""

from __future__ import annotations

import json
import sqlite3
import stat
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from certtools import build_chain, load_certificates, load_key, must_staple_csr, ocsp_urls, read_features
from certtools.ca_dir import CaDir, issuer_id
from certtools.extensions import crl_urls, find_extension
from certtools.keys import available_kinds, generate_key
from mustaple.cli import delivery
from mustaple.cli.app import run
from mustaple.cli.issuing import KEY_KINDS, folder_for

if TYPE_CHECKING:
    from collections.abc import Callable


class Said(NamedTuple):
    """What a command said and how it ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def mustaple(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Run the command line in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str | Path) -> Said:
        code = run([str(each) for each in arguments])
        return Said(code, *capfd.readouterr())

    return call


@pytest.fixture
def made(mustaple: Callable[..., Said], tmp_path: Path) -> Path:
    """The folder of `mustaple issue localhost --out d`."""
    accepted(mustaple("issue", "localhost", "--out", "d"))
    return tmp_path / "d"


def accepted(said: Said) -> Said:
    assert said.code == 0, said.err
    return said


def refused(said: Said, why: str) -> None:
    assert said.code == 2, said
    assert why in said.err
    assert len(said.err.splitlines()) == 1, "one line"
    assert not said.out


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below, with its bytes, without SQLite's shared memory."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(("-shm", "-wal")))
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def chain_of(folder: Path) -> list[x509.Certificate]:
    return load_certificates((folder / "chain.pem").read_bytes())


def names_of(certificate: x509.Certificate) -> list[str]:
    return [str(name.value) for name in find_extension(certificate, x509.SubjectAlternativeName) or ()]


# issue


def test_one_command_gives_all_a_server_needs(mustaple: Callable[..., Said], tmp_path: Path) -> None:
    said = accepted(mustaple("issue", "localhost", "127.0.0.1", "--out", "d"))
    folder = tmp_path / "d"
    leaf, intermediate = chain_of(folder)
    (root,) = load_certificates((folder / "root.pem").read_bytes())
    chain = build_chain([leaf, intermediate], anchors=[root], complete=True)
    assert chain.certificates == (leaf, intermediate, root)
    assert load_key((folder / "key.pem").read_bytes()).public_key() == leaf.public_key()
    assert stat.S_IMODE((folder / "key.pem").stat().st_mode) == 0o600
    assert read_features(leaf) == (5,)
    assert names_of(leaf) == ["localhost", "127.0.0.1"]
    assert ocsp_urls(leaf) == ocsp_urls(intermediate) == ("http://127.0.0.1:2560",)
    assert crl_urls(leaf) == (f"http://127.0.0.1:2560/crl/{issuer_id(intermediate)}.crl",)
    assert crl_urls(intermediate) == (f"http://127.0.0.1:2560/crl/{issuer_id(root)}.crl",)
    with CaDir.open(folder) as ca:
        assert ca.find(leaf).subject == "CN=localhost"
        assert ca.setting("ocsp_url") == "http://127.0.0.1:2560"
        assert ca.setting("crl_url") == "http://127.0.0.1:2560/crl/{ca}.crl"
    assert [line.split()[0] for line in said.out.splitlines()] == ["d/root.pem", "d/chain.pem", "d/key.pem", "d/ca"]
    assert "must-staple [5]" in said.out
    assert not said.err


def test_it_is_valid_now_for_ninety_days_and_its_ca_for_ten_years(made: Path) -> None:
    leaf, intermediate = chain_of(made)
    now = datetime.now(UTC)
    assert leaf.not_valid_before_utc < now - timedelta(minutes=50)
    assert timedelta(days=89, hours=23) < leaf.not_valid_after_utc - now < timedelta(days=90)
    assert intermediate.not_valid_after_utc > now + timedelta(days=3640)


def test_without_a_folder_the_first_name_is_the_folder(mustaple: Callable[..., Said], tmp_path: Path) -> None:
    accepted(mustaple("issue", "*.example.org", "b.example"))
    assert (tmp_path / "wildcard.example.org" / "key.pem").exists()
    assert folder_for("../../etc") == Path(".._.._etc")


@pytest.mark.requirement("RFC7633-4.1-1")
@pytest.mark.parametrize(
    ("typed", "features", "warnings"),
    [("5", (5,), 0), ("none", None, 0), ("5,17", (5, 17), 1), ("5,99", (5, 99), 1), ("empty", (), 1), ("-1", (-1,), 1)],
)
def test_any_feature_list_is_issued_and_warned_of(
    mustaple: Callable[..., Said], tmp_path: Path, typed: str, features: tuple[int, ...] | None, warnings: int
) -> None:
    said = accepted(mustaple("issue", "localhost", "--out", "d", f"--feature={typed}"))
    assert read_features(chain_of(tmp_path / "d")[0]) == features
    assert len(said.err.splitlines()) == warnings
    assert said.err.count("Firefox") == warnings


@pytest.mark.requirement("RFC7633-4.2.2-1")
def test_a_ca_feature_that_the_child_lacks_is_issued_and_warned_of(
    mustaple: Callable[..., Said], tmp_path: Path
) -> None:
    said = accepted(mustaple("issue", "localhost", "--out", "d", "--ca-feature", "5,17"))
    leaf, intermediate = chain_of(tmp_path / "d")
    assert (read_features(leaf), read_features(intermediate)) == ((5,), (5, 17))
    assert "The issuing CA's TLS Feature list has [17], which this certificate lacks" in said.err
    assert not accepted(mustaple("issue", "localhost", "--out", "e", "--ca-feature", "5")).err


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_a_chain_is_as_deep_as_asked(mustaple: Callable[..., Said], tmp_path: Path, depth: int) -> None:
    accepted(mustaple("issue", "localhost", "--out", "d", "--depth", str(depth)))
    assert len(chain_of(tmp_path / "d")) == 1 + depth
    with CaDir.open(tmp_path / "d") as ca:
        assert len(ca.issuers()) == depth + 1
        subjects = {each.certificate.subject for each in ca.issuers()}
        assert len(subjects) == depth + 1, "each has a name of its own"


def test_keys_are_of_the_kinds_asked_for(mustaple: Callable[..., Said], tmp_path: Path) -> None:
    accepted(mustaple("issue", "localhost", "--out", "d", "--key", "ed25519", "--ca-key", "rsa-2048"))
    leaf, intermediate = chain_of(tmp_path / "d")
    assert isinstance(leaf.public_key(), ed25519.Ed25519PublicKey)
    assert isinstance(intermediate.public_key(), rsa.RSAPublicKey)
    assert all(kind in KEY_KINDS for kind in available_kinds())


def test_urls_are_those_asked_for_and_kept_for_the_next(mustaple: Callable[..., Said], tmp_path: Path) -> None:
    accepted(mustaple("issue", "a.example", "--out", "d", "--ocsp-url", "http://127.0.0.1:1234/ocsp"))
    accepted(mustaple("issue", "b.example", "--out", "e", "--ca", "d"))
    for folder in ("d", "e"):
        leaf, intermediate = chain_of(tmp_path / folder)
        assert ocsp_urls(leaf) == ("http://127.0.0.1:1234/ocsp",)
        assert crl_urls(leaf) == (f"http://127.0.0.1:1234/crl/{issuer_id(intermediate)}.crl",)
    accepted(mustaple("issue", "c.example", "--out", "f", "--ca", "d", "--ocsp-url", "none", "--crl-url", "http://h/x"))
    leaf, _ = chain_of(tmp_path / "f")
    assert (ocsp_urls(leaf), crl_urls(leaf)) == ((), ("http://h/x",))
    with CaDir.open(tmp_path / "d") as ca:
        assert ca.setting("ocsp_url") == "http://127.0.0.1:1234/ocsp", "one certificate's URL is not the CA's"
    accepted(mustaple("issue", "d.example", "--out", "g", "--ocsp-url", "none", "--crl-url", "none"))
    assert not any(ocsp_urls(each) + crl_urls(each) for each in chain_of(tmp_path / "g"))


def test_times_are_those_asked_for(mustaple: Callable[..., Said], tmp_path: Path) -> None:
    accepted(mustaple("issue", "a", "--out", "d", "--not-before", "2020-01-01", "--not-after", "2020-02-01T10:00Z"))
    leaf, intermediate = chain_of(tmp_path / "d")
    assert leaf.not_valid_before_utc == datetime(2020, 1, 1, tzinfo=UTC) == intermediate.not_valid_before_utc
    assert leaf.not_valid_after_utc == datetime(2020, 2, 1, 10, tzinfo=UTC)
    accepted(mustaple("issue", "a", "--out", "f", "--not-before", "9990-01-01", "--not-after", "9991-01-01"))
    assert chain_of(tmp_path / "f")[1].not_valid_after_utc.year == 9999
    accepted(mustaple("issue", "a", "--out", "e", "--not-before", "2020-01-01", "--days", "5000"))
    assert chain_of(tmp_path / "e")[0].not_valid_after_utc == datetime(2033, 9, 9, tzinfo=UTC)


def test_a_certificate_cut_short_by_its_ca_is_warned_of(mustaple: Callable[..., Said], tmp_path: Path) -> None:
    accepted(mustaple("issue", "a", "--out", "d", "--not-before", "2026-01-01"))
    said = accepted(mustaple("issue", "b", "--out", "e", "--ca", "d", "--not-after", "2200-01-01"))
    leaf, intermediate = chain_of(tmp_path / "e")
    assert leaf.not_valid_after_utc == intermediate.not_valid_after_utc
    assert "ends with its CA" in said.err


def test_the_next_certificate_comes_from_the_same_ca(mustaple: Callable[..., Said], made: Path) -> None:
    first, intermediate = chain_of(made)
    before = tree(made)
    refused(mustaple("issue", "localhost", "--out", "d"), "d/key.pem exists; choose another --out, or replace it with")
    assert tree(made) == before
    said = accepted(mustaple("issue", "localhost", "--out", "d", "--force"))
    second, same = chain_of(made)
    assert (second != first, same) == (True, intermediate)
    assert "d/root.pem" in said.out
    assert stat.S_IMODE((made / "key.pem").stat().st_mode) == 0o600
    assert load_key((made / "key.pem").read_bytes()).public_key() == second.public_key()
    with CaDir.open(made) as ca:
        assert [each.serial_number for each in ca.entries(intermediate, revoked=False)] == [
            first.serial_number,
            second.serial_number,
        ]


def test_json_tells_the_files_and_every_certificate(mustaple: Callable[..., Said]) -> None:
    said = accepted(mustaple("issue", "localhost", "--out", "d", "--feature", "5,17", "--json"))
    value = json.loads(said.out)
    assert value["files"] == {"key.pem": "d/key.pem", "chain.pem": "d/chain.pem", "root.pem": "d/root.pem"}
    assert value["ca"] == "d/ca"
    leaf, intermediate, root = value["certificates"]
    assert (leaf["names"], leaf["features"], leaf["authority"]) == (["localhost"], [5, 17], False)
    assert leaf["signed_by"] == intermediate["subject"]
    assert (intermediate["signed_by"], root["self_signed"]) == (root["subject"], True)
    assert "Firefox" in value["warnings"][0]


def test_what_cannot_be_issued_leaves_nothing(mustaple: Callable[..., Said], tmp_path: Path) -> None:
    cases = [
        (["two words"], "a name holds no spaces"),
        (["https://a.example"], "leave out the scheme"),
        (["a", "--key", "ec-p255"], "There is no key kind 'ec-p255'; choose one of ec-p256"),
        (["a", "--ca-key", "rsa"], "There is no key kind 'rsa'"),
        (["a", "--feature", "five"], "'five' is no TLS Feature list; write numbers such as 5 or 5,17"),
        (["a", "--feature", "5,,17"], "is no TLS Feature list"),
        (["a", "--ca-feature", ""], "is no TLS Feature list"),
        (["a", "--depth", "11"], "--depth"),
        (["a", "--days", "0"], "--days"),
        (["a", "--days", "9999999"], "would end after the year 9999"),
        (["a", "--days", "9", "--not-after", "2030-01-01"], "--days and --not-after both say"),
        (["a", "--not-after", "2020-01-01"], "would end at 2020-01-01 00:00 UTC, before it begins"),
        (["a", "--not-before", "tomorrow"], "'tomorrow' is not a time"),
        (["a", "--not-before", "1900-01-01", "--not-after", "1901-01-01"], "before 1950"),
        (["a", "--ocsp-url", "127.0.0.1:2560"], "is no URL that a client could ask"),
        (["a", "--crl-url", "http://a b/"], "is no URL that a client could ask"),
        (["a", "--crl-url", "http://[::1/"], "is no URL that a client could ask"),
        (["a", "--ca", "nowhere"], "nowhere is not a CA directory"),
        (["a", "--csr", "nowhere.pem"], "cannot read the certificate request nowhere.pem"),
        (["a", "--no-such-option"], "No such option"),
        ([], "give at least one name"),
    ]
    for arguments, why in cases:
        said = mustaple("issue", "--out", "deep/er", *arguments)
        refused(said, why)
        assert list(tmp_path.iterdir()) == [], arguments


def test_a_new_ca_is_not_asked_for_where_there_is_one(
    mustaple: Callable[..., Said], made: Path, tmp_path: Path
) -> None:
    before = tree(made)
    for option, value in (("--depth", "2"), ("--ca-key", "ec-p384"), ("--ca-feature", "5")):
        refused(mustaple("issue", "a", "--out", "e", "--ca", "d", option, value), f"{option} is for a new CA")
        refused(mustaple("issue", "a", "--out", "d", "--force", option, value), f"{option} is for a new CA")
    assert tree(made) == before
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def test_a_folder_that_is_a_file_is_said_so(mustaple: Callable[..., Said], tmp_path: Path) -> None:
    (tmp_path / "d").write_text("hello")
    refused(mustaple("issue", "localhost", "--out", "d"), "cannot write d")
    refused(mustaple("issue", "localhost", "--out", "d/e"), "cannot write d")
    assert tree(tmp_path) == {"d": b"hello"}


def test_a_locked_register_is_said_so_and_nothing_is_written(
    mustaple: Callable[..., Said], made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = CaDir.open
    monkeypatch.setattr(CaDir, "open", lambda path: patient(path, timeout=0.05))
    with closing(sqlite3.connect(made / "ca" / "register.sqlite", isolation_level=None)) as greedy:
        greedy.execute("BEGIN IMMEDIATE")
        refused(mustaple("issue", "b.example", "--out", "e", "--ca", "d"), "locked by another process")
        refused(mustaple("revoke", "d", "d/chain.pem"), "locked by another process")
        greedy.execute("ROLLBACK")
    assert [path.name for path in tmp_path.iterdir()] == ["d"]
    accepted(mustaple("revoke", "d", "d/chain.pem"))


def test_a_disk_that_fails_at_the_last_file_leaves_nothing(
    mustaple: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "key.pem")

    monkeypatch.setattr(delivery, "write_together", full)
    refused(mustaple("issue", "localhost", "--out", "d"), "cannot write key.pem: No space left on device")
    assert list(tmp_path.iterdir()) == []


# csr


def test_a_request_is_made_and_signed(mustaple: Callable[..., Said], made: Path, tmp_path: Path) -> None:
    said = accepted(mustaple("csr", "c.example", "::1", "--out", "r", "--key", "ec-p384"))
    folder = tmp_path / "r"
    csr = x509.load_pem_x509_csr((folder / "csr.pem").read_bytes())
    key = load_key((folder / "key.pem").read_bytes())
    assert csr.public_key() == key.public_key()
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert read_features(csr) == (5,)
    assert stat.S_IMODE((folder / "key.pem").stat().st_mode) == 0o600
    assert "the request: c.example, ::1, must-staple [5]" in said.out
    before = tree(folder)
    accepted(mustaple("issue", "--csr", "r/csr.pem", "--out", "r", "--ca", "d"))
    leaf, intermediate = chain_of(folder)
    assert intermediate == chain_of(made)[1]
    assert leaf.public_key() == key.public_key()
    assert (names_of(leaf), read_features(leaf)) == (["c.example", "::1"], (5,))
    after = tree(folder)
    assert {name: after[name] for name in before} == before, "the requester's key is untouched"
    assert set(after) - set(before) == {"chain.pem", "root.pem"}


def test_what_the_request_asks_for_can_be_overridden(mustaple: Callable[..., Said], tmp_path: Path) -> None:
    accepted(mustaple("csr", "c.example", "--out", "r", "--feature", "5,99"))
    accepted(mustaple("issue", "other.example", "--csr", "r/csr.pem", "--out", "d", "--feature", "none"))
    leaf = chain_of(tmp_path / "d")[0]
    assert (names_of(leaf), read_features(leaf)) == (["other.example"], None)
    said = accepted(mustaple("issue", "--csr", "r/csr.pem", "--json"))
    assert json.loads(said.out)["certificates"][0]["features"] == [5, 99]
    assert json.loads(said.out)["files"]["chain.pem"] == "c.example/chain.pem", "called like the request's name"
    assert "key.pem" not in json.loads(said.out)["files"]


def test_a_key_is_never_overwritten_unasked(mustaple: Callable[..., Said], tmp_path: Path) -> None:
    accepted(mustaple("csr", "c.example", "--out", "r"))
    before = tree(tmp_path)
    refused(mustaple("csr", "c.example", "--out", "r"), "r/key.pem exists")
    refused(mustaple("issue", "c.example", "--out", "r"), "r/key.pem exists")
    assert tree(tmp_path) == before
    accepted(mustaple("csr", "c.example", "--out", "r", "--force"))
    assert tree(tmp_path)["r/key.pem"] != before["r/key.pem"]


def test_a_request_that_cannot_be_made_leaves_nothing(mustaple: Callable[..., Said], tmp_path: Path) -> None:
    refused(mustaple("csr", "two words", "--out", "r"), "a name holds no spaces")
    refused(mustaple("csr", "a", "--out", "r", "--key", "dsa"), "There is no key kind 'dsa'")
    refused(mustaple("csr", "a", "--out", "r", "--feature", "x"), "is no TLS Feature list")
    refused(mustaple("csr"), "Missing argument")
    assert list(tmp_path.iterdir()) == []


def test_a_csr_s_feature_list_is_warned_of_and_told_as_json(mustaple: Callable[..., Said]) -> None:
    said = accepted(mustaple("csr", "a", "--out", "r", "--feature", "17", "--json"))
    assert "Firefox" in said.err
    assert json.loads(said.out)["request"]["features"] == [17]
    assert json.loads(said.out)["files"] == {"key.pem": "r/key.pem", "csr.pem": "r/csr.pem"}


def test_what_is_no_sound_request_is_refused(mustaple: Callable[..., Said], made: Path, tmp_path: Path) -> None:
    der = must_staple_csr(["a"], generate_key()).public_bytes(Encoding.DER)
    files = {
        "forged.der": (der[:-1] + bytes([der[-1] ^ 1]), "does not hold the key"),
        "cut.der": (der[:-1], "This is not a certificate, request"),
        "chain.pem": ((made / "chain.pem").read_bytes(), "there is no certificate request in it"),
        "two.pem": (2 * x509.load_der_x509_csr(der).public_bytes(Encoding.PEM), "more than one certificate request"),
        "empty.pem": (b"", "is empty"),
    }
    for name, (data, why) in files.items():
        (tmp_path / name).write_bytes(data)
        refused(mustaple("issue", "--csr", name, "--out", "e", "--ca", "d"), why)
    (tmp_path / "sound.der").write_bytes(der)
    refused(mustaple("issue", "--csr", "sound.der", "--out", "e", "--key", "ec-p256"), "the key is the requester's")
    assert not (tmp_path / "e").exists()
    accepted(mustaple("issue", "--csr", "sound.der", "--out", "e", "--ca", "d"))


# revoke


def test_a_certificate_is_revoked_by_its_file_or_its_serial_number(
    mustaple: Callable[..., Said], made: Path, tmp_path: Path
) -> None:
    leaf, intermediate = chain_of(made)
    said = accepted(mustaple("revoke", "d", "d/chain.pem", "--reason", "keyCompromise", "--at", "2026-06-01"))
    assert said.out.startswith(f"revoked: CN=localhost (serial {leaf.serial_number:x}) since 2026-06-01T00:00:00Z")
    again = accepted(mustaple("revoke", "d/ca", f"{leaf.serial_number:x}", "--reason", "superseded"))
    assert "already since 2026-06-01T00:00:00Z, keyCompromise" in again.out
    with CaDir.open(made) as ca:
        assert ca.find(leaf).reason is x509.ReasonFlags.key_compromise
    (tmp_path / "ca.pem").write_bytes(intermediate.public_bytes(Encoding.PEM))
    assert "revoked: CN=mustaple CA" in accepted(mustaple("revoke", "d", "ca.pem")).out


@pytest.mark.parametrize("form", ["{:x}", "0x{:X}", "colons"])
def test_a_serial_number_may_be_written_in_any_usual_form(mustaple: Callable[..., Said], made: Path, form: str) -> None:
    serial = chain_of(made)[0].serial_number
    digits = f"{serial:040x}"
    colons = ":".join(digits[index : index + 2] for index in range(0, 40, 2))
    said = accepted(mustaple("revoke", "d", colons if form == "colons" else form.format(serial), "--json"))
    value: dict[str, Any] = json.loads(said.out)
    assert value["serial_number"] == f"{serial:x}"
    assert (value["status"], value["reason"], value["changed"]) == ("revoked", None, True)


def test_a_hold_is_lifted(mustaple: Callable[..., Said], made: Path) -> None:
    accepted(mustaple("revoke", "d", "d/chain.pem", "--reason", "CERTIFICATEHOLD"))
    said = accepted(mustaple("revoke", "d", "d/chain.pem", "--reason", "removeFromCRL"))
    assert said.out.startswith("good: CN=localhost")
    assert "no longer on hold" in said.out
    with CaDir.open(made) as ca:
        assert not ca.find(chain_of(made)[0]).revoked


def test_what_cannot_be_revoked_is_said_so(mustaple: Callable[..., Said], made: Path, tmp_path: Path) -> None:
    accepted(mustaple("issue", "stranger.example", "--out", "e"))
    (tmp_path / "hello.txt").write_text("hello")
    refused(mustaple("revoke", "d", "e/chain.pem"), "issued CN=stranger.example")
    refused(mustaple("revoke", "d", "abc"), "issued serial number abc")
    refused(mustaple("revoke", "d", "no-such-file.pem"), "neither a file nor a serial number in hexadecimal")
    refused(mustaple("revoke", "d", "hello.txt"), "hello.txt: This is no certificate")
    refused(mustaple("revoke", "d", "d/chain.pem", "--reason", "boredom"), "there are unspecified, keyCompromise")
    refused(mustaple("revoke", "d", "d/chain.pem", "--reason", "removeFromCRL"), "is not on hold")
    refused(mustaple("revoke", "e/nowhere", "d/chain.pem"), "is not a CA directory")
    refused(mustaple("revoke", "d", "d/chain.pem", "--at", "yesterday"), "is not a time")
    with CaDir.open(made) as ca:
        assert not list(ca.entries(ca.issuing.certificate))

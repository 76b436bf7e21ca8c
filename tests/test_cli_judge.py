"""`mustaple judge`: its exit codes, its words, and what it does with files that are not what they should be."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from certtools.authority import Authority
from certtools.chain import to_pem
from certtools.forge import CRL_MUTATIONS, CrlScene, honest_crl
from certtools.forge.ocsp import CertificateStatus, answer, sign, single
from mustaple.cli.app import run as mustaple

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

DAY = timedelta(days=1)


class Files:
    """A leaf, its issuer and responses about it as files, and a way to ask for a judgement."""

    def __init__(self, folder: Path, at: datetime) -> None:
        self.folder, self.at = folder, at
        self.root = Authority.root("root", not_before=at - 30 * DAY, not_after=at + 30 * DAY)
        self.ca = self.root.intermediate("CA")
        self.leaf = self.ca.leaf(["site.test"])
        self.link = self.leaf.as_chain().links[0]
        self.write("leaf.pem", self.leaf.chain_pem())
        self.write("ca.pem", to_pem([self.ca.certificate]))
        self.write("root.der", self.root.certificate.public_bytes(Encoding.DER))

    def write(self, name: str, data: bytes) -> str:
        (self.folder / name).write_bytes(data)
        return name

    def response(self, **said: Any) -> str:
        signature_hash = said.pop("signature_hash", None)
        signer = said.pop("signer", self.ca)
        response = answer([single(self.link, self.at, **said)], signer, signature_hash=signature_hash)
        return self.write("response.der", sign(response, signer))

    def judge(self, response: str, *more: str, cert: str = "leaf.pem", issuer: str = "ca.pem") -> int:
        names = {"--cert": cert, "--issuer": issuer}
        options = [part for key, name in names.items() for part in (key, str(self.folder / name))]
        return mustaple(["judge", str(self.folder / response), *options, "--at", self.at.isoformat(), *more])


@pytest.fixture
def files(tmp_path: Path, at: datetime) -> Files:
    return Files(tmp_path, at)


def test_good_is_0_and_says_until_when(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    assert files.judge(files.response()) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("good: CN=site.test\n")
    assert "signed by CN=CA" in captured.out
    assert "3 d 23 h left" in captured.out
    assert captured.err == ""


def test_anything_else_is_1(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    for said, status, code in (
        ({"status": CertificateStatus.REVOKED}, "revoked", "revoked"),
        ({"status": CertificateStatus.UNKNOWN}, "unknown", "unknown"),
        ({"next_update": files.at - DAY, "this_update": files.at - 2 * DAY}, "unusable", "expired"),
        ({"signer": files.root}, "unusable", "unauthorized-responder"),
    ):
        assert files.judge(files.response(**said)) == 1
        out = capsys.readouterr().out
        assert out.startswith(f"{status}: ")
        assert f"{code}: " in out
        assert "RFC 6960" in out
        assert "to do: " in out


def test_json_holds_all_of_it(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    assert files.judge(files.response(status=CertificateStatus.REVOKED), "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["status"], found["certificate"]) == ("revoked", "CN=site.test")
    assert found["reasons"][0]["code"] == "revoked"
    assert found["this_update"] == "2026-06-01T11:00:00Z"


def test_the_options_open_one_rule_each(files: Files) -> None:
    def sha1() -> str:
        return files.response(signature_hash=hashes.SHA1())

    def unchecked() -> str:
        return files.response(signer=files.ca.ocsp_signer(not_before=files.at - DAY, nocheck=False))

    cases: tuple[tuple[Callable[[], str], tuple[str, ...], int], ...] = (
        (sha1, (), 1),
        (sha1, ("--allow-sha1",), 0),
        (lambda: files.response(next_update=None), (), 1),
        (lambda: files.response(next_update=None), ("--allow-no-next-update",), 0),
        (unchecked, (), 0),
        (unchecked, ("--require-nocheck",), 1),
        (files.response, ("--max-age", "30m"), 1),
        (lambda: files.response(this_update=files.at + DAY / 24), (), 1),
        (lambda: files.response(this_update=files.at + DAY / 24), ("--skew", "2h"), 0),
        (lambda: files.response(signer=files.root), ("--trusted-responder", str(files.folder / "root.der")), 0),
    )
    for make, options, code in cases:
        assert files.judge(make(), *options) == code, options


def test_the_wrong_issuer_or_certificate(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    response = files.response()
    assert files.judge(response, issuer="root.der") == 1
    out = capsys.readouterr().out
    assert "path-invalid: CN=root" in out
    assert "did not sign CN=site.test" in out
    assert files.judge(response, cert="ca.pem", issuer="root.der") == 1
    assert "other-certificate" in capsys.readouterr().out


def test_the_issuer_is_read_from_a_pem_bundle_a_der_file_and_pkcs12(files: Files) -> None:
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

    bundle = pkcs12.serialize_key_and_certificates(
        b"site", files.leaf.key, files.leaf.certificate, [files.ca.certificate], BestAvailableEncryption(b"secret")
    )
    files.write("ca.der", files.ca.certificate.public_bytes(Encoding.DER))
    response = files.response()
    assert files.judge(response, issuer="ca.der") == 0
    files.write("leaf.p12", bundle)
    assert files.judge(response, cert="leaf.p12") == 2  # it has a password


def test_without_an_issuer_it_is_looked_for_beside_the_certificate(files: Files) -> None:
    response = files.response()
    for cert, code in (("leaf.pem", 0), ("alone.pem", 1)):
        files.write("alone.pem", to_pem([files.leaf.certificate]))
        path = str(files.folder / cert)
        assert mustaple(["judge", str(files.folder / response), "--cert", path, "--at", files.at.isoformat()]) == code


@pytest.mark.parametrize(
    ("name", "content", "code", "said"),
    [
        ("response", None, 2, "cannot read the OCSP response or CRL"),
        ("response", b"", 1, ""),
        ("response", b"<html>", 1, ""),
        ("response", bytes(10 * 1024 * 1024), 1, ""),
        ("leaf.pem", None, 2, "cannot read the certificate"),
        ("leaf.pem", b"", 2, "is empty"),
        ("leaf.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", 2, "leaf.pem"),
        ("leaf.pem", b"garbage", 2, "leaf.pem"),
        ("ca.pem", b"\x30\x82", 2, "ca.pem"),
    ],
)
def test_bad_files(
    files: Files, capsys: pytest.CaptureFixture[str], name: str, content: bytes | None, code: int, said: str
) -> None:
    response = files.response()
    target = files.folder / (response if name == "response" else name)
    target.unlink() if content is None else target.write_bytes(content)
    assert files.judge(response) == code
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == (1 if code == 2 else 0)
    assert "Traceback" not in error


@pytest.mark.parametrize("option", [("--at", "soon"), ("--max-age", "old"), ("--skew", "-1s"), ("--skew", "3h")])
def test_bad_options(files: Files, capsys: pytest.CaptureFixture[str], option: tuple[str, str]) -> None:
    assert files.judge(files.response(), *option) == 2
    assert capsys.readouterr().err.count("\n") == 1


# --- CRLs


def _scene(files: Files) -> CrlScene:
    rogue = Authority.root("rogue", not_before=files.at - 30 * DAY, not_after=files.at + 30 * DAY)
    return CrlScene(link=files.link, issuer=files.ca, rogue=rogue, at=files.at)


def test_a_crl_is_judged_too(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    for name, code, status, said in (
        ("honest", 0, "good", "signed by CN=CA"),
        ("revoked", 1, "revoked", "keyCompromise (RFC 5280 §6.3.3 (i))"),
        ("delta", 1, "unusable", "crl-delta: "),
        ("forged-signature", 1, "unusable", "crl-bad-signature: "),
        ("truncated", 1, "unusable", "crl-malformed: "),
    ):
        data = CRL_MUTATIONS.get(name, honest_crl)(_scene(files))
        assert files.judge(files.write("ca.crl", data)) == code
        out = capsys.readouterr().out
        assert out.startswith(f"{status}: CN=site.test\n")
        assert said in out


def test_a_crl_may_be_pem_and_the_options_hold_for_it(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    scene = _scene(files)
    pem = x509.load_der_x509_crl(honest_crl(scene)).public_bytes(Encoding.PEM)
    assert files.judge(files.write("ca.pem.crl", pem), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["source"], found["status"], found["next_update"]) == ("crl", "good", "2026-06-08T11:00:00Z")
    for name, option in (
        ("sha1-signature", ("--allow-sha1",)),
        ("no-next-update", ("--allow-no-next-update",)),
        ("too-old", ("--max-age", "90d")),
    ):
        path = files.write("other.crl", CRL_MUTATIONS[name](scene))
        assert files.judge(path) == 1
        assert files.judge(path, *option) == 0
    early = ("--at", "2026-06-01T10:00:00Z")  # an hour before its thisUpdate
    assert files.judge("ca.pem.crl", *early) == 1
    assert files.judge("ca.pem.crl", *early, "--skew", "2h") == 0


def test_a_crl_and_the_wrong_issuer(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    path = files.write("ca.crl", honest_crl(_scene(files)))
    assert files.judge(path, issuer="root.der") == 1
    out = capsys.readouterr().out
    assert "path-invalid: CN=root" in out
    assert "crl-issuer: " in out

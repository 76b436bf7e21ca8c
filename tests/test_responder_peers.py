"""Other people's programs ask the responder, and agree with what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certtools.ca_dir import issuer_id
from certtools.forge import ResponderId
from mustaple.net.fetch import fetch_crl

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

from responder_house import CA, NOW, ROOT, House, house, run


@pytest.fixture
def home(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path) as made:
        yield made


@pytest.fixture
def files(home: House) -> dict[str, str]:
    chain = {"leaf": home.leaf.certificate, "ca": CA.certificate, "root": ROOT.certificate}
    found = {}
    for name, certificate in chain.items():
        path = home.folder / f"{name}.pem"
        path.write_bytes(certificate.public_bytes(Encoding.PEM))
        found[name] = str(path)
    return found


def openssl_ocsp(home: House, files: dict[str, str], *more: str) -> subprocess.CompletedProcess[str]:
    return run(
        *("openssl", "ocsp", "-issuer", files["ca"], "-cert", files["leaf"], *more),
        *("-url", home.server.url, "-CAfile", files["root"], "-verify_other", files["ca"]),
    )


@pytest.mark.peer("openssl")
def test_openssl_takes_the_answers(home: House, files: dict[str, str]) -> None:
    good = openssl_ocsp(home, files)
    assert f"{files['leaf']}: good" in good.stdout, good.stderr
    assert "Response verify OK" in good.stderr
    assert "WARNING" not in good.stderr, "the nonce comes back"
    home.ca.revoke(home.leaf.certificate, x509.ReasonFlags.key_compromise, NOW)
    revoked = openssl_ocsp(home, files)
    assert f"{files['leaf']}: revoked" in revoked.stdout
    assert "Reason: keyCompromise" in revoked.stdout
    assert "Response verify OK" in revoked.stderr


@pytest.mark.peer("openssl")
def test_openssl_asks_for_several_by_several_hashes(home: House, files: dict[str, str]) -> None:
    done = openssl_ocsp(home, files, "-sha256", "-cert", files["leaf"], "-serial", "0x1234")
    assert "Response verify OK" in done.stderr
    assert f"{files['leaf']}: good" in done.stdout
    assert "0x1234: unknown" in done.stdout


@pytest.mark.peer("openssl")
def test_openssl_hears_that_we_do_not_serve_another_ca(home: House, files: dict[str, str]) -> None:
    done = run("openssl", "ocsp", "-issuer", files["leaf"], "-serial", "1", "-url", home.server.url, "-noverify")
    assert "unauthorized (6)" in done.stdout


@pytest.mark.peer("openssl")
@pytest.mark.parametrize("kind", list(ResponderId))
def test_openssl_takes_a_delegated_signer_by_name_and_by_key(tmp_path: Path, kind: ResponderId) -> None:
    with house(tmp_path, delegated=True, responder_id=kind) as home:
        pems = {}
        for name, certificate in {
            "leaf": home.leaf.certificate,
            "ca": CA.certificate,
            "root": ROOT.certificate,
        }.items():
            pems[name] = str(tmp_path / f"{name}.pem")
            (tmp_path / f"{name}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        done = openssl_ocsp(home, pems)
    assert f"{pems['leaf']}: good" in done.stdout, done.stderr
    assert "Response verify OK" in done.stderr


@pytest.mark.peer("openssl")
def test_openssl_reads_the_crl(home: House, files: dict[str, str]) -> None:
    home.ca.revoke(home.leaf.certificate, x509.ReasonFlags.key_compromise, NOW)
    crl = home.folder / "ca.crl"
    crl.write_bytes(fetch_crl(f"{home.server.root}/crl/{issuer_id(CA.certificate)}.crl").body)
    done = run("openssl", "crl", "-inform", "DER", "-in", str(crl), "-noout", "-text", "-CAfile", files["ca"])
    assert "verify OK" in done.stderr + done.stdout
    assert f"{home.link.serial_number:X}" in done.stdout


@pytest.mark.peer("ocsptool")
def test_gnutls_takes_the_answers(home: House, files: dict[str, str]) -> None:
    command = (
        *("ocsptool", f"--ask={home.server.url}", "--load-cert", files["leaf"], "--load-issuer", files["ca"]),
        *("--load-trust", files["ca"]),
    )
    good = run(*command)
    assert good.returncode == 0, good.stderr
    assert "Certificate Status: good" in good.stdout + good.stderr
    assert "Success" in good.stdout + good.stderr
    home.ca.revoke(home.leaf.certificate, None, NOW)
    revoked = run(*command)
    assert "Certificate Status: revoked" in revoked.stdout + revoked.stderr

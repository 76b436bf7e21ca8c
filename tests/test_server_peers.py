"""The stapling server before other people's clients: OpenSSL, curl and GnuTLS see and judge the staple as they do."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from certtools.authority import Authority
from certtools.chain import Link, to_pem
from certtools.forge import CertificateStatus, answer, good, sign, single
from mustaple.net.server import StaplingServer

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime.now(UTC)
ROOT = Authority.root("server root", not_before=NOW - timedelta(days=1), not_after=NOW + timedelta(days=1))
CA = ROOT.intermediate("server CA")
LEAF = CA.leaf(["localhost"])
LINK = Link(LEAF.certificate, CA.certificate)
GOOD = good(LINK, CA, NOW)
REVOKED = sign(answer([single(LINK, NOW, status=CertificateStatus.REVOKED)], CA), CA)


def serve(staple: bytes | None = GOOD, **arguments: Any) -> StaplingServer:
    return StaplingServer(LEAF.chain[:-1], LEAF.key, staple, **arguments)


@pytest.fixture(scope="module")
def root_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("server") / "root.pem"
    path.write_bytes(to_pem([LEAF.as_chain().top]))
    return path


def run(*command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "no_proxy": "*", "NO_PROXY": "*"}
    return subprocess.run(
        command, input="", capture_output=True, text=True, timeout=60, check=False, env=environment, errors="replace"
    )


@pytest.mark.peer("openssl")
@pytest.mark.parametrize(
    ("staple", "words"),
    [(GOOD, "Cert Status: good"), (REVOKED, "Cert Status: revoked"), (None, "OCSP response: no response sent")],
    ids=["good", "revoked", "none"],
)
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_sees_the_staple(staple: bytes | None, words: str, version: str, root_file: Path) -> None:
    with serve(staple) as server:
        done = run(
            *("openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-servername", "localhost", version),
            *("-status", "-CAfile", str(root_file), "-verify_return_error", "-verify_hostname", "localhost"),
        )
        assert server.next_record().server_name == "localhost"
    assert words in done.stdout
    assert done.returncode == 0, done.stderr


@pytest.mark.peer("openssl")
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_can_never_resume(version: str, root_file: Path, tmp_path: Path) -> None:
    session = tmp_path / "session"
    with serve() as server:
        for option in ("-sess_out", "-sess_in"):
            if option == "-sess_in" and not session.exists():
                return  # no session was given at all
            done = run(
                *("openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", version),
                *("-CAfile", str(root_file), option, str(session)),
            )
            assert "\nNew, TLSv" in done.stdout
            assert "\nReused, TLSv" not in done.stdout


@pytest.mark.peer("curl")
@pytest.mark.parametrize(("staple", "code"), [(GOOD, 0), (REVOKED, 91), (None, 91)], ids=["good", "revoked", "none"])
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_curl_agrees(staple: bytes | None, code: int, version: str, root_file: Path) -> None:
    with serve(staple, minimum=version, maximum=version) as server:
        done = run(
            *("curl", "--silent", "--show-error", "--ipv4", "--cert-status", "--cacert", str(root_file)),
            f"https://localhost:{server.port}/",
        )
    assert done.returncode == code, done.stderr
    assert ("stapling server of mustaple" in done.stdout) is (code == 0)


@pytest.mark.peer("gnutls-cli")
@pytest.mark.parametrize(("staple", "code"), [(GOOD, 0), (REVOKED, 1), (None, 1)], ids=["good", "revoked", "none"])
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_gnutls_agrees(staple: bytes | None, code: int, version: str, root_file: Path) -> None:
    with serve(staple, minimum=version, maximum=version) as server:
        done = run(
            *("gnutls-cli", "--port", str(server.port), "--x509cafile", str(root_file)),
            *("--sni-hostname", "localhost", "--verify-hostname", "localhost", "127.0.0.1"),
        )
    assert done.returncode == code, done.stdout + done.stderr
    if code:
        assert ("certificate chain is revoked" if staple else "OCSP status is missing") in done.stdout

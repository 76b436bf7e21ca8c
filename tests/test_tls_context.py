"""Whom a client trusts and who it is: files of every kind, the system's store, and contexts that are made once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import certifi
import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from tls_server import server_context, shake

from certtools.chain import to_pem
from certtools.forge import good
from mustaple.core.errors import InputError
from mustaple.core.policy import preset
from mustaple.net.service_name import service_name
from mustaple.net.tls_context import ClientContext, Identity, client_context
from mustaple.net.tls_openssl import ClientTLS

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from certtools.authority import Authority, Issued


def _accepts(context: ClientContext, leaf: Issued, intermediate: Authority, at: datetime) -> bool:
    tls = ClientTLS(context, service_name("localhost"), preset("must-staple"), at)
    shake(tls, server_context(leaf, good(leaf.as_chain().links[0], intermediate, at)))
    assert tls.verdict is not None
    return tls.verdict.accepted


def test_authorities_are_files_folders_and_certificates(
    root: Authority, rogue: Authority, intermediate: Authority, leaf: Issued, tmp_path: Path, at: datetime
) -> None:
    pem, der, folder = tmp_path / "root.pem", tmp_path / "root.der", tmp_path / "roots"
    pem.write_bytes(to_pem([rogue.certificate, root.certificate]))
    der.write_bytes(root.certificate.public_bytes(Encoding.DER))
    folder.mkdir()
    (folder / "root.crt").write_bytes(to_pem([root.certificate]))
    (folder / "README").write_text("what is in here")
    (folder / "below").mkdir()
    for authorities in ([pem], [str(der)], [folder], [root.certificate], [rogue.certificate, der]):
        assert _accepts(ClientContext(authorities, at=at), leaf, intermediate, at)
    assert not _accepts(ClientContext([rogue.certificate], at=at), leaf, intermediate, at)
    assert not _accepts(ClientContext([], at=at), leaf, intermediate, at)


def test_the_systems_store_is_the_default(
    root: Authority,
    rogue: Authority,
    intermediate: Authority,
    leaf: Issued,
    tmp_path: Path,
    at: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    for authority, accepted in ((root, True), (rogue, False)):
        file = tmp_path / f"{accepted}.pem"
        file.write_bytes(to_pem([authority.certificate]))
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        assert _accepts(ClientContext(at=at), leaf, intermediate, at) is accepted


def test_a_system_without_a_store_gets_the_roots_of_certifi(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    bundle, loaded = certifi.where(), []

    def where() -> str:
        loaded.append(bundle)
        return bundle

    monkeypatch.setattr(certifi, "where", where)
    monkeypatch.setattr("os.path.exists", lambda _: True)
    ClientContext()
    assert not loaded
    monkeypatch.setattr("os.path.exists", lambda _: False)
    ClientContext()
    assert loaded


@pytest.mark.parametrize(
    "content", [None, b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"]
)
def test_a_ca_file_of_no_use_is_an_input_error_that_names_it(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError, match=r"ca\.pem"):
        ClientContext([file])


def test_a_folder_without_certificates_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no certificate"):
        ClientContext([tmp_path])


def _write(folder: Path, name: str, data: bytes) -> str:
    (folder / name).write_bytes(data)
    return str(folder / name)


def test_an_identity_that_cannot_be_used_is_an_input_error(leaf: Issued, other: Issued, tmp_path: Path) -> None:
    certificate = _write(tmp_path, "own.pem", leaf.chain_pem())
    key = _write(tmp_path, "own.key", leaf.key_pem())
    locked = leaf.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    ClientContext([], identity=Identity(certificate, key))
    for identity, said in (
        (Identity(certificate, _write(tmp_path, "other.key", other.key_pem())), "does not belong"),
        (Identity(certificate, _write(tmp_path, "locked.key", locked)), "encrypted"),
        (Identity(certificate, certificate), "no readable PEM private key"),
        (Identity(certificate, str(tmp_path / "absent.key")), "cannot be read"),
        (Identity(str(tmp_path / "absent.pem"), key), "cannot be read"),
        (Identity(key, key), "cannot be used"),
    ):
        with pytest.raises(InputError, match=said):
            ClientContext([], identity=identity)


def test_a_context_is_made_once_until_its_files_change(root: Authority, tmp_path: Path, at: datetime) -> None:
    file = tmp_path / "ca.pem"
    file.write_bytes(to_pem([root.certificate]))
    first = client_context([file])
    assert client_context([file]) is first
    assert client_context([str(file)], maximum="TLSv1.2") is not first
    assert client_context([file], at=at) is not client_context([file], at=at)
    found = file.stat()
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns + 1))
    assert client_context([file]) is not first
    file.unlink()
    with pytest.raises(InputError):
        client_context([file])

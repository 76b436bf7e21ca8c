"""Whom a client trusts and who it is: files of every kind, the system's store, and contexts that are made once."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING

import certifi
import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from tls_server import server_context, shake

from certtools.chain import Chain, to_pem
from certtools.forge import good
from mustaple.core.errors import InputError
from mustaple.core.flight import Entry, Sent
from mustaple.core.policy import preset
from mustaple.net.service_name import service_name
from mustaple.net.tls_context import ClientContext, Identity, client_context
from mustaple.net.tls_openssl import ClientTLS
from mustaple.net.tls_path import show

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from cryptography import x509

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


class _Bystander:
    """Lets OpenSSL verify as it does."""

    def on_secret(self, *_: object) -> None:
        pass

    def on_certificate(self, *_: object, ok: bool) -> bool:
        return ok

    def on_status(self, *_: object) -> bool:
        return True


def _only_path_and_openssls(
    context: ClientContext, *certificates: x509.Certificate
) -> tuple[Chain | None, Chain | None]:
    sent = [certificate.public_bytes(Encoding.DER) for certificate in certificates]
    found = context.only_path(Sent(tuple(Entry(der, (), "a test") for der in sent)))
    return found, context.path(show(sent, context, _Bystander()).verified)


def test_the_only_path_is_the_one_that_openssl_verifies(
    root: Authority, rogue: Authority, intermediate: Authority, leaf: Issued, at: datetime
) -> None:
    middle = intermediate.certificate
    for anchors in ([root.certificate], [root.certificate, rogue.certificate], [middle], [root.certificate, middle]):
        context = ClientContext(anchors, at=at)
        for sent in ((middle,), (middle, root.certificate), (rogue.certificate, middle)):
            found, verified = _only_path_and_openssls(context, leaf.certificate, *sent)
            assert found == verified
            assert found is not None
    trusted_leaf = ClientContext([leaf.certificate], at=at)
    assert _only_path_and_openssls(trusted_leaf, leaf.certificate)[0] == Chain((leaf.certificate,))


def test_where_two_certificates_have_one_name_openssl_says_which_it_took(
    root: Authority, intermediate: Authority, leaf: Issued, at: datetime
) -> None:
    span = {"not_before": at - timedelta(days=9), "not_after": at + timedelta(days=9)}
    for name in ("Namesake CA", "namesake  ca"):  # for OpenSSL these are one, too (RFC 5280 §7.1)
        other = root.intermediate(name, **span)
        mine = root.intermediate("Namesake CA", **span)
        issued = mine.leaf(["localhost"], **span)
        context = ClientContext([root.certificate], at=at)
        found, verified = _only_path_and_openssls(context, issued.certificate, other.certificate, mine.certificate)
        assert found is None
        assert verified == Chain((issued.certificate, mine.certificate, root.certificate))
    assert _only_path_and_openssls(context, issued.certificate, mine.certificate)[0] == verified


def test_there_is_no_only_path_to_nobody_trusted(
    rogue: Authority, intermediate: Authority, leaf: Issued, at: datetime
) -> None:
    for context in (ClientContext([rogue.certificate], at=at), ClientContext(at=at)):
        assert _only_path_and_openssls(context, leaf.certificate, intermediate.certificate) == (None, None)
    assert ClientContext([rogue.certificate], at=at).only_path(Sent((Entry(b"0", (), "a test"),))) is None

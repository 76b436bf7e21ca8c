"""Inspect from the command line: every kind of file is explained, hostile ones too, and nothing else is accepted."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, pkcs12

from certtools.authority import must_staple_csr
from certtools.chain import to_pem
from certtools.documents import DocumentError, SecretKey, read_documents
from certtools.extensions import TLS_FEATURE
from certtools.forge import CRL_MUTATIONS, MUTATIONS, CrlScene, Revoked, Scene, crl, honest, honest_crl
from certtools.keys import generate_key
from mustaple.cli.app import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from certtools.authority import Authority, Issued

P256 = bytes.fromhex("06082a8648ce3d030107")  # prime256v1, in a public key
UNKNOWN_CURVE = P256[:-1] + b"\x7f"
AT = "2026-06-01T12:00:00Z"


class Said(NamedTuple):
    """What a command said and how it ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def inspect(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Inspect these bytes at AT."""

    def call(data: bytes, *arguments: str | Path, at: str = AT) -> Said:
        (tmp_path / "file").write_bytes(data)
        code = run(["inspect", str(tmp_path / "file"), "--at", at, *map(str, arguments)])
        return Said(code, *capfd.readouterr())

    return call


@pytest.fixture
def facts(inspect: Callable[..., Said]) -> Callable[..., list[dict[str, Any]]]:
    """The documents of `inspect --json`."""

    def call(data: bytes, *arguments: str | Path, at: str = AT) -> list[dict[str, Any]]:
        said = inspect(data, "--json", *arguments, at=at)
        assert said.code == 0, said.err
        value = json.loads(said.out)
        assert value["at"] == at
        documents: list[dict[str, Any]] = value["documents"]
        return documents

    return call


def accepted(said: Said) -> str:
    assert said.code == 0, said.err
    assert not said.err
    return said.out


def refused(said: Said, why: str) -> None:
    assert said.code == 2, said
    assert why in said.err
    assert len(said.err.splitlines()) == 1, "one line"
    assert not said.out


@pytest.fixture
def issuers(tmp_path: Path, leaf: Issued) -> Path:
    """A file with the whole chain."""
    path = tmp_path / "chain.pem"
    path.write_bytes(leaf.chain_pem(root=True))
    return path


# certificates


def test_a_chain_is_explained_certificate_by_certificate(inspect: Callable[..., Said], leaf: Issued) -> None:
    first, second, third = accepted(inspect(leaf.chain_pem(root=True))).split("\n\n")
    assert first.startswith("Certificate: CN=localhost\n  for localhost, 127.0.0.1\n")
    assert "signed by CN=test CA (ecdsa-with-SHA256)" in first
    assert "must-staple [5]: to a client that takes staples, its server owes" in first
    assert "as Firefox reads it   a good staple for this certificate" in first
    assert "OCSP at http://127.0.0.1:2560" in first
    assert second.startswith("CA certificate: CN=test CA\n")
    assert "no TLS Feature list: it promises no staple" in second
    assert third.startswith("Root certificate: CN=test root\n")
    assert "signed by itself" in third


def test_who_signed_is_found_by_signature_and_not_by_name(
    facts: Callable[..., list[dict[str, Any]]], leaf: Issued, issuers: Path, rogue: Authority
) -> None:
    pem = to_pem([leaf.certificate])
    assert facts(pem)[0]["signed_by"] is None
    assert facts(pem, "--issuer", issuers)[0]["signed_by"] == "CN=test CA"
    imposter = rogue.root(
        leaf.chain[1].subject,
        not_before=leaf.certificate.not_valid_before_utc,
        not_after=leaf.certificate.not_valid_after_utc,
    )
    assert facts(pem + to_pem([imposter.certificate]))[0]["signed_by"] is None


def test_an_issuer_that_is_not_here_is_named(inspect: Callable[..., Said], leaf: Issued) -> None:
    assert "says it was issued by CN=test CA, whose certificate is not here" in accepted(
        inspect(to_pem([leaf.certificate]))
    )


@pytest.mark.parametrize(
    ("when", "words", "validity"),
    [
        ("2026-06-01T12:00:00Z", "29 d left", "current"),
        ("2026-05-01T12:00:00Z", "NOT YET VALID, for 1 d", "not-yet-valid"),
        ("2026-07-05T12:00:00Z", "EXPIRED for 5 d", "expired"),
    ],
)
def test_what_is_stale_depends_on_the_time(
    inspect: Callable[..., Said], intermediate: Authority, at: datetime, when: str, words: str, validity: str
) -> None:
    issued = intermediate.leaf(["a"], not_after=at + timedelta(days=29))
    pem = to_pem([issued.certificate])
    assert words in accepted(inspect(pem, at=when))
    assert json.loads(accepted(inspect(pem, "--json", at=when)))["documents"][0]["validity"] == validity


@pytest.mark.parametrize(
    ("features", "words"),
    [
        ((5, 17), "refuses the certificate: the list [5, 17] is not [5]"),
        ((17,), "as mustaple reads it  a good staple for every certificate below the root"),
        ((17,), "by RFC 7633's letter  nothing; in TLS 1.2 to an offer of 5 and 17: a good staple for every"),
        ((17,), "as GnuTLS reads it    nothing"),
        ((99,), "TLS Feature [99]: to a client"),
        ((), "TLS Feature [empty]: to a client"),
        (None, "no TLS Feature list: it promises no staple"),
    ],
    ids=str,
)
def test_each_reading_of_a_feature_list_is_told(
    inspect: Callable[..., Said], intermediate: Authority, features: tuple[int, ...] | None, words: str
) -> None:
    issued = intermediate.leaf(["a"], features=features)
    assert words in accepted(inspect(issued.chain_pem()))


def test_a_ca_s_list_binds_what_it_issues(
    inspect: Callable[..., Said], facts: Callable[..., list[dict[str, Any]]], root: Authority
) -> None:
    strict = root.intermediate("strict CA", features=(5,))
    said = accepted(inspect(strict.leaf(["a"], features=None).chain_pem()))
    assert "TLS Feature [5]: what it issues must promise at least as much (RFC 7633 §4.2.2)" in said
    assert "lacks [5], which its CA promises" in said
    unequal = strict.leaf(["a"], features=(5, 99)).chain_pem()
    assert "its list is not its CA's, and Firefox wants them equal" in accepted(inspect(unequal))
    assert [each["features_missing"] for each in facts(unequal)] == [[], []]
    equal = accepted(inspect(strict.leaf(["a"]).chain_pem()))
    assert "lacks" not in equal
    assert "Firefox wants" not in equal


def test_an_ocsp_signer_is_told_as_one(inspect: Callable[..., Said], intermediate: Authority, at: datetime) -> None:
    honest_one = accepted(inspect(to_pem([intermediate.ocsp_signer(not_before=at).certificate])))
    assert honest_one.startswith("OCSP signer: CN=test CA OCSP")
    assert "may sign OCSP responses for its issuer; nobody checks its own status" in honest_one
    unchecked = intermediate.ocsp_signer(not_before=at, nocheck=False).certificate
    assert "its own status has to be checked" in accepted(inspect(to_pem([unchecked])))


# hostile ones


def hostile(at: datetime, *extensions: x509.ExtensionType, name: str = "hostile") -> bytes:
    key = generate_key()
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    start, end = at.replace(tzinfo=None), (at + timedelta(days=9)).replace(tzinfo=None)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), 5, start, end)
    for each in extensions:
        builder = builder.add_extension(each, critical=False)
    return builder.sign(key, SHA256()).public_bytes(Encoding.DER)


def test_a_broken_feature_list_is_told(inspect: Callable[..., Said], at: datetime) -> None:
    said = accepted(inspect(hostile(at, x509.UnrecognizedExtension(TLS_FEATURE, b"\x05\x00"))))
    assert "TLS Feature: The TLS Feature extension is malformed: 0500." in said
    assert "A client that knows the extension refuses the certificate." in said


def test_the_child_of_a_ca_with_a_broken_list_is_explained(
    inspect: Callable[..., Said], intermediate: Authority
) -> None:
    ca = intermediate.intermediate("spoiled", features=(5,))
    spoiled = replace(ca, certificate=spoil_features(ca.certificate))
    leaf, above = accepted(inspect(to_pem(spoiled.leaf(["a"]).chain[:2]))).split("\n\n")
    assert "signed by CN=spoiled" in leaf
    assert "malformed" not in leaf
    assert "malformed" in above


def spoil_features(certificate: x509.Certificate) -> x509.Certificate:
    der = certificate.public_bytes(Encoding.DER)
    value = bytes.fromhex("06082b0601050507011804053003020105")
    assert value in der
    return x509.load_der_x509_certificate(der.replace(value, value[:-3] + b"\x0c\x01\x35"))


def test_a_name_cannot_speak_to_the_terminal(inspect: Callable[..., Said], at: datetime) -> None:
    said = accepted(inspect(hostile(at, name="\x1b[2J\x1b]0;owned\x07\r\nroot: trusted")))
    assert said.isprintable() or set(filter(lambda letter: not letter.isprintable(), said)) == {"\n"}
    assert len(said.splitlines()) == len(accepted(inspect(hostile(at))).splitlines())
    assert "\\x1b[2J" in said


def test_names_of_every_kind_are_told(facts: Callable[..., list[dict[str, Any]]], at: datetime) -> None:
    names = x509.SubjectAlternativeName(
        [
            x509.DNSName("a b"),
            x509.UniformResourceIdentifier("http://a"),
            x509.DirectoryName(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "dir")])),
            x509.RegisteredID(x509.ObjectIdentifier("2.999.1")),
            x509.OtherName(x509.ObjectIdentifier("2.999.2"), b"\x05\x00"),
        ]
    )
    assert facts(hostile(at, names))[0]["names"] == ["a b", "http://a", "CN=dir", "2.999.1", "otherName 2.999.2"]


def test_unreadable_names_and_keys_are_told_as_such(
    facts: Callable[..., list[dict[str, Any]]], intermediate: Authority, leaf: Issued
) -> None:
    der = leaf.certificate.public_bytes(Encoding.DER)
    spoiled = der.replace(b"\x0c\x07test CA", b"\x0c\x07\xff\xfeST CA", 1)
    assert facts(spoiled)[0]["issuer"] == "(unreadable)"
    unknown = der.replace(P256, UNKNOWN_CURVE, 1)
    assert facts(unknown)[0]["key"] == "of an unknown kind"
    assert facts(to_pem([intermediate.leaf(["a"], key="rsa-2048").certificate]))[0]["key"] == "RSA 2048"
    assert facts(to_pem([intermediate.leaf(["a"], key="ed25519").certificate]))[0]["key"] == "Ed25519"


def test_every_forged_document_is_explained_or_refused_in_one_line(
    inspect: Callable[..., Said], scene: Scene, issuers: Path
) -> None:
    crl_scene = CrlScene(link=scene.link, issuer=scene.issuer, rogue=scene.rogue, at=scene.at)
    forged = {f"ocsp {name}": make(scene) for name, make in MUTATIONS.items()}
    forged |= {f"crl {name}": make(crl_scene) for name, make in CRL_MUTATIONS.items()}
    for name, data in forged.items():
        said = inspect(data, "--issuer", issuers)
        assert said.code in {0, 2}, (name, said)
        assert bool(said.out) == (said.code == 0), name
        assert len(said.err.splitlines()) == (said.code == 2), name


# requests, keys, PKCS#12


def test_a_request_is_explained(inspect: Callable[..., Said]) -> None:
    csr = must_staple_csr(["a.example"], generate_key(), (5, 99))
    said = accepted(inspect(csr.public_bytes(Encoding.PEM)))
    assert said.startswith("Certificate request: CN=a.example\n  for a.example\n")
    assert "signature sound" in said
    assert "must-staple [5, 99]" in said
    der = csr.public_bytes(Encoding.DER)
    forged = accepted(inspect(der[:-1] + bytes([der[-1] ^ 1])))
    assert "signature WRONG, so its sender does not hold the key" in forged


def test_a_request_with_an_unknown_key_is_explained(inspect: Callable[..., Said]) -> None:
    der = must_staple_csr(["a.example"], generate_key()).public_bytes(Encoding.DER)
    said = accepted(inspect(der.replace(P256, UNKNOWN_CURVE)))
    assert "key of an unknown kind; signature WRONG" in said


def test_a_request_that_names_nobody_is_explained(inspect: Callable[..., Said]) -> None:
    csr = x509.CertificateSigningRequestBuilder(x509.Name([])).sign(generate_key(), SHA256())
    said = accepted(inspect(csr.public_bytes(Encoding.DER)))
    assert said.startswith("Certificate request: no subject\n  for no name at all\n")


def test_a_key_is_seen_and_not_shown(inspect: Callable[..., Said], leaf: Issued) -> None:
    assert accepted(inspect(leaf.key_pem())) == "A private key: keep it so.\n"
    assert accepted(inspect(leaf.key_pem() + leaf.chain_pem())).startswith("A private key: keep it so.\n\nCertificate:")


def test_a_pkcs12_file_is_opened_with_its_password(inspect: Callable[..., Said], leaf: Issued) -> None:
    sealed = pkcs12.serialize_key_and_certificates(
        b"leaf", leaf.key, leaf.certificate, leaf.chain[1:], BestAvailableEncryption(b"secret")
    )
    said = accepted(inspect(sealed, "--password", "secret"))
    assert [part.split(":")[0] for part in said.split("\n\n")] == [
        "Certificate",
        "CA certificate",
        "Root certificate",
        "A private key",
    ]
    refused(inspect(sealed), "PKCS#12 file with another password")
    refused(inspect(sealed, "--password", "guess"), "PKCS#12 file with another password")


# OCSP responses


def test_an_ocsp_response_is_explained(inspect: Callable[..., Said], scene: Scene, issuers: Path) -> None:
    said = accepted(inspect(honest(scene), "--issuer", issuers))
    assert said.startswith("OCSP response by CN=test CA\n  signed by CN=test CA (ecdsa-with-SHA256)\n")
    assert f"good: CN=localhost (serial {scene.link.serial_number:x})" in said
    assert "from 2026-06-01 11:00 UTC until 2026-06-05 11:00 UTC: 3 d 23 h left" in said
    assert "issued by CN=test CA (sha1)" in said
    alone = accepted(inspect(honest(scene)))
    assert "signed by none of the certificates here" in alone
    assert f"good: serial {scene.link.serial_number:x}" in alone
    assert "issued by the CA whose key hashes to" in alone


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("revoked", "revoked since 2026-05-30 12:00 UTC, keyCompromise: CN=localhost"),
        ("revoked-without-reason", "revoked since 2026-05-30 12:00 UTC: CN=localhost"),
        ("unknown", "unknown: CN=localhost"),
        ("expired", "until 2026-05-31 12:00 UTC: STALE for 1 d"),
        ("not-yet-valid", "NOT YET VALID, for 1 d"),
        ("no-next-update", "from 2026-06-01 11:00 UTC, and names no end"),
        ("delegated", "sent along: CN=delegated responder"),
        ("delegated", "signed by CN=delegated responder"),
        ("forged-signature", "signed by none of the certificates here"),
        ("by-key", "OCSP response by key "),
        ("cert-id-md5", "(an unknown hash)"),
        ("try-later", "the responder answers tryLater, and says nothing of any certificate"),
        ("nonce-wrong", f"nonce {'00' * 32}"),
        ("sha1-signature", "(ecdsa-with-SHA1)"),
    ],
)
def test_what_a_response_says_is_told(
    inspect: Callable[..., Said], scene: Scene, issuers: Path, name: str, words: str
) -> None:
    assert words in accepted(inspect(MUTATIONS[name](scene), "--issuer", issuers))


def test_each_single_response_is_told(facts: Callable[..., list[dict[str, Any]]], scene: Scene, issuers: Path) -> None:
    (response,) = facts(MUTATIONS["several-revoked"](scene), "--issuer", issuers)
    assert [(each["status"], each["certificate"]) for each in response["responses"]] == [
        ("good", None),
        ("revoked", "CN=localhost"),
    ]
    assert response["responses"][1]["revocation_reason"] == "keyCompromise"


def test_a_response_in_pem_is_one(inspect: Callable[..., Said], scene: Scene) -> None:
    assert "OCSP response by CN=test CA" in accepted(inspect(MUTATIONS["pem"](scene)))


# CRLs


def test_a_crl_is_explained(inspect: Callable[..., Said], scene: Scene, issuers: Path, at: datetime) -> None:
    crl_scene = CrlScene(link=scene.link, issuer=scene.issuer, rogue=scene.rogue, at=at)
    said = accepted(inspect(CRL_MUTATIONS["revoked"](crl_scene), "--issuer", issuers))
    assert said.startswith("CRL of CN=test CA, number 7: 1 revoked\n")
    assert "signed by CN=test CA" in said
    assert "revoked since 2026-05-30 12:00 UTC, keyCompromise: CN=localhost (serial" in said
    assert "a delta CRL" in accepted(inspect(CRL_MUTATIONS["delta"](crl_scene)))
    indirect = accepted(inspect(CRL_MUTATIONS["indirect"](crl_scene)))
    assert "an indirect CRL" in indirect
    assert "covers only a part" in indirect
    assert "signed by none" in indirect
    assert "names no end" in accepted(inspect(CRL_MUTATIONS["no-next-update"](crl_scene)))
    pem = x509.load_der_x509_crl(honest_crl(crl_scene)).public_bytes(Encoding.PEM)
    assert accepted(inspect(pem)).startswith("CRL of CN=test CA, number 7: 0 revoked\n")


def test_a_broken_crl_is_explained_as_far_as_it_goes(
    inspect: Callable[..., Said], intermediate: Authority, tmp_path: Path, leaf: Issued, at: datetime
) -> None:
    data = crl(intermediate, [Revoked(5, at)], this_update=at, next_update=at + timedelta(days=1), number=9)
    number = bytes.fromhex("0603551d140403020109")
    assert number in data
    said = accepted(inspect(data.replace(number, number[:-3] + b"\x0c\x01\x09")))
    assert said.startswith("CRL of CN=test CA: 1 revoked\n")
    der = leaf.certificate.public_bytes(Encoding.DER).replace(P256, UNKNOWN_CURVE, 1)
    (tmp_path / "unknown.der").write_bytes(der)
    assert "signed by none" in accepted(inspect(data, "--issuer", tmp_path / "unknown.der"))


def test_a_response_is_explained_beside_a_certificate_with_an_unknown_key(
    inspect: Callable[..., Said], tmp_path: Path, scene: Scene
) -> None:
    der = scene.link.subject.public_bytes(Encoding.DER).replace(P256, UNKNOWN_CURVE, 1)
    (tmp_path / "unknown.der").write_bytes(der)
    assert "signed by none" in accepted(inspect(honest(scene), "--issuer", tmp_path / "unknown.der"))


def test_a_long_crl_is_shortened_and_counted(
    inspect: Callable[..., Said], facts: Callable[..., list[dict[str, Any]]], intermediate: Authority, at: datetime
) -> None:
    entries = [Revoked(number, at) for number in range(1, 1502)]
    data = crl(intermediate, entries, this_update=at, next_update=at + timedelta(days=1), number=1)
    said = accepted(inspect(data)).splitlines()
    assert said[-1] == "  and 1491 more"
    (found,) = facts(data)
    assert (found["revoked"], len(found["entries"])) == (1501, 1000)


# what is none of it


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"hello", "This is not a certificate, request, CRL, OCSP response or PKCS#12 file, in PEM or DER"),
        (b"\x30\x03\x02\x01\x05", "This is not a certificate"),
        (b"", "is empty"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "The certificate in PEM is broken"),
        (b"-----BEGIN X509 CRL-----\n!!!!\n-----END X509 CRL-----\n", "The CRL in PEM is broken"),
        (b"-----BEGIN DH PARAMETERS-----\nAAAA\n-----END DH PARAMETERS-----\n", "of the kind DH PARAMETERS"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n", "This is not a certificate"),
    ],
)
def test_what_is_nothing_known_is_refused(inspect: Callable[..., Said], data: bytes, why: str) -> None:
    refused(inspect(data), why)


def test_what_cannot_be_read_is_refused(inspect: Callable[..., Said], tmp_path: Path, leaf: Issued) -> None:
    refused(inspect(leaf.chain_pem(), "--issuer", tmp_path / "nowhere"), "cannot read the issuer certificate")
    refused(inspect(leaf.chain_pem(), "--issuer", tmp_path), "Is a directory")
    refused(inspect(leaf.chain_pem(), at="noon"), "'noon' is not a time")


def test_documents_keep_their_order_and_skip_what_needs_no_word(leaf: Issued) -> None:
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    found = read_documents(parameters + leaf.key_pem() + leaf.chain_pem())
    assert [type(each) for each in found] == [SecretKey, x509.Certificate, x509.Certificate]
    with pytest.raises(DocumentError, match="EC PARAMETERS"):
        read_documents(parameters)


def test_a_key_that_signs_nothing_is_still_explained(
    facts: Callable[..., list[dict[str, Any]]], at: datetime, root: Authority
) -> None:
    key = x25519.X25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x25519")])
    start, end = at.replace(tzinfo=None), (at + timedelta(days=9)).replace(tzinfo=None)
    builder = x509.CertificateBuilder(root.certificate.subject, name, key.public_key(), 5, start, end)
    (found,) = facts(builder.sign(root.key, SHA256()).public_bytes(Encoding.DER))
    assert found["key"] == "X25519"

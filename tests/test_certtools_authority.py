"""What the authority issues is what was asked for, verifies as a path, and lasts no longer than its issuer."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store

from certtools.authority import (
    MAX_COMMON_NAME,
    OCSP_SIGNER_LIFETIME,
    Authority,
    AuthorityError,
    must_staple_csr,
    requested_names,
)
from certtools.chain import build_chain, load_certificates, signed_by
from certtools.extensions import TLS_FEATURE, extensions_of, find_extension
from certtools.feature import FeatureError, read_features
from certtools.keys import KeyKind, available_kinds, generate_key
from certtools.names import NamingError

if TYPE_CHECKING:
    from pathlib import Path

    from certtools.authority import Issued

YEAR = timedelta(days=365)
QUICK = [kind for kind in available_kinds() if kind not in {KeyKind.RSA_3072, KeyKind.RSA_4096}]
# What `cryptography`'s own verifier knows; OpenSSL judges the rest in the handshake.
WEB = (KeyKind.EC_P256, KeyKind.EC_P384, KeyKind.RSA_2048)


@pytest.mark.parametrize("kind", QUICK)
def test_a_chain_of_any_kind_of_key_holds_together(at: datetime, kind: KeyKind) -> None:
    root = Authority.root("root", not_before=at, not_after=at + YEAR, key=kind)
    issued = root.intermediate("one", key=kind).intermediate("two", key=kind).leaf(["localhost", "::1"], key=kind)
    chain = issued.as_chain()
    assert len(chain.certificates) == 4
    assert build_chain(chain.certificates[::-1], complete=True) == chain
    assert load_pem_private_key(issued.key_pem(), None).public_key() == issued.certificate.public_key()
    if kind in WEB:
        store = Store([root.certificate])
        verifier = (
            PolicyBuilder().store(store).time(at + timedelta(days=1)).build_server_verifier(x509.DNSName("localhost"))
        )
        assert len(verifier.verify(chain.leaf, list(chain.certificates[1:3]))) == 4


@pytest.mark.peer("openssl")
def test_openssl_verifies_the_chain_and_refuses_it_without_a_link(tmp_path: Path, leaf: Issued, at: datetime) -> None:
    (tmp_path / "root.pem").write_bytes(leaf.chain[-1].public_bytes(Encoding.PEM))
    (tmp_path / "chain.pem").write_bytes(leaf.chain_pem())
    (tmp_path / "leaf.pem").write_bytes(leaf.certificate.public_bytes(Encoding.PEM))

    def verify(*untrusted: str) -> int:
        common = ("-x509_strict", "-purpose", "sslserver", "-verify_hostname", "localhost")
        when = ("-attime", str(int(at.timestamp())))
        command = ["openssl", "verify", *common, *when, "-CAfile", "root.pem", *untrusted, "leaf.pem"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=30).returncode

    assert verify("-untrusted", "chain.pem") == 0
    assert verify() != 0


def test_the_chain_is_written_as_a_server_wants_it(leaf: Issued, root: Authority) -> None:
    assert load_certificates(leaf.chain_pem()) == list(leaf.chain[:2])
    assert load_certificates(leaf.chain_pem(root=True)) == list(leaf.chain)
    assert leaf.chain[-1] == root.certificate
    alone = root.ocsp_signer(not_before=root.certificate.not_valid_before_utc)
    assert load_certificates(alone.chain_pem()) == [alone.certificate]


def test_the_path_of_a_ca_ends_at_its_root(root: Authority, intermediate: Authority) -> None:
    assert intermediate.path == (intermediate.certificate, root.certificate)
    assert intermediate.as_chain().complete
    assert root.path == (root.certificate,)


def test_a_leaf_says_what_a_tls_server_needs(intermediate: Authority) -> None:
    urls = {"ocsp_urls": ["http://127.0.0.1:1/a"], "crl_urls": ["http://127.0.0.1:1/b"]}
    certificate = intermediate.leaf(["localhost", "127.0.0.1", "ada@example.org"], **urls).certificate
    said = {each.oid._name: each for each in certificate.extensions}
    assert set(said) == {
        "basicConstraints",
        "keyUsage",
        "extendedKeyUsage",
        "subjectKeyIdentifier",
        "authorityKeyIdentifier",
        "subjectAltName",
        "TLSFeature",
        "authorityInfoAccess",
        "cRLDistributionPoints",
    }
    assert {name for name, each in said.items() if each.critical} == {"basicConstraints", "keyUsage"}
    assert not said["basicConstraints"].value.ca
    assert list(said["extendedKeyUsage"].value) == [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    assert certificate.subject.rfc4514_string() == "CN=localhost"
    issuer_key = find_extension(intermediate.certificate, x509.SubjectKeyIdentifier)
    assert said["authorityKeyIdentifier"].value.key_identifier == issuer_key.digest
    assert certificate.serial_number.bit_length() > 64
    only_server = intermediate.leaf(["localhost"], client_auth=False).certificate
    assert list(find_extension(only_server, x509.ExtendedKeyUsage)) == [ExtendedKeyUsageOID.SERVER_AUTH]


def test_key_usage_fits_the_key(intermediate: Authority) -> None:
    def usage(certificate: x509.Certificate) -> x509.KeyUsage:
        return find_extension(certificate, x509.KeyUsage)

    assert usage(intermediate.leaf(["a"], key="rsa-2048").certificate).key_encipherment
    assert not usage(intermediate.leaf(["a"]).certificate).key_encipherment
    ca = usage(intermediate.certificate)
    assert (ca.key_cert_sign, ca.crl_sign, ca.digital_signature) == (True, True, True)
    assert not usage(intermediate.leaf(["a"]).certificate).key_cert_sign


def test_a_ca_says_how_deep_it_may_go_and_what_it_promises(at: datetime) -> None:
    root = Authority.root("root", not_before=at, not_after=at + YEAR, features=(5, 17), path_length=1)
    below = root.intermediate("below", features=(), path_length=0)
    assert find_extension(root.certificate, x509.BasicConstraints) == x509.BasicConstraints(ca=True, path_length=1)
    assert find_extension(below.certificate, x509.BasicConstraints) == x509.BasicConstraints(ca=True, path_length=0)
    assert read_features(root.certificate) == (5, 17)
    assert read_features(below.certificate) == ()
    assert read_features(root.intermediate("silent").certificate) is None


def test_a_serial_number_may_be_given(at: datetime) -> None:
    root = Authority.root("root", not_before=at, not_after=at + YEAR, serial_number=1)
    signer = root.ocsp_signer(not_before=at, serial_number=4)
    csr = must_staple_csr(["a"], generate_key())
    issued = [root.intermediate(serial_number=2), root.leaf(["a"], serial_number=3), signer]
    assert [each.certificate.serial_number for each in (root, *issued)] == [1, 2, 3, 4]
    assert root.sign_csr(csr, serial_number=5).certificate.serial_number == 5


def test_a_first_name_too_long_for_a_subject_leaves_it_empty_and_the_names_critical(intermediate: Authority) -> None:
    long = "a" * 60 + ".example"
    assert len(long) > MAX_COMMON_NAME
    issued = intermediate.leaf([long])
    for holder in (issued.certificate, must_staple_csr([long], issued.key)):
        assert list(holder.subject) == []
        assert holder.extensions.get_extension_for_class(x509.SubjectAlternativeName).critical


@pytest.mark.parametrize("name", ["", "x" * 65])
def test_a_ca_has_a_name_of_a_sensible_length(at: datetime, name: str) -> None:
    with pytest.raises(AuthorityError, match="1 to 64 characters"):
        Authority.root(name, not_before=at, not_after=at + YEAR)


def test_a_child_lasts_as_long_as_its_parent_and_never_longer(at: datetime) -> None:
    root = Authority.root("root", not_before=at, not_after=at + YEAR)

    def validity(start: datetime | None, end: datetime | None) -> tuple[datetime, datetime]:
        certificate = root.leaf(["a"], not_before=start, not_after=end).certificate
        return certificate.not_valid_before_utc, certificate.not_valid_after_utc

    day = timedelta(days=1)
    assert validity(None, None) == (at, at + YEAR)
    assert validity(at - day, at + 9 * YEAR) == (at, at + YEAR)
    assert validity(at + day, at + 2 * day) == (at + day, at + 2 * day)
    assert validity(at + timedelta(microseconds=1), None) == (at, at + YEAR), "whole seconds"
    with pytest.raises(AuthorityError, match="nothing it issues can be valid then"):
        validity(at + 2 * YEAR, at + 3 * YEAR)
    with pytest.raises(AuthorityError, match="nothing it issues can be valid then"):
        validity(at - 2 * YEAR, at - YEAR)


def test_times_are_aware_and_in_order(at: datetime) -> None:
    with pytest.raises(AuthorityError, match="no time zone"):
        Authority.root("root", not_before=at.replace(tzinfo=None), not_after=at + YEAR)
    with pytest.raises(AuthorityError, match=r"expire \(2026-05-31 12:00\) before it begins"):
        Authority.root("root", not_before=at, not_after=at - timedelta(days=1))
    with pytest.raises(AuthorityError, match="before 1950"):
        Authority.root("root", not_before=at.replace(year=1949), not_after=at)
    elsewhere = at.astimezone(timezone(timedelta(hours=5)))
    root = Authority.root("root", not_before=elsewhere, not_after=at + YEAR)
    assert root.certificate.not_valid_before_utc == datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.mark.requirement("RFC6960-4.2.2.2-4")
def test_a_delegated_signer_is_issued_by_the_ca_itself_for_ocsp_alone(at: datetime, intermediate: Authority) -> None:
    signer = intermediate.ocsp_signer(not_before=at)
    certificate = signer.certificate
    assert signed_by(certificate, intermediate.certificate)
    assert certificate.subject.rfc4514_string() == "CN=test CA OCSP"
    assert list(find_extension(certificate, x509.ExtendedKeyUsage)) == [ExtendedKeyUsageOID.OCSP_SIGNING]
    assert find_extension(certificate, x509.OCSPNoCheck) is not None
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc == OCSP_SIGNER_LIFETIME
    assert read_features(certificate) is None
    bare = intermediate.ocsp_signer(not_before=at, purposes=(), nocheck=False, digital_signature=False).certificate
    assert find_extension(bare, x509.ExtendedKeyUsage) is None
    assert find_extension(bare, x509.OCSPNoCheck) is None
    assert not find_extension(bare, x509.KeyUsage).digital_signature


def test_a_signer_of_a_nameless_ca_has_a_name(at: datetime) -> None:
    root = Authority.root(x509.Name([]), not_before=at, not_after=at + YEAR)
    assert root.ocsp_signer(not_before=at).certificate.subject.rfc4514_string() == "CN=CA OCSP"
    assert root.ocsp_signer("me", not_before=at).certificate.subject.rfc4514_string() == "CN=me"


def test_a_ca_made_elsewhere_without_a_key_identifier_can_issue(at: datetime) -> None:
    key = generate_key()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "elsewhere")])
    start, end = at.replace(tzinfo=None), (at + YEAR).replace(tzinfo=None)
    certificate = x509.CertificateBuilder(name, name, key.public_key(), 1, start, end).sign(key, SHA256())
    issued = Authority(certificate, key).leaf(["a"])
    said = find_extension(issued.certificate, x509.AuthorityKeyIdentifier)
    assert said.key_identifier == x509.SubjectKeyIdentifier.from_public_key(key.public_key()).digest
    assert signed_by(issued.certificate, certificate)


@pytest.mark.requirement("RFC7633-4.2.1-1")
@pytest.mark.parametrize("features", [(5,), (5, 17), (5, 99), (), None], ids=str)
def test_a_request_gets_its_names_and_its_features(intermediate: Authority, features: tuple[int, ...] | None) -> None:
    key = generate_key()
    csr = must_staple_csr(["localhost", "127.0.0.1", "ada@example.org"], key, features)
    signed = intermediate.sign_csr(csr)
    assert read_features(signed.certificate) == features
    assert signed.certificate.public_key() == key.public_key()
    assert requested_names(csr) == tuple(find_extension(signed.certificate, x509.SubjectAlternativeName))
    assert signed.as_chain() == build_chain(signed.chain, complete=True)


def test_names_and_features_override_those_requested(intermediate: Authority) -> None:
    csr = must_staple_csr(["localhost"], generate_key(), (5, 99))
    signed = intermediate.sign_csr(csr, names=["example.org"], features=None)
    assert read_features(signed.certificate) is None
    assert list(find_extension(signed.certificate, x509.SubjectAlternativeName)) == [x509.DNSName("example.org")]


def request(*extensions: x509.ExtensionType) -> x509.CertificateSigningRequest:
    builder = x509.CertificateSigningRequestBuilder(x509.Name([]))
    for each in extensions:
        builder = builder.add_extension(each, critical=True)
    return builder.sign(generate_key(), SHA256())


SAN = x509.SubjectAlternativeName([x509.DNSName("localhost")])


def test_nothing_else_that_a_request_asks_for_is_given(intermediate: Authority) -> None:
    csr = request(
        SAN,
        x509.BasicConstraints(ca=True, path_length=None),
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]),
        x509.OCSPNoCheck(),
        x509.UnrecognizedExtension(x509.ObjectIdentifier("2.999.1"), b"\5\0"),
    )
    certificate = intermediate.sign_csr(csr).certificate
    assert not find_extension(certificate, x509.BasicConstraints).ca
    assert ExtendedKeyUsageOID.OCSP_SIGNING not in find_extension(certificate, x509.ExtendedKeyUsage)
    assert find_extension(certificate, x509.OCSPNoCheck) is None
    assert "2.999.1" not in {each.oid.dotted_string for each in extensions_of(certificate)}


def test_a_request_without_names_or_with_strange_ones_is_refused(intermediate: Authority) -> None:
    with pytest.raises(AuthorityError, match="give the names yourself"):
        intermediate.sign_csr(request())
    assert intermediate.sign_csr(request(), names=["a"]).certificate.subject.rfc4514_string() == "CN=a"
    uri = x509.SubjectAlternativeName([x509.UniformResourceIdentifier("http://a")])
    with pytest.raises(NamingError, match="not issued"):
        intermediate.sign_csr(request(uri))
    with pytest.raises(NamingError, match="no host name"):
        intermediate.sign_csr(request(x509.SubjectAlternativeName([x509.DNSName("*.*")])))


def test_a_request_with_a_broken_feature_list_is_refused(intermediate: Authority) -> None:
    csr = request(SAN, x509.UnrecognizedExtension(TLS_FEATURE, b"\5\0"))
    with pytest.raises(FeatureError, match="malformed"):
        intermediate.sign_csr(csr)
    assert read_features(intermediate.sign_csr(csr, features=(5,)).certificate) == (5,)


def test_a_request_whose_sender_lacks_the_key_is_refused(intermediate: Authority) -> None:
    der = request(SAN).public_bytes(Encoding.DER)
    forged = x509.load_der_x509_csr(der[:-1] + bytes([der[-1] ^ 1]))
    with pytest.raises(AuthorityError, match="does not hold the key"):
        intermediate.sign_csr(forged)

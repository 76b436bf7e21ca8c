"""Extensions are read beside a TLS Feature list that makes the library give up on all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from certtools.authority import must_staple_csr
from certtools.extensions import (
    UNREADABLE,
    ExtensionsError,
    crl_urls,
    extensions_of,
    find_extension,
    ocsp_urls,
    raw_extensions,
)
from certtools.keys import available_kinds

if TYPE_CHECKING:
    from certtools.authority import Authority

OCSP = ("http://127.0.0.1:2560", "http://127.0.0.1:2561/b")
CRL = ("http://127.0.0.1:2560/crl/ca.crl",)


@pytest.mark.requirement("RFC6960-3.1-1")
@pytest.mark.parametrize("kind", available_kinds())
@pytest.mark.parametrize("features", [None, (5,), (5, 99), ()], ids=str)
def test_urls_and_names_are_read_whatever_the_feature_list(
    intermediate: Authority, features: tuple[int, ...] | None, kind: str
) -> None:
    if kind.startswith("rsa-") and kind != "rsa-2048":
        kind = "rsa-2048"  # greater ones differ in nothing here but time
    issued = intermediate.leaf(["localhost"], features=features, ocsp_urls=OCSP, crl_urls=CRL, key=kind)
    assert ocsp_urls(issued.certificate) == OCSP
    assert crl_urls(issued.certificate) == CRL
    for holder in (issued.certificate, must_staple_csr(["localhost"], issued.key, features)):
        names = find_extension(holder, x509.SubjectAlternativeName)
        assert names is not None
        assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert find_extension(issued.certificate, x509.OCSPNoCheck) is None


@pytest.mark.requirement("RFC6960-3.1-1")
def test_a_certificate_that_names_no_responder_has_no_url(root: Authority) -> None:
    assert ocsp_urls(root.certificate) == ()
    assert crl_urls(root.certificate) == ()


def test_only_the_unreadable_feature_list_is_left_out(intermediate: Authority) -> None:
    hostile = intermediate.leaf(["localhost"], features=(5, 99)).certificate
    tame = intermediate.leaf(["localhost"], features=(5,)).certificate
    with pytest.raises(UNREADABLE):
        _ = hostile.extensions
    oids = [each.oid for each in tame.extensions]
    assert [each.oid for each in extensions_of(tame)] == oids
    assert [each.oid for each in extensions_of(hostile)] == [
        oid for oid in oids if not oid.dotted_string.endswith(".24")
    ]


def test_raw_extensions_are_those_in_the_certificate(intermediate: Authority) -> None:
    issued = intermediate.leaf(["localhost"], features=(5,))
    said = [
        (each.oid.dotted_string, each.critical, each.value.public_bytes()) for each in issued.certificate.extensions
    ]
    assert [tuple(each) for each in raw_extensions(issued.certificate)] == said
    csr = must_staple_csr(["localhost"], issued.key)
    said = [(each.oid.dotted_string, each.critical, each.value.public_bytes()) for each in csr.extensions]
    assert [tuple(each) for each in raw_extensions(csr)] == said


def test_holders_without_extensions_have_none(intermediate: Authority) -> None:
    csr = x509.CertificateSigningRequestBuilder(x509.Name([])).sign(intermediate.key, SHA256())
    assert raw_extensions(csr) == []
    assert list(extensions_of(csr)) == []


def test_extensions_broken_otherwise_are_refused(intermediate: Authority) -> None:
    der = intermediate.leaf(["localhost"], features=(5, 99)).certificate.public_bytes(Encoding.DER)
    key_usage = bytes.fromhex("0603551d0f0101ff0404030207")
    assert key_usage in der
    broken = x509.load_der_x509_certificate(der.replace(key_usage, key_usage[:-3] + b"\x13\x02\x07"))
    with pytest.raises(ExtensionsError, match="cannot be read"):
        extensions_of(broken)
    assert find_extension(broken, x509.SubjectAlternativeName) is None
    assert ocsp_urls(broken) == ()
    assert len(raw_extensions(broken)) == 7, "they are listed as they stand all the same"


def test_a_request_whose_extensions_are_none_is_refused(intermediate: Authority) -> None:
    request = x509.ObjectIdentifier("1.2.840.113549.1.9.14")
    builder = x509.CertificateSigningRequestBuilder(x509.Name([])).add_attribute(request, b"five")
    csr = builder.sign(intermediate.key, SHA256())
    with pytest.raises(ExtensionsError, match="cannot be read"):
        raw_extensions(csr)
    with pytest.raises(ExtensionsError, match="cannot be read"):
        extensions_of(csr)

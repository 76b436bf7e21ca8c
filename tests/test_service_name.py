"""The name a client means, and certificates that hold it, hold another, or hold it where it is hard to read."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtensionOID, NameOID

from mustaple.core.errors import InputError
from mustaple.core.verdict import Code
from mustaple.net.service_name import name_reason, service_name

if TYPE_CHECKING:
    from collections.abc import Iterable

_KEY = ec.generate_private_key(ec.SECP256R1())


def _certificate(*extensions: x509.ExtensionType, common_name: str = "localhost") -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    start = datetime(2026, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder(name, name, _KEY.public_key(), 7, start, start + timedelta(days=9))
    for each in extensions:
        builder = builder.add_extension(each, critical=False)
    return builder.sign(_KEY, hashes.SHA256())


def _named(*names: str) -> x509.Certificate:
    return _certificate(x509.SubjectAlternativeName(list(_general(names))))


def _general(names: Iterable[str]) -> Iterable[x509.GeneralName]:
    for name in names:
        try:
            yield x509.IPAddress(ipaddress.ip_address(name))
        except ValueError:
            yield x509.DNSName(name)


@pytest.mark.parametrize(
    ("text", "server_name"),
    [
        ("localhost", b"localhost"),
        ("LocalHost.", b"localhost"),
        ("a.example.com", b"a.example.com"),
        ("bücher.example", b"xn--bcher-kva.example"),
        ("127.0.0.1", None),
        ("::1", None),
        ("[::1]", None),
        ("fe80::1%eth0", None),
    ],
)
def test_what_the_client_hello_says(text: str, server_name: bytes | None) -> None:
    assert service_name(text).server_name == server_name


@pytest.mark.parametrize("text", ["", ".", "a b", "a..b", "*.example.com", "a@example.com", "1.2.3", "x" * 64, "a/b"])
def test_what_is_no_name_is_an_input_error(text: str) -> None:
    with pytest.raises(InputError):
        service_name(text)


@pytest.mark.parametrize(
    ("held", "asked", "fits"),
    [
        (["a.example"], "a.example", True),
        (["A.Example"], "a.example", True),
        (["b.example", "a.example"], "a.example", True),
        (["a.example"], "b.example", False),
        (["a.example"], "a.example.com", False),
        (["*.example.com"], "a.example.com", True),
        (["*.example.com"], "example.com", False),
        (["*.example.com"], "a.b.example.com", False),
        (["*.com", "a.com"], "a.com", True),
        (["*.com"], "a.com", False),
        (["xn--bcher-kva.example"], "bücher.example", True),
        (["127.0.0.1"], "127.0.0.1", True),
        (["127.0.0.1"], "127.0.0.2", False),
        (["::1"], "0:0:0:0:0:0:0:1", True),
        (["::1"], "[::1]", True),
        (["127.0.0.1"], "localhost", False),
        (["localhost"], "127.0.0.1", False),
    ],
)
def test_a_certificate_fits_the_names_it_holds(held: list[str], asked: str, *, fits: bool) -> None:
    reason = name_reason(_named(*held), service_name(asked))
    assert (reason is None) is fits
    if reason is not None:
        assert reason.code is Code.NAME_MISMATCH
        assert asked in reason.detail


def test_the_common_name_is_no_name() -> None:
    reason = name_reason(_certificate(), service_name("localhost"))
    assert reason is not None
    assert "no subjectAltName" in reason.detail
    mail = _certificate(x509.SubjectAlternativeName([x509.RFC822Name("root@localhost")]))
    assert name_reason(mail, service_name("localhost")) is not None


@pytest.mark.parametrize("features", ["3006020105020163", "3000", "0500", "3003020105ff"])
def test_a_feature_list_that_cannot_be_read_does_not_hide_the_names(features: str) -> None:
    hostile = x509.UnrecognizedExtension(ExtensionOID.TLS_FEATURE, bytes.fromhex(features))
    certificate = _certificate(x509.SubjectAlternativeName([x509.DNSName("localhost")]), hostile)
    assert name_reason(certificate, service_name("localhost")) is None
    assert name_reason(certificate, service_name("example.com")) is not None


@pytest.mark.parametrize("names", ["", "30", "0500", "3003820161ff", "3003820361"])
def test_names_that_cannot_be_read_fit_nothing(names: str) -> None:
    broken = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, bytes.fromhex(names))
    reason = name_reason(_certificate(broken), service_name("a"))
    assert reason is not None
    assert "cannot be read" in reason.detail

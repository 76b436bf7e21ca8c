"""The extension noRevAvail: when it says something, and what beside it takes its meaning away."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from certtools.extensions import TLS_FEATURE, has_no_rev_avail, no_rev_avail_conflicts

if TYPE_CHECKING:
    from datetime import datetime

OID: Final = x509.ObjectIdentifier("2.5.29.56")
NO_REV_AVAIL: Final = x509.UnrecognizedExtension(OID, b"\x05\x00")
URL: Final = x509.UniformResourceIdentifier("http://127.0.0.1:9/")
POINT: Final = x509.DistributionPoint([URL], None, None, None)
KEY: Final = ec.generate_private_key(ec.SECP256R1())


def certificate(at: datetime, *extensions: x509.ExtensionType) -> x509.Certificate:
    """A certificate of nobody's with these extensions."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "short-lived")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(at)
        .not_valid_after(at + timedelta(days=1))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(KEY, SHA256())


@pytest.mark.requirement("RFC9608-2-1")
def test_it_is_found_where_it_stands_and_nowhere_else(at: datetime) -> None:
    assert has_no_rev_avail(certificate(at, NO_REV_AVAIL))
    assert has_no_rev_avail(certificate(at, NO_REV_AVAIL, x509.BasicConstraints(ca=False, path_length=None)))
    assert not has_no_rev_avail(certificate(at))
    assert not has_no_rev_avail(certificate(at, x509.UnrecognizedExtension(OID, b"\x01\x01\xff")))


def test_a_hostile_feature_list_does_not_hide_it(at: datetime) -> None:
    strange = x509.UnrecognizedExtension(TLS_FEATURE, b"\x30\x00")
    assert has_no_rev_avail(certificate(at, NO_REV_AVAIL, strange))


@pytest.mark.requirement("RFC9608-3-1")
@pytest.mark.parametrize(
    ("extension", "said"),
    [
        (x509.BasicConstraints(ca=True, path_length=None), "a CA"),
        (x509.CRLDistributionPoints([POINT]), "CRL distribution points"),
        (x509.FreshestCRL([POINT]), "freshest CRL"),
        (
            x509.AuthorityInformationAccess([x509.AccessDescription(AuthorityInformationAccessOID.OCSP, URL)]),
            "OCSP responder",
        ),
    ],
    ids=["ca", "crl", "freshest", "ocsp"],
)
def test_what_contradicts_it_takes_its_meaning(at: datetime, extension: x509.ExtensionType, said: str) -> None:
    contradictory = certificate(at, NO_REV_AVAIL, extension)
    (found,) = no_rev_avail_conflicts(contradictory)
    assert said in found
    assert not has_no_rev_avail(contradictory)


def test_what_is_unreadable_excuses_nothing(at: datetime) -> None:
    strange = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.19"), b"\x04")  # basicConstraints, cut short
    unreadable = certificate(at, NO_REV_AVAIL, strange)
    assert no_rev_avail_conflicts(unreadable)
    assert not has_no_rev_avail(unreadable)

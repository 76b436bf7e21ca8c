"""What each kind of certificate says besides its names and times: its extensions (RFC 5280 §4.2), its signature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from certtools.drawing import ecdsa_deterministic
from certtools.extensions import find_extension
from certtools.feature import extension
from certtools.keys import signature_hash

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

    from certtools.keys import PrivateKey


@dataclass(frozen=True)
class Profile:
    """What one kind of certificate says. `features` is its TLS Feature list (RFC 7633), None for no extension."""

    features: Sequence[int] | None = None
    ca: bool = False
    path_length: int | None = None
    purposes: tuple[x509.ObjectIdentifier, ...] = ()
    nocheck: bool = False
    digital_signature: bool = True
    ocsp_urls: Sequence[str] = ()
    crl_urls: Sequence[str] = ()


def leaf_profile(
    features: Sequence[int] | None, ocsp_urls: Sequence[str], crl_urls: Sequence[str], *, client_auth: bool
) -> Profile:
    """That of a TLS server's certificate, and a TLS client's too with `client_auth`."""
    purposes = (ExtendedKeyUsageOID.SERVER_AUTH, *((ExtendedKeyUsageOID.CLIENT_AUTH,) if client_auth else ()))
    return Profile(features=features, purposes=purposes, ocsp_urls=ocsp_urls, crl_urls=crl_urls)


def sign_certificate(
    builder: x509.CertificateBuilder,
    public_key: CertificatePublicKeyTypes,
    profile: Profile,
    key: PrivateKey,
    issuer: x509.Certificate | None = None,
) -> x509.Certificate:
    """The certificate, with every extension its profile asks for (RFC 5280 §4.2)."""
    for value, critical in _extensions(public_key, profile, issuer):
        builder = builder.add_extension(value, critical=critical)
    return builder.sign(key, signature_hash(key), ecdsa_deterministic=ecdsa_deterministic(key))


def _extensions(
    public_key: CertificatePublicKeyTypes, profile: Profile, issuer: x509.Certificate | None
) -> Iterator[tuple[x509.ExtensionType, bool]]:
    yield x509.BasicConstraints(ca=profile.ca, path_length=profile.path_length), True
    yield _key_usage(public_key, profile), True
    if profile.purposes:
        yield x509.ExtendedKeyUsage(profile.purposes), False
    yield x509.SubjectKeyIdentifier.from_public_key(public_key), False
    if issuer is not None:
        yield authority_key_identifier(issuer), False
    if profile.nocheck:
        yield x509.OCSPNoCheck(), False
    if profile.features is not None:
        yield extension(profile.features), False
    if profile.ocsp_urls:
        yield (
            x509.AuthorityInformationAccess(
                x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(url))
                for url in profile.ocsp_urls
            ),
            False,
        )
    if profile.crl_urls:
        yield (
            x509.CRLDistributionPoints(
                x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None)
                for url in profile.crl_urls
            ),
            False,
        )


def _key_usage(public_key: CertificatePublicKeyTypes, profile: Profile) -> x509.KeyUsage:
    # A CA signs OCSP responses itself where no signer is delegated, hence its digitalSignature bit.
    return x509.KeyUsage(
        digital_signature=profile.digital_signature,
        content_commitment=False,
        key_encipherment=not profile.ca and isinstance(public_key, rsa.RSAPublicKey),
        data_encipherment=False,
        key_agreement=not profile.digital_signature,
        key_cert_sign=profile.ca,
        crl_sign=profile.ca,
        encipher_only=False,
        decipher_only=False,
    )


def authority_key_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """What says which key of an issuer signed (RFC 5280 §4.2.1.1): its own SKI, or one made for a CA without."""
    own = find_extension(issuer, x509.SubjectKeyIdentifier)
    if own is None:
        own = x509.SubjectKeyIdentifier.from_public_key(issuer.public_key())
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)

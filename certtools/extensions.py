"""Extensions of certificates and requests, read even where a hostile TLS Feature list makes `cryptography` give up."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID

if TYPE_CHECKING:
    from collections.abc import Iterable

    from asn1crypto.x509 import Extensions

TLS_FEATURE = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.24")  # id-pe-tlsfeature, RFC 7633 §4.1
TLS_FEATURE_DER = bytes.fromhex("06082b06010505070118")
NO_REV_AVAIL = "2.5.29.56"  # id-ce-noRevAvail, RFC 9608 §2
_NULL = bytes.fromhex("0500")
_POINTERS = {"2.5.29.31": "it names CRL distribution points", "2.5.29.46": "it names a freshest CRL"}
_MASK = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.127")
_MASK_DER = TLS_FEATURE_DER[:-1] + b"\x7f"

Holder: TypeAlias = x509.Certificate | x509.CertificateSigningRequest
ExtensionT = TypeVar("ExtensionT", bound=x509.ExtensionType)

# What `cryptography` raises for extensions that it cannot parse: KeyError for a TLS Feature list [5,99],
# TypeError for an empty one, ValueError for broken DER.
UNREADABLE = (ValueError, KeyError, TypeError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)


class ExtensionsError(ValueError):
    """Extensions that are malformed beyond the TLS Feature list."""


class RawExtension(NamedTuple):
    """One extension as it stands in the DER: dotted OID, critical flag, and the bytes inside extnValue."""

    oid: str
    critical: bool
    value: bytes


def raw_extensions(holder: Holder) -> list[RawExtension]:
    """Every extension in the order written, duplicates included, nothing interpreted.

    Raises ExtensionsError where they are not even DER.
    """
    try:
        return [_raw(item.dump()) for group in _groups(holder) for item in group]
    except (ValueError, KeyError, TypeError) as error:
        raise ExtensionsError("The extensions cannot be read.") from error


def _raw(der: bytes) -> RawExtension:
    from asn1crypto.core import Sequence

    # By position and not as asn1crypto's Extension, which would parse the values of those it knows.
    parts = Sequence.load(der)
    oid, *critical, value = (parts[index].native for index in range(len(parts)))
    return RawExtension(oid, critical == [True], value)


def extensions_of(holder: Holder) -> x509.Extensions:
    """The extensions as `cryptography` objects; an unreadable TLS Feature list alone is left out.

    Raises ExtensionsError where others are malformed or stand twice.
    """
    try:
        return holder.extensions
    except UNREADABLE:
        pass
    try:
        readable = _with_masked_features(holder).extensions
    except UNREADABLE as error:
        raise ExtensionsError(f"The extensions cannot be read: {error}.") from error
    return x509.Extensions([each for each in readable if each.oid != _MASK])


def find_extension(holder: Holder, kind: type[ExtensionT]) -> ExtensionT | None:
    """The value of the extension of this class; None where it is absent or cannot be read."""
    try:
        return extensions_of(holder).get_extension_for_class(kind).value
    except (x509.ExtensionNotFound, ExtensionsError):
        return None


def ocsp_urls(certificate: x509.Certificate) -> tuple[str, ...]:
    """The OCSP URLs of the Authority Information Access extension (RFC 5280 §4.2.2.1), in its order."""
    access = find_extension(certificate, x509.AuthorityInformationAccess) or ()
    return _urls(each.access_location for each in access if each.access_method == AuthorityInformationAccessOID.OCSP)


def crl_urls(certificate: x509.Certificate) -> tuple[str, ...]:
    """The URLs of the CRL distribution points (RFC 5280 §4.2.1.13), in their order."""
    points = find_extension(certificate, x509.CRLDistributionPoints) or ()
    return _urls(name for point in points for name in point.full_name or ())


def has_no_rev_avail(certificate: x509.Certificate) -> bool:
    """Whether the certificate says, with id-ce-noRevAvail, that no revocation information is published for it.

    True only for what the RFC allows: the extension once, its value NULL, in a certificate without what contradicts
    it (`no_rev_avail_conflicts`). Unreadable extensions say no (RFC 9608 §2, §3).
    """
    try:
        values = [each.value for each in raw_extensions(certificate) if each.oid == NO_REV_AVAIL]
    except ExtensionsError:
        return False
    return values == [_NULL] and not no_rev_avail_conflicts(certificate)


def no_rev_avail_conflicts(certificate: x509.Certificate) -> tuple[str, ...]:
    """What may not stand beside noRevAvail and does, in words: a CA, or pointers to revocation information.

    Without the extension it says the same of the certificate; nothing is wrong with it then (RFC 9608 §3).
    """
    try:
        names = {each.oid for each in raw_extensions(certificate)}
        extensions_of(certificate)
    except ExtensionsError as error:
        return (str(error),)
    found = [said for oid, said in _POINTERS.items() if oid in names]
    constraints = find_extension(certificate, x509.BasicConstraints)
    if constraints is not None and constraints.ca:
        found.append("basicConstraints says that it is a CA")
    if ocsp_urls(certificate):
        found.append("authorityInfoAccess names an OCSP responder")
    return tuple(found)


def _urls(names: Iterable[x509.GeneralName]) -> tuple[str, ...]:
    return tuple(name.value for name in names if isinstance(name, x509.UniformResourceIdentifier))


def _with_masked_features(holder: Holder) -> Holder:
    """The same holder, its signature broken, with the TLS Feature extension under an OID that nobody assigned.

    An OID of the same length in the same place: nothing else moves, and no key or name has to be understood.
    """
    der = holder.public_bytes(Encoding.DER).replace(TLS_FEATURE_DER, _MASK_DER)
    if isinstance(holder, x509.Certificate):
        return x509.load_der_x509_certificate(der)
    return x509.load_der_x509_csr(der)


def _groups(holder: Holder) -> list[Extensions]:
    """The holder's lists of extensions as asn1crypto reads them: one at most, unless a request is odd."""
    from asn1crypto.csr import CertificationRequest
    from asn1crypto.x509 import Certificate

    der = holder.public_bytes(Encoding.DER)
    if isinstance(holder, x509.Certificate):
        extensions = Certificate.load(der)["tbs_certificate"]["extensions"]
        return [extensions] if extensions else []
    attributes = CertificationRequest.load(der)["certification_request_info"]["attributes"]
    return [
        group for each in attributes or () if each["type"].native == "extension_request" for group in each["values"]
    ]

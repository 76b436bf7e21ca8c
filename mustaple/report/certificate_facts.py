"""What certificates and requests say, as JSON values; hostile ones too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID

from certtools.chain import is_authority, name_of, signed_by
from certtools.extensions import crl_urls, find_extension, ocsp_urls
from certtools.feature import FeatureError, Reading, demand, not_inherited, read_features
from mustaple.report.verdict_json import time_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from certtools.extensions import Holder
    from certtools.feature import Demand

# What cryptography raises where a field of a hostile document is read.
BROKEN: Final = (ValueError, TypeError, KeyError, UnsupportedAlgorithm, x509.DuplicateExtension)
# The two handshakes a promise is explained for: TLS 1.3 knows 5 alone, and TLS 1.2 may be asked for both.
_HANDSHAKES: Final = {"tls13": (frozenset({5}), True), "tls12": (frozenset({5, 17}), False)}


def certificate_facts(
    certificate: x509.Certificate, at: datetime, others: Iterable[x509.Certificate] = ()
) -> dict[str, Any]:
    """One certificate as it stands at a time. Who signed it is looked for among `others`. Times are UTC."""
    usage = find_extension(certificate, x509.ExtendedKeyUsage) or ()
    self_signed = signed_by(certificate, certificate)
    signer = certificate if self_signed else next((each for each in others if signed_by(certificate, each)), None)
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return {
        "kind": "certificate",
        "subject": name_of(certificate),
        "names": _san_texts(certificate),
        "authority": is_authority(certificate),
        "ocsp_signer": ExtendedKeyUsageOID.OCSP_SIGNING in usage,
        "ocsp_nocheck": find_extension(certificate, x509.OCSPNoCheck) is not None,
        "serial_number": f"{certificate.serial_number:x}",
        "fingerprint": certificate.fingerprint(SHA256()).hex(),
        "key": _key_text(certificate),
        "signature": oid_text(certificate.signature_algorithm_oid),
        "issuer": name_text(lambda: certificate.issuer),
        "self_signed": self_signed,
        "signed_by": None if signer is None else name_of(signer),
        "not_before": time_json(begin),
        "not_after": time_json(end),
        "validity": validity(begin, end, at),
        **_feature_facts(certificate, None if self_signed else signer),
        "ocsp_urls": list(ocsp_urls(certificate)),
        "crl_urls": list(crl_urls(certificate)),
    }


def request_facts(csr: x509.CertificateSigningRequest) -> dict[str, Any]:
    """What a certificate request asks for, and whether its sender holds the key."""
    try:
        sound = csr.is_signature_valid
    except BROKEN:
        sound = False
    return {
        "kind": "request",
        "subject": name_text(lambda: csr.subject),
        "names": _san_texts(csr),
        "key": _key_text(csr),
        "signature": oid_text(csr.signature_algorithm_oid),
        "signature_valid": sound,
        **_feature_facts(csr, None),
    }


def _feature_facts(holder: Holder, issuer: x509.Certificate | None) -> dict[str, Any]:
    """The TLS Feature list, what it lacks of its issuer's, and what each reading asks of a server (RFC 7633)."""
    try:
        features, problem = read_features(holder), None
    except FeatureError as error:
        features, problem = None, str(error)
    try:
        above = read_features(issuer) if issuer is not None else None
    except FeatureError:
        above = None
    return {
        "features": None if features is None else list(features),
        "features_problem": problem,
        "features_missing": sorted(not_inherited(above, features)),
        "features_unequal": sorted(not_inherited(above, features, Reading.MOZILLA)),
        "demands": None if features is None else {reading.value: _demands(features, reading) for reading in Reading},
    }


def _demands(features: tuple[int, ...], reading: Reading) -> dict[str, Any]:
    return {
        name: _demand_json(demand(features, reading=reading, offered=offered, tls13=tls13))
        for name, (offered, tls13) in _HANDSHAKES.items()
    }


def _demand_json(asked: Demand) -> dict[str, Any]:
    return asked._asdict() | {"carriers": sorted(asked.carriers)}


def validity(begin: datetime | None, end: datetime | None, at: datetime) -> str:
    """`current`, `not-yet-valid`, `expired`; `endless` where it has begun and names no end."""
    if begin is not None and at < begin:
        return "not-yet-valid"
    if end is None:
        return "endless"
    return "expired" if at > end else "current"


def name_text(read: Callable[[], x509.Name]) -> str:
    """A distinguished name as RFC 4514 text, where it can be read."""
    try:
        return read().rfc4514_string()
    except BROKEN:
        return "(unreadable)"


def oid_text(oid: x509.ObjectIdentifier) -> str:
    """What an algorithm is called, or its number."""
    return oid.dotted_string if oid._name == "Unknown OID" else oid._name  # noqa: SLF001  the only place of its name


def _san_texts(holder: Holder) -> list[str]:
    """The subject alternative names as text, whatever their kind."""
    return [_general_text(name) for name in find_extension(holder, x509.SubjectAlternativeName) or ()]


def _general_text(name: x509.GeneralName) -> str:
    if isinstance(name, x509.DirectoryName):
        return name_text(lambda: name.value)
    if isinstance(name, x509.OtherName):
        return f"otherName {name.type_id.dotted_string}"
    if isinstance(name, x509.RegisteredID):
        return name.value.dotted_string
    return str(name.value)


def _key_text(holder: Holder) -> str:
    """The kind and size of the public key."""
    try:
        key = holder.public_key()
    except BROKEN:
        return "of an unknown kind"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC {key.curve.name}"
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    return type(key).__name__.removesuffix("PublicKey")

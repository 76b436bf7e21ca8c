"""OCSP responses from frozen descriptions: whatever an `Answer` says is encoded and signed, true or not."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from asn1crypto import crl as asn1_crl
from asn1crypto import ocsp as asn1_ocsp
from asn1crypto import x509 as asn1_x509
from asn1crypto.core import Null, ObjectIdentifier, OctetString, ParsableOctetString
from asn1crypto.parser import emit
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certtools.chain import issuer_hashes
from certtools.extensions import RawExtension
from certtools.forge.signing import sign_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography.hazmat.primitives import hashes

    from certtools.chain import Link
    from certtools.forge.signing import Signer

# What an answer made without times says: fresh, and with room on both sides for clocks that differ.
AGE: Final = timedelta(hours=1)
LIFETIME: Final = timedelta(days=4)
BASIC: Final = "1.3.6.1.5.5.7.48.1.1"  # id-pkix-ocsp-basic
NONCE: Final = "1.3.6.1.5.5.7.48.1.2"  # id-pkix-ocsp-nonce, RFC 9654 §2.1

# CRLReason (RFC 5280 §5.3.1).
REASON_CODES: Final = {
    x509.ReasonFlags.unspecified: 0,
    x509.ReasonFlags.key_compromise: 1,
    x509.ReasonFlags.ca_compromise: 2,
    x509.ReasonFlags.affiliation_changed: 3,
    x509.ReasonFlags.superseded: 4,
    x509.ReasonFlags.cessation_of_operation: 5,
    x509.ReasonFlags.certificate_hold: 6,
    x509.ReasonFlags.remove_from_crl: 8,
    x509.ReasonFlags.privilege_withdrawn: 9,
    x509.ReasonFlags.aa_compromise: 10,
}


class CertificateStatus(enum.StrEnum):
    """The three answers of RFC 6960 §2.2."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"


class ResponseStatus(enum.IntEnum):
    """OCSPResponseStatus (RFC 6960 §4.2.1); all but the first come without an answer."""

    SUCCESSFUL = 0
    MALFORMED_REQUEST = 1
    INTERNAL_ERROR = 2
    TRY_LATER = 3
    SIG_REQUIRED = 5
    UNAUTHORIZED = 6


class ResponderId(enum.StrEnum):
    """How a response names its signer. By name, because GnuTLS 3.7 finds no signer by key where no root is sent."""

    NAME = "name"
    KEY = "key"


@dataclass(frozen=True, kw_only=True)
class Single:
    """One SingleResponse. Times are aware, and written in UTC to the second.

    `hash_algorithm` names the CertID's hash (md5, sha1, sha256, …). `serial_number`, `issuer_name_hash` and
    `issuer_key_hash` replace what `link` would give. A revoked one without a time was revoked at `this_update`.
    """

    link: Link
    this_update: datetime
    next_update: datetime | None
    status: CertificateStatus = CertificateStatus.GOOD
    revocation_time: datetime | None = None
    reason: x509.ReasonFlags | None = None
    hash_algorithm: str = "sha1"
    serial_number: int | None = None
    issuer_name_hash: bytes | None = None
    issuer_key_hash: bytes | None = None
    extensions: tuple[RawExtension, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One response. `responder` is the certificate that the responderID tells of; None means the signer's own.

    `certificates` are sent along. `signature_hash` None means the key's own choice. With another
    `response_status` than SUCCESSFUL nothing else is sent.
    """

    singles: tuple[Single, ...]
    produced_at: datetime
    responder_id: ResponderId = ResponderId.NAME
    responder: x509.Certificate | None = None
    nonce: bytes | None = None
    extensions: tuple[RawExtension, ...] = ()
    certificates: tuple[x509.Certificate, ...] = ()
    signature_hash: hashes.HashAlgorithm | None = None
    response_status: ResponseStatus = ResponseStatus.SUCCESSFUL
    response_type: str = BASIC


def single(link: Link, at: datetime, **said: Any) -> Single:
    """A SingleResponse about `link`: good, an hour old and four days long, unless fields of `Single` say more."""
    times = {"this_update": at - AGE, "next_update": at - AGE + LIFETIME}
    return Single(link=link, **(times | said))


def answer(singles: Iterable[Single], signer: Signer, **said: Any) -> Answer:
    """An answer made of these, with a delegated signer's certificate in it, unless fields of `Answer` say more."""
    singles = tuple(singles)
    delegated = any(each.link.issuer != signer.certificate for each in singles)
    honest = {
        "produced_at": max(each.this_update for each in singles),
        "certificates": (signer.certificate,) if delegated else (),
    }
    return Answer(singles=singles, **(honest | said))


def good(link: Link, signer: Signer, at: datetime, **said: Any) -> bytes:
    """An honest response that `link`'s certificate is good, in DER; `said` are fields of `Answer`."""
    return sign(answer([single(link, at)], signer, **said), signer)


def sign(described: Answer, signer: Signer) -> bytes:
    """The response in DER, signed with the signer's key whether or not that key may sign it.

    Raises ValueError for a hash that CertIDs or the signer's key cannot be made with.
    """
    if described.response_status is not ResponseStatus.SUCCESSFUL:
        return wrap(None, status=described.response_status)
    data = response_data(described, signer)
    return wrap(
        basic_response(data, signer, described.certificates, described.signature_hash),
        response_type=described.response_type,
    )


def basic_response(
    data: bytes,
    signer: Signer,
    certificates: Iterable[x509.Certificate] = (),
    signature_hash: hashes.HashAlgorithm | None = None,
) -> bytes:
    """A BasicOCSPResponse in DER around ResponseData in DER, signed."""
    algorithm, signature = sign_bytes(data, signer.key, signature_hash)
    fields = {
        "tbs_response_data": asn1_ocsp.ResponseData.load(data),
        "signature_algorithm": algorithm,
        "signature": signature,
    }
    sent = [asn1_x509.Certificate.load(each.public_bytes(Encoding.DER)) for each in certificates]
    if sent:
        fields["certs"] = sent
    encoded: bytes = asn1_ocsp.BasicOCSPResponse(fields).dump()
    return encoded


def wrap(
    basic: bytes | None, *, status: ResponseStatus = ResponseStatus.SUCCESSFUL, response_type: str = BASIC
) -> bytes:
    """An OCSPResponse in DER around these bytes, whatever they are; without responseBytes for None."""
    contents = emit(0, 0, 10, bytes([status]))
    if basic is not None:
        inner = ObjectIdentifier(response_type).dump() + OctetString(basic).dump()
        contents += emit(2, 1, 0, emit(0, 1, 16, inner))
    response: bytes = emit(0, 1, 16, contents)
    return response


def response_data(described: Answer, signer: Signer) -> bytes:
    """The ResponseData in DER, which is what gets signed."""
    responder = described.responder if described.responder is not None else signer.certificate
    if described.responder_id is ResponderId.NAME:
        named = asn1_ocsp.ResponderId("by_name", asn1_x509.Name.load(responder.subject.public_bytes()))
    else:
        # SHA-1 of the key without its SubjectPublicKeyInfo (RFC 6960 §4.2.1, KeyHash).
        named = asn1_ocsp.ResponderId("by_key", OctetString(issuer_hashes(responder, "sha1")[1]))
    fields = {
        "responder_id": named,
        "produced_at": _time(described.produced_at),
        "responses": [_single_response(each) for each in described.singles],
    }
    extensions = list(described.extensions)
    if described.nonce is not None:
        extensions.append(RawExtension(NONCE, critical=False, value=OctetString(described.nonce).dump()))
    if extensions:
        fields["response_extensions"] = _extensions(extensions)
    encoded: bytes = asn1_ocsp.ResponseData(fields).dump()
    return encoded


def _single_response(said: Single) -> dict[str, object]:
    name_hash, key_hash = issuer_hashes(said.link.issuer, said.hash_algorithm)
    fields: dict[str, object] = {
        "cert_id": {
            "hash_algorithm": {"algorithm": said.hash_algorithm, "parameters": Null()},
            "issuer_name_hash": said.issuer_name_hash or name_hash,
            "issuer_key_hash": said.issuer_key_hash or key_hash,
            "serial_number": said.link.serial_number if said.serial_number is None else said.serial_number,
        },
        "cert_status": _certificate_status(said),
        "this_update": _time(said.this_update),
    }
    if said.next_update is not None:
        fields["next_update"] = _time(said.next_update)
    if said.extensions:
        fields["single_extensions"] = _extensions(said.extensions)
    return fields


def _certificate_status(said: Single) -> asn1_ocsp.CertStatus:
    match said.status:
        case CertificateStatus.GOOD:
            return asn1_ocsp.CertStatus("good", asn1_ocsp.StatusGood())
        case CertificateStatus.UNKNOWN:
            return asn1_ocsp.CertStatus("unknown", asn1_ocsp.StatusUnknown())
    revoked = {"revocation_time": _time(said.revocation_time or said.this_update)}
    if said.reason is not None:
        revoked["revocation_reason"] = asn1_crl.CRLReason(REASON_CODES[said.reason])
    return asn1_ocsp.CertStatus("revoked", revoked)


def _time(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=0)


def _extensions(extensions: Iterable[RawExtension]) -> list[dict[str, object]]:
    return [
        {"extn_id": each.oid, "critical": each.critical, "extn_value": ParsableOctetString(each.value)}
        for each in extensions
    ]

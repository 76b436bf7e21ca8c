"""What OCSP responses and CRLs say, as JSON values; dishonest ones too."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509 import ocsp

from certtools.chain import issuer_hashes, name_of
from mustaple.core.signature import verifies
from mustaple.report.certificate_facts import BROKEN, name_text, oid_text, validity
from mustaple.report.verdict_json import time_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

MOST_ENTRIES: Final = 1000  # of a CRL's entries are listed; all are counted


def response_facts(response: ocsp.OCSPResponse, at: datetime, known: Sequence[x509.Certificate] = ()) -> dict[str, Any]:
    """An OCSP response as it stands at a time. `known` are certificates that may have signed it, or be meant by it."""
    status = response.response_status
    if status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        return {"kind": "ocsp-response", "status": _camel(status.name), "responses": []}
    sent = list(response.certificates)
    signer = next((each for each in (*known, *sent) if _signed(response, each)), None)
    return {
        "kind": "ocsp-response",
        "status": "successful",
        "responder": _responder(response),
        "signed_by": None if signer is None else name_of(signer),
        "signature": oid_text(response.signature_algorithm_oid),
        "certificates": [name_of(each) for each in sent],
        "produced_at": time_json(response.produced_at_utc),
        "nonce": _nonce(response),
        "responses": [_single_facts(each, at, known) for each in response.responses],
    }


def _single_facts(single: ocsp.OCSPSingleResponse, at: datetime, known: Sequence[x509.Certificate]) -> dict[str, Any]:
    issuer = next((each for each in known if _is_issuer(single, each)), None)
    meant = next((each for each in known if issuer and each.serial_number == single.serial_number), None)
    begin, end = single.this_update_utc, single.next_update_utc
    reason = single.revocation_reason
    return {
        "serial_number": f"{single.serial_number:x}",
        "certificate": None if meant is None else name_of(meant),
        "issuer": None if issuer is None else name_of(issuer),
        "hash_algorithm": _hash_name(single),
        "issuer_name_hash": single.issuer_name_hash.hex(),
        "issuer_key_hash": single.issuer_key_hash.hex(),
        "status": single.certificate_status.name.lower(),
        "this_update": time_json(begin),
        "next_update": time_json(end),
        "validity": validity(begin, end, at),
        "revocation_time": time_json(single.revocation_time_utc),
        "revocation_reason": None if reason is None else reason.value,
    }


def crl_facts(
    crl: x509.CertificateRevocationList, at: datetime, known: Sequence[x509.Certificate] = ()
) -> dict[str, Any]:
    """A CRL as it stands at a time. `known` are certificates that may have signed it, or be on it."""
    extensions = _crl_extensions(crl)
    number = extensions.get("cRLNumber")
    scope = extensions.get("issuingDistributionPoint")
    signer = next((each for each in known if _signed_crl(crl, each)), None)
    begin, end = crl.last_update_utc, crl.next_update_utc
    return {
        "kind": "crl",
        "issuer": name_text(lambda: crl.issuer),
        "signed_by": None if signer is None else name_of(signer),
        "signature": oid_text(crl.signature_algorithm_oid),
        "number": number.crl_number if isinstance(number, x509.CRLNumber) else None,
        "delta": "deltaCRLIndicator" in extensions,
        "indirect": isinstance(scope, x509.IssuingDistributionPoint) and scope.indirect_crl,
        "partial": scope is not None,
        "this_update": time_json(begin),
        "next_update": time_json(end),
        "validity": validity(begin, end, at),
        "revoked": len(crl),
        "entries": [_entry_facts(each, known) for each in islice(crl, MOST_ENTRIES)],
    }


def _entry_facts(entry: x509.RevokedCertificate, known: Sequence[x509.Certificate]) -> dict[str, Any]:
    meant = next((each for each in known if each.serial_number == entry.serial_number), None)
    try:
        reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason.value
    except (x509.ExtensionNotFound, *BROKEN):
        reason = None
    return {
        "serial_number": f"{entry.serial_number:x}",
        "certificate": None if meant is None else name_of(meant),
        "revocation_time": time_json(entry.revocation_date_utc),
        "revocation_reason": reason,
    }


def _crl_extensions(crl: x509.CertificateRevocationList) -> dict[str, x509.ExtensionType]:
    try:
        return {oid_text(each.oid): each.value for each in crl.extensions}
    except BROKEN:
        return {}


def _signed_crl(crl: x509.CertificateRevocationList, certificate: x509.Certificate) -> bool:
    try:
        # A key that signs nothing, X25519 say, is a TypeError, which is one of BROKEN.
        return crl.is_signature_valid(certificate.public_key())  # type: ignore[arg-type]  # not every key may sign
    except BROKEN:
        return False


def _signed(response: ocsp.OCSPResponse, certificate: x509.Certificate) -> bool:
    try:
        return verifies(certificate.public_key(), response, response.tbs_response_bytes)
    except BROKEN:
        return False


def _is_issuer(single: ocsp.OCSPSingleResponse, certificate: x509.Certificate) -> bool:
    try:
        hashes = issuer_hashes(certificate, single.hash_algorithm.name)
    except BROKEN:
        return False
    return hashes == (single.issuer_name_hash, single.issuer_key_hash)


def _hash_name(single: ocsp.OCSPSingleResponse) -> str | None:
    try:
        return single.hash_algorithm.name
    except UnsupportedAlgorithm:
        return None


def _responder(response: ocsp.OCSPResponse) -> str:
    if response.responder_key_hash is not None:
        return f"key {response.responder_key_hash.hex()}"
    return name_text(lambda: response.responder_name or x509.Name([]))


def _nonce(response: ocsp.OCSPResponse) -> str | None:
    try:
        return response.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce.hex()
    except (x509.ExtensionNotFound, *BROKEN):
        return None


def _camel(name: str) -> str:
    first, *rest = name.lower().split("_")
    return first + "".join(map(str.capitalize, rest))

"""The rules of RFC 6960 §3.2 and §4.2.2.2 for one OCSP response: each check returns why it fails, or None."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509 import (
    DuplicateExtension,
    ExtendedKeyUsage,
    ExtensionNotFound,
    KeyUsage,
    OCSPNoCheck,
    OCSPNonce,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from certtools.chain import name_of, signed_by
from mustaple.core.policy import NoNextUpdate, UncheckedDelegate, WeakSignature
from mustaple.core.signature import Strength, strength
from mustaple.core.verdict import Code, Reason

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from cryptography import x509
    from cryptography.x509 import ocsp

    from mustaple.core.ocsp_case import Case

MIN_RSA_BITS: Final = 2048
# Extensions that may be critical because they are understood, or do not change what the answer says:
# nonce (RFC 9654), crlReferences, archiveCutoff, extended-revoke (RFC 6960 §4.4), SCT list (RFC 6962 §3.3).
_UNDERSTOOD: Final = frozenset(
    {
        "1.3.6.1.5.5.7.48.1.2",
        "1.3.6.1.5.5.7.48.1.3",
        "1.3.6.1.5.5.7.48.1.6",
        "1.3.6.1.5.5.7.48.1.9",
        "1.3.6.1.4.1.11129.2.4.5",
    }
)
_TRUE: Final = b"\x01\x01\xff"  # how DER writes it: without these bytes nothing is critical


def _check_signature(case: Case) -> Reason | None:
    if case.signer is None:
        return Reason(Code.BAD_SIGNATURE, "neither the issuer's key nor that of a certificate in it made the signature")
    return None


def _check_signature_algorithm(case: Case) -> Reason | None:
    """No signature that can be forged: SHA-1 by policy, MD5 and short RSA keys never (RFC 6960 §5.1.1)."""
    found = strength(case.response)
    if _too_weak(found, case):
        return Reason(Code.WEAK_SIGNATURE, f"it is signed with {_algorithm(case.response)}")
    short = _key_too_short(case)
    return Reason(Code.WEAK_SIGNATURE, f"it is signed with an RSA key of {short} bits") if short else None


def _key_too_short(case: Case) -> int:
    """The bits of the signer's RSA key where they are too few, otherwise 0."""
    key = case.signer.public_key() if case.signer is not None else None
    return key.key_size if isinstance(key, rsa.RSAPublicKey) and key.key_size < MIN_RSA_BITS else 0


def _too_weak(found: Strength, case: Case) -> bool:
    if found is Strength.STRONG:
        return False
    return found is Strength.BROKEN or case.rules.weak_signature is not WeakSignature.ALLOW_SHA1


def _algorithm(response: ocsp.OCSPResponse) -> str:
    """The hash that was signed, or the OID of an algorithm that is not known here."""
    try:
        algorithm = response.signature_hash_algorithm
    except UnsupportedAlgorithm:
        algorithm = None
    return algorithm.name.upper() if algorithm is not None else response.signature_algorithm_oid.dotted_string


def _check_responder_id(case: Case) -> Reason | None:
    """The responderID must be that of the signer (RFC 6960 §4.2.2.3)."""
    if case.signer is not None and not case.signer_is_named:
        return Reason(Code.RESPONDER_ID_MISMATCH, f"{name_of(case.signer)} signed it under another's responderID")
    return None


def _check_authorised(case: Case, delegate: x509.Certificate) -> Reason | None:
    """The signer is the issuer, trusted here, or a delegate that the issuer itself signed (RFC 6960 §4.2.2.2)."""
    if not signed_by(delegate, case.link.issuer):
        # SHA-1 under a delegate's certificate ends here too: the library verifies none.
        said = f"{name_of(delegate)} is not signed by this issuer's key with an algorithm in use"
        return Reason(Code.UNAUTHORIZED_RESPONDER, said)
    if not _may_sign_ocsp(delegate):
        return Reason(Code.UNAUTHORIZED_RESPONDER, f"{name_of(delegate)} lacks id-kp-OCSPSigning")
    if not _may_sign_at_all(delegate):
        return Reason(Code.UNAUTHORIZED_RESPONDER, f"keyUsage forbids {name_of(delegate)} to sign")
    return None


def _may_sign_ocsp(delegate: x509.Certificate) -> bool:
    try:
        usage = delegate.extensions.get_extension_for_class(ExtendedKeyUsage).value
    except (ExtensionNotFound, ValueError, KeyError, TypeError):
        return False
    return ExtendedKeyUsageOID.OCSP_SIGNING in usage  # anyExtendedKeyUsage is no designation


def _may_sign_at_all(delegate: x509.Certificate) -> bool:
    try:
        usage = delegate.extensions.get_extension_for_class(KeyUsage).value
    except ExtensionNotFound:
        return True
    return usage.digital_signature


def _check_delegate_validity(case: Case, delegate: x509.Certificate, at: datetime) -> Reason | None:
    if at > delegate.not_valid_after_utc:
        return Reason(Code.DELEGATE_EXPIRED, f"{name_of(delegate)} expired {_when(delegate.not_valid_after_utc)}")
    if at + case.rules.skew < delegate.not_valid_before_utc:
        begins = _when(delegate.not_valid_before_utc)
        return Reason(Code.DELEGATE_EXPIRED, f"{name_of(delegate)} is not valid before {begins}")
    return None


def _check_delegate_revocation(case: Case, delegate: x509.Certificate) -> Reason | None:
    if case.rules.unchecked_delegate is UncheckedDelegate.REFUSE:
        return _unchecked(delegate)
    return None


def _unchecked(delegate: x509.Certificate) -> Reason | None:
    try:
        delegate.extensions.get_extension_for_class(OCSPNoCheck)
    except (ExtensionNotFound, ValueError, KeyError, TypeError):
        said = f"nobody proved that {name_of(delegate)} is not revoked itself"
        return Reason(Code.DELEGATE_UNCHECKED, said)
    return None


def _check_cert_id(case: Case) -> Reason | None:
    if case.matching:
        return None
    link = case.link
    same_serial = [single for single in case.singles if single.serial_number == link.serial_number]
    for single in same_serial:
        try:
            link.cert_id(single.hash_algorithm)
        except (ValueError, UnsupportedAlgorithm):
            return Reason(Code.CERT_ID_HASH, "its CertID uses a hash algorithm that is not accepted")
    if same_serial:
        return Reason(Code.OTHER_CERTIFICATE, "it is for this serial number of another issuer")
    serials = ", ".join(f"{single.serial_number:x}" for single in case.singles[:3]) or "none"
    return Reason(Code.OTHER_CERTIFICATE, f"it is for serial {serials}, not {link.serial_number:x}")


def _check_contradiction(case: Case) -> Reason | None:
    if len(case.matching) > 1:
        statuses = sorted({single.certificate_status.name.lower() for single in case.matching})
        if len(statuses) > 1:
            return Reason(Code.CONTRADICTION, f"it says {' and '.join(statuses)} of one certificate")
    return None


def _check_critical_extensions(case: Case) -> Reason | None:
    """An extension that is critical and not understood makes the answer unusable (RFC 6960 §4.4)."""
    try:
        critical = _critical_extensions(case)
    except (ValueError, TypeError, KeyError):
        return Reason(Code.MALFORMED, "its extensions cannot be read")
    for oid in critical:
        if oid not in _UNDERSTOOD:
            return Reason(Code.CRITICAL_EXTENSION, f"the extension {oid} is critical and unknown here")
    return None


def _critical_extensions(case: Case) -> list[str]:
    if _TRUE not in case.signed:
        return []
    response = case.response
    try:
        found = list(response.extensions)
        if len(case.singles) == 1:
            found.extend(response.single_extensions)
            return [extension.oid.dotted_string for extension in found if extension.critical]
    except (ValueError, KeyError, TypeError, DuplicateExtension):
        pass  # what `cryptography` cannot read, asn1crypto lists
    return _critical_extensions_of_many(case)


def _critical_extensions_of_many(case: Case) -> list[str]:
    """The critical extensions of the response and of the SingleResponses for this certificate.

    `cryptography` hides the singleExtensions of a response with several SingleResponses.
    """
    from asn1crypto.core import Void
    from asn1crypto.ocsp import ResponseData

    data = ResponseData.load(case.signed)
    matching = [
        single for single, parsed in zip(data["responses"], case.singles, strict=True) if parsed in case.matching
    ]
    lists = [data["response_extensions"], *(single["single_extensions"] for single in matching)]
    return [
        item["extn_id"].dotted
        for extensions in lists
        if not isinstance(extensions, Void)
        for item in extensions
        if item["critical"].native
    ]


def _check_this_update(case: Case, at: datetime) -> Reason | None:
    if case.this_update is not None and case.this_update > at + case.rules.skew:
        return Reason(Code.NOT_YET_VALID, f"thisUpdate is {_when(case.this_update)}, after {_when(at)}")
    return None


def _check_next_update(case: Case, at: datetime) -> Reason | None:
    if case.next_update is not None and case.next_update < at - case.rules.skew:
        return Reason(Code.EXPIRED, f"nextUpdate was {_when(case.next_update)}, before {_when(at)}")
    return None


def _check_next_update_present(case: Case) -> Reason | None:
    if case.single is None or case.next_update is not None:
        return None
    if case.rules.no_next_update is NoNextUpdate.REFUSE:
        return Reason(Code.NO_NEXT_UPDATE, "it says no nextUpdate, so nobody can tell when it is stale")
    return None


def _check_window(case: Case) -> Reason | None:
    if case.this_update is None or case.next_update is None or case.next_update >= case.this_update:
        return None
    said = f"nextUpdate {_when(case.next_update)} precedes thisUpdate {_when(case.this_update)}"
    return Reason(Code.INVERTED_WINDOW, said)


def _check_age(case: Case, at: datetime) -> Reason | None:
    if case.this_update is None:
        return None
    age = at - case.this_update
    if age > case.rules.max_age + case.rules.skew:
        return Reason(Code.TOO_OLD, f"it is {age.days} days old, where {case.rules.max_age.days} are allowed")
    return None


def _check_nonce(case: Case) -> Reason | None:
    """A nonce that came back must be the one sent (RFC 9654 §2.1); one that did not is a note."""
    if case.nonce is None:
        return None
    received = _nonce(case)
    if received is not None and received != case.nonce:
        return Reason(Code.NONCE_MISMATCH, "its nonce is not the one that was sent")
    return None


def _nonce(case: Case) -> bytes | None:
    try:
        return case.response.extensions.get_extension_for_class(OCSPNonce).value.nonce
    except ExtensionNotFound:
        return None
    except (ValueError, KeyError, TypeError, DuplicateExtension):
        return b""


# The rules, in the order of RFC 6960 §3.2. All of them run on every response; first those that time does not change.
CHECKS: Final[tuple[Callable[[Case], Reason | None], ...]] = (
    _check_cert_id,
    _check_contradiction,
    _check_signature,
    _check_signature_algorithm,
    _check_responder_id,
    _check_next_update_present,
    _check_window,
    _check_critical_extensions,
    _check_nonce,
)
TIMED_CHECKS: Final[tuple[Callable[[Case, datetime], Reason | None], ...]] = (
    _check_this_update,
    _check_next_update,
    _check_age,
)
# The rules of §4.2.2.2 for a signer that is not the issuer itself, nor trusted by local configuration.
DELEGATE_CHECKS: Final[tuple[Callable[[Case, x509.Certificate], Reason | None], ...]] = (
    _check_authorised,
    _check_delegate_revocation,
)
TIMED_DELEGATE_CHECKS: Final[tuple[Callable[[Case, x509.Certificate, datetime], Reason | None], ...]] = (
    _check_delegate_validity,
)


def standing_faults(case: Case) -> list[Reason]:
    """Why the case fails at whatever time: what the checks find that time does not change."""
    found = [check(case) for check in CHECKS]
    if case.delegate is not None:
        found += [check(case, case.delegate) for check in DELEGATE_CHECKS]
    return [reason for reason in found if reason is not None]


def faults_at(case: Case, at: datetime) -> list[Reason]:
    """Why the case fails at this time (aware UTC): its standing faults, and what the other checks find."""
    found = [check(case, at) for check in TIMED_CHECKS]
    if case.delegate is not None:
        found += [check(case, case.delegate, at) for check in TIMED_DELEGATE_CHECKS]
    return case.faults + [reason for reason in found if reason is not None]


def excusable(case: Case, at: datetime) -> set[Code]:
    """The codes of those faults at this time (aware UTC) that some policy's rules would excuse, age apart."""
    codes = {Code.DELEGATE_UNCHECKED, Code.NO_NEXT_UPDATE}
    if strength(case.response) is Strength.SHA1 and not _key_too_short(case):
        codes.add(Code.WEAK_SIGNATURE)
    if case.delegate is not None and at < case.delegate.not_valid_before_utc:
        codes.add(Code.DELEGATE_EXPIRED)  # not yet begun: a greater skew would let it
    return codes


def notes(case: Case) -> tuple[Reason, ...]:
    """What does not change the status, and still is worth a line."""
    found = []
    if case.delegate is not None and case.rules.unchecked_delegate is UncheckedDelegate.ACCEPT:
        unchecked = _unchecked(case.delegate)
        if unchecked is not None:
            found.append(unchecked)
    if case.nonce is not None and _nonce(case) is None:
        found.append(Reason(Code.NONCE_MISMATCH, "no nonce came back, so only its times speak against a replay"))
    return tuple(found)


def _when(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"

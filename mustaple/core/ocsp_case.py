"""One OCSP response on trial: read it, find the SingleResponses for the certificate and the key that signed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509 import SubjectKeyIdentifier, ocsp

from mustaple.core.ocsp_rules import standing_faults
from mustaple.core.signature import verifies
from mustaple.core.verdict import Code, Reason

if TYPE_CHECKING:
    from cryptography import x509

    from certtools.chain import Link
    from mustaple.core.policy import Rules

# An honest answer for one certificate is 300 to 12,000 bytes, the signer's certificate and ML-DSA included.
MAX_RESPONSE_BYTES: Final = 65_536
# How many certificates of a response are tried as its signer: honest ones carry one.
MAX_SIGNERS: Final = 8


class Case:
    """One response on trial. `single` is the SingleResponse that counts, `delegate` a signer that needs authority.

    `signed` is its tbsResponseData (DER). Nothing here depends on the time, so a case may be kept and judged again.
    """

    def __init__(
        self, response: ocsp.OCSPResponse, signed: bytes, link: Link, rules: Rules, nonce: bytes | None
    ) -> None:
        self.response = response
        self.signed = signed
        self.link = link
        self.rules = rules
        self.nonce = nonce
        self.singles = list(response.responses)
        self.matching = [single for single in self.singles if _matches(single, link)]
        self.single = _decisive(self.matching)
        self.this_update = self.single.this_update_utc if self.single is not None else None
        self.next_update = self.single.next_update_utc if self.single is not None else None
        self.signer, self.signer_is_named = _find_signer(self)
        self.delegate = self.signer
        if self.signer is link.issuer or self.signer in rules.trusted_responders:
            self.delegate = None
        self.faults = standing_faults(self)
        """Why it is not to be believed, at whatever time."""


def _decisive(matching: list[ocsp.OCSPSingleResponse]) -> ocsp.OCSPSingleResponse | None:
    """The SingleResponse that counts: a revoked one before any other, then the newest."""
    if len(matching) <= 1:
        return matching[0] if matching else None
    return max(
        matching,
        key=lambda single: (
            single.certificate_status is ocsp.OCSPCertStatus.REVOKED,
            single.this_update_utc,
        ),
    )


def open_case(response: bytes, link: Link, rules: Rules, nonce: bytes | None = None) -> Case | Reason:
    """The case for this response (DER), or the reason why it cannot be heard (RFC 6960 §4.2.1)."""
    if len(response) > MAX_RESPONSE_BYTES:
        said = f"{len(response):,} bytes, where {MAX_RESPONSE_BYTES:,} is the most that is read"
        return Reason(Code.OVERSIZED, said)
    try:
        parsed = ocsp.load_der_ocsp_response(response)
        if parsed.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            said = f"the responder answered {_ERROR_STATUS[parsed.response_status]}"
            return Reason(Code.ERROR_STATUS, said)
        return Case(parsed, _signed_part(response), link, rules, nonce)
    except (ValueError, TypeError, KeyError, UnsupportedAlgorithm) as error:
        return _why_unreadable(response, error)


def _signed_part(response: bytes) -> bytes:
    """The tbsResponseData of a successful response that has been parsed, as it came (RFC 6960 §4.2.1).

    The parser can write it, too, but writes it anew each time, and what was signed is what came.
    """
    at = _content(response, 0) + 3  # OCSPResponse, behind its responseStatus
    at = _content(response, _content(response, at))  # [0], ResponseBytes
    at = _content(response, at) + response[at + 1]  # its responseType, an OID
    at = _content(response, _content(response, at))  # OCTET STRING, BasicOCSPResponse
    begin = _content(response, at)
    size = response[at + 1]
    if size >= 0x80:
        size = int.from_bytes(response[at + 2 : begin], "big")
    return response[at : begin + size]


def _content(der: bytes, at: int) -> int:
    """Where the content begins of the value at this place, which a parser has found to be DER (X.690 §8.1.3)."""
    size = der[at + 1]
    return at + 2 if size < 0x80 else at + 2 + (size & 0x7F)


_ERROR_STATUS: Final = {
    ocsp.OCSPResponseStatus.MALFORMED_REQUEST: "malformedRequest",
    ocsp.OCSPResponseStatus.INTERNAL_ERROR: "internalError",
    ocsp.OCSPResponseStatus.TRY_LATER: "tryLater",
    ocsp.OCSPResponseStatus.SIG_REQUIRED: "sigRequired",
    ocsp.OCSPResponseStatus.UNAUTHORIZED: "unauthorized",
}


def _why_unreadable(response: bytes, error: Exception) -> Reason:
    """The most helpful reason for a response that the parser refuses (RFC 6960 §4.2.1)."""
    from asn1crypto.ocsp import OCSPResponse

    if not response:
        return Reason(Code.MALFORMED, "it is empty")
    head = response.lstrip()[:16].lower()
    if head.startswith((b"-----begin", b"<!doctype", b"<html")):
        return Reason(Code.MALFORMED, f"it is {'PEM' if head.startswith(b'-') else 'HTML'}, not DER")
    try:
        used = _length(response)
    except ValueError:
        return Reason(Code.MALFORMED, "it is cut short, or is not DER")
    if used < len(response):
        return Reason(Code.TRAILING_BYTES, f"{len(response) - used} bytes follow the response")
    try:
        outer = OCSPResponse.load(response)
        kind = outer["response_bytes"]["response_type"].dotted
        if kind != "1.3.6.1.5.5.7.48.1.1":
            return Reason(Code.RESPONSE_TYPE, f"its type is {kind}, not id-pkix-ocsp-basic")
        inner = outer["response_bytes"]["response"].contents
        if _length(inner) < len(inner):
            return Reason(Code.TRAILING_BYTES, f"{len(inner) - _length(inner)} bytes follow the BasicOCSPResponse")
    except (ValueError, TypeError, KeyError):
        pass
    return Reason(Code.MALFORMED, f"it cannot be parsed: {str(error).splitlines()[0] if str(error) else error!r}")


def _length(data: bytes) -> int:
    """How many bytes the first DER value of `data` takes. Raises ValueError where it is cut short."""
    from asn1crypto.parser import peek

    length: int = peek(data)
    return length


def _matches(single: ocsp.OCSPSingleResponse, link: Link) -> bool:
    """Whether the CertID is this certificate's: hash algorithm, name, key and serial (RFC 6960 §3.2 (1))."""
    if single.serial_number != link.serial_number:
        return False
    try:
        name_hash, key_hash = link.cert_id(single.hash_algorithm)
    except (ValueError, UnsupportedAlgorithm):
        return False
    return single.issuer_name_hash == name_hash and single.issuer_key_hash == key_hash


def _find_signer(case: Case) -> tuple[x509.Certificate | None, bool]:
    """The certificate whose key made the signature, and whether the responderID names it.

    The issuer is tried first, then those the operator trusts, then those the response carries; the ones that
    the responderID names before the others, so that an honest answer costs one verification.
    """
    issuer = case.link.issuer
    if _names_issuer(case) and verifies(issuer.public_key(), case.response, case.signed):
        return issuer, True
    others = [*case.rules.trusted_responders, *case.response.certificates[:MAX_SIGNERS]]
    named = [certificate for certificate in others if _is_named(case.response, certificate)]
    for certificate in named:
        if _signs(certificate, case):
            return certificate, True
    for certificate in [issuer, *(other for other in others if other not in named)]:
        if _signs(certificate, case):
            return certificate, False
    return None, False


def _signs(certificate: x509.Certificate, case: Case) -> bool:
    try:
        return verifies(certificate.public_key(), case.response, case.signed)
    except (ValueError, UnsupportedAlgorithm):
        return False  # a key that cannot be read signs nothing


def _names_issuer(case: Case) -> bool:
    """Whether the responderID is the issuer's; told from the bytes where it can be, for every staple asks this."""
    data = case.signed
    return data.startswith(case.link.responder_id, _content(data, 0)) or _is_named(case.response, case.link.issuer)


def _is_named(response: ocsp.OCSPResponse, certificate: x509.Certificate) -> bool:
    """Whether the responderID is this certificate's subject or the SHA-1 of its key (RFC 6960 §4.2.1)."""
    key_hash = response.responder_key_hash
    if key_hash is None:
        return response.responder_name == certificate.subject
    return key_hash == SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest

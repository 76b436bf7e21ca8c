"""What an OCSP request asks: its CertIDs and its nonce, read from any number of certificates and any hash."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes

from asn1crypto.core import OctetString
from asn1crypto.ocsp import OCSPRequest

from certtools.chain import issuer_hashes

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

MAX_REQUEST: Final = 10 * 1024  # bytes: some hundred certificates, or one with a long nonce
HASHES: Final = ("sha1", "sha256", "sha384", "sha512")  # by which CertIDs may name an issuer here
MAX_NONCE: Final = 128  # bytes, RFC 9654 §2.1
_NONCE: Final = "1.3.6.1.5.5.7.48.1.2"
# What asks for nothing that an answer could lack: the kinds of response (RFC 6960 §4.4.3), the preferred signature
# algorithms (§4.4.7), where to find the service (§4.4.6).
_HARMLESS: Final = frozenset({"1.3.6.1.5.5.7.48.1.4", "1.3.6.1.5.5.7.48.1.8", "1.3.6.1.5.5.7.48.1.7"})

IssuerName = tuple[str, bytes, bytes]  # the hash, issuerNameHash and issuerKeyHash


class QuestionError(ValueError):
    """Bytes that are no OCSP request, or one that must not be answered; the text says why."""


@dataclass(frozen=True, slots=True)
class CertId:
    """One certificate as a request names it (RFC 6960 §4.1.1).

    `hash_algorithm` is a name as `sha256`, or a dotted OID for a hash that nobody here knows.
    """

    hash_algorithm: str
    issuer_name_hash: bytes
    issuer_key_hash: bytes
    serial_number: int

    @property
    def issuer(self) -> IssuerName:
        """The issuer, as `issuer_name` gives it."""
        return self.hash_algorithm, self.issuer_name_hash, self.issuer_key_hash


def issuer_name(issuer: Certificate, algorithm: str) -> IssuerName:
    """How CertIDs name this issuer by this hash. Raises ValueError for a hash that is not known here."""
    return (algorithm, *issuer_hashes(issuer, algorithm))


@dataclass(frozen=True, slots=True)
class Question:
    """A request: the certificates it asks about, in its order, and its nonce (None where it has none)."""

    cert_ids: tuple[CertId, ...]
    nonce: bytes | None = None


def read_path(path: bytes) -> bytes:
    """The request in the path of a GET, base64 and percent-encoded (RFC 6960 App. A.1), without the base path.

    Clients differ in what they escape, and proxies merge or add slashes: both are undone, since a request in base64
    never starts with one. Raises QuestionError where it is no base64.
    """
    text = unquote_to_bytes(path).lstrip(b"/").replace(b" ", b"+")
    text += b"=" * (-len(text) % 4)
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise QuestionError("the path holds no base64") from None


def read_request(der: bytes) -> Question:
    """What this request asks. Raises QuestionError for anything but one well-formed OCSPRequest.

    Its signature, if it has one, is not looked at: everybody gets the same answers.
    """
    try:
        request = OCSPRequest.load(der, strict=True)["tbs_request"]
        version = request["version"].native
        asked = [_cert_id(each) for each in request["request_list"]]
        nonce = _nonce(request["request_extensions"])
    except QuestionError:
        raise
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
        raise QuestionError("this is no OCSP request in DER") from None
    if version != "v1":
        raise QuestionError("the version of the request is not v1")
    if not asked:
        raise QuestionError("the request asks about no certificate")
    return Question(tuple(asked), nonce)


def _cert_id(request: Any) -> CertId:
    _extensions(request["single_request_extensions"])
    cert_id = request["req_cert"]
    return CertId(
        cert_id["hash_algorithm"]["algorithm"].native,
        cert_id["issuer_name_hash"].native,
        cert_id["issuer_key_hash"].native,
        cert_id["serial_number"].native,
    )


def _nonce(extensions: Any) -> bytes | None:
    values = _extensions(extensions)
    if not values:
        return None
    if len(values) > 1:
        raise QuestionError("the request has more than one nonce")
    nonce: bytes = OctetString.load(values[0], strict=True).native
    if not 1 <= len(nonce) <= MAX_NONCE:
        raise QuestionError(f"the nonce has {len(nonce)} bytes, not 1 to {MAX_NONCE} (RFC 9654 §2.1)")
    return nonce


def _extensions(extensions: Any) -> list[bytes]:
    """The values of the nonce extensions. Raises QuestionError for a critical extension that nobody here knows."""
    nonces = []
    for each in extensions or ():
        oid = each["extn_id"].dotted
        if oid == _NONCE:
            nonces.append(each["extn_value"].contents)
        elif each["critical"].native and oid not in _HARMLESS:
            raise QuestionError(f"the request has a critical extension that is not known here: {oid}")
    return nonces

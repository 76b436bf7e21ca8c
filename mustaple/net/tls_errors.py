"""OpenSSL's errors in words: why a path is invalid, and why a handshake ended that nobody refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from cryptography.x509 import InvalidVersion
from cryptography.x509.ocsp import load_der_ocsp_response
from OpenSSL import SSL

from certtools.chain import name_of
from mustaple.core.errors import Alert, WireError
from mustaple.core.verdict import Code, Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from OpenSSL import crypto

    from mustaple.core.flight import Flight

T = TypeVar("T")

# pyOpenSSL names the verification errors, but not these (openssl/x509_vfy.h).
_UNNAMED: Final = {
    24: "issuer certificate has no public key",
    55: "path loop",
    66: "key of the certificate too weak",
    67: "key of the CA too weak",
    68: "signature digest of the CA too weak",
    76: "signature algorithm not known",
    77: "signature algorithm is not that of the issuer's key",
    78: "signature algorithm given twice, differently",
    80: "path length given for a certificate that is no CA",
    82: "key usage keyCertSign given for a certificate that is no CA",
    94: "key with explicit curve parameters",
}
_NAMES: Final = {
    number: name.removeprefix("ERR_").lower().replace("_", " ")
    for name, number in vars(SSL.X509VerificationCodes).items()
    if name.startswith("ERR_")
}


def path_error(certificate: crypto.X509, error: int, depth: int) -> str:
    """What OpenSSL found wrong with the path at this certificate, `depth` steps above the leaf."""
    what = _NAMES.get(error) or _UNNAMED.get(error) or f"verification error {error}"
    return f"{what}, at depth {depth}: {_name(certificate)}"


def readable(read: Callable[[], T]) -> T:
    """What `read` gives; a certificate that OpenSSL takes and `cryptography` cannot parse is a WireError."""
    try:
        return read()
    except (ValueError, TypeError, InvalidVersion) as error:
        raise WireError(f"a certificate of the path cannot be read: {error}", Alert.BAD_CERTIFICATE) from error


def _name(certificate: crypto.X509) -> str:
    try:
        return name_of(readable(certificate.to_cryptography))
    except WireError as error:
        return str(error)


def explain(error: SSL.Error) -> str:
    """One line on a handshake or a connection that OpenSSL ended."""
    if is_end_of_file(error):
        return "the server closed the connection without a word"
    reasons = [reason for _, _, reason in _queue(error) if reason]
    if not reasons:
        return f"the TLS handshake failed: {type(error).__name__}"
    if is_alert(error):
        return f"the server ended the connection: {'; '.join(reasons)}"
    if any("wrong version number" in reason or "http request" in reason for reason in reasons):
        return f"what answers there does not speak TLS 1.2 or 1.3 ({'; '.join(reasons)})"
    return f"the TLS handshake failed: {'; '.join(reasons)}"


def is_end_of_file(error: SSL.Error) -> bool:
    """Whether the stream ended without the peer's close_notify."""
    return isinstance(error, SSL.SysCallError)


def is_alert(error: SSL.Error) -> bool:
    """Whether the peer sent a fatal alert."""
    return any(" alert " in f" {reason} " for _, _, reason in _queue(error))


def _queue(error: SSL.Error) -> list[tuple[str, str, str]]:
    queue = error.args[0] if error.args else ()
    return [entry for entry in queue if len(entry) == 3] if isinstance(queue, list) else []


def unreadable_staples(flight: Flight, error: SSL.Error) -> list[Reason]:
    """Why OpenSSL ended a handshake over a staple; nothing where it was not over one."""
    reasons = [
        Reason(Code.MALFORMED, f"{entry.origin}: {len(staple)} bytes that are no OCSP response")
        for entry in flight.entries
        for staple in entry.staples
        if not _is_response(staple)
    ]
    if not reasons and any("bad certificate status response" in reason for _, _, reason in _queue(error)):
        reasons.append(Reason(Code.MALFORMED, f"OpenSSL cannot read a staple: {_queue(error)[0][2]}"))
    return reasons


def _is_response(staple: bytes) -> bool:
    try:
        load_der_ocsp_response(staple)
    except ValueError:
        return False
    return True

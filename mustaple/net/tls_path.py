"""The verification of a certificate path exactly as OpenSSL's handshake does it, for an engine that is not OpenSSL.

`X509StoreContext` alone is no substitute: it knows neither the purpose nor the strength of keys that a handshake asks
for. So the certificates are shown to an OpenSSL client in a handshake that goes no further: a ServerHello of TLS 1.2
and the Certificate, both in clear. OpenSSL verifies them before it wants proof of a key, and both engines agree
because one verifier speaks for both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from OpenSSL import SSL

from mustaple.core.wire import encode_certificate_tls12, encode_extensions, vector
from mustaple.net.tls_errors import readable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mustaple.net.tls_context import ClientContext, Observer

_SERVER_HELLO, _CERTIFICATE = 2, 11
_ECDHE_ECDSA: Final = b"\xc0\x2b"  # TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, for every key that is not RSA
_ECDHE_RSA: Final = b"\xc0\x2f"  # TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
_RENEGOTIATION_INFO: Final = (0xFF01, b"\0")
_MAX_FRAGMENT: Final = 1 << 14
_ALERT: Final = 21


class Shown(NamedTuple):
    """What OpenSSL made of the certificates: the path, empty where it found none, else its error and its alert."""

    verified: tuple[x509.Certificate, ...]
    error: SSL.Error | None = None
    alert: int | None = None


def show(certificates: Sequence[bytes], context: ClientContext, observer: Observer) -> Shown:
    """Show these certificates (DER, leaf first, as a server sent them) to OpenSSL.

    `observer` is told of each step of the path, and may refuse it, as in every handshake of this context. Raises
    WireError for a certificate of the path that OpenSSL takes and `cryptography` cannot parse.
    """
    client = SSL.Connection(context.openssl)
    client.set_app_data(observer)
    client.set_connect_state()
    client.set_options(SSL.OP_NO_TLSv1_3)  # or it would make keys that nobody needs
    try:
        client.do_handshake()
    except SSL.WantReadError:
        while _waiting(client):
            pass  # its ClientHello, which nobody needs
    client.bio_write(_flight(certificates))
    try:
        client.do_handshake()
    except SSL.WantReadError:
        verified = readable(lambda: client.get_verified_chain(as_cryptography=True))
        return Shown(tuple(verified or ()))
    except SSL.Error as error:
        said = _waiting(client)
        return Shown((), error, said[-1] if said[:1] == bytes([_ALERT]) else None)
    raise AssertionError("OpenSSL completed a handshake that had no end")


def _waiting(client: SSL.Connection) -> bytes:
    try:
        return client.bio_read(_MAX_FRAGMENT)
    except SSL.WantReadError:
        return b""


def _flight(certificates: Sequence[bytes]) -> bytes:
    suite = _ECDHE_RSA if _holds_rsa(certificates[0]) else _ECDHE_ECDSA
    hello = b"\x03\x03" + bytes(32) + b"\0" + suite + b"\0" + encode_extensions([_RENEGOTIATION_INFO])
    messages = _message(_SERVER_HELLO, hello) + _message(_CERTIFICATE, encode_certificate_tls12(certificates))
    fragments = (messages[start : start + _MAX_FRAGMENT] for start in range(0, len(messages), _MAX_FRAGMENT))
    return b"".join(b"\x16\x03\x03" + vector(fragment, 2) for fragment in fragments)


def _message(number: int, body: bytes) -> bytes:
    return bytes([number]) + vector(body, 3)


def _holds_rsa(certificate: bytes) -> bool:
    """Whether the leaf's key is RSA. One that cannot be read is for OpenSSL to complain of."""
    try:
        return isinstance(x509.load_der_x509_certificate(certificate).public_key(), RSAPublicKey)
    except Exception:  # noqa: BLE001 - a hostile certificate makes `cryptography` raise all kinds
        return False

"""The server's handshake messages as bytes, well-formed or not, from ServerHello to the end of what holds staples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mustaple.core import wire
from mustaple.core.offer import encode_unchecked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mustaple.core.offer import Answer

TLS12: Final = "TLSv1.2"
TLS13: Final = "TLSv1.3"

SERVER_HELLO, ENCRYPTED_EXTENSIONS, CERTIFICATE, SERVER_KEY_EXCHANGE = 2, 8, 11, 12
SERVER_HELLO_DONE, CERTIFICATE_STATUS = 14, 22

_RANDOM: Final = bytes(range(32))
_LEGACY_VERSION: Final = b"\x03\x03"
_SUPPORTED_VERSIONS: Final = (43, b"\x03\x04")
_AES_128_GCM_SHA256: Final = b"\x13\x01"
_ECDHE_ECDSA_AES_128_GCM_SHA256: Final = b"\xc0\x2b"


def message(number: int, body: bytes) -> bytes:
    """A handshake message."""
    return bytes([number]) + wire.vector(body, 3)


def split(messages: bytes) -> Iterator[bytes]:
    """The messages one by one, header included."""
    reader = wire.Reader(messages, "The flight")
    while reader:
        number = reader.uint(1)
        yield message(number, reader.vector(3))


def status(response: bytes, status_type: int = wire.OCSP) -> bytes:
    """A CertificateStatus of one response, whatever its type says."""
    return bytes([status_type]) + wire.vector(response, 3)


def multi(*responses: bytes) -> bytes:
    """A CertificateStatus of the type `ocsp_multi`."""
    return encode_unchecked(wire.CertificateStatus(wire.OCSP_MULTI, responses))


def tls12_answer(sent: Sequence[bytes], answer: Answer) -> bytes:
    """The flight of a server that answers as it should."""
    return tls12(sent, encode_unchecked(answer.status), answered=[(answer.extension, b"")])


def tls12(
    sent: Sequence[bytes],
    certificate_status: bytes | None = None,
    *,
    answered: Iterable[tuple[int, bytes]] = (),
    late: bool = False,
) -> bytes:
    """The flight of TLS 1.2: ServerHello to ServerHelloDone, with these answers in the ServerHello.

    `late` puts CertificateStatus behind ServerKeyExchange, where it may not stand (RFC 6066 §8).
    """
    hello = _LEGACY_VERSION + _RANDOM + b"\0" + _ECDHE_ECDSA_AES_128_GCM_SHA256 + b"\0"
    # Nobody looks into the ServerKeyExchange: its signature is over randoms that no client of these bytes chose.
    exchange = message(SERVER_KEY_EXCHANGE, b"\x03\x00\x17")
    told = message(CERTIFICATE_STATUS, certificate_status) if certificate_status is not None else b""
    return b"".join(
        (
            message(SERVER_HELLO, hello + wire.encode_extensions(answered)),
            message(CERTIFICATE, wire.encode_certificate_tls12(sent)),
            *((exchange, told) if late else (told, exchange)),
            message(SERVER_HELLO_DONE, b""),
        )
    )


def tls13(entries: Sequence[wire.CertificateEntry]) -> bytes:
    """The flight of TLS 1.3 up to Certificate, with the entries as they are."""
    return tls13_body(wire.encode_certificate_tls13(entries))


def tls13_body(certificate: bytes) -> bytes:
    """The same around any body of the Certificate message."""
    hello = _LEGACY_VERSION + _RANDOM + b"\0" + _AES_128_GCM_SHA256 + b"\0"
    return b"".join(
        (
            message(SERVER_HELLO, hello + wire.encode_extensions([_SUPPORTED_VERSIONS])),
            message(ENCRYPTED_EXTENSIONS, wire.encode_extensions([])),
            message(CERTIFICATE, certificate),
        )
    )

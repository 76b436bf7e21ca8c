"""Server flights for tests: captured from real OpenSSL handshakes, and built record by record with a known secret."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from OpenSSL import SSL
from tls_server import MemoryServer

from mustaple.core import wire

if TYPE_CHECKING:
    from collections.abc import Iterable

SECRET = bytes(range(32))
RETRY_RANDOM = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")  # RFC 9846 §4.2.3


@dataclass(frozen=True)
class Captured:
    """What a server sent in one handshake, the secret that opens it (None in TLS 1.2), and the suite's name."""

    data: bytes
    secret: bytes | None
    cipher: str | None


def capture(server: SSL.Context, *, suites: bytes | None = None) -> Captured:
    """Run a real handshake with OpenSSL's own client, and keep what the server sent."""
    secrets: list[bytes] = []
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_ocsp_client_callback(lambda *_: True)
    context.set_keylog_callback(lambda _, line: secrets.append(line))
    if suites is not None:
        context.set_tls13_ciphersuites(suites)
        context.set_cipher_list(b"ALL:@SECLEVEL=0")
    client = SSL.Connection(context)
    client.set_connect_state()
    client.request_ocsp()
    end = MemoryServer(server)
    captured = b""
    while True:
        try:
            client.do_handshake()
            break
        except SSL.WantReadError:
            answer = end.exchange(client.bio_read(1 << 16))
        captured += answer
        client.bio_write(answer)
    named = [line.split(b" ") for line in secrets if line.startswith(b"SERVER_HANDSHAKE_TRAFFIC_SECRET")]
    return Captured(captured, bytes.fromhex(named[0][2].decode()) if named else None, client.get_cipher_name())


def message(number: int, body: bytes) -> bytes:
    """A handshake message."""
    return bytes([number]) + wire.vector(body, 3)


def records(data: bytes, size: int = 1 << 14, content_type: int = 22) -> bytes:
    """The data as records in clear, of at most `size` bytes each."""
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    return b"".join(bytes([content_type, 3, 3]) + wire.vector(piece, 2) for piece in pieces)


class Sealer:
    """Protects records as a TLS 1.3 server with TLS_AES_128_GCM_SHA256 and SECRET does, one after the other."""

    def __init__(self, secret: bytes = SECRET) -> None:
        self._aead = AESGCM(_expand(secret, b"key", 16))
        self._iv = int.from_bytes(_expand(secret, b"iv", 12), "big")
        self._sequence = 0

    def seal(self, inner: bytes) -> bytes:
        """One record around a whole TLSInnerPlaintext, its content type and padding included."""
        header = bytes([23, 3, 3]) + (len(inner) + 16).to_bytes(2, "big")
        nonce = (self._iv ^ self._sequence).to_bytes(12, "big")
        self._sequence += 1
        return header + self._aead.encrypt(nonce, inner, header)

    def records(self, data: bytes, size: int = 1 << 14, padding: int = 0) -> bytes:
        """Handshake bytes in records of at most `size` bytes, each with `padding` zeros."""
        pieces = [data[start : start + size] for start in range(0, len(data), size)]
        return b"".join(self.seal(piece + b"\x16" + bytes(padding)) for piece in pieces)


def _expand(secret: bytes, label: bytes, length: int) -> bytes:
    info = length.to_bytes(2, "big") + wire.vector(b"tls13 " + label, 1) + b"\0"
    return HKDFExpand(SHA256(), length, info).derive(secret)


def server_hello(
    version: int = 0x0304,
    *,
    suite: int = 0x1301,
    random: bytes = bytes(32),
    extensions: Iterable[tuple[int, bytes]] = (),
) -> bytes:
    """A ServerHello message; in TLS 1.3 with supported_versions before the other extensions."""
    chosen = [(43, b"\x03\x04")] if version == 0x0304 else []
    body = b"\x03\x03" + random + b"\0" + suite.to_bytes(2, "big") + b"\0"
    return message(2, body + wire.encode_extensions([*chosen, *extensions]))


def status(staple: bytes) -> tuple[int, bytes]:
    """The status_request extension of a certificate entry."""
    return wire.STATUS_REQUEST, wire.encode_certificate_status(wire.CertificateStatus(wire.OCSP, (staple,)))


def certificate_13(*entries: tuple[bytes, bytes | None]) -> bytes:
    """A TLS 1.3 Certificate message of these certificates with their staples."""
    listed = [wire.CertificateEntry(der, (status(staple),) if staple is not None else ()) for der, staple in entries]
    return message(11, wire.encode_certificate_tls13(listed))


ENCRYPTED_EXTENSIONS = message(8, b"\0\0")
CHANGE_CIPHER_SPEC = bytes.fromhex("14 0303 0001 01")


def flight_13(*entries: tuple[bytes, bytes | None], size: int = 1 << 14, padding: int = 0) -> bytes:
    """A whole TLS 1.3 flight up to Certificate, under SECRET."""
    protected = ENCRYPTED_EXTENSIONS + certificate_13(*entries)
    return records(server_hello()) + CHANGE_CIPHER_SPEC + Sealer().records(protected, size, padding)


def flight_12(*after_hello: bytes, extensions: Iterable[tuple[int, bytes]] = ((5, b""),), size: int = 1 << 14) -> bytes:
    """A whole TLS 1.2 flight of these messages after ServerHello."""
    return records(server_hello(0x0303, suite=0xC02B, extensions=extensions) + b"".join(after_hello), size)


def certificate_12(*certificates: bytes) -> bytes:
    """A TLS 1.2 Certificate message."""
    return message(11, wire.encode_certificate_tls12(certificates))


def certificate_status(status_type: int, *responses: bytes) -> bytes:
    """A CertificateStatus message."""
    return message(22, wire.encode_certificate_status(wire.CertificateStatus(status_type, responses)))


KEY_EXCHANGE = message(12, b"\x03\x00\x17")
HELLO_DONE = message(14, b"")

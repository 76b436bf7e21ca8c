"""Handshake messages out of captured TLS records, and the opening of the records that TLS 1.3 protects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hmac import HMAC

from mustaple.core.errors import Alert, WireError
from mustaple.core.wire import vector

if TYPE_CHECKING:
    from collections.abc import Callable

_CHANGE_CIPHER_SPEC, _ALERT, _HANDSHAKE, _APPLICATION_DATA = 20, 21, 22, 23
_HELLO_REQUEST: Final = 0
_WARNING: Final = b"\x01"
_MAX_PLAINTEXT: Final = 1 << 14
_MAX_CIPHERTEXT: Final = _MAX_PLAINTEXT + 256  # RFC 9846 §5.2


class HandshakeMessages:
    """Handshake messages out of records: a message may span records, and a record may hold several."""

    def __init__(self, captured: bytes) -> None:
        self._captured = captured
        self._position = 0
        self._pending = bytearray()
        self._open: Callable[[bytes, bytes], bytes] | None = None
        self._change_cipher_spec_allowed = True

    def next(self) -> tuple[int, bytes]:
        """The type and body of the next message; a HelloRequest in clear is passed over (RFC 5246 §7.4.1.1)."""
        while True:
            number, body = self._next()
            if number != _HELLO_REQUEST or body or self._open:
                return number, body

    def _next(self) -> tuple[int, bytes]:
        pending = self._pending
        if not pending:
            fragment = self._pull()
            if int.from_bytes(fragment[1:4], "big") == len(fragment) - 4:
                return fragment[0], fragment[4:]  # a record that is one message, as most are
            pending += fragment
        while len(pending) < 4:
            pending += self._pull()
        end = 4 + int.from_bytes(pending[1:4], "big")
        while len(pending) < end:
            pending += self._pull()
        number, body = pending[0], bytes(pending[4:end])
        del pending[:end]
        return number, body

    def expect(self, wanted: int) -> bytes:
        """The body of the next message, which must be of this type."""
        number, body = self.next()
        if number != wanted:
            raise WireError(f"Handshake message {number} stands where {wanted} should.", Alert.UNEXPECTED_MESSAGE)
        return body

    def protect(self, cipher_suite: int, secret: bytes | None) -> None:
        """From here on records are protected; no message may span the change of keys (RFC 9846 §5.1)."""
        if self._pending:
            raise WireError("A handshake message spans a change of keys.", Alert.UNEXPECTED_MESSAGE)
        self._open = record_opener(cipher_suite, secret)

    def forbid_change_cipher_spec(self) -> None:
        """In TLS 1.2 it would mean a resumed session; in TLS 1.3 it is padding for middleboxes (RFC 9846 §5)."""
        self._change_cipher_spec_allowed = False

    def _pull(self) -> bytes:
        """What the next handshake record holds, never nothing; those that say nothing are passed over."""
        while True:
            header, fragment = self._record()
            content_type = header[0]
            if content_type == _CHANGE_CIPHER_SPEC and fragment == b"\x01" and self._change_cipher_spec_allowed:
                continue
            if self._open:
                if content_type != _APPLICATION_DATA:
                    raise WireError("A record in clear stands among protected ones.", Alert.UNEXPECTED_MESSAGE)
                content_type, fragment = _unwrap(self._open(header, fragment))
            elif content_type == _ALERT and fragment[:1] == _WARNING:
                continue  # unrecognized_name, say: the handshake goes on (RFC 6066 §3)
            if content_type == _HANDSHAKE and fragment:
                return fragment
            what = "an alert" if content_type == _ALERT else f"a record of type {content_type}, {len(fragment)} bytes"
            raise WireError(f"The flight is broken off by {what}.", Alert.UNEXPECTED_MESSAGE)

    def _record(self) -> tuple[bytes, bytes]:
        """The next record's header and fragment."""
        captured, start = self._captured, self._position
        begin = start + 5
        header = captured[start:begin]
        length = int.from_bytes(header[3:], "big")
        if length > (_MAX_CIPHERTEXT if self._open else _MAX_PLAINTEXT):
            raise WireError(f"A record of {length} bytes is too long.")
        self._position = end = begin + length
        if end > len(captured):
            raise WireError(f"The server's flight ends early: {end - len(captured)} bytes of a record are missing.")
        return header, captured[begin:end]


class OpenedMessages(HandshakeMessages):
    """The same messages where a TLS library has opened the records already, one message after the other."""

    def __init__(self, opened: bytes) -> None:
        super().__init__(b"")
        self._pending += opened

    def protect(self, cipher_suite: int, secret: bytes | None) -> None:
        """Nothing: the library has seen to it."""


def _unwrap(inner: bytes) -> tuple[int, bytes]:
    """The content type and content of a TLSInnerPlaintext: the type is the last byte that is not padding."""
    content = inner.rstrip(b"\0")
    if not content or len(inner) > _MAX_PLAINTEXT + 1:
        raise WireError("A protected record holds no content, or too much.", Alert.UNEXPECTED_MESSAGE)
    return content[-1], content[:-1]


def _info(label: bytes, length: int) -> bytes:
    """What HKDF-Expand-Label feeds one HMAC for a key of at most a hash's length (RFC 9846 §7.1, RFC 5869 §2.3)."""
    return length.to_bytes(2, "big") + vector(b"tls13 " + label, 1) + b"\0\x01"


class _Suite(NamedTuple):
    digest: hashes.HashAlgorithm
    key_length: int
    aead: Callable[[bytes], AESGCM | AESCCM | ChaCha20Poly1305]


_SHA256, _SHA384 = hashes.SHA256(), hashes.SHA384()
_SUITES: Final = {
    0x1301: _Suite(_SHA256, 16, AESGCM),
    0x1302: _Suite(_SHA384, 32, AESGCM),
    0x1303: _Suite(_SHA256, 32, ChaCha20Poly1305),
    0x1304: _Suite(_SHA256, 16, AESCCM),
    0x1305: _Suite(_SHA256, 16, lambda key: AESCCM(key, tag_length=8)),
}
_KEY_INFO: Final = {length: _info(b"key", length) for length in (16, 32)}
_IV_INFO: Final = _info(b"iv", 12)


def record_opener(cipher_suite: int, secret: bytes | None) -> Callable[[bytes, bytes], bytes]:
    """A function that opens the server's records one after the other (RFC 9846 §5.2, §5.3)."""
    suite = _SUITES.get(cipher_suite)
    if suite is None:
        raise WireError(f"The server chose the cipher suite {cipher_suite:#06x}.", Alert.ILLEGAL_PARAMETER)
    if secret is None or len(secret) != suite.digest.digest_size:
        raise WireError("There is no handshake traffic secret that fits this flight.")
    aead = suite.aead(_hmac(suite, secret, _KEY_INFO[suite.key_length])[: suite.key_length])
    iv = int.from_bytes(_hmac(suite, secret, _IV_INFO)[:12], "big")
    sequence = 0

    def open_record(header: bytes, fragment: bytes) -> bytes:
        nonlocal sequence
        nonce = (iv ^ sequence).to_bytes(12, "big")
        sequence += 1
        try:
            return aead.decrypt(nonce, fragment, header)
        except (InvalidTag, ValueError) as error:
            raise WireError("A record does not open with the handshake's key.") from error

    return open_record


def _hmac(suite: _Suite, secret: bytes, info: bytes) -> bytes:
    # Not Python's hmac: this is the OpenSSL that runs the handshake, and a second one would come cold to the processor.
    keyed = HMAC(secret, suite.digest)
    keyed.update(info)
    return keyed.finalize()

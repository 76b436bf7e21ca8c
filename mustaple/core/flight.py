"""The server's handshake flight out of captured bytes: each certificate with the staples that came with it.

In TLS 1.2 the flight is in clear. In TLS 1.3 it is opened with the server's handshake traffic secret (RFC 9846 §7.3),
which a key log names SERVER_HANDSHAKE_TRAFFIC_SECRET. Reading stops where the certificates and staples are complete;
what follows belongs to the TLS library, which checks the signatures over all of it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from mustaple.core import wire
from mustaple.core.errors import Alert, WireError
from mustaple.core.records import HandshakeMessages, OpenedMessages

if TYPE_CHECKING:
    from collections.abc import Collection

# A flight is a few KiB, with post-quantum signatures some tens. A peer that sends more than this is not listened to.
MAX_FLIGHT_BYTES: Final = 1 << 20
_KEPT_MESSAGES: Final = 32

_SERVER_HELLO, _ENCRYPTED_EXTENSIONS, _CERTIFICATE, _CERTIFICATE_REQUEST = 2, 8, 11, 13
_SERVER_KEY_EXCHANGE, _SERVER_HELLO_DONE, _CERTIFICATE_STATUS = 12, 14, 22
_SUPPORTED_VERSIONS = 43
_TLS12, _TLS13 = 0x0303, 0x0304
# The random of a HelloRetryRequest (RFC 9846 §4.2.3): it looks like a ServerHello otherwise.
_HELLO_RETRY = hashlib.sha256(b"HelloRetryRequest").digest()


class CarriageError(WireError):
    """A Certificate or CertificateStatus message that came whole and yet cannot be read, or stands out of its order."""


@dataclass(frozen=True)
class Entry:
    """One certificate in the order sent (DER), and the OCSP responses that came for it, none or one.

    `origin` says in words which message carried them.
    """

    certificate: bytes
    staples: tuple[bytes, ...]
    origin: str

    @cached_property
    def fingerprint(self) -> bytes:
        """SHA-256 of the certificate (32 bytes)."""
        return hashlib.sha256(self.certificate).digest()


class Staple(NamedTuple):
    """An OCSP response as it came, and which message carried it."""

    response: bytes
    origin: str


@dataclass(frozen=True, eq=False)
class Sent:
    """The certificates that a server sent, with their staples. Two are equal only where they are the same object."""

    entries: tuple[Entry, ...]

    @cached_property
    def staples(self) -> dict[bytes, tuple[Staple, ...]]:
        """The staples of each certificate by its SHA-256; a certificate sent twice has those of both places."""
        found: dict[bytes, tuple[Staple, ...]] = {}
        for entry in self.entries:
            if entry.staples:
                staples = tuple(Staple(response, entry.origin) for response in entry.staples)
                found[entry.fingerprint] = found.get(entry.fingerprint, ()) + staples
        return found


@dataclass(frozen=True, slots=True)
class Flight:
    """What the server sent: `protocol` as OpenSSL names it, `cipher_suite` by number, extension numbers `answered`.

    In TLS 1.2 those are the numbers of the ServerHello; in TLS 1.3 those of the certificate entries. A server that
    shows the same again gets the very same `sent`.
    """

    protocol: str
    cipher_suite: int
    sent: Sent
    answered: frozenset[int]

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The certificates in the order sent, and what came with each."""
        return self.sent.entries


def read_flight(
    captured: bytes, *, secret: bytes | None = None, offered: Collection[int] = (wire.STATUS_REQUEST,)
) -> Flight:
    """Read a server's flight from everything it has sent since the connection began.

    `secret` is the server handshake traffic secret of TLS 1.3, raw; `offered` are the extension numbers of the
    ClientHello that a certificate entry may answer. Raises WireError for anything unreadable, incomplete, longer than
    MAX_FLIGHT_BYTES, or without certificates, as a resumed session is; CarriageError, which is one, where the fault is
    in what carries certificates and staples.
    """
    if len(captured) > MAX_FLIGHT_BYTES:
        raise WireError(f"The server's flight is longer than {MAX_FLIGHT_BYTES} bytes.")
    return _read(HandshakeMessages(captured), secret, offered)


def read_messages(opened: bytes, *, offered: Collection[int] = (wire.STATUS_REQUEST,)) -> Flight:
    """Read a server's flight from its handshake messages, one after the other, as a TLS library opened them.

    All else is as in `read_flight`.
    """
    return _read(OpenedMessages(opened), None, offered)


def _read(messages: HandshakeMessages, secret: bytes | None, offered: Collection[int]) -> Flight:
    hello = _decode_server_hello(messages.expect(_SERVER_HELLO))
    if hello.random == _HELLO_RETRY:
        hello = _decode_server_hello(messages.expect(_SERVER_HELLO))
        if hello.version != _TLS13 or hello.random == _HELLO_RETRY:
            raise WireError(
                "A HelloRetryRequest is not followed by a ServerHello of TLS 1.3.", Alert.UNEXPECTED_MESSAGE
            )
    if hello.version == _TLS13:
        return _read_tls13(messages, hello, secret, offered)
    if hello.version == _TLS12:
        return _read_tls12(messages, hello)
    raise WireError(f"The server chose the protocol version {hello.version:#06x}.", Alert.ILLEGAL_PARAMETER)


def _read_tls13(
    messages: HandshakeMessages, hello: _ServerHello, secret: bytes | None, offered: Collection[int]
) -> Flight:
    messages.protect(hello.cipher_suite, secret)
    messages.expect(_ENCRYPTED_EXTENSIONS)  # it says nothing of certificates, and the library reads it
    number, body = messages.next()
    if number == _CERTIFICATE_REQUEST:
        number, body = messages.next()
    if number != _CERTIFICATE:
        raise _misplaced(number, "where Certificate should")
    try:
        sent, answered = _sent_tls13(body, frozenset(offered))
    except WireError as error:
        raise CarriageError(str(error), error.alert) from None
    return Flight("TLSv1.3", hello.cipher_suite, sent, answered)


# A server shows the same Certificate message for hours; errors are not kept.
@lru_cache(maxsize=_KEPT_MESSAGES)
def _sent_tls13(body: bytes, offered: frozenset[int]) -> tuple[Sent, frozenset[int]]:
    """The entries of a Certificate message, and the extension numbers that they answer with."""
    decoded = wire.decode_certificate_tls13(body, offered)
    entries = tuple(_entry_tls13(entry, place) for place, entry in enumerate(decoded))
    return Sent(entries), frozenset(extension for entry in decoded for extension, _ in entry.extensions)


def _entry_tls13(entry: wire.CertificateEntry, place: int) -> Entry:
    staples: tuple[bytes, ...] = ()
    for extension, content in entry.extensions:
        if extension == wire.STATUS_REQUEST:
            what = f"The CertificateStatus of entry {place}"
            staples = wire.decode_certificate_status(content, what=what).responses
    return Entry(entry.certificate, staples, f"TLS 1.3 Certificate, entry {place}")


def _read_tls12(messages: HandshakeMessages, hello: _ServerHello) -> Flight:
    messages.forbid_change_cipher_spec()
    number, certificate = messages.next()
    if number != _CERTIFICATE:
        raise _misplaced(number, "where Certificate should")
    number, body = messages.next()
    status = None
    if number == _CERTIFICATE_STATUS:
        status = body
        number, body = messages.next()
    # A staple that comes late would be one that OpenSSL never saw: everything up to ServerHelloDone must be there.
    while number != _SERVER_HELLO_DONE:
        if number not in (_SERVER_KEY_EXCHANGE, _CERTIFICATE_REQUEST):
            raise _misplaced(number, "before ServerHelloDone")
        number, body = messages.next()
    try:
        _check_answers(hello.extensions)
        allowed = _allowed_types(hello.extensions) if status is not None else ()
        sent = _sent_tls12(certificate, status, allowed)
    except WireError as error:
        raise CarriageError(str(error), error.alert) from None
    return Flight("TLSv1.2", hello.cipher_suite, sent, frozenset(hello.extensions))


def _misplaced(number: int, where: str) -> WireError:
    """A message out of its order. CertificateStatus comes right after Certificate, and once (RFC 6066 §8)."""
    if number == _CERTIFICATE_STATUS:
        return CarriageError(f"A CertificateStatus stands {where}.", Alert.UNEXPECTED_MESSAGE)
    return WireError(f"Handshake message {number} stands {where}.", Alert.UNEXPECTED_MESSAGE)


def _check_answers(extensions: dict[int, bytes]) -> None:
    """What acknowledges a status request in the ServerHello is empty (RFC 6066 §8, RFC 6961 §2.2)."""
    for number in (wire.STATUS_REQUEST, wire.STATUS_REQUEST_V2):
        if extensions.get(number):
            raise WireError(f"The ServerHello's extension {number} is not empty.")


@lru_cache(maxsize=_KEPT_MESSAGES)
def _sent_tls12(certificate: bytes, status: bytes | None, allowed: tuple[int, ...]) -> Sent:
    """One answer of type `ocsp` is the leaf's; those of `ocsp_multi` are the certificates' in their order."""
    certificates = wire.decode_certificate_tls12(certificate)
    origin = "TLS 1.2 CertificateStatus"
    responses: tuple[bytes, ...] = ()
    if status is not None:
        decoded = wire.decode_certificate_status(status, allowed=allowed)
        responses = decoded.responses
        if decoded.status_type == wire.OCSP_MULTI:
            origin = "TLS 1.2 CertificateStatus (ocsp_multi), response {}"
    if len(responses) > len(certificates):
        raise WireError(
            f"CertificateStatus holds {len(responses)} responses for {len(certificates)} certificates.",
            Alert.BAD_CERTIFICATE_STATUS_RESPONSE,
        )
    padded = responses + (b"",) * (len(certificates) - len(responses))
    return Sent(
        tuple(
            Entry(der, (response,) if response else (), origin.format(place))
            for place, (der, response) in enumerate(zip(certificates, padded, strict=True))
        )
    )


def _allowed_types(extensions: dict[int, bytes]) -> tuple[int, ...]:
    """The status types that the ServerHello announced (RFC 6066 §8, RFC 6961 §2.2)."""
    if wire.STATUS_REQUEST_V2 in extensions:
        return (wire.OCSP, wire.OCSP_MULTI)
    if wire.STATUS_REQUEST in extensions:
        return (wire.OCSP,)
    raise WireError("A CertificateStatus comes that the ServerHello did not announce.", Alert.UNEXPECTED_MESSAGE)


class _ServerHello(NamedTuple):
    version: int
    random: bytes
    cipher_suite: int
    extensions: dict[int, bytes]


def _decode_server_hello(body: bytes) -> _ServerHello:
    reader = wire.Reader(body, "ServerHello")
    version = reader.uint(2)
    random = reader.take(32)
    if len(reader.vector(1)) > 32:
        raise WireError("The session id of the ServerHello is longer than 32 bytes.")
    cipher_suite = reader.uint(2)
    if reader.uint(1) != 0:
        raise WireError("The ServerHello chose compression.", Alert.ILLEGAL_PARAMETER)
    # TLS 1.2 lets the whole block be absent (RFC 5246 §7.4.1.3).
    extensions = wire.decode_extensions(reader, "ServerHello") if reader else {}
    reader.end()
    chosen = extensions.get(_SUPPORTED_VERSIONS)
    if chosen is not None:
        if len(chosen) != 2:
            raise WireError("The ServerHello's supported_versions is not one version.")
        version = int.from_bytes(chosen, "big")
    return _ServerHello(version, random, cipher_suite, extensions)

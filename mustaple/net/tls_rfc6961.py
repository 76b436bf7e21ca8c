"""The stapling TLS engine on tlslite-ng: staples for every certificate, in TLS 1.2 (RFC 6961) and in TLS 1.3.

tlslite-ng has the handshakes and no stapling. What is added here hangs on its private methods, so its minor version
is pinned. It is not hardened against side channels: it serves tests and probes, never an application's traffic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mustaple.core.errors import Alert, InputError, WireError
from mustaple.core.offer import Answer, Offer, answer_tls12, answer_tls13, encode_unchecked, read_offer
from mustaple.core.wire import encode_certificate_tls12, encode_certificate_tls13, vector
from mustaple.net.tlslite_ng import (
    X509,
    Certificate,
    ContentType,
    ExtensionType,
    HandshakeSettings,
    HandshakeType,
    Message,
    ServerHello,
    TLSConnection,
    TLSExtension,
    X509CertChain,
    parsePEMKey,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

    from mustaple.core.offer import Staples

TLS12: Final = (3, 3)
TLS13: Final = (3, 4)
VERSIONS: Final = {"1.2": TLS12, "1.3": TLS13}
NAMES: Final = {TLS12: "TLSv1.2", TLS13: "TLSv1.3"}


class Credentials:
    """A chain with its key, as tlslite-ng takes them. `certificates` are in DER, in the order sent.

    Raises InputError for a key that is not the leaf's, and for one that tlslite-ng cannot use: it knows RSA, the NIST
    curves and Ed25519.
    """

    def __init__(self, chain: Sequence[x509.Certificate], key: PrivateKeyTypes) -> None:
        if not chain:
            raise InputError("A server needs at least one certificate.")
        if key.public_key() != chain[0].public_key():
            raise InputError("The private key is not that of the certificate.")
        self.certificates = tuple(certificate.public_bytes(Encoding.DER) for certificate in chain)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")
        try:
            self.key = parsePEMKey(pem, private=True)
            leaf = X509()
            leaf.parseBinary(self.certificates[0])
        except (SyntaxError, ValueError, KeyError) as error:
            raise InputError(f"tlslite-ng does not serve this certificate: {error}.") from error
        # Only the leaf is for tlslite-ng to read; the others are sent as they are, whatever keys they hold.
        self.leaf = X509CertChain([leaf])


def settings(minimum: str, maximum: str) -> HandshakeSettings:
    """What both ends allow: forward secrecy with authenticated encryption, and no way to resume a session."""
    try:
        lowest, highest = VERSIONS[minimum], VERSIONS[maximum]
    except KeyError as error:
        raise InputError(f"TLS {error.args[0]} is not spoken; there are {' and '.join(VERSIONS)}.") from None
    chosen = HandshakeSettings()
    chosen.minVersion, chosen.maxVersion = lowest, highest
    chosen.versions = [version for version in (TLS13, TLS12) if lowest <= version <= highest]
    chosen.cipherNames = ["aes128gcm", "aes256gcm", "chacha20-poly1305"]
    chosen.keyExchangeNames = ["ecdhe_ecdsa", "ecdhe_rsa"]
    chosen.dhGroups = []
    # Compressed certificates would hide the entries, and the others are of no use here.
    chosen.certificate_compression_send = chosen.certificate_compression_receive = []
    chosen.use_heartbeat_extension = False
    chosen.record_size_limit = None
    return chosen


class ServerEnd(TLSConnection):  # type: ignore[misc]  # tlslite-ng has no types
    """The server's end of one connection, which staples what `give` gives, as far as the client asks for it.

    `offer`, `version` and `server_name` are known once the ClientHello is read; `answer` is what was sent in TLS 1.2,
    `sent` the staples in the order of the certificates.
    """

    def __init__(self, sock: Any, credentials: Credentials, give: Callable[[], Staples]) -> None:
        super().__init__(sock)
        self.offer = Offer()
        self.answer: Answer | None = None
        self.sent: tuple[bytes | None, ...] = ()
        self.server_name: str | None = None
        self.protocol: str | None = None
        self._credentials = credentials
        self._give = give

    def handshake(self, chosen: HandshakeSettings) -> None:
        """The whole handshake. Raises what tlslite-ng raises: TLSAlert, socket errors, and more for hostile bytes."""
        self.handshakeServer(certChain=self._credentials.leaf, privateKey=self._credentials.key, settings=chosen)

    def _serverGetClientHello(self, *arguments: Any) -> Iterator[Any]:  # noqa: N802 - tlslite-ng's name
        for result in super()._serverGetClientHello(*arguments):
            if isinstance(result, tuple):
                try:
                    self._take(result[0], result[1])
                except WireError as error:
                    yield from self._sendError(error.alert, str(error))
            yield result

    def _take(self, hello: Any, version: tuple[int, int]) -> None:
        """Read the offer; the staples are asked for here, once, and only by a client that wants any."""
        self.protocol = NAMES[version]
        self.server_name = bytes(hello.server_name).decode("ascii", "replace") or None
        self.offer = read_offer({each.extType: bytes(each.extData) for each in hello.extensions or ()})
        staples = tuple(self._give()) if self.offer.extensions else ()
        if version == TLS12:
            self.answer = answer_tls12(self.offer, staples)
            self.sent = self.answer.status.responses if self.answer is not None else ()
        elif self.offer.status_request:
            self.sent = staples[: len(self._credentials.certificates)]
        # No application protocol is served by name, and tlslite-ng fails over a list that it has nothing to match with.
        hello.extensions = [each for each in hello.extensions or () if each.extType != ExtensionType.alpn]

    def _sendMsgs(self, msgs: list[Any]) -> Iterator[Any]:  # noqa: N802
        yield from super()._sendMsgs(list(self._stapled(msgs)) if self.version == TLS12 else msgs)

    def _stapled(self, msgs: list[Any]) -> Iterator[Any]:
        """The flight of TLS 1.2: the acknowledgement in ServerHello, CertificateStatus right after Certificate."""
        for message in msgs:
            if isinstance(message, ServerHello) and self.answer is not None:
                acknowledgement = TLSExtension(extType=self.answer.extension).create(bytearray())
                message.extensions = [*(message.extensions or ()), acknowledgement]
                yield message
            elif isinstance(message, Certificate):
                body = encode_certificate_tls12(self._credentials.certificates)
                yield handshake_message(HandshakeType.certificate, body)
                if self.answer is not None:
                    yield handshake_message(HandshakeType.certificate_status, encode_unchecked(self.answer.status))
            else:
                yield message

    def _create_cert_msg(self, *arguments: Any, **options: Any) -> Any:  # noqa: ARG002 - TLS 1.3: the server's own
        entries = answer_tls13(self.offer, self.sent, self._credentials.certificates)
        return handshake_message(HandshakeType.certificate, encode_certificate_tls13(entries))


def handshake_message(number: int, body: bytes) -> Message:
    """A handshake message from its type and its body, as tlslite-ng sends them."""
    return Message(ContentType.handshake, bytearray(bytes([number]) + vector(body, 3)))


def alert_name(description: int) -> str:
    """The name of an alert in words."""
    return Alert(description).name.lower() if description in set(Alert) else f"alert {description}"

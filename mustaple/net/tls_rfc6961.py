"""The stapling TLS engine on tlslite-ng: what is added to its handshakes, at the server's end and at the client's.

tlslite-ng has the handshakes of TLS 1.2 and 1.3 and no stapling. What is added hangs on its private methods, so its
minor version is pinned. It is not hardened against side channels: it serves tests and probes, never an application's
traffic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from mustaple.core import wire
from mustaple.core.errors import Alert, WireError
from mustaple.core.offer import Answer, Offer, answer_tls12, answer_tls13, encode_unchecked, read_offer
from mustaple.net.tlslite_ng import (
    NAMES,
    TLS12,
    TLS13,
    Certificate,
    ClientHello,
    ContentType,
    Credentials,
    End,
    ExtensionType,
    HandshakeSettings,
    HandshakeType,
    Message,
    ServerHello,
    SNIExtension,
    TLSExtension,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from mustaple.core.offer import Staples

# The client resumes no session, so it asks for no ticket; and what comes after the handshake is not for it either.
_NOT_OFFERED: Final = frozenset(
    {ExtensionType.session_ticket, ExtensionType.psk_key_exchange_modes, ExtensionType.post_handshake_auth}
)

_HELLO_REQUEST: Final = bytes(4)
_WARNING: Final = b"\x01"
_USER_CANCELED: Final = b"\x5a"
_CLOSING: Final = (b"\x00", _USER_CANCELED)  # the other is close_notify


class ServerEnd(End):
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

    def _serverGetClientHello(self, *arguments: Any) -> Iterator[Any]:  # noqa: N802
        for result in super()._serverGetClientHello(*arguments):
            if isinstance(result, tuple):
                self._take(result[0], result[1])
            yield result

    def _take(self, hello: Any, version: tuple[int, int]) -> None:
        """Read the offer; the staples are asked for here, once, and only by a client that wants any."""
        self.protocol = NAMES[version]
        self.server_name = bytes(hello.server_name).decode("ascii", "replace") or None
        extensions = {each.extType: bytes(each.extData) for each in hello.extensions or ()}
        if len(extensions) < len(hello.extensions or ()):
            raise WireError("The ClientHello holds an extension twice.", Alert.ILLEGAL_PARAMETER)
        self.offer = read_offer(extensions)
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
                body = wire.encode_certificate_tls12(self._credentials.certificates)
                yield handshake_message(HandshakeType.certificate, body)
                if self.answer is not None:
                    yield handshake_message(HandshakeType.certificate_status, encode_unchecked(self.answer.status))
            else:
                yield message

    def _create_cert_msg(self, *arguments: Any, **options: Any) -> Any:  # noqa: ARG002 - TLS 1.3: the server's own
        entries = answer_tls13(self.offer, self.sent, self._credentials.certificates)
        return handshake_message(HandshakeType.certificate, wire.encode_certificate_tls13(entries))


class Judge(Protocol):
    """Who decides at the client's end. Both methods raise HandshakeError to end the handshake with an alert."""

    @property
    def offered(self) -> frozenset[int]:
        """The extensions with which the ClientHello asks for a status: 5, 17, both or neither."""

    def on_message(self, message: bytes, version: tuple[int, int]) -> None:
        """A handshake message of the server, header included, in the order sent."""

    def on_flight(self) -> None:
        """The server's flight is complete and its signatures are verified; nothing has been sent in answer."""


class ClientEnd(End):
    """The client's end of one connection: it offers what `judge` says, shows it every message and heeds its word.

    A CertificateStatus is taken out of the stream where it may stand, right after the Certificate of TLS 1.2 and once;
    anywhere else tlslite-ng answers it with unexpected_message.
    """

    def __init__(self, sock: Any, judge: Judge, server_name: bytes | None) -> None:
        super().__init__(sock)
        self._judge = judge
        self._server_name = server_name
        self._offered: frozenset[int] = frozenset()
        self._previous: int | None = None
        self._heard = False
        self._reads_protected = False
        self._writes_protected = False

    def _sendMsg(self, msg: Any, *arguments: Any, **options: Any) -> Iterator[Any]:  # noqa: N802
        if isinstance(msg, ClientHello) and not self._offered:
            self._dress(msg)
        elif msg.contentType == ContentType.handshake and not isinstance(msg, ClientHello) and not self._heard:
            self._heard = True
            self._judge.on_flight()
        yield from super()._sendMsg(msg, *arguments, **options)

    def _dress(self, hello: Any) -> None:
        """The ClientHello as it goes out; one that is sent again stays the same (RFC 9846 §4.2.2)."""
        extensions = [each for each in hello.extensions if each.extType not in _NOT_OFFERED]
        if self._server_name is not None:
            extensions.append(SNIExtension().create(bytearray(self._server_name)))
        bodies = {
            wire.STATUS_REQUEST: wire.encode_status_request(),
            wire.STATUS_REQUEST_V2: wire.encode_status_request_v2([wire.StatusRequest(wire.OCSP_MULTI)]),
        }
        extensions += [
            TLSExtension(extType=number).create(bytearray(bodies[number])) for number in sorted(self._judge.offered)
        ]
        hello.extensions = extensions
        self._offered = frozenset(each.extType for each in extensions)

    def _clientGetServerHello(self, *arguments: Any) -> Iterator[Any]:  # noqa: N802
        for result in super()._clientGetServerHello(*arguments):
            if isinstance(result, ServerHello):
                # The signalling cipher suite asks for renegotiation_info as the extension would (RFC 5746 §3.4).
                answered = {each.extType for each in result.extensions or ()} - {ExtensionType.renegotiation_info}
                self._solicited(answered, "ServerHello")
            yield result

    def _getNextRecord(self) -> Iterator[Any]:  # noqa: N802
        for result in super()._getNextRecord():
            if isinstance(result, tuple) and self._passes_over(result[0].type, bytes(result[1].bytes)):
                continue
            yield result

    def _passes_over(self, kind: int, content: bytes) -> bool:
        if self._heard:
            # It tells of the close_notify behind it, as JSSE's goodbye in TLS 1.3 has it (RFC 9846 §6.1).
            return kind == ContentType.alert and content == _WARNING + _USER_CANCELED
        return self._takes(kind, content)

    def _takes(self, kind: int, content: bytes) -> bool:
        """Look at what comes within the handshake; True where tlslite-ng is not to see it."""
        if kind == ContentType.alert:
            # A warning such as unrecognized_name (RFC 6066 §3) ends no handshake, and tlslite-ng thinks that it does.
            return self.version <= TLS12 and content[:1] == _WARNING and content[1:] not in _CLOSING
        if kind != ContentType.handshake:
            return False
        if content == _HELLO_REQUEST and self.version <= TLS12:
            return True  # to be passed over, and no part of what is hashed (RFC 5246 §7.4.1.1)
        self._show(content)
        previous, self._previous = self._previous, content[0]
        in_place = previous == HandshakeType.certificate and self.version == TLS12
        if content[0] == HandshakeType.certificate_status and in_place:
            self._handshake_hash.update(content)
            return True
        return False

    def _show(self, message: bytes) -> None:
        if message[0] == HandshakeType.encrypted_extensions:
            reader = wire.Reader(message[4:], "EncryptedExtensions")
            answered = wire.decode_extensions(reader, "EncryptedExtensions").keys()
            reader.end()
            if answered & {wire.STATUS_REQUEST, wire.STATUS_REQUEST_V2}:
                raise WireError("EncryptedExtensions holds a status_request.", Alert.ILLEGAL_PARAMETER)
            self._solicited(answered, "EncryptedExtensions")
        self._judge.on_message(message, self.version)

    def _solicited(self, answered: Collection[int], what: str) -> None:
        """A server may answer only what was offered (RFC 5246 §7.4.1.4, RFC 9846 §4.3)."""
        for number in sorted(set(answered) - self._offered):
            raise WireError(f"{what} holds extension {number}, which was not offered.", Alert.UNSUPPORTED_EXTENSION)

    # --- alerts: in TLS 1.3, between the keys of the server and its own, tlslite-ng would send them in clear

    def _changeReadState(self) -> None:  # noqa: N802
        super()._changeReadState()
        self._reads_protected = True

    def _changeWriteState(self) -> None:  # noqa: N802
        super()._changeWriteState()
        self._writes_protected = True

    def _sendError(self, *arguments: Any) -> Iterator[Any]:  # noqa: N802
        if self.version == TLS13 and self._reads_protected and not self._writes_protected:
            self._changeWriteState()
        yield from super()._sendError(*arguments)


def handshake_message(number: int, body: bytes) -> Message:
    """A handshake message from its type and its body, as tlslite-ng sends them."""
    return Message(ContentType.handshake, bytearray(bytes([number]) + wire.vector(body, 3)))

"""The server's end of one case: an honest stapling handshake, or the case's own messages instead of honest ones."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, Final

from mustaple.core import wire
from mustaple.core.errors import WireError
from mustaple.lab.cases import handshake
from mustaple.lab.cases.handshake import TLS12, TLS13
from mustaple.net.tls_rfc6961 import ServerEnd, handshake_message
from mustaple.net.tlslite_ng import Certificate, HandshakeSettings, ServerHello, TLSExtension, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mustaple.lab.live.stock import Served

CLIENT_HELLO: Final = 1
MAX_HELLO: Final = 64 * 1024  # bytes of a ClientHello, records included
_HANDSHAKE: Final = 22
_HOST_NAME: Final = 0
_VERSIONS: Final = {TLS12: "1.2", TLS13: "1.3"}


class Memory:
    """A socket as tlslite-ng uses one, in memory: what was received is put in, what is to be sent taken out."""

    def __init__(self) -> None:
        self.inbox = bytearray()
        self.outbox = bytearray()
        self.ended = False

    def recv(self, limit: int) -> bytes:
        """At most `limit` bytes, none at the end. Raises BlockingIOError where more may come."""
        if not self.inbox and not self.ended:
            raise BlockingIOError(errno.EWOULDBLOCK, "nothing has come yet")
        data = bytes(self.inbox[:limit])
        del self.inbox[:limit]
        return data

    def send(self, data: bytes) -> int:
        """Take all of it."""
        self.outbox += data
        return len(data)

    def sendall(self, data: bytes) -> None:
        """Take all of it."""
        self.outbox += data

    def close(self) -> None:
        """Nothing: whoever moves the bytes closes the socket."""


class CaseEnd(ServerEnd):
    """Serves one situation. `shown` says whether the client met what the case is about.

    Dishonest messages meet only clients that asked for a status, as the corpus has it.
    """

    def __init__(self, memory: Memory, served: Served) -> None:
        super().__init__(memory, served.credentials, lambda: served.setup.staples)
        self._setup = served.setup
        self.shown = not self._setup.flights

    def steps(self) -> Iterator[Any]:
        """The handshake, step by step: 0 where it waits for bytes. Raises what `ServerEnd.handshake` raises."""
        chosen = settings_of(self._setup.protocols)
        steps: Iterator[Any] = self.handshakeServerAsync(
            certChain=self._credentials.leaf, privateKey=self._credentials.key, settings=chosen
        )
        return steps

    def _dishonest(self, protocol: str) -> list[bytes]:
        """The case's own messages; none where the honest ones are meant, or this client did not offer what they answer.

        A ServerHello that answers what nobody offered would be another case than this one.
        """
        offered = self.offer.extensions
        if protocol not in self._setup.flights or not offered:
            return []
        flight = list(handshake.split(self._setup.flight(protocol, offered)))
        if protocol == TLS12 and not _answered(flight[0]).keys() <= offered:
            return []
        self.shown = True
        return flight

    def _stapled(self, msgs: list[Any]) -> Iterator[Any]:
        flight = self._dishonest(TLS12) if any(isinstance(message, ServerHello) for message in msgs) else []
        if not flight:
            yield from super()._stapled(msgs)
            return
        answers = _answered(flight[0])
        kinds = [message[0] for message in flight]
        exchange = kinds.index(handshake.SERVER_KEY_EXCHANGE)
        for message in msgs:
            if isinstance(message, ServerHello):
                told = [TLSExtension(extType=number).create(bytearray(body)) for number, body in answers.items()]
                message.extensions = [*(message.extensions or ()), *told]
                yield message
            elif isinstance(message, Certificate):
                yield from map(_sent, flight[1:exchange])
            elif message is msgs[-1]:
                # What stands behind ServerKeyExchange comes right before ServerHelloDone, the last of these.
                yield from map(_sent, flight[exchange + 1 : kinds.index(handshake.SERVER_HELLO_DONE)])
                yield message
            else:
                yield message

    def _create_cert_msg(self, *arguments: Any, **options: Any) -> Any:
        for message in self._dishonest(TLS13):
            if message[0] == handshake.CERTIFICATE:
                return _sent(message)
        return super()._create_cert_msg(*arguments, **options)


def settings_of(protocols: tuple[str, ...]) -> HandshakeSettings:
    """What tlslite-ng is told of these protocols, which have no gap between them."""
    versions = sorted(_VERSIONS[protocol] for protocol in protocols)
    return settings(versions[0], versions[-1])


def _sent(message: bytes) -> Any:
    return handshake_message(message[0], message[4:])


def _answered(server_hello: bytes) -> dict[int, bytes]:
    """The extensions of a ServerHello as the corpus writes it, to stand beside those of a real one."""
    reader = wire.Reader(server_hello[4:], "ServerHello")
    reader.take(2 + 32)  # version and random
    reader.vector(1)
    reader.take(2 + 1)  # cipher suite and compression
    return wire.decode_extensions(reader, "ServerHello")


class IncompleteError(Exception):
    """More bytes are to come."""


def server_name(received: bytes) -> str | None:
    """The host name that a ClientHello asks for, lower case; None where it names none.

    `received` is what a client sent first; raises IncompleteError where that is not yet a whole ClientHello. Bytes
    that never will be one ask for nobody: the handshake answers them.
    """
    try:
        return _asked_for(_client_hello(received))
    except WireError:
        return None


def _client_hello(received: bytes) -> bytes:
    """The ClientHello's body out of its records (RFC 9846 §5.1)."""
    message = bytearray()
    place = 0
    while len(received) - place >= 5:  # the header of a record
        length = int.from_bytes(received[place + 3 : place + 5], "big")
        if received[place] != _HANDSHAKE or not length:
            raise WireError("This is no handshake record.")
        if len(received) < place + 5 + length:
            break
        message += received[place + 5 : place + 5 + length]
        place += 5 + length
        if message[0] != CLIENT_HELLO:
            raise WireError("This is no ClientHello.")
        if len(message) >= 4 + int.from_bytes(message[1:4], "big"):
            return bytes(message[4 : 4 + int.from_bytes(message[1:4], "big")])
    if received[:1] not in {b"", bytes([_HANDSHAKE])} or len(received) >= MAX_HELLO:
        raise WireError("This is no ClientHello.")
    raise IncompleteError


def _asked_for(hello: bytes) -> str | None:
    reader = wire.Reader(hello, "ClientHello")
    reader.take(2 + 32)  # version and random
    reader.vector(1)
    reader.vector(2)
    reader.vector(1)
    if not reader:
        return None
    extension = wire.decode_extensions(reader, "ClientHello").get(0)
    if extension is None:
        return None
    names = wire.Reader(extension, "server_name").inner(2, "server_name")
    while names:
        kind, name = names.uint(1), names.vector(2)
        if kind == _HOST_NAME:
            return name.decode("ascii", "replace").lower().rstrip(".") or None
    return None

"""Both ends of the stapling engine in memory: a server that sends what it is told, and a client that only looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mustaple.core.errors import Alert
from mustaple.core.policy import preset
from mustaple.core.verdict import Code
from mustaple.net.service_name import service_name
from mustaple.net.tls_chain import ChainClientTLS, Pipe
from mustaple.net.tls_context import ClientContext
from mustaple.net.tls_rfc6961 import ClientEnd, ServerEnd
from mustaple.net.tlslite_ng import Credentials, HandshakeError, TLSExtension, TLSRemoteAlert, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from cryptography import x509

    from certtools.authority import Authority, Issued
    from mustaple.net.tls_openssl import ClientTLS

VERSIONS = ("TLSv1.2", "TLSv1.3")
Pair = tuple[bytes, bytes]

both_versions = pytest.mark.parametrize("version", VERSIONS)


class ChainClients:
    """Makes clients of the stapling engine that trust one authority at one time: `clients("strict", maximum=…)`."""

    def __init__(self, root: Authority, at: datetime) -> None:
        self.context = ClientContext([root.certificate], at=at)
        self.at = at

    def __call__(self, policy: str = "strict", name: str = "localhost", **options: Any) -> ChainClientTLS:
        return ChainClientTLS(self.context, service_name(name), preset(policy), self.at, **options)


def codes(tls: ClientTLS | ChainClientTLS) -> list[Code]:
    """The reasons by their codes. That a flight which cannot be read has no staples to judge goes without saying."""
    assert tls.verdict is not None
    found = [reason.code for reason in tls.verdict.all_reasons]
    return found[:1] if found[:1] == [Code.WIRE] else found


class ChainServer:
    """The server's end of one connection, as bytes. `alert` is the client's, `error` what else ended it."""

    def __init__(
        self,
        issued: Issued,
        staples: Sequence[bytes | None] = (),
        *,
        version: str | None = None,
        chain: Sequence[x509.Certificate] | None = None,
        end: type[ServerEnd] = ServerEnd,
    ) -> None:
        self.alert: int | None = None
        self.error: Exception | None = None
        self.completed = False
        self.data = b""
        self._pipe = Pipe()
        credentials = Credentials(issued.chain[:-1] if chain is None else chain, issued.key)
        self.tls = end(self._pipe, credentials, lambda: staples)
        only = version.removeprefix("TLSv") if version is not None else None
        self._running = self.tls.handshakeServerAsync(
            certChain=credentials.leaf, privateKey=credentials.key, settings=settings(only or "1.2", only or "1.3")
        )

    def exchange(self, data: bytes) -> bytes:
        """What the server answers to these bytes."""
        self._pipe.incoming += data
        self._pipe.ended = not data
        try:
            if not self.completed and self.alert is None and self.error is None:
                self.completed = next(self._running, None) is None
            if self.completed and not self.tls.closed:
                got = next(self.tls.readAsync())
                self.data += got if isinstance(got, bytes) else b""
        except TLSRemoteAlert as alert:
            self.alert = alert.description
        except Exception as error:  # noqa: BLE001 - looked at by the tests
            self.error = error
        return self.to_send()

    def to_send(self) -> bytes:
        """The bytes that wait to be sent to the client, at most once."""
        sent = bytes(self._pipe.outgoing)
        self._pipe.outgoing.clear()
        return sent


def shake(
    client: ClientTLS | ChainClientTLS, server: ChainServer, tamper: Callable[[bytes], bytes] = lambda data: data
) -> ChainServer:
    """Run the whole handshake; `tamper` changes the server's bytes. Raises what the client raises."""
    try:
        while (sent := client.to_send()) or not client.done:
            answer = tamper(server.exchange(sent))
            if answer or not client.done:
                client.receive(answer)
    finally:
        if rest := client.to_send():
            server.exchange(rest)
    return server


class Witness:
    """A judge that keeps the server's messages by type, and ends the handshake where the flight is complete."""

    offered = frozenset[int]()

    def __init__(self) -> None:
        self.messages: list[tuple[int, bytes]] = []

    def on_message(self, message: bytes, version: tuple[int, int]) -> None:  # noqa: ARG002 - as Judge has it
        self.messages.append((message[0], message[4:]))

    def on_flight(self) -> None:
        raise HandshakeError("seen enough", Alert.HANDSHAKE_FAILURE)

    def all_of(self, number: int) -> list[bytes]:
        return [body for each, body in self.messages if each == number]


class _Asker(ClientEnd):
    def __init__(self, sock: Any, judge: Witness, extensions: Iterable[tuple[int, bytes]]) -> None:
        super().__init__(sock, judge, b"localhost")
        self._extensions = tuple(extensions)

    def _dress(self, hello: Any) -> None:
        super()._dress(hello)
        hello.extensions += [TLSExtension(extType=number).create(bytearray(body)) for number, body in self._extensions]
        self._offered |= {number for number, _ in self._extensions}


def ask(server: ChainServer, *extensions: tuple[int, bytes]) -> Witness:
    """The flight with which the server answers a ClientHello that holds these extensions, body and all."""
    witness, pipe = Witness(), Pipe()
    client = _Asker(pipe, witness, extensions)
    running = client.handshakeClientCert(settings=settings("1.2", "1.3"), reqTack=False, async_=True)
    try:
        while next(running, None) is not None:
            sent = bytes(pipe.outgoing)
            pipe.outgoing.clear()
            pipe.incoming += server.exchange(sent)
            pipe.ended = not pipe.incoming
    except Exception:  # noqa: BLE001, S110 - it ends the handshake itself, or the server did; `server` says which
        pass
    server.exchange(bytes(pipe.outgoing))
    return witness

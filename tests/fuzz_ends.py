"""What handshakes are fuzzed with: honest flights and ClientHellos, and servers that lie in what they sign."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from flights import capture
from fuzz_bytes import split_hello, split_records
from staples import Site
from stapling_ends import ChainServer, Witness, ask
from tls_server import MemoryServer, server_context

from mustaple.core import wire
from mustaple.core.policy import preset
from mustaple.net.service_name import service_name
from mustaple.net.tls_chain import ChainClientTLS
from mustaple.net.tls_context import ClientContext
from mustaple.net.tls_openssl import ClientTLS
from mustaple.net.tls_rfc6961 import ServerEnd
from mustaple.net.tlslite_ng import ContentType, Message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fuzz_bytes import Mutator
    from staples import Pair

_CERTIFICATE, _ENCRYPTED_EXTENSIONS = 11, 8
OCSP_REQUEST = (wire.STATUS_REQUEST, wire.encode_status_request())
MULTI_REQUEST = (wire.STATUS_REQUEST_V2, wire.encode_status_request_v2([wire.StatusRequest(wire.OCSP_MULTI)]))
TYPES = (wire.OCSP_MULTI, wire.OCSP)
EITHER_REQUEST = (wire.STATUS_REQUEST_V2, wire.encode_status_request_v2(wire.StatusRequest(each) for each in TYPES))


class Ground:
    """One site, its honest flights as messages (`flights`) and in clear records (`streams`), and what may be spliced.

    `hellos` are the ClientHellos, as messages, of both clients in both versions.
    """

    def __init__(self) -> None:
        self.site = Site()
        self.contexts = {
            version: ClientContext([self.site.root.certificate], at=self.site.now, maximum=version)
            for version in ("TLSv1.2", "TLSv1.3")
        }
        self.server_contexts = {
            version: server_context(self.site.leaf, self.site.good[0], version=version) for version in self.contexts
        }
        asked = {"ocsp": ((OCSP_REQUEST,), "TLSv1.2"), "ocsp_multi": ((MULTI_REQUEST,), "TLSv1.2")}
        asked["entries"] = ((OCSP_REQUEST,), "TLSv1.3")
        self.flights: list[list[bytes]] = []
        self.streams = [capture(self.server_contexts["TLSv1.2"]).data]
        for extensions, version in asked.values():
            for staples in (self.site.good, self.site.wrong["swapped"]):
                messages = self._flight(staples, version, *extensions)
                self.flights.append(messages)
                if version == "TLSv1.2":
                    self.streams.append(b"".join(_record(message) for message in messages))
        self.hellos = [self._hello(version, chain=chain) for version in self.contexts for chain in (True, False)]
        responses = [staple for pair in (self.site.good, *self.site.wrong.values()) for staple in pair if staple]
        self.pieces = [*responses, *(message for flight in self.flights for message in flight), *self.hellos]

    def client(self, version: str, *, chain: bool) -> ClientTLS | ChainClientTLS:
        """A client of the stapling engine, or of OpenSSL; strict, unless the latter can hear of the leaf only."""
        policy = preset("strict" if chain or version == "TLSv1.3" else "must-staple")
        name, now = service_name("localhost"), self.site.now
        if chain:
            return ChainClientTLS(self.contexts[version], name, policy, now, maximum=version)
        return ClientTLS(self.contexts[version], name, policy, now)

    def _hello(self, version: str, *, chain: bool) -> bytes:
        return b"".join(record[5:] for record in split_records(self.client(version, chain=chain).to_send()))

    def _flight(self, staples: Pair, version: str, *extensions: tuple[int, bytes]) -> list[bytes]:
        witness: Witness = ask(ChainServer(self.site.leaf, staples, version=version), *extensions)
        return [bytes([number]) + wire.vector(body, 3) for number, body in witness.messages]


def _record(message: bytes) -> bytes:
    return b"\x16\x03\x03" + wire.vector(message, 2)


def client_hello(hello: bytes, mutator: Mutator) -> bytes:
    """A hostile ClientHello in a record: bytes changed anywhere, or only within the extensions that ask for staples."""
    random = mutator.random
    if random.random() < 0.3:
        return mutator.records(_record(hello))
    head, extensions = split_hello(hello)
    chosen = [each for each in extensions if each[0] not in {wire.STATUS_REQUEST, wire.STATUS_REQUEST_V2}]
    for number, body in random.sample((OCSP_REQUEST, MULTI_REQUEST, EITHER_REQUEST), random.randrange(1, 4)):
        chosen.insert(random.randrange(len(chosen) + 1), (number, body))
    place = random.randrange(len(chosen))
    if random.random() < 0.7:
        place = next(here for here, (number, _) in enumerate(chosen) if number in {5, 17})
    chosen[place] = (chosen[place][0], mutator.bytes(chosen[place][1])[:4000])
    return _record(mutator.message(1, head + wire.encode_extensions(chosen)))


class Liar(ServerEnd):
    """Changes its flight before it is hashed and signed, so that nothing else is wrong with it.

    `change` takes and gives handshake messages: the whole flight in TLS 1.2, and in TLS 1.3 what stands before
    CertificateVerify, one at a time. `said` is what was sent.
    """

    change: Callable[[list[bytes]], list[bytes]]

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.said: list[bytes] = []

    def _stapled(self, msgs: list[Any]) -> Iterator[Any]:
        self.said += self.change([bytes(message.write()) for message in super()._stapled(msgs)])
        return (Message(ContentType.handshake, bytearray(each)) for each in self.said)

    def _queue_message(self, msg: Any) -> None:
        message = bytes(msg.write())
        if message[0] not in {_ENCRYPTED_EXTENSIONS, _CERTIFICATE}:
            super()._queue_message(msg)
            return
        for each in self.change([message]):
            self.said.append(each)
            super()._queue_message(Message(ContentType.handshake, bytearray(each)))


class Spoken:
    """A server in memory whose answers `tamper` changes on their way; `heard` is what the client got."""

    def __init__(self, server: ChainServer | MemoryServer, tamper: Callable[[bytes], bytes]) -> None:
        self.server = server
        self.heard = b""
        self._tamper = tamper

    def exchange(self, data: bytes) -> bytes:
        """What the client gets in answer to these bytes."""
        answer = self.server.exchange(data)
        if answer:
            answer = self._tamper(answer)
            self.heard += answer
        return answer


class OneVisit:
    """Serves one connection on loopback, in a thread; a context manager. `silent`: it closes only after the client."""

    def __init__(self, spoken: Spoken, *, silent: bool) -> None:
        self._spoken = spoken
        self._silent = silent
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(10)
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        with suppress(OSError):
            sock, _ = self._listener.accept()
            with sock:
                sock.settimeout(10)
                while data := sock.recv(1 << 16):
                    answer = self._spoken.exchange(data)
                    sock.sendall(answer)
                    if not (answer or self._silent):
                        return

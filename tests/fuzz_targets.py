"""One hostile case for each reader of other people's bytes: what it may come to, and what must never happen."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, Self

from flights import SECRET, Sealer, records, server_hello
from fuzz_bytes import Mutator, split_records
from fuzz_ends import Ground, Liar, OneVisit, Spoken, client_hello
from stapling_ends import ChainServer
from tls_server import MemoryServer

from mustaple.core.errors import NetworkError, RefusedError, WireError
from mustaple.core.flight import read_flight, read_messages
from mustaple.core.verdict import Status
from mustaple.net.client import connect
from mustaple.net.server import StaplingServer
from mustaple.net.stapling_server import ChainStaplingServer
from mustaple.net.tlslite_ng import TLSAbruptCloseError, TLSLocalAlert

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from mustaple.core.flight import Flight
    from mustaple.core.verdict import ChainVerdict
    from mustaple.net.tls_chain import ChainClientTLS
    from mustaple.net.tls_openssl import ClientTLS

OFFERED: Final = frozenset({5, 17})
VERSIONS: Final = ("TLSv1.2", "TLSv1.3")
PATIENCE: Final = 0.3  # seconds that a client on a socket waits for a server that says no more
SERVER_PATIENCE: Final = 1.0  # seconds that a server waits for a client


class BrokenPromiseError(AssertionError):
    """What must never happen has happened."""


class Targets:
    """The cases, drawn from one random source; a context manager, since two of the servers are on loopback.

    Each method is one case and says in a word what it came to. It raises where something else than the exceptions of
    this project came out, or where a client accepted what no honest server said. `last` are the bytes of the case.
    """

    def __init__(self, random: Random) -> None:
        self.random = random
        self.last = b""
        self._ground = Ground()
        self._mutator = Mutator(random, self._ground.pieces)
        site = self._ground.site
        self._servers = (
            StaplingServer(site.sent, site.leaf.key, site.good[0], handshake_timeout=SERVER_PATIENCE),
            ChainStaplingServer(site.sent, site.leaf.key, site.good, handshake_timeout=SERVER_PATIENCE),
        )
        self._stack = ExitStack()
        self.all: dict[str, tuple[int, Callable[[], str]]] = {
            "flight in clear": (200, self.stream),
            "flight, opened": (200, self.opened),
            "flight, sealed": (100, self.sealed),
            "client on OpenSSL, lying server": (8, lambda: self.lying(chain=False)),
            "stapling engine's client, lying server": (10, lambda: self.lying(chain=True)),
            "client on OpenSSL, bytes changed": (8, lambda: self.changed(chain=False)),
            "stapling engine's client, bytes changed": (8, lambda: self.changed(chain=True)),
            "either client on a socket": (1, self.on_a_socket),
            "stapling engine's server in memory": (10, self.server_in_memory),
            "server on OpenSSL, on loopback": (6, lambda: self.server_on_loopback(self._servers[0])),
            "stapling server, on loopback": (6, lambda: self.server_on_loopback(self._servers[1])),
        }

    def __enter__(self) -> Self:
        for server in self._servers:
            self._stack.enter_context(server)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    # --- flights by themselves

    def stream(self) -> str:
        """A flight of TLS 1.2 in clear records."""
        self.last = self._mutator.records(self.random.choice(self._ground.streams))
        return self._read(lambda: read_flight(self.last, offered=OFFERED), _in_clear(self.last))

    def opened(self) -> str:
        """The messages as the stapling engine hands them over."""
        flight = self.random.choice(self._ground.flights)
        self.last = b"".join(self._mutator.messages(flight))
        return self._read(lambda: read_messages(self.last, offered=OFFERED - {17}), self.last)

    def sealed(self) -> str:
        """Messages in protected records, with a key that fits."""
        sealer, hello = Sealer(), server_hello()
        protected = b"".join(self._mutator.messages(self.random.choice(self._ground.flights[-2:])[1:]))
        if self.random.random() < 0.2:
            cut = self.random.randrange(len(protected) + 1)
            inner = self._mutator.bytes(protected[cut:])
            self.last = records(hello) + sealer.records(protected[:cut]) + sealer.seal(inner)
            protected = protected[:cut] + inner
        else:
            size, padding = self.random.choice((1, 100, 1 << 14)), self.random.choice((0, 0, 1, 300))
            self.last = records(hello) + sealer.records(protected[: 4000 * size], size, padding)
        secret = self.random.choice((SECRET, SECRET, SECRET, SECRET, None, SECRET[:-1]))
        return self._read(lambda: read_flight(self.last, secret=secret), hello + protected)

    @staticmethod
    def _read(read: Callable[[], Flight], opened: bytes) -> str:
        try:
            flight = read()
        except WireError:
            return "WireError"
        for entry in flight.entries:
            for shown in (entry.certificate, *entry.staples):
                if shown not in opened:
                    raise BrokenPromiseError("What was read never came.")
        return "read"

    # --- clients

    def lying(self, *, chain: bool) -> str:
        """A server with the right key that says wrong things, and signs that it said them."""
        version = self.random.choice(VERSIONS)
        server = self._liar(version, chain=chain)
        tls = self._ground.client(version, chain=chain)
        try:
            return self._shake(tls, server, lambda: b"".join(server.tls.said))
        finally:
            self.last = b"".join(server.tls.said)

    def _liar(self, version: str, *, chain: bool) -> ChainServer:
        site = self._ground.site
        pair = site.good if self.random.random() < 0.8 else self.random.choice(tuple(site.wrong.values()))
        certificates = site.sent if self.random.random() < 0.9 else site.leaf.chain[: self.random.choice((1, 3))]
        # OpenSSL asks for the leaf's staple alone, as extension 5 has it.
        staples = pair if chain or version == "TLSv1.3" else pair[:1]
        server = ChainServer(site.leaf, staples, version=version, chain=certificates, end=Liar)
        victim = self.random.choice((8, 11, 11, 11)) if version == "TLSv1.3" else None
        server.tls.change = lambda said: (
            said if victim is not None and said[0][0] != victim else self._mutator.messages(said)
        )
        return server

    def changed(self, *, chain: bool) -> str:
        """An honest server whose bytes are changed on their way."""
        version = self.random.choice(VERSIONS)
        spoken = self._spoken(version, chain=chain)
        tls = self._ground.client(version, chain=chain)
        return self._shake(tls, spoken, lambda: _in_clear(spoken.heard) if version == "TLSv1.2" else None)

    def _spoken(self, version: str, *, chain: bool) -> Spoken:
        site = self._ground.site
        answers = self.random.randrange(3)  # which of them is changed

        def tamper(answer: bytes) -> bytes:
            nonlocal answers
            answers -= 1
            self.last = answer if answers != -1 else self._mutator.records(answer)
            return self.last

        if chain or (version == "TLSv1.3" and self.random.random() < 0.5):
            return Spoken(ChainServer(site.leaf, site.good, version=version), tamper)
        return Spoken(MemoryServer(self._ground.server_contexts[version]), tamper)

    def _shake(
        self, tls: ClientTLS | ChainClientTLS, server: ChainServer | Spoken, shown: Callable[[], bytes | None]
    ) -> str:
        try:
            while (sent := tls.to_send()) or not tls.done:
                answer = server.exchange(sent)
                if answer or not tls.done:
                    tls.receive(answer)
            verdict = tls.verdict
            if verdict is None:
                raise BrokenPromiseError("A handshake that ended without an error has no verdict.")
            if verdict.accepted:
                self._is_honest(verdict, shown())
            return self._talk(tls, verdict)
        except NetworkError:
            if tls.verdict is not None:
                raise BrokenPromiseError("A handshake was both judged and broken off.") from None
            return "NetworkError"
        finally:
            tls.close()
            tls.to_send()

    def _talk(self, tls: ClientTLS | ChainClientTLS, verdict: ChainVerdict) -> str:
        """Application data, garbage in answer, and the end; none of it where the verdict refuses."""
        try:
            tls.write(b"GET / HTTP/1.1\r\n\r\n")
            tls.receive(self._mutator.records(b"\x17\x03\x03\x00\x14" + bytes(20)))
            while tls.read():
                pass
            tls.receive(b"")
            while tls.read():
                pass
        except RefusedError:
            if verdict.accepted:
                raise
            return "refused"
        except NetworkError:
            pass  # garbage is no application data
        if not verdict.accepted:
            raise BrokenPromiseError("A refused connection takes application data.")
        return "accepted"

    def _is_honest(self, verdict: ChainVerdict, shown: bytes | None) -> None:
        """Whether every certificate that counted and its staple are those of the site, to the byte."""
        site = self._ground.site
        depth = 2 if verdict.policy == "strict" else 1
        links = tuple(each.link.fingerprint for each in verdict.certificates)
        if links != tuple(link.fingerprint for link in site.chain.links):
            raise BrokenPromiseError("Another chain was accepted.")
        if any(each.status is not Status.GOOD for each in verdict.certificates[:depth]):
            raise BrokenPromiseError("A chain was accepted without good staples.")
        if shown is not None and any(staple not in shown for staple in site.good[:depth]):
            raise BrokenPromiseError("A staple was accepted that is not the honest one.")

    def on_a_socket(self) -> str:
        """Either client over a socket, before a server that lies, changes its bytes, falls silent or hangs up."""
        version, chain = self.random.choice(VERSIONS), self.random.random() < 0.6
        spoken = self._spoken(version, chain=chain)
        if self.random.random() < 0.5:
            spoken = Spoken(self._liar(version, chain=chain), lambda answer: answer)
        site = self._ground.site
        with OneVisit(spoken, silent=self.random.random() < 0.3) as visit:
            try:
                with connect(
                    "localhost",
                    visit.port,
                    "strict" if chain or version == "TLSv1.3" else "must-staple",
                    ca=site.root.certificate,
                    address=("127.0.0.1", visit.port),
                    timeout=PATIENCE,
                    at=site.now,
                    maximum=version,
                    engine="rfc6961" if chain else "openssl",
                ) as connection:
                    self._is_honest(connection.verdict, None)
            except (NetworkError, RefusedError) as error:
                return "refused" if isinstance(error, RefusedError) else "NetworkError"
        return "accepted"

    # --- servers

    def server_in_memory(self) -> str:
        """A ClientHello, and what a client might say next."""
        site = self._ground.site
        version = self.random.choice((None, *VERSIONS))
        pair = site.good if self.random.random() < 0.8 else self.random.choice(tuple(site.wrong.values()))
        server = ChainServer(site.leaf, pair, version=version)
        said = self._client_says()
        for piece in (*said, b""):
            server.exchange(piece)
        if server.completed:
            raise BrokenPromiseError("A server completed a handshake with garbage.")
        if server.error is not None and not isinstance(server.error, (TLSLocalAlert, TLSAbruptCloseError)):
            raise server.error
        return _in_words(server.error) if server.error is not None else f"alert {server.alert}"

    def _client_says(self) -> tuple[bytes, bytes]:
        hello = client_hello(self.random.choice(self._ground.hellos), self._mutator)
        more = b"\x14\x03\x03\x00\x01\x01\x17\x03\x03\x00\x28" + bytes(40)
        self.last = hello
        return hello, self.random.choice((b"", self._mutator.records(more)))

    def server_on_loopback(self, server: StaplingServer | ChainStaplingServer) -> str:
        """The same over a socket, closed or left open; the server ends it, and says what it saw."""
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
            try:
                for piece in self._client_says():
                    sock.sendall(piece)
                if self.random.random() < 0.95:
                    sock.shutdown(socket.SHUT_WR)
                while sock.recv(1 << 16):
                    pass
            except (ConnectionError, BrokenPipeError):
                pass  # it has heard enough
        record = server.next_record(10)
        return _in_words(record.error) if record.error else str(record.ended)

    def still_serves(self) -> None:
        """An honest client is served by both servers on loopback, whatever they have heard before."""
        site = self._ground.site
        for server, policy, engine in zip(
            self._servers, ("must-staple", "strict"), ("openssl", "rfc6961"), strict=True
        ):
            visit = site.visit(server.port, policy, engine=engine)
            record: object = server.next_record(10)
            if not visit.verdict.accepted:
                raise BrokenPromiseError(f"An honest client is served no more: {visit.verdict.headline}, {record}")


def _in_clear(stream: bytes) -> bytes:
    return b"".join(record[5:] for record in split_records(stream) if record[0] == 22)


def _in_words(error: object) -> str:
    """The kind of an error: its text without what it says of this case."""
    text = str(error).partition("\n")[0]
    return text.partition(":")[0][:60]

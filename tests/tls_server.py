"""A stapling TLS server for tests, on pyOpenSSL: in memory, or on a loopback port with a thread for each connection."""

from __future__ import annotations

import queue
import socket
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from OpenSSL import SSL

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cryptography import x509

    from certtools.authority import Issued
    from mustaple.net.tls_openssl import ClientTLS

PATIENCE = 30.0  # seconds; reached only where something is broken
_READ_ALERT = 0x4004  # SSL_CB_READ_ALERT
_CHUNK = 1 << 16


@dataclass
class Seen:
    """What the server saw of one connection: the client's alert and data, and its certificates, if it sent any."""

    alert: int | None = None
    data: bytes = b""
    certificates: list[x509.Certificate] = field(default_factory=list)
    protocol: str | None = None
    completed: bool = False


def server_context(
    issued: Issued,
    staple: bytes | None,
    *,
    chain: Sequence[x509.Certificate] | None = None,
    version: str | None = None,
    suites: bytes | None = None,
    client_ca: x509.Certificate | None = None,
    require: bool = True,
    tickets: bool = False,
) -> SSL.Context:
    """A context that staples these bytes for the leaf (None: nothing) and sends the chain up to its root."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.use_certificate(issued.certificate)
    for certificate in issued.chain[1:-1] if chain is None else chain:
        context.add_extra_chain_cert(certificate)
    context.use_privatekey(issued.key)
    if version is not None:
        number = {"TLSv1.2": SSL.TLS1_2_VERSION, "TLSv1.3": SSL.TLS1_3_VERSION}[version]
        context.set_min_proto_version(number)
        context.set_max_proto_version(number)
    if suites is not None:
        context.set_tls13_ciphersuites(suites)
        context.set_cipher_list(b"ALL:@SECLEVEL=0")
    if not tickets:
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_options(SSL.OP_NO_TICKET)
    if client_ca is not None:
        store = context.get_cert_store()
        assert store is not None
        from OpenSSL.crypto import X509

        store.add_cert(X509.from_cryptography(client_ca))
        context.set_verify(SSL.VERIFY_PEER | (SSL.VERIFY_FAIL_IF_NO_PEER_CERT if require else 0))
    context.set_ocsp_server_callback(lambda *_: staple or b"")
    context.set_info_callback(_remember_alert)
    return context


def _remember_alert(connection: SSL.Connection, where: int, value: int) -> None:
    if where == _READ_ALERT:
        connection.get_app_data().alert = value & 0xFF


class MemoryServer:
    """The server's end of one connection, as bytes."""

    def __init__(self, context: SSL.Context) -> None:
        self.seen = Seen()
        self.tls = SSL.Connection(context)
        self.tls.set_app_data(self.seen)
        self.tls.set_accept_state()

    def exchange(self, data: bytes) -> bytes:
        """What the server answers to these bytes."""
        if data:
            self.tls.bio_write(data)
        try:
            if not self.seen.completed:
                self.tls.do_handshake()
                self.seen.completed = True
            while True:
                self.seen.data += self.tls.recv(_CHUNK)
        except SSL.Error:
            pass  # it wants more, or it ended: what was seen says which
        out = b""
        while True:
            try:
                out += self.tls.bio_read(_CHUNK)
            except SSL.WantReadError:
                return out


def shake(
    client: ClientTLS, context: SSL.Context, tamper: Callable[[bytes], bytes] = lambda data: data
) -> MemoryServer:
    """Run the whole handshake in memory; `tamper` changes the server's bytes. Raises what the client raises."""
    server = MemoryServer(context)
    try:
        while (sent := client.to_send()) or not client.done:
            answer = tamper(server.exchange(sent))
            if answer or not client.done:
                client.receive(answer)
    finally:
        server.exchange(client.to_send())
    return server


class LoopbackServer:
    """The same on 127.0.0.1: answers each connection's data with `reply` and notes what it saw in `connections`."""

    def __init__(self, context: SSL.Context, reply: bytes = b"hello") -> None:
        self._context = context
        self._reply = reply
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host, self.port = self._listener.getsockname()
        self.connections: queue.Queue[Seen] = queue.Queue()
        self._threads: list[threading.Thread] = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        # Closing a listener does not wake the thread that waits in accept: a last connection does.
        self._closing = True
        socket.create_connection((self.host, self.port), timeout=PATIENCE).close()
        for thread in self._threads:
            thread.join(PATIENCE)
        self._listener.close()

    _closing = False

    def next(self) -> Seen:
        """What the server saw of the next connection that has ended."""
        return self.connections.get(timeout=PATIENCE)

    def _accept(self) -> None:
        while True:
            peer, _ = self._listener.accept()
            if self._closing:
                peer.close()
                return
            peer.settimeout(PATIENCE)
            thread = threading.Thread(target=self._serve, args=(peer,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, peer: socket.socket) -> None:
        server = MemoryServer(self._context)
        answered = False
        with peer:
            try:
                while data := peer.recv(_CHUNK):
                    peer.sendall(server.exchange(data))
                    if server.seen.data and not answered:
                        answered = True
                        server.tls.sendall(self._reply)
                        server.tls.shutdown()
                        peer.sendall(server.exchange(b""))
            except OSError:
                pass  # the client went away; what was seen until then is what counts
        server.seen.certificates = list(server.tls.get_peer_cert_chain(as_cryptography=True) or ())
        server.seen.protocol = server.tls.get_protocol_version_name()
        self.connections.put(server.seen)

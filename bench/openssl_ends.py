"""Plain OpenSSL at both ends of a handshake in memory: what the benchmarks compare with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from OpenSSL import SSL, crypto

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography import x509

    from certtools.authority import Issued


def plain_context(root: x509.Certificate) -> SSL.Context:
    """A client's context that trusts this root, verifies the path and asks for nothing more."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.get_cert_store().add_cert(crypto.X509.from_cryptography(root))
    context.set_verify(SSL.VERIFY_PEER, lambda _connection, _certificate, _error, _depth, ok: bool(ok))
    return context


class Stepper:
    """A plain client as a pair of functions, so that both are driven by the same loop."""

    def __init__(self, context: SSL.Context, *, asks_for_status: bool = False) -> None:
        self.connection = SSL.Connection(context)
        self.connection.set_connect_state()
        self.connection.set_tlsext_host_name(b"localhost")
        if asks_for_status:
            self.connection.request_ocsp()
        self.done = False
        self._step()

    def _step(self) -> None:
        try:
            self.connection.do_handshake()
            self.done = True
        except SSL.WantReadError:
            pass

    def receive(self, data: bytes) -> None:
        """Take bytes from the server."""
        self.connection.bio_write(data)
        self._step()

    def to_send(self) -> bytes:
        """The bytes that wait to be sent to it."""
        return _pending(self.connection)


def server_context(issued: Issued, staple: bytes, version: int) -> SSL.Context:
    """A server's context for this leaf, in one version of TLS, which sends the CAs too and staples these bytes."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.use_certificate(issued.certificate)
    for certificate in issued.chain[1:-1]:
        context.add_extra_chain_cert(certificate)
    context.use_privatekey(issued.key)
    context.set_min_proto_version(version)
    context.set_max_proto_version(version)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_options(SSL.OP_NO_TICKET)
    context.set_ocsp_server_callback(lambda _connection, _data: staple)
    return context


def accepting(context: SSL.Context) -> SSL.Connection:
    """The server's end of a new connection."""
    server = SSL.Connection(context)
    server.set_accept_state()
    return server


def pump(
    server: SSL.Connection,
    to_send: Callable[[], bytes],
    receive: Callable[[bytes], None],
    done: Callable[[], bool],
) -> None:
    """Run the whole handshake: `to_send` and `receive` are the client's bytes, `done` says that it is through."""
    completed = False
    while not (completed and done()):
        data = to_send()
        if data:
            server.bio_write(data)
        if not completed:
            try:
                server.do_handshake()
                completed = True
            except SSL.WantReadError:
                pass
        answer = _pending(server)
        if answer:
            receive(answer)


def _pending(connection: SSL.Connection) -> bytes:
    chunks = []
    while True:
        try:
            chunks.append(connection.bio_read(65536))
        except SSL.WantReadError:
            return b"".join(chunks)

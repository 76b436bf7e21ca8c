"""A stapling TLS server for tests, on pyOpenSSL, in memory: what it sends can be kept, changed, cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from OpenSSL import SSL

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cryptography import x509

    from certtools.authority import Issued
    from mustaple.net.tls_openssl import ClientTLS

_READ_ALERT = 0x4004  # SSL_CB_READ_ALERT
_CHUNK = 1 << 16


@dataclass
class Seen:
    """What the server saw of one connection: the client's alert and data, and its certificate, if it sent one."""

    alert: int | None = None
    data: bytes = b""
    certificate: x509.Certificate | None = None
    asked: bool = False
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
    context.set_ocsp_server_callback(_staple, staple or b"")
    context.set_info_callback(_remember_alert)
    return context


def _staple(connection: SSL.Connection, staple: bytes | None) -> bytes:
    connection.get_app_data().asked = True
    return staple or b""


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
        self.seen.certificate = self.tls.get_peer_certificate(as_cryptography=True)
        return self.to_send()

    def to_send(self) -> bytes:
        """What waits to be sent to the client."""
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

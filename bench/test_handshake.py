"""What the strict client adds to an OpenSSL handshake, both ends in one process and no socket between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from OpenSSL import SSL, crypto
from ratios import ratio

from certtools.forge.ocsp import good
from mustaple.core.flight import _entries_tls12, _entries_tls13
from mustaple.core.policy import preset
from mustaple.net.service_name import service_name
from mustaple.net.tls_context import client_context
from mustaple.net.tls_openssl import ClientTLS

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Stapled
    from pytest_benchmark.fixture import BenchmarkFixture

STRICT = preset("strict")
VERSIONS = {"TLSv1.2": SSL.TLS1_2_VERSION, "TLSv1.3": SSL.TLS1_3_VERSION}


@pytest.mark.parametrize("version", VERSIONS)
def test_strict_handshake(
    benchmark: BenchmarkFixture, stapled: Stapled, record: Callable[[str, float, str], None], version: str
) -> None:
    """At most 1.25 times a plain verified handshake and the staple's signature check.

    The chain is root and leaf, since OpenSSL's server staples the leaf alone. A server is seen for the first time once
    and then again and again; both are shown, the limit is for the second.
    """
    leaf = stapled.root.leaf(["localhost"])
    staple = good(leaf.as_chain().links[0], stapled.root, stapled.at)
    server = _server_context(leaf.certificate, leaf.key, staple, VERSIONS[version])
    ours = client_context((stapled.root.certificate,))
    plain = SSL.Context(SSL.TLS_CLIENT_METHOD)
    plain.get_cert_store().add_cert(crypto.X509.from_cryptography(stapled.root.certificate))
    plain.set_verify(SSL.VERIFY_PEER, lambda _connection, _certificate, _error, _depth, ok: bool(ok))
    name, key, algorithm = service_name("localhost"), stapled.root.certificate.public_key(), ec.ECDSA(hashes.SHA256())

    def strict_handshake() -> None:
        client = ClientTLS(ours, name, STRICT, stapled.at)
        _pump(_accepting(server), client.to_send, client.receive, lambda: client.done)
        assert client.verdict is not None
        assert client.verdict.accepted

    def plain_handshake_and_signature() -> None:
        client = SSL.Connection(plain)
        client.set_connect_state()
        client.set_tlsext_host_name(b"localhost")
        done = _Stepper(client)
        _pump(_accepting(server), done.to_send, done.receive, lambda: done.done)
        response = ocsp.load_der_ocsp_response(staple)
        key.verify(response.signature, response.tbs_response_bytes, algorithm)

    def first_sight() -> None:
        """As if this server had never been seen: nothing of its certificates and staple is remembered."""
        ours.hear.cache_clear()
        ours.path.cache_clear()
        _entries_tls12.cache_clear()
        _entries_tls13.cache_clear()
        strict_handshake()

    found = ratio(strict_handshake, plain_handshake_and_signature, rounds=300, calls=4)
    first = ratio(first_sight, plain_handshake_and_signature, rounds=150, calls=4)
    record(f"strict handshake, {version} / plain verified handshake + the staple's signature", found.value, "≤ 1.25")
    record(f"the same at the first sight of the server, {version}", first.value, "none")
    benchmark.pedantic(strict_handshake, rounds=50)
    assert found.value <= 1.25


class _Stepper:
    """A plain client as a pair of functions, so that both are driven by the same loop."""

    def __init__(self, connection: SSL.Connection) -> None:
        self.connection = connection
        self.done = False
        self._step()

    def _step(self) -> None:
        try:
            self.connection.do_handshake()
            self.done = True
        except SSL.WantReadError:
            pass

    def receive(self, data: bytes) -> None:
        self.connection.bio_write(data)
        self._step()

    def to_send(self) -> bytes:
        return _pending(self.connection)


def _server_context(certificate: object, key: object, staple: bytes, version: int) -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.use_certificate(certificate)
    context.use_privatekey(key)
    context.set_min_proto_version(version)
    context.set_max_proto_version(version)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_options(SSL.OP_NO_TICKET)
    context.set_ocsp_server_callback(lambda _connection, _data: staple)
    return context


def _accepting(context: SSL.Context) -> SSL.Connection:
    server = SSL.Connection(context)
    server.set_accept_state()
    return server


def _pump(
    server: SSL.Connection,
    to_send: Callable[[], bytes],
    receive: Callable[[bytes], None],
    done: Callable[[], bool],
) -> None:
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

"""What the strict client adds to an OpenSSL handshake, both ends in one process and no socket between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from gnutls_server import GnuTLSCredentials, GnuTLSServer
from OpenSSL import SSL
from openssl_ends import Stepper, accepting, plain_context, pump, server_context
from ratios import ratio

from certtools.forge.ocsp import good
from mustaple.core.flight import _sent_tls12, _sent_tls13
from mustaple.core.policy import preset
from mustaple.net.service_name import service_name
from mustaple.net.tls_context import client_context
from mustaple.net.tls_openssl import ClientTLS

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Stapled
    from pytest_benchmark.fixture import BenchmarkFixture

    from mustaple.net.tls_context import ClientContext

STRICT = preset("strict")
VERSIONS = {"TLSv1.2": SSL.TLS1_2_VERSION, "TLSv1.3": SSL.TLS1_3_VERSION}


@pytest.mark.parametrize("version", VERSIONS)
def test_strict_handshake(
    benchmark: BenchmarkFixture, stapled: Stapled, record: Callable[[str, float, str], None], version: str
) -> None:
    """At most 1.25 times a plain verified handshake and the staple's signature check.

    The chain is root and leaf, since OpenSSL's server staples the leaf alone. Like for like: the plain client is sent
    the staple, too, for which the server's end pays; and ours checks the signature in each handshake. What it costs
    with all remembered, and at the first sight of a server, is shown beside it.
    """
    leaf = stapled.root.leaf(["localhost"])
    staple = good(leaf.as_chain().links[0], stapled.root, stapled.at)
    server = server_context(leaf, staple, VERSIONS[version])
    ours, plain = client_context((stapled.root.certificate,)), plain_context(stapled.root.certificate)
    plain.set_ocsp_client_callback(lambda _connection, _staple, _data: True)
    name, key, algorithm = service_name("localhost"), stapled.root.certificate.public_key(), ec.ECDSA(hashes.SHA256())

    def strict_handshake() -> None:
        client = ClientTLS(ours, name, STRICT, stapled.at)
        pump(accepting(server), client.to_send, client.receive, lambda: client.done)
        assert client.verdict is not None
        assert client.verdict.accepted

    def plain_handshake_and_signature() -> None:
        done = Stepper(plain, asks_for_status=True)
        pump(accepting(server), done.to_send, done.receive, lambda: done.done)
        response = ocsp.load_der_ocsp_response(staple)
        key.verify(response.signature, response.tbs_response_bytes, algorithm)

    def checking_handshake() -> None:
        ours.hear.cache_clear()  # who signed the staple
        strict_handshake()

    def first_sight() -> None:
        """As if this server had never been seen: nothing of its certificates and staple is remembered."""
        _forget(ours)
        strict_handshake()

    found = ratio(checking_handshake, plain_handshake_and_signature, rounds=300, calls=4, at_most=1.25)
    again = ratio(strict_handshake, plain_handshake_and_signature, rounds=150, calls=4)
    first = ratio(first_sight, plain_handshake_and_signature, rounds=150, calls=4)
    record(f"strict handshake, {version} / plain verified handshake + the staple's signature", found.value, "≤ 1.25")
    record(f"the same with the staple's signature remembered, {version}", again.value, "none")
    record(f"the same at the first sight of the server, {version}", first.value, "none")
    benchmark.pedantic(strict_handshake, rounds=50)
    assert found.value <= 1.25


def test_strict_handshake_with_chain_staples(
    benchmark: BenchmarkFixture, stapled: Stapled, record: Callable[[str, float, str], None]
) -> None:
    """At most 1.25 times a plain verified handshake with the same server and the signature checks of both staples.

    The server is GnuTLS, which staples for the intermediate, too, to whoever asks; the plain client does not ask.
    """
    ours, plain = client_context((stapled.root.certificate,)), plain_context(stapled.root.certificate)
    name, algorithm = service_name("localhost"), ec.ECDSA(hashes.SHA256())
    keys = [link.issuer.public_key() for link in stapled.chain.links]

    with GnuTLSCredentials(stapled.leaf, stapled.staples) as credentials:

        def shake(client: ClientTLS | Stepper) -> None:
            with GnuTLSServer(credentials) as server:
                while (sent := client.to_send()) or not client.done:
                    answer = server.exchange(sent)
                    if answer:
                        client.receive(answer)
                assert server.seen.completed

        def strict_handshake() -> None:
            client = ClientTLS(ours, name, STRICT, stapled.at)
            shake(client)
            assert client.verdict is not None
            assert client.verdict.accepted

        def plain_handshake_and_signatures() -> None:
            shake(Stepper(plain))
            for staple, key in zip(stapled.staples, keys, strict=True):
                response = ocsp.load_der_ocsp_response(staple)
                key.verify(response.signature, response.tbs_response_bytes, algorithm)

        def checking_handshake() -> None:
            ours.hear.cache_clear()
            strict_handshake()

        def first_sight() -> None:
            _forget(ours)
            strict_handshake()

        found = ratio(checking_handshake, plain_handshake_and_signatures, rounds=300, calls=4, at_most=1.25)
        again = ratio(strict_handshake, plain_handshake_and_signatures, rounds=150, calls=4)
        first = ratio(first_sight, plain_handshake_and_signatures, rounds=150, calls=4)
        record("strict, two staples / plain handshake with GnuTLS + both signatures", found.value, "≤ 1.25")
        record("the same with the staples' signatures remembered, two staples", again.value, "none")
        record("the same at the first sight of the server, two staples", first.value, "none")
        benchmark.pedantic(strict_handshake, rounds=50)
    assert found.value <= 1.25


def _forget(context: ClientContext) -> None:
    context.hear.cache_clear()
    context.path.cache_clear()
    context.only_path.cache_clear()
    _sent_tls12.cache_clear()
    _sent_tls13.cache_clear()

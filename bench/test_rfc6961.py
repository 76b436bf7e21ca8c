"""What two staples by RFC 6961 add to a handshake of tlslite-ng, both ends in one process and no socket between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from ratios import ratio

from mustaple.core.flight import read_messages
from mustaple.core.policy import preset
from mustaple.net.chain_judge import ChainJudge
from mustaple.net.service_name import service_name
from mustaple.net.tls_chain import ChainClientTLS, Pipe
from mustaple.net.tls_context import ClientContext
from mustaple.net.tls_path import show
from mustaple.net.tls_rfc6961 import ClientEnd, ServerEnd
from mustaple.net.tlslite_ng import X509, Credentials, TLSConnection, X509CertChain, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Stapled
    from pytest_benchmark.fixture import BenchmarkFixture

    from mustaple.core.flight import Flight

TLS12 = settings("1.2", "1.2")


class _Reader:
    """Asks for staples and reads what comes, the flight with its staples included, but judges nothing."""

    offered = frozenset({5, 17})

    def __init__(self) -> None:
        self.flight: Flight | None = None
        self._messages: list[bytes] = []

    def on_message(self, message: bytes, version: tuple[int, int]) -> None:  # noqa: ARG002 - as Judge has it
        self._messages.append(message)

    def on_flight(self) -> None:
        self.flight = read_messages(b"".join(self._messages), offered=self.offered)


def test_rfc6961_handshake(
    benchmark: BenchmarkFixture, stapled: Stapled, record: Callable[[str, float, str], None]
) -> None:
    """At most 1.1 times tlslite-ng's own handshake without stapling: TLS 1.2, one EC key, the same two certificates.

    tlslite-ng verifies no path, so on neither side is one verified, and no staple is judged. All that goes over the
    wire is made, sent, hashed and read: the offer of 5 and 17, the acknowledgement, CertificateStatus with both
    responses, and the flight.
    """
    credentials = Credentials(stapled.leaf.chain[:-1], stapled.leaf.key)
    whole_chain = X509CertChain([_x509(der) for der in credentials.certificates])

    def with_staples() -> None:
        ours, theirs, reader = Pipe(), Pipe(), _Reader()
        client, server = ClientEnd(ours, reader, b"localhost"), ServerEnd(theirs, credentials, lambda: stapled.staples)
        shake = client.handshakeClientCert(settings=TLS12, reqTack=False, async_=True)  # it names the server itself
        answer = server.handshakeServerAsync(certChain=credentials.leaf, privateKey=credentials.key, settings=TLS12)
        _shake((ours, shake), (theirs, answer))
        assert reader.flight is not None
        assert [entry.staples for entry in reader.flight.entries] == [(staple,) for staple in stapled.staples]

    def without() -> None:
        _shake_plainly(whole_chain, credentials.key)

    found = ratio(with_staples, without, rounds=300, calls=1, at_most=1.1).value
    record("RFC 6961 handshake with two staples / tlslite-ng without stapling", found, "≤ 1.10")
    benchmark.pedantic(with_staples, rounds=10)
    assert found <= 1.1


def test_strict_rfc6961_handshake(
    benchmark: BenchmarkFixture, stapled: Stapled, record: Callable[[str, float, str], None]
) -> None:
    """The strict client's, at most 1.1 times tlslite-ng's handshake, the path's verification and both signatures.

    Here all of that is on either side: the path as OpenSSL verifies it, and each staple's signature.
    """
    credentials = Credentials(stapled.leaf.chain[:-1], stapled.leaf.key)
    whole_chain = X509CertChain([_x509(der) for der in credentials.certificates])
    context, name, strict = ClientContext([stapled.root.certificate]), service_name("localhost"), preset("strict")
    keys, algorithm = [link.issuer.public_key() for link in stapled.chain.links], ec.ECDSA(hashes.SHA256())

    def ours() -> None:
        theirs = Pipe()
        server = ServerEnd(theirs, credentials, lambda: stapled.staples)
        answer = server.handshakeServerAsync(certChain=credentials.leaf, privateKey=credentials.key, settings=TLS12)
        tls = ChainClientTLS(context, name, strict, stapled.at, maximum="TLSv1.2")
        while not tls.done:
            theirs.incoming += tls.to_send()
            next(answer, None)
            tls.receive(bytes(theirs.outgoing))
            theirs.outgoing.clear()
        assert tls.verdict is not None
        assert tls.verdict.accepted

    def peer() -> None:
        _shake_plainly(whole_chain, credentials.key)
        assert show(credentials.certificates, context, ChainJudge(context, name, strict, stapled.at)).verified
        for staple, key in zip(stapled.staples, keys, strict=True):
            response = ocsp.load_der_ocsp_response(staple)
            key.verify(response.signature, response.tbs_response_bytes, algorithm)

    found = ratio(ours, peer, rounds=300, calls=1, at_most=1.1).value
    record("the strict client's / tlslite-ng, the path and both signatures", found, "≤ 1.10")
    benchmark.pedantic(ours, rounds=10)
    assert found <= 1.1


def _shake_plainly(chain: Any, key: Any) -> None:
    """tlslite-ng's own handshake."""
    ours, theirs = Pipe(), Pipe()
    client, server = TLSConnection(ours), TLSConnection(theirs)
    shake = client.handshakeClientCert(settings=TLS12, serverName="localhost", reqTack=False, async_=True)
    answer = server.handshakeServerAsync(certChain=chain, privateKey=key, settings=TLS12)
    _shake((ours, shake), (theirs, answer))


def _x509(der: bytes) -> Any:
    certificate = X509()
    certificate.parseBinary(der)
    return certificate


def _shake(*ends: tuple[Pipe, Iterator[int]]) -> None:
    """Run both ends by turns until both are through."""
    (ours, _), (theirs, _) = ends
    running = [handshake for _, handshake in ends]
    while running:
        running = [handshake for handshake in running if next(handshake, None) is not None]
        theirs.incoming += ours.outgoing
        ours.outgoing.clear()
        ours.incoming += theirs.outgoing
        theirs.outgoing.clear()

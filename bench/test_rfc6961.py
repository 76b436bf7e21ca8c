"""What two staples by RFC 6961 add to a handshake of tlslite-ng, both ends in one process and no socket between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ratios import ratio

from mustaple.core.flight import read_messages
from mustaple.net.tls_chain import Pipe
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

    tlslite-ng verifies no path, so on neither side is one verified, and no staple is judged; that is what
    `test_judge.py` measures. All that goes over the wire is made, sent, hashed and read: the offer of 5 and 17, the
    acknowledgement, CertificateStatus with both responses, and the flight.
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
        ours, theirs = Pipe(), Pipe()
        client, server = TLSConnection(ours), TLSConnection(theirs)
        shake = client.handshakeClientCert(settings=TLS12, serverName="localhost", reqTack=False, async_=True)
        answer = server.handshakeServerAsync(certChain=whole_chain, privateKey=credentials.key, settings=TLS12)
        _shake((ours, shake), (theirs, answer))

    found = ratio(with_staples, without, rounds=300, calls=1).value
    record("RFC 6961 handshake with two staples / tlslite-ng without stapling", found, "≤ 1.10")
    benchmark.pedantic(with_staples, rounds=10)
    assert found <= 1.1


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

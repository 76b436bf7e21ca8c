"""A staple for every certificate, asked for and judged, costs little beside the handshake that carries it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ratios import ratio

from mustaple.core.policy import preset
from mustaple.net.chain_judge import ChainJudge
from mustaple.net.service_name import service_name
from mustaple.net.tls_chain import ChainClientTLS, Pipe
from mustaple.net.tls_context import ClientContext
from mustaple.net.tls_path import show
from mustaple.net.tls_rfc6961 import ServerEnd
from mustaple.net.tlslite_ng import Credentials, TLSConnection, X509CertChain, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Stapled
    from pytest_benchmark.fixture import BenchmarkFixture

SETTINGS = settings("1.2", "1.2")


def _exchange(running: Iterator[Any], pipe: Pipe, data: bytes) -> bytes:
    pipe.incoming += data
    next(running, None)
    sent = bytes(pipe.outgoing)
    pipe.outgoing.clear()
    return sent


def test_handshake_with_every_staple(
    benchmark: BenchmarkFixture, stapled: Stapled, record: Callable[[str, float, str], None]
) -> None:
    """At most 1.1 times tlslite-ng's own handshake with the same certificates, and their path verified beside it.

    tlslite-ng verifies no path by itself, and no client may do without; the ratio to it alone is shown, without limit.
    """
    credentials = Credentials(stapled.leaf.chain[:-1], stapled.leaf.key)
    chain = X509CertChain()
    chain.parsePemList(stapled.leaf.chain_pem().decode())
    context = ClientContext([stapled.root.certificate], at=stapled.at)
    name, strict = service_name("localhost"), preset("strict")

    def ours() -> ChainClientTLS:
        pipe = Pipe()
        end = ServerEnd(pipe, credentials, lambda: stapled.staples)
        running = end.handshakeServerAsync(certChain=credentials.leaf, privateKey=credentials.key, settings=SETTINGS)
        tls = ChainClientTLS(context, name, strict, stapled.at, maximum="TLSv1.2")
        while not tls.done:
            tls.receive(_exchange(running, pipe, tls.to_send()))
        return tls

    def peer() -> None:
        theirs, own = Pipe(), Pipe()
        server, client = TLSConnection(theirs), TLSConnection(own)
        running = server.handshakeServerAsync(certChain=chain, privateKey=credentials.key, settings=SETTINGS)
        asking = client.handshakeClientCert(settings=SETTINGS, serverName="localhost", reqTack=False, async_=True)
        answer = b""
        while client.closed:
            answer = _exchange(running, theirs, _exchange(asking, own, answer))

    def peer_with_path() -> None:
        peer()
        assert show(credentials.certificates, context, ChainJudge(context, name, strict, stapled.at)).verified

    verdict = ours().verdict
    assert verdict is not None
    assert verdict.accepted
    found = ratio(ours, peer_with_path, rounds=200, calls=1).value
    record("TLS 1.2 with every staple, judged / tlslite-ng's handshake and the path", found, "≤ 1.1")
    alone = ratio(ours, peer, rounds=200, calls=1).value
    record("TLS 1.2 with every staple, judged / tlslite-ng's handshake alone", alone, "none")
    benchmark.pedantic(ours, rounds=20, iterations=2)
    assert found <= 1.1

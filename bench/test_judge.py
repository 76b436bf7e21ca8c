"""Judging costs little more than the signatures it must check, and less than the nearest library."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from ratios import ratio

from certtools.chain import Chain
from mustaple.core.decide import Situation, decide
from mustaple.core.ocsp import judge
from mustaple.core.policy import preset
from mustaple.core.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Stapled
    from pytest_benchmark.fixture import BenchmarkFixture

    from mustaple.core.verdict import ChainVerdict

STRICT = preset("strict")
OFFERED = frozenset({5})


def _judge_and_decide(chain: Chain, stapled: Stapled) -> ChainVerdict:
    evidence = {
        link.fingerprint: (judge(staple, link, stapled.at),)
        for link, staple in zip(chain.links, stapled.staples, strict=True)
    }
    return decide(Situation(chain, stapled.at, OFFERED, OFFERED, "TLSv1.3", "openssl", evidence), STRICT)


def test_judge_two_staples_and_decide(
    benchmark: BenchmarkFixture, stapled: Stapled, record: Callable[[str, float, str], None]
) -> None:
    """At most 1.4 times the two signature checks alone, with links prebuilt."""
    assert _judge_and_decide(stapled.chain, stapled).outcome is Outcome.ACCEPTED
    signed = []
    for link, staple in zip(stapled.chain.links, stapled.staples, strict=True):
        response = ocsp.load_der_ocsp_response(staple)
        signed.append((link.issuer.public_key(), response.signature, response.tbs_response_bytes))
    algorithm = ec.ECDSA(hashes.SHA256())

    def signatures_alone() -> None:
        for key, signature, data in signed:
            key.verify(signature, data, algorithm)

    found = ratio(lambda: _judge_and_decide(stapled.chain, stapled), signatures_alone, rounds=200, at_most=1.4).value
    record("judge two staples and decide / the two signature checks alone", found, "≤ 1.4")
    benchmark.pedantic(_judge_and_decide, args=(stapled.chain, stapled), rounds=50, iterations=5)
    assert found <= 1.4


def test_path_and_two_staples_from_der_cold(
    benchmark: BenchmarkFixture, stapled: Stapled, record: Callable[[str, float, str], None]
) -> None:
    """At least 3 times faster than pyhanko-certvalidator in hard-fail mode, both from DER bytes."""
    import pyhanko_peer
    from OpenSSL import crypto

    der = [certificate.public_bytes(Encoding.DER) for certificate in stapled.chain.certificates]

    def ours() -> ChainVerdict:
        leaf, ca, root = (crypto.load_certificate(crypto.FILETYPE_ASN1, each) for each in der)
        store = crypto.X509Store()
        store.add_cert(root)
        store.set_time(stapled.at)
        verified = crypto.X509StoreContext(store, leaf, [ca]).get_verified_chain()
        path = Chain(tuple(each.to_cryptography() for each in verified))
        return _judge_and_decide(path, stapled)

    assert ours().outcome is Outcome.ACCEPTED

    def peer() -> None:
        pyhanko_peer.validate(der, stapled.staples, stapled.at)

    found = 1 / ratio(ours, peer, rounds=60, calls=5, at_most=1 / 3).value
    record("path + two staples from DER, cold: pyhanko-certvalidator / ours", found, "≥ 3")
    benchmark.pedantic(ours, rounds=50, iterations=5)
    assert found >= 3

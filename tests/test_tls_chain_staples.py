"""The strict client against GnuTLS, which staples any bytes for each certificate of the chain in TLS 1.3."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from gnutls_server import GnuTLSCredentials, GnuTLSServer

from certtools.forge import MUTATIONS, Scene, good
from mustaple.core.policy import preset
from mustaple.core.verdict import Code, Status
from mustaple.net.service_name import service_name
from mustaple.net.tls_context import ClientContext
from mustaple.net.tls_openssl import ClientTLS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from tls_server import Seen

    from certtools.authority import Authority, Issued
    from certtools.chain import Chain

pytestmark = pytest.mark.peer("gnutls-serv")

DAY = timedelta(days=1)


@pytest.fixture(scope="session")
def honest(chain: Chain, intermediate: Authority, root: Authority, at: datetime) -> tuple[bytes, bytes]:
    """A good staple for the leaf and one for its CA."""
    return good(chain.links[0], intermediate, at), good(chain.links[1], root, at)


@pytest.fixture(scope="session")
def above(chain: Chain, root: Authority, rogue: Authority, at: datetime) -> Scene:
    """The intermediate on trial."""
    sibling = root.intermediate("another CA")
    link = sibling.as_chain().links[0]
    return Scene(link=chain.links[1], issuer=root, other=link, rogue=rogue, at=at)


def _check(
    root: Authority,
    leaf: Issued,
    staples: Sequence[bytes],
    at: datetime,
    policy: str = "strict",
    version: str = "TLSv1.3",
) -> tuple[ClientTLS, Seen]:
    tls = ClientTLS(ClientContext([root.certificate], at=at), service_name("localhost"), preset(policy), at)
    with GnuTLSCredentials(leaf, staples) as credentials, GnuTLSServer(credentials, version) as server:
        while (sent := tls.to_send()) or not tls.done:
            answer = server.exchange(sent)
            if answer or not tls.done:
                tls.receive(answer)
        return tls, server.seen


def _codes(tls: ClientTLS) -> list[Code]:
    assert tls.verdict is not None
    return [reason.code for reason in tls.verdict.all_reasons]


@pytest.mark.requirement("RFC9846-4.5.1.1-1")
def test_a_good_staple_for_every_certificate_is_accepted(
    root: Authority, leaf: Issued, honest: tuple[bytes, bytes], at: datetime
) -> None:
    tls, seen = _check(root, leaf, honest, at)
    assert tls.verdict is not None
    assert (tls.verdict.accepted, seen.completed) == (True, True)
    for place, certificate in enumerate(tls.verdict.certificates):
        (judgement,) = certificate.judgements
        assert judgement.status is Status.GOOD
        assert judgement.origin == f"TLS 1.3 Certificate, entry {place}"
        assert judgement.fingerprint == certificate.link.fingerprint


REFUSED = {
    "swapped": (1, 0, {Code.UNAUTHORIZED_RESPONDER, Code.BAD_SIGNATURE, Code.OTHER_CERTIFICATE}),
    "the leaf's for both": (0, 0, {Code.UNAUTHORIZED_RESPONDER, Code.BAD_SIGNATURE, Code.OTHER_CERTIFICATE}),
    "none for the CA": (0, None, {Code.NO_STAPLE}),
    "none at all": (None, None, {Code.PROMISE_BROKEN, Code.NO_STAPLE}),
}


@pytest.mark.parametrize(("first", "second", "codes"), REFUSED.values(), ids=REFUSED)
def test_a_staple_serves_the_certificate_that_it_came_with_and_no_other(
    root: Authority,
    leaf: Issued,
    honest: tuple[bytes, bytes],
    at: datetime,
    first: int | None,
    second: int | None,
    codes: set[Code],
) -> None:
    tls, seen = _check(root, leaf, [honest[place] for place in (first, second) if place is not None], at)
    assert set(_codes(tls)) & codes
    assert set(_codes(tls)) <= codes
    assert (seen.completed, seen.data) == (False, b"")


@pytest.mark.parametrize(
    ("mutation", "code"),
    [
        ("revoked", Code.REVOKED),
        ("expired", Code.EXPIRED),
        ("unknown", Code.UNKNOWN),
        ("other-certificate", Code.OTHER_CERTIFICATE),
        ("forged-signature", Code.BAD_SIGNATURE),
        ("garbage", Code.MALFORMED),
        ("truncated", Code.MALFORMED),
        ("html", Code.MALFORMED),
        ("trailing-bytes", Code.TRAILING_BYTES),
        ("empty", Code.WIRE),
    ],
)
@pytest.mark.parametrize("place", [0, 1])
def test_a_wrong_staple_in_either_place_is_refused_with_its_reason(
    root: Authority,
    leaf: Issued,
    honest: tuple[bytes, bytes],
    scene: Scene,
    above: Scene,
    at: datetime,
    mutation: str,
    code: Code,
    place: int,
) -> None:
    staples = list(honest)
    staples[place] = MUTATIONS[mutation]((scene, above)[place])
    tls, seen = _check(root, leaf, staples, at)
    assert code in _codes(tls)
    assert (seen.completed, seen.data) == (False, b"")


@pytest.mark.parametrize("policy", ["soft-fail", "must-staple", "hard-fail"])
def test_a_policy_of_the_leaf_does_not_mind_what_the_ca_lacks(
    root: Authority, leaf: Issued, honest: tuple[bytes, bytes], at: datetime, policy: str
) -> None:
    tls, _ = _check(root, leaf, honest[:1], at, policy)
    assert _codes(tls) == []
    tls, _ = _check(root, leaf, [], at, policy)
    assert tls.verdict is not None
    assert not tls.verdict.accepted


@pytest.mark.requirement("RFC6066-8-5")
def test_gnutls_staples_the_leaf_alone_in_tls_12_and_sees_alert_113(
    root: Authority, leaf: Issued, honest: tuple[bytes, bytes], at: datetime
) -> None:
    tls, seen = _check(root, leaf, honest, at, "must-staple", "TLSv1.2")
    assert (_codes(tls), seen.completed) == ([], True)
    tls, seen = _check(root, leaf, honest, at, "strict", "TLSv1.2")
    assert (_codes(tls), seen.completed, seen.alert) == ([Code.NO_STAPLE], False, 113)


def test_a_certificate_that_is_sent_twice_has_both_staples(
    root: Authority,
    intermediate: Authority,
    chain: Chain,
    leaf: Issued,
    honest: tuple[bytes, bytes],
    at: datetime,
    scene: Scene,
) -> None:
    twice = _Repeated(leaf)
    for extra, accepted in (
        (honest[0], True),
        (MUTATIONS["expired"](scene), True),
        (MUTATIONS["revoked"](scene), False),
    ):
        tls, _ = _check(root, twice, [*honest, extra], at)
        assert tls.verdict is not None
        assert len(tls.verdict.certificates[0].judgements) == 2
        assert tls.verdict.accepted is accepted


class _Repeated:
    """A leaf whose server sends it again after its CA."""

    def __init__(self, issued: Issued) -> None:
        self.key = issued.key
        self.chain = (*issued.chain[:-1], issued.chain[0], issued.chain[-1])

"""Every named dishonesty of a CRL through the judge: the reasons it must give, and the honest one it must let pass."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from certtools.chain import Link
from certtools.forge import CRL_MUTATIONS, CrlScene, Revoked, honest_crl
from mustaple.core.crl import judge_crl
from mustaple.core.verdict import Source, Status

if TYPE_CHECKING:
    from datetime import datetime

    from certtools.authority import Authority
    from certtools.chain import Chain

DAY = timedelta(days=1)
REVOKED = {"revoked": "revoked", "revoked-on-hold": "revoked", "revoked-expired": "revoked crl-expired"}
# What the mutation is, for a leaf; `only-users` is honest for one, and its twin for a CA is below.
UNUSABLE = {
    "expired": "crl-expired",
    "not-yet-valid": "crl-not-yet-valid",
    "too-old": "crl-too-old",
    "inverted-window": "crl-inverted-window",
    "no-next-update": "crl-no-next-update",
    "bad-signature": "crl-bad-signature",
    "forged-signature": "crl-bad-signature",
    "other-issuer": "crl-bad-signature crl-issuer",
    "sha1-signature": "crl-weak-signature",
    "delta": "crl-delta",
    "indirect": "crl-indirect",
    "only-authorities": "crl-scope",
    "only-some-reasons": "crl-reasons",
    "other-distribution-point": "crl-other-point",
    "critical-extension": "crl-critical-extension",
    "critical-entry-extension": "crl-critical-entry",
    "trailing-bytes": "crl-trailing-bytes",
    "truncated": "crl-malformed",
    "garbage": "crl-malformed",
    "empty": "crl-malformed",
    "html": "crl-malformed",
    "oversized": "crl-oversized",
}


@pytest.fixture(scope="module")
def scene(chain: Chain, intermediate: Authority, rogue: Authority, at: datetime) -> CrlScene:
    """The leaf on trial, with two others on its CA's CRL."""
    revoked = (Revoked(0xAB, at - DAY, x509.ReasonFlags.superseded), Revoked(1 << 150, at - DAY))
    return CrlScene(link=chain.links[0], issuer=intermediate, rogue=rogue, at=at, revoked=revoked)


@pytest.fixture(scope="module")
def above(chain: Chain, root: Authority, rogue: Authority, at: datetime) -> CrlScene:
    """The CA on trial."""
    return CrlScene(link=chain.links[1], issuer=root, rogue=rogue, at=at)


def codes(scene: CrlScene, data: bytes) -> tuple[Status, set[str]]:
    judgement = judge_crl(data, scene.link, scene.at)
    assert judgement.source is Source.CRL
    assert judgement.fingerprint == scene.link.fingerprint
    return judgement.status, {reason.code.value for reason in judgement.reasons}


def test_every_mutation_has_its_row() -> None:
    assert set(CRL_MUTATIONS) == {*REVOKED, *UNUSABLE, "only-users"}


@pytest.mark.requirement("RFC5280-6.3.3-1")
def test_the_honest_crl_is_good(scene: CrlScene, above: CrlScene) -> None:
    for each in (scene, above):
        assert codes(each, honest_crl(each)) == (Status.GOOD, set())


@pytest.mark.requirement(
    "RFC5280-5.1-1", "RFC5280-5.1.2.4-1", "RFC5280-5.1.2.5-1", "RFC5280-5.2-1", "RFC5280-5.2.4-1", "RFC5280-5.2.5-1"
)
@pytest.mark.requirement("RFC5280-5.3-1", "RFC5280-6.3.3-2", "RFC5280-6.3.3-3", "RFC5280-6.3.3-4", "RFC5280-6.3.3-5")
@pytest.mark.parametrize("name", sorted({*REVOKED, *UNUSABLE}))
def test_each_mutation(scene: CrlScene, name: str) -> None:
    status = Status.REVOKED if name in REVOKED else Status.UNUSABLE
    assert codes(scene, CRL_MUTATIONS[name](scene)) == (status, set((REVOKED | UNUSABLE)[name].split()))


@pytest.mark.requirement("RFC5280-6.3.3-4")
def test_a_crl_for_one_kind_of_certificate_says_nothing_of_the_other(scene: CrlScene, above: CrlScene) -> None:
    users, authorities = CRL_MUTATIONS["only-users"], CRL_MUTATIONS["only-authorities"]
    assert codes(scene, users(scene)) == (Status.GOOD, set())
    assert codes(above, users(above)) == (Status.UNUSABLE, {"crl-scope"})
    assert codes(above, authorities(above)) == (Status.GOOD, set())


def test_a_crl_of_another_authority_with_the_same_serial_numbers_revokes_nothing(scene: CrlScene, at: datetime) -> None:
    other = scene.crl(Revoked(scene.link.serial_number, at - DAY), signer=scene.rogue)
    assert codes(scene, other)[0] is Status.UNUSABLE
    assert judge_crl(other, scene.link, at).revocation_time is None
    stranger = Link(scene.link.subject, scene.rogue.certificate)
    assert judge_crl(honest_crl(scene), stranger, at).status is Status.UNUSABLE

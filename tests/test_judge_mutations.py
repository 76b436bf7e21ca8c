"""Every named dishonesty through the judge: the reasons it must give, and the honest ones it must let pass."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from certtools.authority import Authority
from certtools.chain import Link
from certtools.forge import MUTATIONS, Scene
from mustaple.core.ocsp import judge
from mustaple.core.verdict import Status

if TYPE_CHECKING:
    from datetime import datetime

NONCE = bytes(range(32))
HONEST = {"several-good", "unknown-extension", "nonce-missing", "by-key", "delegated"}
REVOKED = {
    "several-revoked": "revoked",
    "revoked": "revoked",
    "revoked-without-reason": "revoked",
    "revoked-on-hold": "revoked",
    "revoked-expired": "revoked expired",
    "contradiction": "revoked contradiction",
    "contradiction-reversed": "revoked contradiction",
}
UNUSABLE = {
    "expired": "expired",
    "not-yet-valid": "not-yet-valid",
    "no-next-update": "no-next-update",
    "too-old": "too-old",
    "inverted-window": "inverted-window",
    "other-certificate": "other-certificate",
    "other-issuer-name": "other-certificate",
    "other-issuer-key": "other-certificate",
    "other-issuer": "other-certificate",
    "cert-id-md5": "cert-id-hash",
    "no-singles": "other-certificate",
    "several-others": "other-certificate",
    "revoked-on-hold-expired": "expired",
    "critical-extension": "critical-extension",
    "critical-single-extension": "critical-extension",
    "nonce-wrong": "nonce-mismatch",
    "oversized": "oversized",
    "bad-signature": "bad-signature",
    "forged-signature": "bad-signature",
    "sha1-signature": "weak-signature",
    "md5-signature": "weak-signature",
    "short-key": "weak-signature",
    "wrong-responder-name": "responder-id-mismatch",
    "wrong-responder-key": "responder-id-mismatch",
    "delegate-not-sent": "bad-signature",
    "delegate-of-rogue": "unauthorized-responder",
    "delegate-of-namesake": "unauthorized-responder",
    "delegate-of-parent": "unauthorized-responder",
    "rogue-signer": "unauthorized-responder delegate-unchecked",
    "delegate-without-purpose": "unauthorized-responder",
    "delegate-without-any-purpose": "unauthorized-responder",
    "delegate-any-purpose": "unauthorized-responder",
    "delegate-may-not-sign": "unauthorized-responder",
    "delegate-without-nocheck": "delegate-unchecked",
    "delegate-expired": "delegate-expired",
    "delegate-not-yet-valid": "delegate-expired",
    "malformed-request": "error-status",
    "internal-error": "error-status",
    "try-later": "error-status",
    "sig-required": "error-status",
    "unauthorized": "error-status",
    "no-response-bytes": "malformed",
    "not-basic": "response-type",
    "trailing-bytes": "trailing-bytes",
    "trailing-bytes-inside": "trailing-bytes",
    "truncated": "malformed",
    "garbage": "malformed",
    "empty": "malformed",
    "html": "malformed",
    "pem": "malformed",
}


@pytest.fixture(scope="module")
def scene(at: datetime) -> Scene:
    day = timedelta(days=1)
    root = Authority.root("root", not_before=at - 90 * day, not_after=at + 90 * day)
    ca = root.intermediate("CA")
    rogue = Authority.root("rogue", not_before=at - 90 * day, not_after=at + 90 * day)
    link, other = (Link(ca.leaf([name]).certificate, ca.certificate) for name in ("site.test", "other.test"))
    return Scene(link=link, issuer=ca, other=other, rogue=rogue, at=at, nonce=NONCE)


def test_the_honest_response_is_good(scene: Scene) -> None:
    assert judge(scene.response(), scene.link, scene.at, nonce=NONCE).status is Status.GOOD


@pytest.mark.parametrize("name", MUTATIONS)
def test_each_mutation(scene: Scene, name: str) -> None:
    judgement = judge(MUTATIONS[name](scene), scene.link, scene.at, nonce=NONCE)
    codes = {reason.code.value for reason in judgement.reasons}
    if name in HONEST:
        assert (judgement.status, codes) == (Status.GOOD, set())
    elif name in REVOKED:
        assert (judgement.status, codes) == (Status.REVOKED, set(REVOKED[name].split()))
    elif name == "unknown":
        assert (judgement.status, codes) == (Status.UNKNOWN, {"unknown"})
    else:
        assert (judgement.status, codes) == (Status.UNUSABLE, set(UNUSABLE[name].split()))

"""What a person reads of an OCSP response that proves nothing or says revoked: each reason in full, and each note."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from certtools.authority import Authority
from certtools.chain import Link
from certtools.forge import MUTATIONS, Scene
from mustaple.core.ocsp import judge
from mustaple.core.policy import Rules, UncheckedDelegate

if TYPE_CHECKING:
    from datetime import datetime

DAY = timedelta(days=1)
NONCE = bytes(range(32))
NOW = "2026-06-01 12:00:00 UTC"
NOT_SIGNED = "neither the issuer's key nor that of a certificate in it made the signature"
NOT_OURS = "CN=delegated responder is not signed by this issuer's key with an algorithm in use"
NO_PURPOSE = "CN=delegated responder lacks id-kp-OCSPSigning"
REVOKED = "revoked 2026-05-30 12:00:00 UTC"
EXPIRED = f"nextUpdate was 2026-05-31 12:00:00 UTC, before {NOW}"
TWICE = "it says good and revoked of one certificate"
CRITICAL = "the extension 2.999.113 is critical and unknown here"
OF_ANOTHER = "it is for this serial number of another issuer"
UNREADABLE = "it is cut short, or is not DER"
WORDS = {
    "expired": [EXPIRED],
    "not-yet-valid": [f"thisUpdate is 2026-06-02 12:00:00 UTC, after {NOW}"],
    "no-next-update": ["it says no nextUpdate, so nobody can tell when it is stale"],
    "too-old": ["it is 60 days old, where 10 are allowed"],
    "inverted-window": ["nextUpdate 2026-06-01 11:59:40 UTC precedes thisUpdate 2026-06-01 12:00:20 UTC"],
    "other-certificate": ["it is for serial OTHER, not OWN"],
    "other-issuer-name": [OF_ANOTHER],
    "other-issuer-key": [OF_ANOTHER],
    "other-issuer": [OF_ANOTHER],
    "cert-id-md5": ["its CertID uses a hash algorithm that is not accepted"],
    "no-singles": ["it is for serial none, not OWN"],
    "several-good": [],
    "several-revoked": [f"{REVOKED}, keyCompromise"],
    "several-others": ["it is for serial OTHER, OTHER, not OWN"],
    "contradiction": [f"{REVOKED}, keyCompromise", TWICE],
    "contradiction-reversed": [f"{REVOKED}, keyCompromise", TWICE],
    "revoked": [f"{REVOKED}, keyCompromise"],
    "revoked-without-reason": [REVOKED],
    "revoked-on-hold": [f"{REVOKED}, certificateHold"],
    "revoked-expired": [f"{REVOKED}, keyCompromise", EXPIRED],
    "revoked-on-hold-expired": [EXPIRED],
    "unknown": ["the responder does not know this certificate"],
    "critical-extension": [CRITICAL],
    "critical-single-extension": [CRITICAL],
    "unknown-extension": [],
    "nonce-wrong": ["its nonce is not the one that was sent"],
    "nonce-missing": [],
    "oversized": ["NUMBER bytes, where 65,536 is the most that is read"],
    "bad-signature": [NOT_SIGNED],
    "forged-signature": [NOT_SIGNED],
    "sha1-signature": ["it is signed with SHA1"],
    "md5-signature": ["it is signed with MD5"],
    "short-key": ["it is signed with an RSA key of 1024 bits"],
    "wrong-responder-name": ["CN=CA signed it under another's responderID"],
    "wrong-responder-key": ["CN=CA signed it under another's responderID"],
    "by-key": [],
    "delegated": [],
    "delegate-not-sent": [NOT_SIGNED],
    "delegate-of-rogue": [NOT_OURS],
    "delegate-of-namesake": [NOT_OURS],
    "delegate-of-parent": [NOT_OURS],
    "rogue-signer": [
        "CN=rogue is not signed by this issuer's key with an algorithm in use",
        "nobody proved that CN=rogue is not revoked itself",
    ],
    "delegate-without-purpose": [NO_PURPOSE],
    "delegate-without-any-purpose": [NO_PURPOSE],
    "delegate-any-purpose": [NO_PURPOSE],
    "delegate-may-not-sign": ["keyUsage forbids CN=delegated responder to sign"],
    "delegate-without-nocheck": ["nobody proved that CN=delegated responder is not revoked itself"],
    "delegate-expired": ["CN=delegated responder expired 2026-05-31 12:00:00 UTC"],
    "delegate-not-yet-valid": ["CN=delegated responder is not valid before 2026-06-02 12:00:00 UTC"],
    "malformed-request": ["the responder answered malformedRequest"],
    "internal-error": ["the responder answered internalError"],
    "try-later": ["the responder answered tryLater"],
    "sig-required": ["the responder answered sigRequired"],
    "unauthorized": ["the responder answered unauthorized"],
    "no-response-bytes": ["it cannot be parsed: 'Successful OCSP response does not contain a BasicResponse'"],
    "not-basic": ["its type is 2.999.113, not id-pkix-ocsp-basic"],
    "trailing-bytes": ["1 bytes follow the response"],
    "trailing-bytes-inside": ["1 bytes follow the BasicOCSPResponse"],
    "truncated": [UNREADABLE],
    "garbage": [UNREADABLE],
    "empty": ["it is empty"],
    "html": ["it is HTML, not DER"],
    "pem": ["it is PEM, not DER"],
}
NO_NONCE = "no nonce came back, so only its times speak against a replay"


@pytest.fixture(scope="module")
def scene(at: datetime) -> Scene:
    root = Authority.root("root", not_before=at - 90 * DAY, not_after=at + 90 * DAY)
    ca = root.intermediate("CA")
    rogue = Authority.root("rogue", not_before=at - 90 * DAY, not_after=at + 90 * DAY)
    link, other = (Link(ca.leaf([name]).certificate, ca.certificate) for name in ("site.test", "other.test"))
    return Scene(link=link, issuer=ca, other=other, rogue=rogue, at=at, nonce=NONCE)


def readable(detail: str, scene: Scene) -> str:
    """The detail with the serial numbers that chance gave as OWN and OTHER, and a size as NUMBER."""
    named = detail.replace(f"{scene.link.serial_number:x}", "OWN")
    return re.sub(r"\d,\d{3},\d{3}", "NUMBER", re.sub(r"\b[0-9a-f]{30,40}\b", "OTHER", named))


def test_every_mutation_has_its_words() -> None:
    assert list(WORDS) == list(MUTATIONS)


@pytest.mark.parametrize("name", WORDS)
def test_each_reason_says_what_is_wrong(scene: Scene, name: str) -> None:
    judgement = judge(MUTATIONS[name](scene), scene.link, scene.at, nonce=NONCE)
    assert [readable(reason.detail, scene) for reason in judgement.reasons] == WORDS[name]
    assert [note.detail for note in judgement.notes] == ([NO_NONCE] if name == "nonce-missing" else [])


def test_a_delegate_that_is_let_pass_is_a_note(scene: Scene) -> None:
    rules = Rules(unchecked_delegate=UncheckedDelegate.ACCEPT)
    judgement = judge(MUTATIONS["delegate-without-nocheck"](scene), scene.link, scene.at, rules, nonce=NONCE)
    assert [note.detail for note in judgement.notes] == WORDS["delegate-without-nocheck"]
    assert judge(MUTATIONS["delegated"](scene), scene.link, scene.at, rules, nonce=NONCE).notes == ()


@pytest.mark.parametrize(
    ("response", "said"),
    [
        (b"\n -----BEGIN OCSP RESPONSE-----", "it is PEM, not DER"),
        (b"<!DOCTYPE html><title>404</title>", "it is HTML, not DER"),
        (b"\r\n<HTML><body>", "it is HTML, not DER"),
        (b"<html>", "it is HTML, not DER"),
        (b"<?xml ?>", UNREADABLE),
        (bytes.fromhex("30030a0104"), "it cannot be parsed: 'OCSP response has an unknown status code'"),
        (bytes.fromhex("30030a0103 3000"), "2 bytes follow the response"),
        (bytes.fromhex("3000 aabbcc"), "3 bytes follow the response"),
        (bytes.fromhex("3000"), "it cannot be parsed: 'error parsing asn1 value: ParseError { kind: "),
    ],
)
def test_what_is_no_response_says_what_it_is(scene: Scene, response: bytes, said: str) -> None:
    (reason,) = judge(response, scene.link, scene.at).reasons
    assert reason.detail.startswith(said)
    assert "cannot be parsed" in said or reason.detail == said

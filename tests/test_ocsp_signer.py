"""Who signed an OCSP response, and by what right: each rule refuses one that it alone refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from asn1crypto import ocsp as asn1_ocsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from ocsp_bench import DAY, Bench, assert_only, codes

from certtools.forge.ocsp import (
    ResponderId,
)
from certtools.forge.signing import sign_bytes
from mustaple.core.policy import Rules, UncheckedDelegate, WeakSignature
from mustaple.core.verdict import Code, Status

if TYPE_CHECKING:
    from datetime import datetime


@pytest.fixture(scope="module")
def bench(at: datetime) -> Bench:
    return Bench(at)


@pytest.mark.requirement("RFC6960-3.2-2")
def test_a_changed_byte_breaks_the_signature(bench: Bench) -> None:
    loaded = asn1_ocsp.OCSPResponse.load(bench.response())
    basic = loaded["response_bytes"]["response"].parsed
    signature = bytearray(basic["signature"].native)
    signature[-1] ^= 1
    basic["signature"] = bytes(signature)
    loaded["response_bytes"]["response"] = basic
    assert_only(bench.judge(loaded.dump(force=True)), Code.BAD_SIGNATURE)


@pytest.mark.requirement("RFC6960-4.2.2.3-1")
def test_a_responder_id_that_is_not_the_signers(bench: Bench) -> None:
    for responder_id in ResponderId:
        response = bench.response(responder=bench.stranger.certificate, responder_id=responder_id)
        assert_only(bench.judge(response), Code.RESPONDER_ID_MISMATCH)


@pytest.mark.requirement("RFC6960-4.2.2.2-2", "RFC6960-3.2-3")
def test_a_delegate_that_the_issuer_did_not_sign(bench: Bench) -> None:
    for by in (bench.stranger, bench.root, bench.namesake):
        assert_only(bench.judge(bench.response(signer=bench.delegate(by))), Code.UNAUTHORIZED_RESPONDER)


@pytest.mark.requirement("RFC6960-4.2.2.2-1")
@pytest.mark.parametrize("purposes", [[ExtendedKeyUsageOID.SERVER_AUTH], [ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]])
def test_a_delegate_without_ocsp_signing(bench: Bench, purposes: list[x509.ObjectIdentifier]) -> None:
    delegate = bench.delegate(purposes=purposes)
    assert_only(bench.judge(bench.response(signer=delegate)), Code.UNAUTHORIZED_RESPONDER)
    leaf = bench.ca.leaf(["thief.test"])
    assert codes(bench.judge(bench.response(signer=leaf))) == {"unauthorized-responder", "delegate-unchecked"}


@pytest.mark.requirement("RFC6960-3.2-4")
@pytest.mark.parametrize(("begin", "end"), [(-9, -1), (1, 9)])
def test_a_delegate_out_of_its_validity(bench: Bench, begin: int, end: int) -> None:
    delegate = bench.delegate(not_before=bench.at + begin * DAY, not_after=bench.at + end * DAY)
    assert_only(bench.judge(bench.response(signer=delegate)), Code.DELEGATE_EXPIRED)


@pytest.mark.requirement("RFC6960-4.2.2.2.1-1")
def test_a_delegate_whose_own_revocation_nobody_proved(bench: Bench) -> None:
    response = bench.response(signer=bench.delegate(nocheck=False))
    assert_only(bench.judge(response), Code.DELEGATE_UNCHECKED)
    accepted = bench.judge(response, Rules(unchecked_delegate=UncheckedDelegate.ACCEPT))
    assert accepted.status is Status.GOOD
    assert [note.code for note in accepted.notes] == [Code.DELEGATE_UNCHECKED]


def test_a_delegate_that_was_not_sent_signs_nothing(bench: Bench) -> None:
    delegate = bench.delegate()
    assert_only(bench.judge(bench.response(signer=delegate, certificates=())), Code.BAD_SIGNATURE)


@pytest.mark.requirement("RFC6960-4.2.2.2-3")
def test_a_responder_that_the_operator_trusts(bench: Bench) -> None:
    response = bench.response(signer=bench.stranger)
    assert_only(bench.judge(response, Rules(unchecked_delegate=UncheckedDelegate.ACCEPT)), Code.UNAUTHORIZED_RESPONDER)
    trusting = Rules(trusted_responders=(bench.stranger.certificate,))
    assert bench.judge(response, trusting).status is Status.GOOD
    assert_only(bench.judge(bench.response(signer=bench.delegate(bench.root)), trusting), Code.UNAUTHORIZED_RESPONDER)


@pytest.mark.requirement("RFC6960-5.1.1-1")
@pytest.mark.parametrize("key", ["ec-p256", "rsa-2048"])
def test_sha_1_is_refused_unless_allowed_and_md5_always(at: datetime, key: str) -> None:
    bench = Bench(at, key=key)
    weak = bench.response(signature_hash=hashes.SHA1())
    assert_only(bench.judge(weak), Code.WEAK_SIGNATURE)
    allowing = Rules(weak_signature=WeakSignature.ALLOW_SHA1)
    assert bench.judge(weak, allowing).status is Status.GOOD
    if key.startswith("rsa"):
        broken = bench.response(signature_hash=hashes.MD5())
        assert Code.WEAK_SIGNATURE.value in codes(bench.judge(broken, allowing))


@pytest.mark.requirement("RFC6960-5.1.1-1")
def test_a_delegate_whose_own_certificate_is_signed_with_sha_1(bench: Bench) -> None:
    delegate = bench.delegate()
    for algorithm, status in ((hashes.SHA256(), Status.GOOD), (hashes.SHA1(), Status.UNUSABLE)):
        again = asn1_x509.Certificate.load(delegate.certificate.public_bytes(Encoding.DER))
        identifier, _ = sign_bytes(b"", bench.ca.key, algorithm)
        again["tbs_certificate"]["signature"] = again["signature_algorithm"] = identifier
        again["signature_value"] = sign_bytes(again["tbs_certificate"].dump(force=True), bench.ca.key, algorithm)[1]
        certificate = x509.load_der_x509_certificate(again.dump(force=True))
        judgement = bench.judge(bench.response(signer=replace(delegate, certificate=certificate)))
        assert judgement.status is status
        assert codes(judgement) == (set() if status is Status.GOOD else {"unauthorized-responder"})

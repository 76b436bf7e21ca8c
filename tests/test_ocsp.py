"""The judge: each rule has a response that it alone refuses, beside an honest one that is good."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from asn1crypto import ocsp as asn1_ocsp
from cryptography import x509
from ocsp_bench import DAY, Bench, assert_only, codes

from certtools.chain import Link
from certtools.extensions import RawExtension
from certtools.forge.ocsp import (
    NONCE,
    CertificateStatus,
    ResponderId,
    ResponseStatus,
    answer,
    sign,
    single,
)
from mustaple.core import ocsp_rules
from mustaple.core.ocsp import judge
from mustaple.core.ocsp_case import MAX_RESPONSE_BYTES
from mustaple.core.policy import MAX_SKEW, NoNextUpdate, Rules
from mustaple.core.verdict import Code, Source, Status

if TYPE_CHECKING:
    from datetime import datetime


@pytest.fixture(scope="module")
def bench(at: datetime) -> Bench:
    return Bench(at)


# What is good


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha384", "sha512"])
@pytest.mark.requirement("RFC6960-4.1.1-1")
def test_good_whatever_hash_the_cert_id_uses(bench: Bench, algorithm: str) -> None:
    judgement = bench.judge(bench.one(hash_algorithm=algorithm), source=Source.OCSP, origin="there")
    assert judgement.status is Status.GOOD
    assert judgement.reasons == ()
    assert (judgement.source, judgement.origin) == (Source.OCSP, "there")
    assert judgement.fingerprint == bench.link.fingerprint
    assert judgement.this_update == bench.at - timedelta(hours=1)
    assert judgement.dies_at == judgement.next_update


@pytest.mark.parametrize("key", ["ec-p256", "ec-p384", "rsa-2048", "ed25519", "ml-dsa-44"])
def test_good_whatever_key_signs_and_refused_when_a_byte_differs(at: datetime, key: str) -> None:
    bench = Bench(at, key=key)
    response = bench.response()
    assert bench.judge(response).status is Status.GOOD
    assert_only(bench.judge(response[:-1] + bytes([response[-1] ^ 1])), Code.BAD_SIGNATURE)


@pytest.mark.requirement("RFC6960-4.2.2.3-1")
def test_good_by_name_and_by_key(bench: Bench) -> None:
    for responder_id in ResponderId:
        assert bench.judge(bench.response(responder_id=responder_id)).status is Status.GOOD
        delegated = bench.response(signer=bench.delegate(), responder_id=responder_id)
        assert bench.judge(delegated).status is Status.GOOD


def test_a_delegated_answer_dies_with_its_signer(bench: Bench) -> None:
    delegate = bench.delegate(not_after=bench.at + DAY)
    judgement = bench.judge(bench.response(signer=delegate))
    assert judgement.status is Status.GOOD
    assert judgement.dies_at == delegate.certificate.not_valid_after_utc
    assert judgement.responder == "CN=signer"


def test_the_issuer_need_not_be_self_signed_nor_the_certificate_in_date(bench: Bench) -> None:
    expired = bench.ca.leaf(["old.test"], not_before=bench.at - 9 * DAY, not_after=bench.at - 8 * DAY)
    link = Link(expired.certificate, bench.ca.certificate)
    response = sign(answer([single(link, bench.at)], bench.ca), bench.ca)
    assert judge(response, link, bench.at).status is Status.GOOD
    assert judge(response, bench.link, bench.at).status is Status.UNUSABLE


def test_a_time_without_a_zone_is_a_programming_error(bench: Bench) -> None:
    with pytest.raises(TypeError, match="aware"):
        judge(bench.response(), bench.link, bench.at.replace(tzinfo=None))


# What it says


@pytest.mark.requirement("RFC6960-2.2-1", "RFC6960-2.2-3")
def test_revoked_says_when_and_why(bench: Bench) -> None:
    when = bench.at - timedelta(hours=5)
    response = bench.one(status=CertificateStatus.REVOKED, revocation_time=when, reason=x509.ReasonFlags.key_compromise)
    judgement = bench.judge(response)
    assert_only(judgement, Code.REVOKED, Status.REVOKED)
    assert (judgement.revocation_time, judgement.revocation_reason) == (when, "keyCompromise")
    assert "keyCompromise" in judgement.reasons[0].detail


@pytest.mark.requirement("RFC6960-2.2-2")
def test_unknown_is_not_good(bench: Bench) -> None:
    assert_only(bench.judge(bench.one(status=CertificateStatus.UNKNOWN)), Code.UNKNOWN, Status.UNKNOWN)


@pytest.mark.requirement("RFC6960-3.2-6")
@pytest.mark.parametrize("status", [CertificateStatus.GOOD, CertificateStatus.UNKNOWN])
def test_a_stale_answer_is_unusable(bench: Bench, status: CertificateStatus) -> None:
    stale = {"this_update": bench.at - 3 * DAY, "next_update": bench.at - DAY}
    assert_only(bench.judge(bench.one(status=status, **stale)), Code.EXPIRED)


@pytest.mark.requirement("RFC6960-2.2-3")
def test_revocation_does_not_grow_old_unless_it_is_a_hold(bench: Bench) -> None:
    stale = {"this_update": bench.at - 30 * DAY, "next_update": bench.at - 20 * DAY}
    revoked = bench.judge(bench.one(status=CertificateStatus.REVOKED, **stale))
    assert revoked.status is Status.REVOKED
    assert codes(revoked) == {"revoked", "expired", "too-old"}
    assert revoked.reasons[0].code is Code.REVOKED
    held = {"status": CertificateStatus.REVOKED, "reason": x509.ReasonFlags.certificate_hold}
    assert bench.judge(bench.one(**held)).status is Status.REVOKED
    just = {"this_update": bench.at - 3 * DAY, "next_update": bench.at - MAX_SKEW}
    assert bench.judge(bench.one(**held, **just)).status is Status.REVOKED
    just["next_update"] -= timedelta(seconds=1)
    assert bench.judge(bench.one(**held, **just)).status is Status.UNUSABLE


def test_revoked_by_a_stranger_is_not_revoked(bench: Bench) -> None:
    said = single(bench.link, bench.at, status=CertificateStatus.REVOKED)
    forged = bench.response(said, signer=bench.stranger)
    judgement = bench.judge(forged)
    assert judgement.status is Status.UNUSABLE
    assert "revoked" not in codes(judgement)


# Of whom: CertID


@pytest.mark.requirement("RFC6960-3.2-1")
def test_another_certificates_answer(bench: Bench) -> None:
    response = bench.response(single(bench.other, bench.at))
    assert judge(response, bench.other, bench.at).status is Status.GOOD
    assert_only(bench.judge(response), Code.OTHER_CERTIFICATE)


@pytest.mark.parametrize("field", ["issuer_name_hash", "issuer_key_hash"])
@pytest.mark.requirement("RFC6960-3.2-1")
def test_another_issuers_answer_for_the_same_serial_number(bench: Bench, field: str) -> None:
    judgement = bench.judge(bench.one(**{field: bytes(20)}))
    assert_only(judgement, Code.OTHER_CERTIFICATE)
    assert "another issuer" in judgement.reasons[0].detail


@pytest.mark.requirement("RFC6960-4.1.1-1")
def test_a_cert_id_by_md5(bench: Bench) -> None:
    assert_only(bench.judge(bench.one(hash_algorithm="md5")), Code.CERT_ID_HASH)


@pytest.mark.requirement("RFC6960-4.2.2.3-2")
def test_the_matching_one_of_several_decides(bench: Bench) -> None:
    good = single(bench.link, bench.at)
    revoked = single(bench.link, bench.at, status=CertificateStatus.REVOKED)
    others_good = single(bench.other, bench.at)
    others_revoked = single(bench.other, bench.at, status=CertificateStatus.REVOKED)
    assert bench.judge(bench.response(others_revoked, good)).status is Status.GOOD
    assert bench.judge(bench.response(others_good, revoked)).status is Status.REVOKED
    assert_only(bench.judge(bench.response(others_good, others_revoked)), Code.OTHER_CERTIFICATE)


@pytest.mark.requirement("RFC6960-4.2.2.3-2")
def test_contradictory_answers_are_refused(bench: Bench) -> None:
    good = single(bench.link, bench.at)
    unknown = single(bench.link, bench.at, status=CertificateStatus.UNKNOWN)
    revoked = single(bench.link, bench.at, status=CertificateStatus.REVOKED)
    assert_only(bench.judge(bench.response(good, unknown)), Code.CONTRADICTION)
    for order in ((good, revoked), (revoked, good)):
        judgement = bench.judge(bench.response(*order))
        assert judgement.status is Status.REVOKED
        assert codes(judgement) == {"revoked", "contradiction"}
    older = single(bench.link, bench.at, this_update=bench.at - DAY)
    assert bench.judge(bench.response(older, good)).this_update == good.this_update


# When


@pytest.mark.requirement("RFC6960-4.2.2.1-1", "RFC9919-5-2")
@pytest.mark.parametrize(("seconds", "status"), [(60, Status.GOOD), (61, Status.UNUSABLE)])
def test_this_update_in_the_future_by_more_than_the_skew(bench: Bench, seconds: int, status: Status) -> None:
    this_update = bench.at + timedelta(seconds=seconds)
    judgement = bench.judge(bench.one(this_update=this_update))
    assert judgement.status is status
    assert codes(judgement) == (set() if status is Status.GOOD else {"not-yet-valid"})


@pytest.mark.requirement("RFC6960-3.2-6", "RFC9919-5-2")
@pytest.mark.parametrize(("seconds", "status"), [(60, Status.GOOD), (61, Status.UNUSABLE)])
def test_next_update_in_the_past_by_more_than_the_skew(bench: Bench, seconds: int, status: Status) -> None:
    next_update = bench.at - timedelta(seconds=seconds)
    judgement = bench.judge(bench.one(next_update=next_update))
    assert judgement.status is status
    assert codes(judgement) == (set() if status is Status.GOOD else {"expired"})


@pytest.mark.requirement("RFC9919-5-1")
def test_no_next_update(bench: Bench) -> None:
    response = bench.one(next_update=None)
    assert_only(bench.judge(response), Code.NO_NEXT_UPDATE)
    by_age = Rules(no_next_update=NoNextUpdate.BY_AGE)
    young = bench.judge(response, by_age)
    assert young.status is Status.GOOD
    assert young.dies_at == bench.at - timedelta(hours=1) + by_age.max_age
    old = bench.one(next_update=None, this_update=bench.at - 11 * DAY)
    assert_only(bench.judge(old, by_age), Code.TOO_OLD)


@pytest.mark.requirement("RFC6960-3.2-5")
@pytest.mark.parametrize(("seconds", "status"), [(60, Status.GOOD), (61, Status.UNUSABLE)])
def test_too_old_whatever_its_next_update_says(bench: Bench, seconds: int, status: Status) -> None:
    this_update = bench.at - 10 * DAY - timedelta(seconds=seconds)
    judgement = bench.judge(bench.one(this_update=this_update, next_update=bench.at + DAY))
    assert judgement.status is status
    assert codes(judgement) == (set() if status is Status.GOOD else {"too-old"})


@pytest.mark.requirement("RFC6960-4.2.2.1-2")
def test_a_window_that_ends_before_it_begins(bench: Bench) -> None:
    rules = Rules(skew=2 * timedelta(hours=1))
    inverted = bench.one(this_update=bench.at, next_update=bench.at - timedelta(seconds=1))
    assert_only(bench.judge(inverted, rules), Code.INVERTED_WINDOW)
    assert bench.judge(bench.one(this_update=bench.at, next_update=bench.at), rules).status is Status.GOOD


# Extensions


@pytest.mark.requirement("RFC6960-4.4-1")
def test_a_critical_extension_that_nobody_knows(bench: Bench) -> None:
    for critical, status in ((True, Status.UNUSABLE), (False, Status.GOOD)):
        extension = RawExtension("2.999.113", critical, b"\x05\x00")
        whole = bench.judge(bench.response(extensions=(extension,)))
        single_one = bench.judge(bench.one(extensions=(extension,)))
        among_many = bench.judge(
            bench.response(single(bench.other, bench.at), single(bench.link, bench.at, extensions=(extension,)))
        )
        for judgement in (whole, single_one, among_many):
            assert judgement.status is status
            assert codes(judgement) == ({"critical-extension"} if critical else set())
    extension = RawExtension("2.999.113", True, b"\x05\x00")
    others = bench.response(single(bench.other, bench.at, extensions=(extension,)), single(bench.link, bench.at))
    assert bench.judge(others).status is Status.GOOD


@pytest.mark.requirement("RFC9654-2.1-1", "RFC9919-5-3", "RFC9919-5-4")
def test_the_nonce_that_was_sent(bench: Bench) -> None:
    sent = bytes(range(32))
    assert bench.judge(bench.response(nonce=sent), nonce=sent).notes == ()
    assert_only(bench.judge(bench.response(nonce=bytes(32)), nonce=sent), Code.NONCE_MISMATCH)
    assert bench.judge(bench.response(nonce=sent)).status is Status.GOOD
    without = bench.judge(bench.response(), nonce=sent)
    assert without.status is Status.GOOD
    assert [note.code for note in without.notes] == [Code.NONCE_MISMATCH]
    twice = bench.response(nonce=sent, extensions=(RawExtension(NONCE, False, b"\x04\x01\x07"),))
    assert_only(bench.judge(twice, nonce=sent), Code.NONCE_MISMATCH)
    critical = bench.response(extensions=(RawExtension(NONCE, True, b"\x04\x01\x07"),))
    assert bench.judge(critical, nonce=b"\x07").status is Status.GOOD


# What cannot be read


@pytest.mark.requirement("RFC6960-4.2.1-2")
@pytest.mark.parametrize("status", [status for status in ResponseStatus if status is not ResponseStatus.SUCCESSFUL])
def test_error_answers(bench: Bench, status: ResponseStatus) -> None:
    judgement = bench.judge(bench.response(response_status=status))
    assert_only(judgement, Code.ERROR_STATUS)
    assert status.name.replace("_", "").lower() in judgement.reasons[0].detail.lower()


@pytest.mark.requirement("RFC6960-4.2.1-3")
def test_a_response_that_is_not_basic(bench: Bench) -> None:
    assert_only(bench.judge(bench.response(response_type="1.3.6.1.5.5.7.48.1.99")), Code.RESPONSE_TYPE)


@pytest.mark.requirement("RFC6960-4.2.1-1")
def test_trailing_bytes_outside_and_inside(bench: Bench) -> None:
    from certtools.forge.ocsp import wrap

    response = bench.response()
    assert_only(bench.judge(response + b"\0"), Code.TRAILING_BYTES)
    basic = asn1_ocsp.OCSPResponse.load(response)["response_bytes"]["response"].contents
    assert bench.judge(wrap(basic)).status is Status.GOOD
    assert_only(bench.judge(wrap(basic + b"\0\0")), Code.TRAILING_BYTES)


@pytest.mark.requirement("RFC6960-4.2.1-1")
@pytest.mark.parametrize(
    ("response", "said"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>", "HTML"),
        (b"-----BEGIN OCSP RESPONSE-----", "PEM"),
        (b"\x30", "cut short"),
        (b"\x30\x80", ""),
        (b"\x30\x03\x0a\x01\x07", ""),
        (b"\x30\x03\x0a\x01\x00", ""),
        (bytes(200), ""),
    ],
)
def test_garbage_is_malformed(bench: Bench, response: bytes, said: str) -> None:
    judgement = bench.judge(response)
    assert judgement.status is Status.UNUSABLE
    assert judgement.reasons[0].code in {Code.MALFORMED, Code.TRAILING_BYTES}
    assert said in judgement.reasons[0].detail


@pytest.mark.requirement("RFC6960-4.2.1-1", "RFC6960-3.2-2")
def test_every_truncation_and_every_flipped_byte_is_unusable_and_no_exception(bench: Bench) -> None:
    response = bench.response(signer=bench.delegate())
    for length in range(len(response)):
        assert bench.judge(response[:length]).status is Status.UNUSABLE
    for place in range(0, len(response), 3):
        changed = bytearray(response)
        changed[place] ^= 0x41
        judgement = bench.judge(bytes(changed))
        # The certificate sent along is read for its key and authority; bytes of it that neither touches may differ.
        assert judgement.status in {Status.UNUSABLE, Status.GOOD}
    issuer_signed = bench.response()
    for place in range(len(issuer_signed)):
        changed = bytearray(issuer_signed)
        changed[place] ^= 0x41
        assert bench.judge(bytes(changed)).status is Status.UNUSABLE, place


@pytest.mark.requirement("RFC6960-4.2.1-4")
def test_an_oversized_response_is_not_read(bench: Bench) -> None:
    assert_only(bench.judge(bytes(10 * 1024 * 1024)), Code.OVERSIZED)
    padded = bench.response(extensions=(RawExtension("2.999.1", False, bytes(MAX_RESPONSE_BYTES)),))
    assert_only(bench.judge(padded), Code.OVERSIZED)


def test_all_failures_are_gathered_the_most_telling_first(bench: Bench) -> None:
    said = single(bench.other, bench.at)
    response = bench.response(
        said, signer=bench.stranger, extensions=(RawExtension("2.999.113", True, b"\x05\x00"),), certificates=()
    )
    judgement = bench.judge(response)
    assert codes(judgement) == {"bad-signature", "other-certificate", "critical-extension"}
    assert [reason.rank for reason in judgement.reasons] == sorted(reason.rank for reason in judgement.reasons)


def test_every_rule_is_in_the_table_and_every_check_is_a_rule() -> None:
    defined = {name for name in vars(ocsp_rules) if name.startswith("_check_")}
    tables = (
        *ocsp_rules.CHECKS,
        *ocsp_rules.TIMED_CHECKS,
        *ocsp_rules.DELEGATE_CHECKS,
        *ocsp_rules.TIMED_DELEGATE_CHECKS,
    )
    assert sorted(defined) == sorted(check.__name__ for check in tables)

"""The edges of the OCSP judge: the last second that counts, what a revocation may have wrong, odd certificates."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from ocsp_bench import DAY, Bench, assert_only, codes

from certtools.drawing import rsa_key
from certtools.extensions import RawExtension
from certtools.forge.ocsp import CertificateStatus, single, wrap
from mustaple.core.errors import InputError
from mustaple.core.ocsp import judge, judge_case
from mustaple.core.ocsp_case import MAX_RESPONSE_BYTES, open_case
from mustaple.core.policy import MAX_SKEW, Rules, WeakSignature
from mustaple.core.verdict import Code, Source, Status

if TYPE_CHECKING:
    from datetime import datetime

    from certtools.authority import Issued

SECOND = timedelta(seconds=1)
SKEW = Rules().skew
EC_PUBLIC_KEY = bytes.fromhex("06072a8648ce3d0201")
NO_PUBLIC_KEY = bytes.fromhex("06072a8648ce3d7f01")  # nobody assigned it


@pytest.fixture(scope="module")
def bench(at: datetime) -> Bench:
    return Bench(at)


def with_extensions(bench: Bench, delegate: Issued, *extensions: x509.ExtensionType) -> Issued:
    """The delegate with a certificate of the same key that has these extensions and no other."""
    own = delegate.certificate
    builder = x509.CertificateBuilder(
        issuer_name=own.issuer,
        subject_name=own.subject,
        public_key=own.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=own.not_valid_before_utc,
        not_valid_after=own.not_valid_after_utc,
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    key: Any = bench.ca.key
    return replace(delegate, certificate=builder.sign(key, hashes.SHA256()))


# --- the delegate


@pytest.mark.parametrize(("late", "status"), [(timedelta(), Status.GOOD), (SECOND, Status.UNUSABLE)])
def test_a_delegate_serves_to_the_last_second_of_its_certificate(bench: Bench, late: timedelta, status: Status) -> None:
    delegate = bench.delegate(not_before=bench.at - DAY, not_after=bench.at - late)
    assert bench.judge(bench.response(signer=delegate)).status is status


@pytest.mark.parametrize(("early", "status"), [(SKEW, Status.GOOD), (SKEW + SECOND, Status.UNUSABLE)])
def test_a_delegate_may_begin_within_the_skew(bench: Bench, early: timedelta, status: Status) -> None:
    delegate = bench.delegate(not_before=bench.at + early)
    assert bench.judge(bench.response(signer=delegate)).status is status


def test_a_delegate_whose_key_usage_says_nothing_may_sign(bench: Bench) -> None:
    usage, nocheck = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), x509.OCSPNoCheck()
    silent = with_extensions(bench, bench.delegate(), usage, nocheck)
    assert bench.judge(bench.response(signer=silent)).status is Status.GOOD
    forbidding = bench.delegate(digital_signature=False)
    assert_only(bench.judge(bench.response(signer=forbidding)), Code.UNAUTHORIZED_RESPONDER)


def test_a_certificate_whose_key_nobody_can_read_signs_nothing(bench: Bench) -> None:
    delegate = bench.delegate()
    der = delegate.certificate.public_bytes(Encoding.DER)
    assert der.count(EC_PUBLIC_KEY) == 1
    odd = x509.load_der_x509_certificate(der.replace(EC_PUBLIC_KEY, NO_PUBLIC_KEY))
    alone = bench.response(signer=delegate, certificates=(odd,))
    assert_only(bench.judge(alone), Code.BAD_SIGNATURE)
    behind_it = bench.response(signer=delegate, certificates=(odd, delegate.certificate))
    assert bench.judge(behind_it).status is Status.GOOD


# --- what a revocation may have wrong: whatever a looser policy would excuse, and nothing else


def test_a_revocation_in_sha_1_stands(bench: Bench) -> None:
    revoked = single(bench.link, bench.at, status=CertificateStatus.REVOKED)
    judgement = bench.judge(bench.response(revoked, signature_hash=hashes.SHA1()))
    assert (judgement.status, codes(judgement)) == (Status.REVOKED, {"revoked", "weak-signature"})


@pytest.mark.parametrize(
    ("bits", "algorithm"),
    [(2048, hashes.MD5()), (1024, hashes.SHA256()), (1024, hashes.SHA1())],
    ids=["md5", "a short key", "a short key and sha1"],
)
def test_a_revocation_that_anybody_could_sign_does_not_stand(
    bench: Bench, bits: int, algorithm: hashes.HashAlgorithm
) -> None:
    revoked = single(bench.link, bench.at, status=CertificateStatus.REVOKED)
    response = bench.response(revoked, signer=bench.delegate(key=rsa_key(bits)), signature_hash=algorithm)
    for rules in (Rules(), Rules(weak_signature=WeakSignature.ALLOW_SHA1)):
        assert_only(bench.judge(response, rules), Code.WEAK_SIGNATURE)


def test_a_revocation_by_a_delegate_of_tomorrow_stands_and_by_one_of_yesterday_does_not(bench: Bench) -> None:
    revoked = single(bench.link, bench.at, status=CertificateStatus.REVOKED)
    tomorrow = bench.judge(bench.response(revoked, signer=bench.delegate(not_before=bench.at + DAY)))
    assert (tomorrow.status, codes(tomorrow)) == (Status.REVOKED, {"revoked", "delegate-expired"})
    over = bench.delegate(not_before=bench.at - 9 * DAY, not_after=bench.at - DAY)
    assert_only(bench.judge(bench.response(revoked, signer=over)), Code.DELEGATE_EXPIRED)


@pytest.mark.parametrize("said", [{"next_update": None}, {}], ids=["without nextUpdate", "in time"])
def test_a_hold_that_has_not_ended_stands(bench: Bench, said: dict[str, None]) -> None:
    hold = single(
        bench.link,
        bench.at,
        status=CertificateStatus.REVOKED,
        reason=x509.ReasonFlags.certificate_hold,
        **said,
    )
    assert bench.judge(bench.response(hold)).status is Status.REVOKED


@pytest.mark.parametrize(("late", "status"), [(timedelta(), Status.REVOKED), (SECOND, Status.UNUSABLE)])
def test_a_hold_stands_for_the_greatest_skew_past_its_next_update(
    bench: Bench, late: timedelta, status: Status
) -> None:
    hold = single(
        bench.link,
        bench.at,
        status=CertificateStatus.REVOKED,
        reason=x509.ReasonFlags.certificate_hold,
        this_update=bench.at - 3 * DAY,
        next_update=bench.at - MAX_SKEW - late,
    )
    assert bench.judge(bench.response(hold)).status is status


# --- what is inside


def test_what_the_parser_refuses_inside_is_told_apart_from_bytes_that_follow(bench: Bench) -> None:
    for inside, code in ((b"\x30\x00", Code.MALFORMED), (b"\x30\x00\x00", Code.TRAILING_BYTES)):
        (reason,) = bench.judge(wrap(inside)).reasons
        assert reason.code is code
        assert reason.detail.startswith(
            "it cannot be parsed: " if code is Code.MALFORMED else "1 bytes follow the Basic"
        )


def test_a_skew_beyond_the_greatest_is_refused_in_words() -> None:
    assert Rules(skew=MAX_SKEW).skew == MAX_SKEW
    said = f"a skew of {MAX_SKEW + SECOND} is more than {MAX_SKEW}, and no clock that is kept is so far off"
    with pytest.raises(InputError, match=rf"^{said}$"):
        Rules(skew=MAX_SKEW + SECOND)


# --- what a judgement holds, and what it counts


def test_what_cannot_be_heard_says_where_it_came_from_and_whom_it_is_about(bench: Bench) -> None:
    for response in (b"", bench.response(single(bench.other, bench.at))):
        judgement = bench.judge(response, source=Source.OCSP, origin="there")
        assert (judgement.status, judgement.source, judgement.origin) == (Status.UNUSABLE, Source.OCSP, "there")
        assert judgement.fingerprint == bench.link.fingerprint


def test_a_good_answer_has_its_times_and_nothing_of_a_revocation(bench: Bench) -> None:
    produced = bench.at - 2 * DAY
    judgement = bench.judge(bench.response(produced_at=produced))
    assert (judgement.produced_at, judgement.origin) == (produced, "")
    assert (judgement.revocation_time, judgement.revocation_reason) == (None, None)
    case = open_case(bench.response(), bench.link, Rules())
    assert judge_case(case, bench.link, bench.at, source=Source.STAPLE).origin == ""


def test_a_time_without_a_zone_is_said_to_be_one(bench: Bench) -> None:
    with pytest.raises(TypeError, match=r"^Pass `at` as an aware datetime in UTC\.$"):
        judge(bench.response(), bench.link, bench.at.replace(tzinfo=None))


def test_a_response_of_the_greatest_size_is_read(at: datetime) -> None:
    bench = Bench(at, key="rsa-2048")  # whose signatures are all of one length

    def padded(size: int) -> bytes:
        return bench.response(extensions=(RawExtension("2.999.1", critical=False, value=bytes(size)),))

    size = MAX_RESPONSE_BYTES - (len(padded(60_000)) - 60_000)
    assert len(padded(size)) == MAX_RESPONSE_BYTES
    assert bench.judge(padded(size)).status is Status.GOOD
    assert_only(bench.judge(padded(size + 1)), Code.OVERSIZED)


def test_who_signed_under_anothers_name_is_found_among_the_certificates_sent(bench: Bench) -> None:
    delegate = bench.delegate()
    response = bench.response(signer=delegate, responder=bench.stranger.certificate)
    judgement = bench.judge(response)
    assert_only(judgement, Code.RESPONDER_ID_MISMATCH)
    assert judgement.signer == delegate.certificate


def test_three_serial_numbers_of_others_are_enough(bench: Bench) -> None:
    others = [single(bench.link, bench.at, serial_number=number) for number in (0xA1, 0xA2, 0xA3, 0xA4)]
    (reason,) = bench.judge(bench.response(*others)).reasons
    assert reason.detail == f"it is for serial a1, a2, a3, not {bench.link.serial_number:x}"


def test_who_says_good_twice_does_not_contradict_himself(bench: Bench) -> None:
    judgement = bench.judge(bench.response(single(bench.link, bench.at), single(bench.link, bench.at)))
    assert (judgement.status, judgement.reasons) == (Status.GOOD, ())


@pytest.mark.parametrize("days", [(3, 1), (60, -30)], ids=["expired", "too old"])
def test_what_a_delegate_signed_grows_old_too(bench: Bench, days: tuple[int, int]) -> None:
    begun, ended = days
    old = single(bench.link, bench.at, this_update=bench.at - begun * DAY, next_update=bench.at - ended * DAY)
    assert_only(bench.judge(bench.response(old, signer=bench.delegate())), Code.EXPIRED if ended > 0 else Code.TOO_OLD)

"""The judge of CRLs: each rule has a CRL that it alone refuses, beside an honest one that is good."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from asn1crypto.core import UTCTime
from asn1crypto.crl import CertificateList
from asn1crypto.x509 import Certificate as Asn1Certificate
from crl_world import DAY, UNKNOWN, URL, CrlWorld, point, scope, usage
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from certtools.authority import Authority
from certtools.chain import Link
from certtools.forge import CRL_MUTATIONS, CrlScene, Revoked
from certtools.keys import KeyKind, available_kinds
from mustaple.core import crl_rules
from mustaple.core.crl import judge_crl
from mustaple.core.crl_case import MAX_CRL_BYTES, MAX_FRAME_BYTES, open_crl
from mustaple.core.policy import NoNextUpdate, Rules, WeakSignature
from mustaple.core.verdict import Code, Judgement, Reason, Status

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[[CrlWorld], tuple[Link, bytes]]

ELSEWHERE = [x509.UniformResourceIdentifier("http://127.0.0.1:9/shard-of-another.crl")]
HERE = [x509.UniformResourceIdentifier(URL)]
SOME = frozenset({x509.ReasonFlags.key_compromise})
HOLD, REMOVED = x509.ReasonFlags.certificate_hold, x509.ReasonFlags.remove_from_crl


@pytest.fixture(scope="module")
def world(at: datetime) -> CrlWorld:
    return CrlWorld(at)


def codes(judgement: Judgement) -> set[str]:
    return {reason.code.value for reason in judgement.reasons}


def mutated(name: str) -> Make:
    """A mutation of the honest CRL of a world, for its own certificate."""

    def make(world: CrlWorld) -> tuple[Link, bytes]:
        rogue = Authority.root("rogue", not_before=world.at - DAY, not_after=world.at + DAY)
        scene = CrlScene(link=world.link, issuer=world.ca, rogue=rogue, at=world.at)
        return world.link, CRL_MUTATIONS[name](scene)

    return make


def renamed(world: CrlWorld) -> tuple[Link, bytes]:
    """The CA's own key signed it under another name."""
    other = Authority.root("other", not_before=world.at - DAY, not_after=world.at + DAY, key=world.ca.key)
    return world.link, world.crl(signer=other)


def attribute_certificates(world: CrlWorld) -> tuple[Link, bytes]:
    """It covers attribute certificates only, which the library's builder would not say."""
    return world.link, world.scoped(only_contains_attribute_certs=True)


# Each check alone refuses this CRL with this code; without the check it would not be refused so.
NEEDED: dict[str, tuple[str, Make]] = {
    "_check_issuer": ("crl-issuer", renamed),
    "_check_signature": ("crl-bad-signature", mutated("bad-signature")),
    "_check_signature_algorithm": ("crl-weak-signature", mutated("sha1-signature")),
    "_check_key_usage": ("crl-sign", lambda world: (world.issuer_with(usage(crl_sign=False)), world.crl())),
    "_check_complete": ("crl-delta", mutated("delta")),
    "_check_direct": ("crl-indirect", mutated("indirect")),
    "_check_kind": ("crl-scope", mutated("only-authorities")),
    "_check_distribution_point": ("crl-other-point", mutated("other-distribution-point")),
    "_check_reasons": ("crl-reasons", mutated("only-some-reasons")),
    "_check_critical_extensions": ("crl-critical-extension", mutated("critical-extension")),
    "_check_critical_entry_extensions": ("crl-critical-entry", mutated("critical-entry-extension")),
    "_check_not_removed": ("crl-removed", lambda world: (world.link, world.crl(world.entry(REMOVED)))),
    "_check_window": ("crl-inverted-window", mutated("inverted-window")),
    "_check_next_update_present": ("crl-no-next-update", mutated("no-next-update")),
    "_check_this_update": ("crl-not-yet-valid", mutated("not-yet-valid")),
    "_check_next_update": ("crl-expired", mutated("expired")),
    "_check_age": ("crl-too-old", mutated("too-old")),
}


def test_the_honest_crl_is_good_and_says_so(world: CrlWorld) -> None:
    judgement = world.judge(world.crl())
    assert (judgement.status, judgement.reasons, judgement.notes) == (Status.GOOD, (), ())
    assert judgement.responder == "CN=CA"
    assert judgement.this_update == world.at - timedelta(hours=1)
    assert judgement.next_update == judgement.dies_at == world.at + 6 * DAY


def test_every_check_is_in_the_table() -> None:
    tables = (*crl_rules.CHECKS, *crl_rules.CHECKS_OF_AGE)
    assert [check.__name__ for check in tables] == list(NEEDED)


@pytest.mark.parametrize("name", NEEDED)
def test_each_check_alone_refuses_something(world: CrlWorld, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    code, make = NEEDED[name]
    link, data = make(world)
    assert codes(world.judge(data, link=link)) == {code}
    for table in ("CHECKS", "CHECKS_OF_AGE"):
        rest = tuple(check for check in getattr(crl_rules, table) if check.__name__ != name)
        monkeypatch.setattr(crl_rules, table, rest)
    assert code not in codes(world.judge(data, link=link))
    assert world.judge(data, link=link).status in {Status.GOOD, Status.REVOKED}


# --- who signed it


@pytest.mark.requirement("RFC5280-6.3.3-3")
@pytest.mark.parametrize("kind", [kind for kind in available_kinds() if kind not in {"rsa-3072", "rsa-4096"}])
def test_every_kind_of_key_is_verified(at: datetime, kind: KeyKind) -> None:
    world = CrlWorld(at, key=kind)
    honest = world.crl()
    assert world.judge(honest).status is Status.GOOD
    assert codes(world.judge(honest, link=Link(world.link.subject, CrlWorld(at, key=kind).ca.certificate))) == {
        "crl-bad-signature"
    }


@pytest.mark.requirement("RFC5280-5.1.1.2-1")
def test_the_algorithm_is_named_twice_and_the_same(world: CrlWorld) -> None:
    tampered = world.changed(signature={"algorithm": "sha384_ecdsa"})
    assert codes(world.judge(tampered)) == {"crl-malformed"}
    assert "lgorithm" in world.judge(tampered).reasons[0].detail
    assert world.judge(world.changed()).status is Status.GOOD


@pytest.mark.requirement("RFC5280-5.1.1.2-2")
def test_sha1_is_for_the_policy_to_allow(world: CrlWorld) -> None:
    _, sha1 = mutated("sha1-signature")(world)
    assert "SHA1" in world.judge(sha1).reasons[0].detail
    assert world.judge(sha1, Rules(weak_signature=WeakSignature.ALLOW_SHA1)).status is Status.GOOD


@pytest.mark.requirement("RFC5280-5.1.1.2-2")
def test_a_short_rsa_key_signs_nothing(at: datetime) -> None:
    short = rsa.generate_private_key(65537, 1024)  # noqa: S505 - that it is too short is the point
    root = Authority.root("short", not_before=at - DAY, not_after=at + DAY, key=short)
    link = Link(root.leaf(["site.test"]).certificate, root.certificate)
    data = CrlWorld(at).crl(signer=root)
    assert codes(judge_crl(data, link, at)) == {"crl-weak-signature"}
    assert "1024 bits" in judge_crl(data, link, at).reasons[0].detail


def test_an_algorithm_that_nobody_knows_is_refused(world: CrlWorld) -> None:
    whole = CertificateList.load(world.crl())
    strange = b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x7f"
    known = b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"
    judgement = world.judge(whole.dump().replace(known, strange))
    assert codes(judgement) == {"crl-bad-signature", "crl-weak-signature"}


@pytest.mark.requirement("RFC5280-6.3.3-5")
def test_the_issuer_must_be_allowed_to_sign_crls(world: CrlWorld) -> None:
    assert world.judge(world.crl(), link=world.issuer_with(usage(crl_sign=True))).status is Status.GOOD
    assert codes(world.judge(world.crl(), link=world.issuer_with(usage(crl_sign=False)))) == {"crl-sign"}
    assert codes(world.judge(world.crl(), link=world.issuer_with(None))) == {"crl-sign"}
    # A version 1 certificate has no extensions that could say it; RFC 10007 leaves those be.
    old = Asn1Certificate.load(world.ca.certificate.public_bytes(Encoding.DER))
    del old["tbs_certificate"]["extensions"]
    old["tbs_certificate"]["version"] = "v1"
    link = Link(world.link.subject, x509.load_der_x509_certificate(old.dump(force=True)))
    assert world.judge(world.crl(), link=link).status is Status.GOOD


def test_an_issuer_whose_key_or_name_cannot_be_read_signed_nothing(world: CrlWorld) -> None:
    der = world.ca.certificate.public_bytes(Encoding.DER)
    curve, name = bytes.fromhex("06082a8648ce3d030107"), b"\x0c\x02CA"
    for known, strange, code in (
        (curve, curve[:-1] + b"\x7f", {"crl-bad-signature"}),
        (name, b"\x0c\x02\xff\xff", {"crl-issuer"}),
    ):
        assert known in der
        issuer = x509.load_der_x509_certificate(der.replace(known, strange))
        judgement = world.judge(world.crl(world.entry()), link=Link(world.link.subject, issuer))
        assert judgement.status is Status.UNUSABLE
        assert code <= codes(judgement)


# --- what it is about


@pytest.mark.requirement("RFC5280-6.3.3-4")
@pytest.mark.parametrize("critical", [True, False])
def test_attribute_certificates_are_none_of_ours(world: CrlWorld, critical: bool) -> None:
    assert codes(world.judge(world.scoped(only_contains_attribute_certs=True, critical=critical))) == {"crl-scope"}


@pytest.mark.requirement("RFC5280-6.3.3-6")
def test_a_distribution_point_is_the_certificates_or_not(world: CrlWorld) -> None:
    here, elsewhere = world.scoped(full_name=HERE), world.scoped(full_name=ELSEWHERE)
    both = world.scoped(full_name=ELSEWHERE + HERE)
    assert world.judge(here).status is world.judge(both).status is Status.GOOD
    assert codes(world.judge(elsewhere)) == {"crl-other-point"}
    # A certificate that names no distribution point is on the CRL without one.
    nowhere = world.certificate()
    assert codes(world.judge(here, link=nowhere)) == {"crl-other-point"}
    assert world.judge(world.crl(), link=nowhere).status is Status.GOOD


@pytest.mark.requirement("RFC5280-6.3.3-6")
def test_a_relative_name_is_made_whole_with_the_issuers(world: CrlWorld) -> None:
    shard = x509.RelativeDistinguishedName([x509.NameAttribute(NameOID.COMMON_NAME, "shard 1")])
    other = x509.RelativeDistinguishedName([x509.NameAttribute(NameOID.COMMON_NAME, "shard 2")])
    link = world.certificate(x509.CRLDistributionPoints([point(relative=shard)]))
    assert world.judge(world.scoped(relative_name=shard), link=link).status is Status.GOOD
    assert codes(world.judge(world.scoped(relative_name=other), link=link)) == {"crl-other-point"}
    whole = [x509.DirectoryName(x509.Name([*world.ca.certificate.subject.rdns, shard]))]
    assert world.judge(world.scoped(full_name=whole), link=link).status is Status.GOOD


@pytest.mark.requirement("RFC5280-6.3.3-6", "RFC5280-5.2.5-1")
def test_a_distribution_point_of_another_crl_issuer_is_not_this_ones(world: CrlWorld) -> None:
    def pointing(name: x509.Name) -> Link:
        return world.certificate(x509.CRLDistributionPoints([point(URL, issuer=[x509.DirectoryName(name)])]))

    here = world.scoped(full_name=HERE)
    assert world.judge(here, link=pointing(world.ca.certificate.subject)).status is Status.GOOD
    assert codes(world.judge(here, link=pointing(world.root.certificate.subject))) == {"crl-other-point"}
    alone = world.certificate(
        x509.CRLDistributionPoints([point(issuer=[x509.DirectoryName(world.ca.certificate.subject)])])
    )
    named = world.scoped(full_name=[x509.DirectoryName(world.ca.certificate.subject)])
    assert world.judge(named, link=alone).status is Status.GOOD


@pytest.mark.requirement("RFC5280-6.3.3-7")
def test_some_reasons_are_not_all(world: CrlWorld) -> None:
    assert codes(world.judge(world.scoped(only_some_reasons=SOME))) == {"crl-reasons"}
    assert "key" in world.judge(world.scoped(only_some_reasons=SOME)).reasons[0].detail
    partly = world.certificate(x509.CRLDistributionPoints([point(URL, reasons=SOME)]))
    wholly = world.certificate(x509.CRLDistributionPoints([point(URL, reasons=SOME), point(URL)]))
    here = world.scoped(full_name=HERE)
    assert codes(world.judge(here, link=partly)) == {"crl-reasons"}
    assert world.judge(here, link=wholly).status is Status.GOOD
    assert world.judge(world.crl(), link=partly).status is Status.GOOD


@pytest.mark.requirement("RFC5280-5.2-1")
def test_what_is_understood_may_be_critical(world: CrlWorld) -> None:
    assert world.judge(world.scoped(only_contains_user_certs=True)).status is Status.GOOD
    freshest = x509.FreshestCRL([point(URL)])
    assert world.judge(world.crl(extensions=[(freshest, True)])).status is Status.GOOD
    assert world.judge(world.crl(extensions=[(UNKNOWN, False)])).status is Status.GOOD
    assert codes(world.judge(world.crl(extensions=[(UNKNOWN, True)]))) == {"crl-critical-extension"}


@pytest.mark.requirement("RFC5280-5.3-1", "RFC5280-5.2.5-2")
def test_what_an_entry_may_demand(world: CrlWorld) -> None:
    def listing(*extensions: tuple[x509.ExtensionType, bool]) -> bytes:
        return world.crl(Revoked(5, world.at - DAY, extensions=extensions))

    reason, invalid = x509.CRLReason(x509.ReasonFlags.superseded), x509.InvalidityDate(world.at.replace(tzinfo=None))
    issuer = x509.CertificateIssuer([x509.DirectoryName(world.root.certificate.subject)])
    assert world.judge(listing((reason, True), (invalid, True), (UNKNOWN, False))).status is Status.GOOD
    assert codes(world.judge(listing((UNKNOWN, True)))) == {"crl-critical-entry"}
    assert "2.999.113" in world.judge(listing((reason, True), (UNKNOWN, True))).reasons[0].detail
    assert codes(world.judge(listing((issuer, True)))) == {"crl-indirect"}


# --- what it says of the certificate


@pytest.mark.requirement("RFC5280-6.3.3-8")
def test_an_entry_revokes_with_its_time_and_reason(world: CrlWorld) -> None:
    judgement = world.judge(world.crl(world.entry()))
    assert (judgement.status, judgement.revocation_reason) == (Status.REVOKED, "keyCompromise")
    assert judgement.revocation_time == world.at - 2 * DAY
    (reason,) = judgement.reasons
    assert (reason.code, reason.clause) == (Code.REVOKED, "RFC 5280 §6.3.3 (i)")
    unexplained = world.judge(world.crl(world.entry(None)))
    assert (unexplained.status, unexplained.revocation_reason) == (Status.REVOKED, None)


@pytest.mark.requirement("RFC5280-6.3.3-8")
@pytest.mark.parametrize(
    ("reason", "status"), [(None, Status.REVOKED), (HOLD, Status.UNUSABLE)], ids=["for good", "hold"]
)
def test_a_revocation_outlives_its_crl_and_a_hold_does_not(
    world: CrlWorld, reason: x509.ReasonFlags | None, status: Status
) -> None:
    old: dict[str, Any] = {"this_update": world.at - 40 * DAY, "next_update": world.at - 33 * DAY}
    judgement = world.judge(world.crl(world.entry(reason), **old))
    assert judgement.status is status
    assert {"crl-expired", "crl-too-old"} <= codes(judgement)
    for said in ({"full_name": ELSEWHERE}, {"only_some_reasons": SOME}, {"only_contains_ca_certs": True}):
        assert world.judge(world.scoped(world.entry(reason), **said)).status is status
    assert world.judge(world.crl(world.entry(HOLD))).status is Status.REVOKED


@pytest.mark.parametrize("name", ["_check_signature", "_check_key_usage", "_check_complete", "_check_direct"])
def test_a_revocation_that_is_not_the_issuers_own_word_is_none(world: CrlWorld, name: str) -> None:
    spoiled: dict[str, tuple[Link, bytes]] = {
        "_check_signature": (world.link, _flipped(world.crl(world.entry()))),
        "_check_key_usage": (world.issuer_with(None), world.crl(world.entry())),
        "_check_complete": (world.link, world.crl(world.entry(), extensions=[(x509.DeltaCRLIndicator(6), True)])),
        "_check_direct": (world.link, world.scoped(world.entry(), indirect_crl=True)),
    }
    link, data = spoiled[name]
    assert world.judge(data, link=link).status is Status.UNUSABLE


def _flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.requirement("RFC5280-5.3.1-1")
def test_a_revocation_is_not_taken_back_in_a_complete_crl(world: CrlWorld) -> None:
    assert codes(world.judge(world.crl(world.entry(REMOVED)))) == {"crl-removed"}
    both = world.crl(world.entry(REMOVED), world.entry(HOLD), world.entry())
    assert (world.judge(both).status, world.judge(both).revocation_reason) == (Status.REVOKED, "keyCompromise")


# --- when


@pytest.mark.requirement("RFC5280-5.1.2.5-1")
def test_no_next_update_is_for_the_policy_to_allow(world: CrlWorld) -> None:
    data = world.changed(next_update=None)
    assert codes(world.judge(data)) == {"crl-no-next-update"}
    young = world.judge(data, Rules(no_next_update=NoNextUpdate.BY_AGE))
    assert (young.status, young.next_update) == (Status.GOOD, None)
    assert young.dies_at == world.at - timedelta(hours=1) + Rules().max_age


@pytest.mark.requirement("RFC5280-5.1.2.4-1", "RFC5280-5.1.2.5-1")
def test_clocks_may_be_off_by_the_skew_and_no_more(world: CrlWorld) -> None:
    skew, second = Rules().skew, timedelta(seconds=1)
    assert world.judge(world.crl(this_update=world.at + skew)).status is Status.GOOD
    assert codes(world.judge(world.crl(this_update=world.at + skew + second))) == {"crl-not-yet-valid"}
    assert world.judge(world.crl(next_update=world.at - skew)).status is Status.GOOD
    assert codes(world.judge(world.crl(next_update=world.at - skew - second))) == {"crl-expired"}
    aged = world.crl(this_update=world.at - Rules().max_age - skew)
    assert world.judge(aged).status is Status.GOOD
    assert codes(world.judge(aged, replace(Rules(), max_age=Rules().max_age - second))) == {"crl-too-old"}


def test_a_time_without_zone_is_a_mistake_of_the_caller(world: CrlWorld) -> None:
    with pytest.raises(TypeError, match="aware"):
        judge_crl(world.crl(), world.link, world.at.replace(tzinfo=None))


# --- what cannot be read


def test_an_opened_crl_serves_every_certificate_of_its_issuer(world: CrlWorld, at: datetime) -> None:
    opened = open_crl(world.crl(world.entry()))
    other = Link(world.ca.leaf(["other.test"]).certificate, world.ca.certificate)
    assert judge_crl(opened, world.link, at).status is Status.REVOKED
    assert judge_crl(opened, other, at).status is Status.GOOD
    # The signature it has verified for one issuer says nothing of another of the same name.
    namesake = Link(world.link.subject, CrlWorld(at).ca.certificate)
    assert codes(judge_crl(opened, namesake, at)) == {"crl-bad-signature"}
    reason = open_crl(b"")
    assert isinstance(reason, Reason)
    assert judge_crl(reason, world.link, at).reasons == (reason,)


@pytest.mark.requirement("RFC5280-5.1-1")
def test_what_cannot_be_read_says_why(world: CrlWorld) -> None:
    honest = world.crl()
    pem = x509.load_der_x509_crl(honest).public_bytes(Encoding.PEM)
    for data, code, said in (
        (b"", "crl-malformed", "empty"),
        (pem, "crl-malformed", "PEM"),
        (b" <html>", "crl-malformed", "HTML"),
        (honest[:-1], "crl-malformed", "cut short"),
        (honest + b"\0\0", "crl-trailing-bytes", "2 bytes follow"),
        (b"\x30\x00", "crl-malformed", "parsed"),
    ):
        (reason,) = world.judge(data).reasons
        assert reason.code.value == code
        assert said in reason.detail


def test_a_crl_cut_anywhere_is_a_reason(world: CrlWorld) -> None:
    whole = world.crl(world.entry())
    assert world.judge(whole).status is Status.REVOKED
    for cut in range(len(whole)):
        assert world.judge(whole[:cut]).status is Status.UNUSABLE


def test_a_crl_with_any_bit_changed_is_never_good(world: CrlWorld) -> None:
    honest = world.crl(Revoked(5, world.at - DAY))
    whole = bytearray(honest)
    assert world.judge(bytes(whole)).status is Status.GOOD
    # How many bits of the BIT STRING's last byte are unused is part neither of the signature nor of what is signed.
    unused = len(honest) - len(x509.load_der_x509_crl(honest).signature) - 1
    for place in set(range(len(whole))) - {unused}:
        for bit in (1, 0x20, 0x80):
            whole[place] ^= bit
            assert world.judge(bytes(whole)).status is Status.UNUSABLE
            whole[place] ^= bit


def test_extensions_that_cannot_be_read_are_refused(world: CrlWorld) -> None:
    twice = world.crl(extensions=[(scope(only_contains_user_certs=True), True)])
    broken = twice.replace(b"\x55\x1d\x1c", b"\x55\x1d\x14")  # two cRLNumbers
    assert codes(world.judge(broken)) == {"crl-malformed"}


@pytest.mark.requirement("RFC5280-5.1-2")
def test_size_is_bounded(world: CrlWorld) -> None:
    (reason,) = world.judge(bytes(MAX_CRL_BYTES + 1)).reasons
    assert reason.code is Code.CRL_OVERSIZED

    def padded(size: int) -> bytes:
        return world.crl(extensions=[(x509.UnrecognizedExtension(UNKNOWN.oid, bytes(size)), False)])

    frame = len(padded(MAX_FRAME_BYTES)) - MAX_FRAME_BYTES
    assert world.judge(padded(MAX_FRAME_BYTES - frame)).status is Status.GOOD
    assert codes(world.judge(padded(MAX_FRAME_BYTES))) == {"crl-oversized"}


def test_a_version_1_crl_says_what_it_lists(world: CrlWorld) -> None:
    old = {"version": None, "crl_extensions": None}
    assert world.judge(world.changed(**old)).status is Status.GOOD
    listed = world.changed(**old, revoked_certificates=[{"user_certificate": world.link.serial_number, **_TIME}])
    assert world.judge(listed).status is Status.REVOKED


_TIME = {"revocation_date": UTCTime(datetime(2026, 5, 1, tzinfo=UTC))}

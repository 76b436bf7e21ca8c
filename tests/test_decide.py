"""What each preset makes of each situation: a golden table, with evidence that a judge really judged."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from certtools.authority import Authority
from certtools.chain import Chain
from certtools.feature import OID, Reading
from certtools.forge.ocsp import CertificateStatus, answer, sign, single
from mustaple.core.decide import Situation, combine, decide
from mustaple.core.ocsp import judge
from mustaple.core.policy import PRESETS, Action, Depth, Policy, preset
from mustaple.core.verdict import ChainVerdict, Code, Judgement, Outcome, Reason, Source, Status

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from certtools.chain import Link

DAY = timedelta(days=1)
OFFERED = frozenset({5})
GOOD, REVOKED, UNKNOWN = CertificateStatus
STALE = "stale"
NOBODY = "nobody"


class Site:
    """A chain of three whose lists of TLS Features are chosen, and judged evidence for its certificates."""

    def __init__(
        self, at: datetime, features: Sequence[int] | None = (5,), ca_features: Sequence[int] | None = None
    ) -> None:
        self.at = at
        self.root = Authority.root("root", not_before=at - 30 * DAY, not_after=at + 30 * DAY)
        self.ca = self.root.intermediate("CA", features=ca_features)
        self.chain = self.ca.leaf(["site.test"], features=features).as_chain()
        self.leaf, self.above = self.chain.links

    def evidence(self, link: Link, said: str, source: Source = Source.STAPLE) -> Judgement:
        if said == NOBODY:
            reason = Reason(Code.UNREACHABLE, "nobody answers")
            return Judgement(Status.MISSING, source, "there", link.fingerprint, (reason,))
        times = {"this_update": self.at - 3 * DAY, "next_update": self.at - DAY} if said == STALE else {}
        status = GOOD if said == STALE else CertificateStatus(said)
        signer = self.ca if link is self.leaf else self.root
        response = sign(answer([single(link, self.at, status=status, **times)], signer), signer)
        return judge(response, link, self.at, source=source)

    def decide(
        self,
        policy: str | Policy,
        *leaf: Judgement,
        above: Sequence[Judgement] = (),
        offered: frozenset[int] = OFFERED,
        answered: frozenset[int] = OFFERED,
        protocol: str = "TLSv1.3",
    ) -> ChainVerdict:
        evidence = {self.leaf.fingerprint: leaf, self.above.fingerprint: above}
        situation = Situation(self.chain, self.at, offered, answered, protocol, "openssl", evidence)
        return decide(situation, preset(policy) if isinstance(policy, str) else policy)


@pytest.fixture(scope="module")
def promising(at: datetime) -> Site:
    return Site(at)


@pytest.fixture(scope="module")
def silent(at: datetime) -> Site:
    return Site(at, features=None)


def codes(verdict: ChainVerdict) -> list[str]:
    return [reason.code.value for reason in verdict.all_reasons]


# a: accepted · n: accepted with a note · r: refused · p: pending, a fetch is wanted
# columns: ignore, soft-fail, must-staple, hard-fail, strict. The intermediate always has a good staple.
STAPLED = {
    # the staple for the leaf: what presets make of it where the leaf promises one, and where it does not
    GOOD: ("aaaaa", "aaaaa"),
    None: ("aprrr", "apppr"),
    STALE: ("aprrr", "apppr"),
    UNKNOWN: ("aprrr", "apppr"),
    REVOKED: ("arrrr", "arrrr"),
}
# The same after the fetch that was wanted: (staple, fetched) → without a promise.
FETCHED = {
    (None, GOOD): "aaaar",
    (None, REVOKED): "arrrr",
    (None, UNKNOWN): "annpr",  # hard-fail may still look for a CRL
    (None, NOBODY): "annpr",
    (STALE, GOOD): "aaaar",
    (STALE, REVOKED): "arrrr",
    (STALE, NOBODY): "annpr",
    (UNKNOWN, GOOD): "aaaar",
    (UNKNOWN, NOBODY): "annpr",
    (GOOD, REVOKED): "arrra",  # strict heeds staples alone; an authentic "revoked" wins everywhere else
}


def letter(verdict: ChainVerdict) -> str:
    if verdict.outcome is Outcome.REFUSED:
        return "r"
    if verdict.outcome is Outcome.PENDING:
        return "p"
    return "n" if any(each.notes for each in verdict.certificates) else "a"


@pytest.mark.parametrize("staple", STAPLED, ids=str)
@pytest.mark.requirement("RFC7633-4.3.3-1")
def test_presets_against_staples(promising: Site, silent: Site, staple: str | None) -> None:
    for site, expected in zip((promising, silent), STAPLED[staple], strict=True):
        leaf = [] if staple is None else [site.evidence(site.leaf, staple)]
        good = [site.evidence(site.above, GOOD)]
        found = "".join(letter(site.decide(name, *leaf, above=good)) for name in PRESETS)
        assert found == expected


@pytest.mark.parametrize(("staple", "fetched"), FETCHED, ids=str)
def test_presets_after_the_fetch(silent: Site, staple: str | None, fetched: str) -> None:
    leaf = [silent.evidence(silent.leaf, fetched, Source.OCSP)]
    if staple is not None:
        leaf.insert(0, silent.evidence(silent.leaf, staple))
    good = [silent.evidence(silent.above, GOOD)]
    found = "".join(letter(silent.decide(name, *leaf, above=good)) for name in PRESETS)
    assert found == FETCHED[staple, fetched]


def test_hard_fail_refuses_when_every_source_was_asked(silent: Site) -> None:
    asked = [silent.evidence(silent.leaf, NOBODY, source) for source in (Source.OCSP, Source.CRL)]
    verdict = silent.decide("hard-fail", *asked)
    assert verdict.outcome is Outcome.REFUSED
    assert set(codes(verdict)) == {"unreachable"}
    assert silent.decide("soft-fail", *asked).outcome is Outcome.ACCEPTED


def test_pending_names_whom_it_wants_evidence_for(silent: Site) -> None:
    verdict = silent.decide("soft-fail")
    assert verdict.outcome is Outcome.PENDING
    assert not verdict.accepted
    assert verdict.wanted == (silent.leaf.fingerprint,)
    refused = silent.decide(
        replace(preset("soft-fail"), depth=Depth.EVERY), above=[silent.evidence(silent.above, REVOKED)]
    )
    assert (refused.outcome, refused.wanted) == (Outcome.REFUSED, ())


@pytest.mark.requirement("RFC7633-4.3.3-1")
def test_a_broken_promise_says_so_and_no_fetched_answer_mends_it(promising: Site) -> None:
    fetched = promising.evidence(promising.leaf, GOOD, Source.OCSP)
    for evidence in ([], [fetched]):
        verdict = promising.decide("must-staple", *evidence)
        assert verdict.outcome is Outcome.REFUSED
        assert codes(verdict) == ["promise-broken"]
        assert "4.3.3" in verdict.all_reasons[0].clause
    assert promising.decide("soft-fail", fetched).outcome is Outcome.ACCEPTED
    assert promising.decide("must-staple", promising.evidence(promising.leaf, GOOD)).outcome is Outcome.ACCEPTED


@pytest.mark.requirement("RFC7633-4.3.3-2")
def test_the_promise_binds_only_what_the_client_offered(promising: Site) -> None:
    nobody = promising.evidence(promising.leaf, NOBODY, Source.OCSP)
    assert promising.decide("must-staple", nobody, offered=frozenset()).outcome is Outcome.ACCEPTED
    assert promising.decide("must-staple", nobody, offered=OFFERED).outcome is Outcome.REFUSED


def test_a_promise_that_is_kept_was_owed_all_the_same(promising: Site, silent: Site) -> None:
    for site, owed in ((promising, True), (silent, False)):
        leaf, above = site.decide("must-staple", site.evidence(site.leaf, GOOD)).certificates
        assert (leaf.outcome, leaf.obliged, above.obliged) == (Outcome.ACCEPTED, owed, False)


def test_strict_wants_a_good_staple_for_every_certificate(promising: Site) -> None:
    leaf = promising.evidence(promising.leaf, GOOD)
    assert promising.decide("strict", leaf, above=[promising.evidence(promising.above, GOOD)]).accepted
    without = promising.decide("strict", leaf)
    assert without.outcome is Outcome.REFUSED
    assert codes(without) == ["no-staple"]
    assert without.certificates[1].subject == "CN=CA"
    revoked = promising.decide("strict", leaf, above=[promising.evidence(promising.above, REVOKED)])
    assert codes(revoked) == ["revoked"]
    assert promising.decide("must-staple", leaf, above=[promising.evidence(promising.above, REVOKED)]).accepted


def test_evidence_belongs_to_its_certificate_never_to_a_position(promising: Site) -> None:
    own, others = promising.evidence(promising.leaf, GOOD), promising.evidence(promising.above, GOOD)
    assert promising.decide("strict", own, above=[others]).accepted
    swapped = promising.decide("strict", others, above=[own])
    assert swapped.outcome is Outcome.REFUSED
    assert codes(swapped) == ["promise-broken", "no-staple"]


def test_ignore_looks_at_nothing_and_says_so(promising: Site) -> None:
    verdict = promising.decide("ignore", promising.evidence(promising.leaf, REVOKED))
    assert verdict.accepted
    assert not verdict.checked
    assert {each.status for each in verdict.certificates} == {Status.NOT_CHECKED}
    assert "nothing checked" in verdict.headline
    assert promising.decide("strict").checked


def test_a_trusted_leaf_leaves_nothing_to_check(at: datetime) -> None:
    alone = Chain((Authority.root("alone", not_before=at - DAY, not_after=at + DAY).certificate,))
    for name, policy in PRESETS.items():
        verdict = decide(Situation(alone, at, OFFERED), policy)
        assert verdict.accepted is (name in {"ignore", "soft-fail"})
        assert not verdict.checked
        assert codes(verdict) == ([] if verdict.accepted else ["nothing-to-check"])


def test_reasons_of_the_connection_refuse_under_every_preset(promising: Site) -> None:
    wrong_name = (Reason(Code.NAME_MISMATCH, "other.test"),)
    evidence = {promising.leaf.fingerprint: [promising.evidence(promising.leaf, GOOD)]}
    for policy in PRESETS.values():
        situation = Situation(promising.chain, promising.at, OFFERED, evidence=evidence, reasons=wrong_name)
        assert codes(decide(situation, policy))[0] == "name-mismatch"


# ---------------------------------------------------------------------------------------------------------
# TLS Feature


@pytest.mark.requirement("RFC7633-4.2.2-1")
def test_a_ca_list_must_be_held_by_what_it_issues(at: datetime) -> None:
    for ca_features, features, refused in (
        ([5], [5], False),
        ([5], [5, 17], False),
        ([5], None, True),
        ([5, 99], [5], True),
        ([], None, False),
        (None, [5], False),
    ):
        site = Site(at, features, ca_features)
        good = [site.evidence(site.above, GOOD)]
        verdict = site.decide("strict", site.evidence(site.leaf, GOOD), above=good)
        assert (codes(verdict) == ["feature-not-inherited"]) is refused, (ca_features, features)
        assert verdict.accepted is not refused
        assert site.decide("soft-fail", site.evidence(site.leaf, GOOD)).accepted


def test_a_malformed_list_is_refused_where_promises_are_enforced(at: datetime) -> None:
    site = Site(at)
    assert site.decide("must-staple", site.evidence(site.leaf, GOOD)).accepted
    broken = replace_features(site, b"\x31\x03\x02\x01\x05")
    verdict = broken.decide("must-staple", broken.evidence(broken.leaf, GOOD))
    assert codes(verdict) == ["feature-malformed"]
    assert verdict.certificates[0].features is None
    assert broken.decide("soft-fail", broken.evidence(broken.leaf, GOOD)).accepted


def replace_features(site: Site, features: bytes) -> Site:
    """A site of the same CA whose leaf's TLS Feature extension is these bytes."""
    own = site.chain.leaf
    builder = x509.CertificateBuilder(
        issuer_name=own.issuer,
        subject_name=own.subject,
        public_key=own.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=own.not_valid_before_utc.replace(tzinfo=None),
        not_valid_after=own.not_valid_after_utc.replace(tzinfo=None),
    ).add_extension(x509.UnrecognizedExtension(OID, features), critical=False)
    changed = Site(site.at)
    changed.root, changed.ca = site.root, site.ca
    changed.chain = Chain((builder.sign(site.ca.key, SHA256()), *site.chain.certificates[1:]))
    changed.leaf, changed.above = changed.chain.links
    return changed


BOTH = frozenset({5, 17})


@pytest.mark.requirement("RFC7633-4.3.3-3")
@pytest.mark.parametrize(
    ("features", "offered", "answered", "protocol", "refused_by"),
    [
        ([5], {5}, {5}, "TLSv1.3", ""),
        ([5], {5, 17}, {17}, "TLSv1.2", "rfc"),  # the carrier is another one
        ([17], {5}, {5}, "TLSv1.3", "mozilla"),
        ([17], {5, 17}, {5}, "TLSv1.3", "rfc mozilla"),  # by the letter nobody can keep it there
        ([17], {5, 17}, {17}, "TLSv1.2", "mozilla"),
        ([5, 17], {5, 17}, {17}, "TLSv1.2", "rfc mozilla"),
        ([99], {5}, {5}, "TLSv1.3", "mozilla"),
        ([], {5}, {5}, "TLSv1.3", "mozilla"),
    ],
)
def test_readings_of_a_kept_promise(
    at: datetime, features: list[int], offered: set[int], answered: set[int], protocol: str, refused_by: str
) -> None:
    site = Site(at, features)
    leaf, above = site.evidence(site.leaf, GOOD), site.evidence(site.above, GOOD)
    for reading in Reading:
        verdict = site.decide(
            replace(preset("strict"), reading=reading),
            leaf,
            above=[above],
            offered=frozenset(offered),
            answered=frozenset(answered),
            protocol=protocol,
        )
        assert verdict.accepted is (reading.value not in refused_by.split()), reading


@pytest.mark.requirement("RFC7633-4.3.3-3")
def test_feature_17_promises_a_staple_for_every_certificate(at: datetime) -> None:
    site = Site(at, [17])
    leaf, above = site.evidence(site.leaf, GOOD), site.evidence(site.above, GOOD)
    assert site.decide("must-staple", leaf, above=[above]).accepted
    missing = site.decide("must-staple", leaf)
    assert codes(missing) == ["promise-broken"]
    assert missing.certificates[1].obliged
    # In TLS 1.2 status_request alone asks for the leaf; nothing more was promised to this client.
    assert site.decide("must-staple", leaf, protocol="TLSv1.2").accepted
    assert not site.decide("must-staple", leaf, protocol="TLSv1.2", offered=BOTH, answered=BOTH).accepted


# ---------------------------------------------------------------------------------------------------------
# Combination


def test_how_pieces_of_evidence_combine(promising: Site) -> None:
    revoked, good, unknown, stale, nobody = (
        promising.evidence(promising.leaf, said) for said in (REVOKED, GOOD, UNKNOWN, STALE, NOBODY)
    )
    order = [revoked, good, unknown, stale, nobody]
    for place, first in enumerate(order):
        for second in order[place:]:
            assert combine([second, first]) is first or first is second
            assert combine([first, second]) is first
    assert combine([]) is None


def test_only_a_judge_says_good(promising: Site) -> None:
    for status in (Status.GOOD, Status.REVOKED, Status.UNKNOWN):
        with pytest.raises(TypeError, match="Warrant"):
            Judgement(status, Source.STAPLE, "me", promising.leaf.fingerprint)
    assert Judgement(Status.MISSING, Source.STAPLE, "me", promising.leaf.fingerprint).reasons == ()


def test_every_default_is_the_closed_one() -> None:
    assert Policy() == PRESETS["strict"]
    assert {Policy().missing, Policy().unusable, Policy().unknown, Policy().revoked} == {Action.REFUSE}
    with pytest.raises(KeyError, match="ignore, soft-fail, must-staple, hard-fail, strict"):
        preset("lax")

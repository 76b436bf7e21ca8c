"""What each axis of a policy does: one value accepts where the other refuses, with everything else the same."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from policy_order import alone
from policy_world import (
    DAY,
    EXPIRED,
    GOOD,
    NO_REV_AVAIL,
    NOBODY,
    OTHERS,
    REVOKED,
    UNKNOWN,
    World,
    codes,
    notes,
    settle,
)

from certtools.chain import Chain
from certtools.feature import Reading, extension
from mustaple.core.axes import AXES
from mustaple.core.decide import Situation, decide
from mustaple.core.policy import PRESETS, Action, Depth, ExpectStaple, MustStaple, NoRevAvail, Policy, preset
from mustaple.core.verdict import ChainVerdict, Judgement, Outcome, Source, Status
from mustaple.report.policy_text import axis_value

if TYPE_CHECKING:
    from datetime import datetime

OFFERED = frozenset({5})
STRICT = preset("strict")
SOFT = preset("soft-fail")
HARD_LEAF = replace(STRICT, depth=Depth.LEAF)


@pytest.fixture(scope="module")
def world(at: datetime) -> World:
    return World.at_moment(at)


def situation(
    world: World, chain: Chain, leaf: str = NOBODY, above: str = GOOD, *, expect_staple: bool = False
) -> Situation:
    """TLS 1.3 with what is stapled for leaf and CA."""
    evidence = {
        link.fingerprint: () if said == NOBODY else (world.evidence(link, said),)
        for link, said in zip(chain.links, (leaf, above), strict=True)
    }
    return Situation(chain, world.at, OFFERED, OFFERED, "TLSv1.3", "openssl", evidence, expect_staple=expect_staple)


def asked_of_nobody(chain: Chain, world: World) -> dict[Source, dict[bytes, object]]:
    """Fetched evidence where nobody answers."""
    return {
        source: {link.fingerprint: world.evidence(link, NOBODY, source) for link in chain.links}
        for source in (Source.OCSP, Source.CRL)
    }


# ---------------------------------------------------------------------------------------------------------
# Each axis has its twin


@pytest.mark.parametrize(
    ("axis", "closed", "opened", "leaf", "above", "why"),
    [
        ("missing", Action.REFUSE, Action.NOTE, NOBODY, GOOD, "no-staple"),
        ("unusable", Action.REFUSE, Action.NOTE, EXPIRED, GOOD, "expired"),
        ("unusable", Action.REFUSE, Action.NOTE, OTHERS, GOOD, "other-certificate"),
        ("unknown", Action.REFUSE, Action.NOTE, UNKNOWN, GOOD, "unknown"),
        ("revoked", Action.REFUSE, Action.NOTE, REVOKED, GOOD, "revoked"),
        ("depth", Depth.EVERY, Depth.LEAF, GOOD, NOBODY, "no-staple"),
        ("depth", Depth.EVERY, Depth.LEAF, GOOD, REVOKED, "revoked"),
    ],
)
def test_one_value_refuses_what_the_other_lets_pass(
    world: World, axis: str, closed: object, opened: object, leaf: str, above: str, why: str
) -> None:
    tried = situation(world, world.chain(), leaf, above)
    refused = decide(tried, replace(STRICT, **{axis: closed}))
    # What is unusable says even less than "unknown", so who refuses that refuses this.
    others = {"unknown": Action.NOTE} if axis == "unusable" else {}
    assert decide(tried, replace(STRICT, **others)).outcome is Outcome.REFUSED
    accepted = decide(tried, replace(STRICT, **others, **{axis: opened}))
    assert (refused.outcome, codes(refused)) == (Outcome.REFUSED, [why])
    assert accepted.accepted
    assert notes(accepted) == ([] if axis == "depth" else [why])


def test_who_refuses_the_unknown_refuses_the_unusable(world: World) -> None:
    tried = situation(world, world.chain(), EXPIRED, GOOD)
    noting = replace(STRICT, unusable=Action.NOTE)
    assert codes(decide(tried, noting)) == ["expired"]
    assert decide(tried, replace(noting, unknown=Action.NOTE)).accepted


def test_a_promise_binds_or_is_not_looked_at(world: World) -> None:
    tried = situation(world, world.chain([5]))
    for policy in (preset("must-staple"), replace(SOFT, must_staple=MustStaple.ENFORCE)):
        assert codes(decide(tried, policy)) == ["promise-broken"]
        assert decide(tried, policy).certificates[0].obliged
    ignoring = decide(tried, replace(preset("must-staple"), must_staple=MustStaple.IGNORE))
    assert ignoring.outcome is Outcome.PENDING
    assert not ignoring.certificates[0].obliged


def test_a_broken_promise_says_the_most_telling_thing(world: World) -> None:
    chain = world.chain([5])
    leaf = chain.links[0]

    def refused(policy: Policy, *evidence: Judgement) -> list[str]:
        known = {leaf.fingerprint: evidence, chain.links[1].fingerprint: (world.evidence(chain.links[1], GOOD),)}
        verdict = decide(Situation(chain, world.at, OFFERED, OFFERED, "TLSv1.3", evidence=known), policy)
        assert verdict.outcome is Outcome.REFUSED
        return codes(verdict)

    promises = preset("must-staple")
    fetched = world.evidence(leaf, REVOKED, Source.OCSP)
    assert refused(promises, fetched) == ["revoked"], "whatever was owed besides"
    assert refused(promises, world.evidence(leaf, EXPIRED), fetched)[0] == "revoked"
    assert refused(promises, world.evidence(leaf, NOBODY)) == ["promise-broken"], "a staple that is missing is none"
    noting = replace(promises, revoked=Action.NOTE)
    assert refused(noting, world.evidence(leaf, REVOKED)) == ["revoked"], "and a promise is kept by a good alone"


def test_a_leaf_that_is_its_own_anchor(at: datetime) -> None:
    assert codes(decide(alone(at), STRICT)) == ["nothing-to-check"]
    assert decide(alone(at), replace(STRICT, nothing_to_check=Action.NOTE)).accepted


def test_a_policy_without_sources_looks_at_nothing_and_may_still_miss_it(world: World) -> None:
    tried = situation(world, world.chain(), GOOD)
    blind = replace(STRICT, sources=frozenset[Source]())
    assert decide(tried, blind).outcome is Outcome.REFUSED, "the default is the closed one"
    noting = decide(tried, replace(blind, missing=Action.NOTE))
    assert noting.accepted
    assert not noting.checked
    owed = decide(situation(world, world.chain([5]), GOOD), replace(blind, missing=Action.NOTE))
    assert codes(owed) == ["promise-broken"], "it offered to take a staple, and takes none for evidence"


def test_only_the_sources_of_the_policy_count(world: World) -> None:
    chain = world.chain()
    leaf, above = chain.links
    for source in Source:
        evidence = {
            leaf.fingerprint: (world.evidence(leaf, GOOD, source),),
            above.fingerprint: (world.evidence(above, GOOD),),
        }
        tried = Situation(chain, world.at, OFFERED, evidence=evidence)
        for only in Source:
            verdict = decide(tried, replace(HARD_LEAF, sources=frozenset({only})))
            assert verdict.accepted is (only is source), (source, only)


def test_a_fetch_follows_an_unusable_staple_as_it_does_a_missing_one(world: World) -> None:
    chain = world.chain()
    leaf = chain.links[0]
    for stapled in (NOBODY, EXPIRED, UNKNOWN, OTHERS):
        first = decide(situation(world, chain, stapled), SOFT)
        assert (first.outcome, first.wanted) == (Outcome.PENDING, (leaf.fingerprint,))
    for certain in (GOOD, REVOKED):
        assert decide(situation(world, chain, certain), SOFT).outcome is not Outcome.PENDING


# ---------------------------------------------------------------------------------------------------------
# Expect-Staple hosts


def test_a_remembered_host_owes_its_leafs_staple_where_that_is_enforced(world: World) -> None:
    enforcing = replace(SOFT, expect_staple=ExpectStaple.ENFORCE)
    chain = world.chain()
    refused = decide(situation(world, chain, expect_staple=True), enforcing)
    assert codes(refused) == ["expected-staple"]
    assert "Expect-Staple" in refused.headline
    assert refused.certificates[0].obliged
    assert not refused.certificates[1].obliged
    for spared in (
        decide(situation(world, chain, expect_staple=False), enforcing),
        decide(situation(world, chain, expect_staple=True), SOFT),
        decide(replace(situation(world, chain, expect_staple=True), offered=frozenset()), enforcing),
    ):
        assert spared.outcome is Outcome.PENDING
    assert decide(situation(world, chain, GOOD, expect_staple=True), enforcing).accepted


def test_an_unusable_staple_does_not_do_for_a_remembered_host(world: World) -> None:
    enforcing = replace(SOFT, expect_staple=ExpectStaple.ENFORCE)
    for said, why in ((EXPIRED, "expired"), (UNKNOWN, "unknown"), (OTHERS, "other-certificate"), (REVOKED, "revoked")):
        assert codes(decide(situation(world, world.chain(), said, expect_staple=True), enforcing)) == [why]


def test_the_certificates_own_promise_is_named_before_the_hosts(world: World) -> None:
    enforcing = replace(STRICT, expect_staple=ExpectStaple.ENFORCE)
    assert codes(decide(situation(world, world.chain([5]), expect_staple=True), enforcing)) == ["promise-broken"]


def test_no_preset_enforces_the_header() -> None:
    assert {policy.expect_staple for policy in PRESETS.values()} == {ExpectStaple.IGNORE}


def test_an_obligation_asks_for_no_fetch(world: World) -> None:
    """A fetched answer could not keep it, and would tell the CA who is visited."""
    enforcing = replace(preset("hard-fail"), expect_staple=ExpectStaple.ENFORCE)
    chain = world.chain()
    settled = settle(situation(world, chain, expect_staple=True), enforcing, {})
    assert settled.asked == ()


# ---------------------------------------------------------------------------------------------------------
# What lives without revocation


EXCUSING = replace(preset("hard-fail"), no_rev_avail=NoRevAvail.ACCEPT)


@pytest.mark.requirement("RFC9608-4-1")
def test_no_rev_avail_excuses_the_leaf_where_the_policy_says_so(world: World) -> None:
    chain = world.with_extensions(world.chain(), NO_REV_AVAIL)
    excused = decide(situation(world, chain), EXCUSING)
    assert excused.accepted
    assert excused.certificates[0].status is Status.MISSING
    assert notes(excused) == ["no-revocation-available", "no-staple"]
    assert excused.wanted == ()
    assert decide(situation(world, chain), preset("hard-fail")).outcome is Outcome.PENDING
    assert decide(situation(world, world.chain()), EXCUSING).outcome is Outcome.PENDING


@pytest.mark.requirement("RFC9608-4-1")
def test_no_rev_avail_excuses_neither_a_revocation_nor_a_promise_nor_a_ca(world: World) -> None:
    chain = world.with_extensions(world.chain(), NO_REV_AVAIL)
    assert codes(decide(situation(world, chain, REVOKED), EXCUSING)) == ["revoked"]
    promising = world.with_extensions(world.chain(), NO_REV_AVAIL, extension([5]))
    assert codes(decide(situation(world, promising), EXCUSING)) == ["promise-broken"]
    constraints = x509.BasicConstraints(ca=True, path_length=None)
    authority = world.with_extensions(world.chain(), NO_REV_AVAIL, constraints)
    assert decide(situation(world, authority), EXCUSING).outcome is Outcome.PENDING


@pytest.mark.requirement("RFC9608-3-1")
def test_no_rev_avail_beside_an_ocsp_url_excuses_nothing(world: World) -> None:
    where = x509.AuthorityInformationAccess(
        [x509.AccessDescription(x509.AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier("http://a/"))]
    )
    chain = world.with_extensions(world.chain(), NO_REV_AVAIL, where)
    assert decide(situation(world, chain), EXCUSING).outcome is Outcome.PENDING


@pytest.mark.requirement("RFC9608-1-1")
def test_a_short_life_excuses_where_the_policy_says_how_short(world: World) -> None:
    week = world.chain(days=7)  # to the second: from notBefore through notAfter, both included
    shortest = replace(STRICT, short_lived=timedelta(days=7))
    excused = decide(situation(world, week), shortest)
    assert excused.accepted
    assert notes(excused) == ["short-lived", "no-staple"]
    one_second_less = replace(STRICT, short_lived=timedelta(days=7) - timedelta(seconds=1))
    assert codes(decide(situation(world, week), one_second_less)) == ["no-staple"]
    assert codes(decide(situation(world, week), STRICT)) == ["no-staple"]
    assert codes(decide(situation(world, week, REVOKED), shortest)) == ["revoked"]
    assert codes(decide(situation(world, world.chain([5], days=7)), shortest)) == ["promise-broken"]
    assert codes(decide(situation(world, world.chain(days=7, ca=True)), shortest)) == ["no-staple"]


@pytest.mark.requirement("RFC9608-1-1")
def test_a_short_life_of_a_ca_excuses_nobody(world: World) -> None:
    forever = replace(STRICT, short_lived=10_000 * DAY)
    verdict = decide(situation(world, world.chain(), above=NOBODY), forever)
    assert verdict.certificates[0].outcome is Outcome.ACCEPTED
    assert (verdict.certificates[1].outcome, codes(verdict)) == (Outcome.REFUSED, ["no-staple"])


def test_what_stands_above_the_leaf_is_not_excused_though_it_is_no_ca(world: World) -> None:
    odd = world.with_extensions(world.chain(days=7), NO_REV_AVAIL)
    chain = Chain((world.chain().leaf, *odd.certificates))
    evidence = {chain.links[0].fingerprint: (), chain.links[2].fingerprint: (world.evidence(chain.links[2], GOOD),)}
    excusing = replace(STRICT, no_rev_avail=NoRevAvail.ACCEPT, short_lived=7 * DAY, missing=Action.REFUSE)
    verdict = decide(Situation(chain, world.at, OFFERED, OFFERED, "TLSv1.3", evidence=evidence), excusing)
    assert [each.outcome for each in verdict.certificates] == [Outcome.REFUSED, Outcome.REFUSED, Outcome.ACCEPTED]
    assert decide(situation(world, odd), excusing).accepted, "where it is the leaf it is"


def test_an_excuse_stands_for_evidence_that_is_no_good_too(world: World) -> None:
    week = world.chain(days=7)
    excusing = replace(preset("hard-fail"), short_lived=10 * DAY)
    for said in (EXPIRED, UNKNOWN, OTHERS):
        assert decide(situation(world, week, said), excusing).accepted
    settled = settle(situation(world, week), excusing, {})
    assert settled.asked == ()


# ---------------------------------------------------------------------------------------------------------
# TLS Feature lists along the chain


def issue(at: datetime, features: list[int] | None, ca_features: list[int] | None) -> ChainVerdict:
    """What `strict` makes of a well stapled chain with these lists."""
    world = World.at_moment(at, ca_features)
    return decide(situation(world, world.chain(features), GOOD), STRICT)


@pytest.mark.requirement("RFC7633-4.2.2-2")
@pytest.mark.parametrize("reading", Reading)
@pytest.mark.parametrize(
    ("features", "ca_features", "refused_by"),
    [
        ([5], [5], ""),
        ([5, 5], [5], "mozilla"),
        (None, [5], "evidence rfc mozilla gnutls"),
        ([], [5], "evidence rfc mozilla gnutls"),
        ([5], [], "mozilla"),
        (None, [], "mozilla"),
        ([5], [5, 99], "evidence rfc mozilla gnutls"),
    ],
)
def test_how_each_reading_takes_lists_below_lists(
    at: datetime, reading: Reading, features: list[int] | None, ca_features: list[int] | None, refused_by: str
) -> None:
    world = World.at_moment(at, ca_features)
    verdict = decide(situation(world, world.chain(features), GOOD), replace(STRICT, reading=reading))
    refused = reading.value in refused_by.split()
    assert verdict.accepted is not refused
    assert ("feature-not-inherited" in codes(verdict)) is refused


@pytest.mark.requirement("RFC7633-4.2.2-2")
def test_a_list_that_does_not_fit_says_which_certificate_and_what_it_lacks(at: datetime) -> None:
    (reason,) = issue(at, None, [5]).reasons
    assert "lacks [5], which its CA promises for it" in reason.detail
    assert issue(at, [5], [5]).accepted


def test_a_cas_own_list_asks_nothing_of_its_own_certificate(at: datetime) -> None:
    world = World.at_moment(at, [5])
    tried = situation(world, world.chain([5]), GOOD, NOBODY)
    verdict = decide(tried, preset("must-staple"))
    assert verdict.accepted
    assert not verdict.certificates[1].obliged


@pytest.mark.requirement("RFC7633-4.3.3-2")
def test_who_offered_extension_17_alone_is_owed_nothing_by_a_promise_of_5(world: World) -> None:
    tried = situation(world, world.chain([5]))
    alone_17 = replace(tried, offered=frozenset({17}), answered=frozenset(), protocol="TLSv1.2")
    for reading in Reading:
        verdict = decide(alone_17, replace(preset("must-staple"), reading=reading))
        assert not verdict.certificates[0].obliged, reading
    assert decide(tried, preset("must-staple")).certificates[0].obliged


# ---------------------------------------------------------------------------------------------------------
# Presets


def test_each_preset_is_named_and_the_last_is_the_default() -> None:
    assert list(PRESETS) == ["ignore", "soft-fail", "must-staple", "hard-fail", "strict"]
    assert Policy() == PRESETS["strict"]
    for name, policy in PRESETS.items():
        assert policy.name == name
    with pytest.raises(KeyError, match="lax"):
        preset("lax")


VALUES = """
axis                ignore      soft-fail    must-staple  hard-fail        strict
must_staple         ignore      ignore       enforce      enforce          enforce
expect_staple       ignore      ignore       ignore       ignore           ignore
depth               leaf        leaf         leaf         leaf             every
missing             note        note         note         refuse           refuse
unusable            note        note         note         refuse           refuse
unknown             note        note         note         refuse           refuse
revoked             note        refuse       refuse       refuse           refuse
nothing_to_check    note        note         refuse       refuse           refuse
no_rev_avail        ignore      ignore       ignore       ignore           ignore
short_lived         0s          0s           0s           0s               0s
sources             –           staple,ocsp  staple,ocsp  staple,ocsp,crl  staple
reading             evidence    evidence     evidence     evidence         evidence
skew                1m          1m           1m           1m               1m
max_age             10d         10d          10d          10d              10d
weak_signature      allow-sha1  allow-sha1   refuse       refuse           refuse
unchecked_delegate  accept      accept       accept       accept           refuse
no_next_update      by-age      by-age       refuse       refuse           refuse
trusted_responders  –           –            –            –                –
"""


def test_each_value_of_each_preset() -> None:
    (_, *names), *rows = [line.split() for line in VALUES.strip().splitlines()]
    assert names == list(PRESETS)
    assert [key for key, *_ in rows] == list(AXES)
    for key, *wanted in rows:
        values = [axis_value(policy, key) for policy in PRESETS.values()]
        found = [value if isinstance(value, str) else ",".join(value) or "–" for value in values]
        assert found == wanted, key


def test_what_nobody_answers_is_settled_by_every_preset(world: World) -> None:
    chain = world.chain()
    for name, policy in PRESETS.items():
        settled = settle(situation(world, chain), policy, asked_of_nobody(chain, world))
        assert settled.verdict.accepted is (name in {"ignore", "soft-fail", "must-staple"})

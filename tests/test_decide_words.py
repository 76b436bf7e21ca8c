"""What a person reads of a decision: the detail of every reason and note that the decision itself gives."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from policy_world import NO_REV_AVAIL, World

from certtools.chain import Chain
from certtools.feature import OID, Reading
from mustaple.core.decide import Situation, decide
from mustaple.core.policy import Action, Depth, ExpectStaple, MustStaple, NoRevAvail, Policy, preset
from mustaple.core.verdict import ChainVerdict, Code, Outcome, Source, Status

if TYPE_CHECKING:
    from datetime import datetime

FIVE = frozenset({5})
BOTH = frozenset({5, 17})
LEAF = "CN=site.test"
STAPLES = Policy("staples", missing=Action.NOTE, depth=Depth.LEAF)


@pytest.fixture(scope="module")
def world(at: datetime) -> World:
    return World.at_moment(at)


def ruled(chain: Chain, at: datetime, policy: Policy, **said: Any) -> ChainVerdict:
    """The decision where nothing was stapled."""
    facts: dict[str, Any] = {"offered": FIVE, "answered": FIVE, "protocol": "TLSv1.3", "engine": "openssl"}
    return decide(Situation(chain, at, **(facts | said)), policy)


def reasons(verdict: ChainVerdict) -> list[tuple[str, str]]:
    return [(reason.code.value, reason.detail) for reason in verdict.all_reasons]


def notes(verdict: ChainVerdict) -> list[tuple[str, str]]:
    return [(note.code.value, note.detail) for each in verdict.certificates for note in each.notes]


def test_a_promise_that_is_broken_names_who_promised(world: World) -> None:
    verdict = ruled(world.chain([5]), world.at, preset("must-staple"))
    assert reasons(verdict) == [("promise-broken", f"{LEAF} promises a staple, and the server sent none")]


def test_a_staple_that_is_missing_names_for_whom(world: World) -> None:
    said = [
        ("no-staple", f"the server stapled nothing for {LEAF}"),
        ("no-staple", "the server stapled nothing for CN=CA"),
    ]
    assert reasons(ruled(world.chain(), world.at, preset("strict"))) == said
    verdict = ruled(world.chain(), world.at, STAPLES)
    assert (verdict.outcome, notes(verdict)) == (Outcome.ACCEPTED, said[:1])


def test_an_expected_staple_names_the_header_and_only_where_one_was_asked_for(world: World) -> None:
    policy = replace(STAPLES, expect_staple=ExpectStaple.ENFORCE)
    said = f"this host's Expect-Staple header promises a staple for {LEAF}, and it sent none"
    for offered in (FIVE, frozenset({17}), BOTH):
        verdict = ruled(world.chain(), world.at, policy, expect_staple=True, offered=offered)
        assert reasons(verdict) == [("expected-staple", said)], offered
        assert [each.obliged for each in verdict.certificates] == [True, False]
    assert reasons(ruled(world.chain(), world.at, policy, expect_staple=True, offered=frozenset({99}))) == []
    assert reasons(ruled(world.chain(), world.at, policy)) == []
    assert reasons(ruled(world.chain(), world.at, STAPLES, expect_staple=True)) == []
    promised = ruled(world.chain([5]), world.at, policy, expect_staple=True)
    assert [code for code, _ in reasons(promised)] == ["promise-broken"], "what the certificate says comes first"


def test_a_trust_anchor_alone_says_who_cannot_vouch(world: World) -> None:
    verdict = ruled(Chain((world.root.certificate,)), world.at, preset("strict"))
    assert reasons(verdict) == [
        ("nothing-to-check", "CN=root is itself the trust anchor, so no issuer can vouch for it")
    ]
    assert (verdict.checked, verdict.certificates, verdict.wanted) == (False, (), ())


def test_a_list_that_no_reading_can_keep_names_the_reading(world: World) -> None:
    policy = replace(STAPLES, reading=Reading.MOZILLA, must_staple=MustStaple.ENFORCE)
    ((code, said),) = reasons(ruled(world.chain([17]), world.at, policy))
    assert code == "feature-unacceptable"
    assert said.endswith(" (reading mozilla)")
    assert len(said) > 40


def test_the_wrong_carrier_is_the_lowest_that_was_promised(world: World) -> None:
    policy = replace(STAPLES, reading=Reading.RFC)
    said = "the certificate promises extension {}, and the server did not answer it"
    seen = ruled(world.chain([5, 17]), world.at, policy, offered=BOTH, answered=frozenset(), protocol="TLSv1.2")
    assert ("wrong-carrier", said.format(5)) in reasons(seen)
    seen = ruled(world.chain([5, 17]), world.at, policy, offered=BOTH, answered=FIVE, protocol="TLSv1.2")
    assert ("wrong-carrier", said.format(17)) in reasons(seen)
    seen = ruled(world.chain([5, 17]), world.at, policy, offered=BOTH, answered=BOTH, protocol="TLSv1.2")
    assert "wrong-carrier" not in dict(reasons(seen))


def test_a_list_that_cannot_be_read_says_whose_and_why(world: World) -> None:
    broken = world.with_extensions(world.chain(), x509.UnrecognizedExtension(OID, b"\x31\x03\x02\x01\x05"))
    ((code, said),) = reasons(ruled(broken, world.at, STAPLES))
    assert code == "feature-malformed"
    assert said.startswith(f"{LEAF}: ")
    assert len(said) > len(f"{LEAF}: ") + 10
    assert not ruled(broken, world.at, STAPLES).certificates[0].obliged


def test_a_list_that_is_not_inherited_says_whose_and_what_is_missing(at: datetime) -> None:
    world = World.at_moment(at, ca_features=[5])
    ((code, said),) = reasons(ruled(world.chain(), at, STAPLES))
    assert code == "feature-not-inherited"
    assert said.startswith(f"{LEAF} ")
    assert "5" in said
    assert reasons(ruled(world.chain([5]), at, replace(STAPLES, must_staple=MustStaple.IGNORE))) == []


def test_reasons_of_the_chain_stand_beside_those_of_the_connection(at: datetime) -> None:
    world = World.at_moment(at, ca_features=[5])
    before = ruled(world.chain(), at, preset("strict")).all_reasons
    verdict = ruled(world.chain(), at, STAPLES, reasons=before[:1])
    assert [code for code, _ in reasons(verdict)].count("feature-not-inherited") == 2
    assert verdict.reasons[0] in before


def test_what_excuses_a_leaf_is_a_note(world: World) -> None:
    strict = replace(STAPLES, missing=Action.REFUSE)
    chain = world.with_extensions(world.chain(), NO_REV_AVAIL)
    excused = ruled(chain, world.at, replace(strict, no_rev_avail=NoRevAvail.ACCEPT))
    assert (excused.outcome, notes(excused)[0]) == (
        Outcome.ACCEPTED,
        ("no-revocation-available", f"{LEAF} carries noRevAvail"),
    )
    assert ruled(chain, world.at, strict).outcome is Outcome.REFUSED


@pytest.mark.parametrize(("limit", "outcome"), [(7, Outcome.ACCEPTED), (6, Outcome.REFUSED)])
def test_a_short_life_is_counted_with_both_its_seconds(world: World, limit: int, outcome: Outcome) -> None:
    policy = replace(STAPLES, missing=Action.REFUSE, short_lived=timedelta(days=limit))
    verdict = ruled(world.chain(days=7), world.at, policy)
    assert verdict.outcome is outcome
    if verdict.accepted:
        said = ("short-lived", f"{LEAF} lives 7 days, 0:00:00, and up to 7 days, 0:00:00 counts as short")
        assert notes(verdict)[0] == said
        assert notes(verdict)[1:] == [("no-staple", f"the server stapled nothing for {LEAF}")]


def test_a_verdict_carries_what_it_was_about(world: World) -> None:
    chain = world.chain([5])
    verdict = ruled(chain, world.at, preset("must-staple"))
    assert (verdict.policy, verdict.at, verdict.protocol, verdict.engine) == (
        "must-staple",
        world.at,
        "TLSv1.3",
        "openssl",
    )
    assert verdict.wanted == ()
    leaf, above = verdict.certificates
    assert (leaf.link, leaf.obliged, leaf.outcome, leaf.status) == (
        chain.links[0],
        True,
        Outcome.REFUSED,
        Status.MISSING,
    )
    assert (above.link, above.obliged, above.outcome, above.status) == (
        chain.links[1],
        False,
        Outcome.ACCEPTED,
        Status.NOT_CHECKED,
    )
    assert (above.judgement, above.judgements) == (None, ())


def test_who_may_still_be_asked_is_wanted_in_the_order_of_the_chain(world: World) -> None:
    policy = Policy("all", sources=frozenset({Source.STAPLE, Source.OCSP}))
    chain = world.chain()
    verdict = ruled(chain, world.at, policy)
    assert verdict.outcome is Outcome.PENDING
    assert verdict.wanted == tuple(link.fingerprint for link in chain.links)
    assert {each.status for each in verdict.certificates} == {Status.MISSING}
    assert [each.judgements for each in verdict.certificates] == [(), ()]
    assert Code.NO_STAPLE not in {reason.code for reason in verdict.all_reasons}


def test_an_unknown_preset_lists_those_there_are() -> None:
    with pytest.raises(KeyError) as raised:
        preset("stricter")
    assert raised.value.args == (
        "no policy is called 'stricter'; there are ignore, soft-fail, must-staple, hard-fail, strict",
    )
    assert raised.value.__suppress_context__

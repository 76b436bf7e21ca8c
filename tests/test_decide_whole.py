"""A decision in all its fields: what each kind of verdict on a certificate holds; and every certificate has one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from policy_world import EXPIRED, GOOD, NO_REV_AVAIL, NOBODY, REVOKED, UNKNOWN, World

from certtools.forge.ocsp import answer, sign, single
from mustaple.core.decide import Situation, combine, decide
from mustaple.core.ocsp import judge
from mustaple.core.policy import Action, Depth, NoRevAvail, Policy, Rules, UncheckedDelegate, preset
from mustaple.core.verdict import CertVerdict, ChainVerdict, Code, Outcome, Reason, Source, Status

if TYPE_CHECKING:
    from datetime import datetime

    from certtools.chain import Chain
    from mustaple.core.verdict import Judgement

STAPLES = Policy("staples", missing=Action.NOTE, unknown=Action.NOTE, unusable=Action.NOTE, depth=Depth.LEAF)
ASKING = replace(STAPLES, sources=frozenset({Source.STAPLE, Source.OCSP}))
NO_NONCE = Reason(Code.NONCE_MISMATCH, "no nonce came back, so only its times speak against a replay")


@pytest.fixture(scope="module")
def world(at: datetime) -> World:
    return World.at_moment(at)


@pytest.fixture(scope="module")
def noted(world: World) -> tuple[Chain, Judgement]:
    """A chain, and a good staple for its leaf about which there is something to note."""
    chain = world.chain()
    response = sign(answer([single(chain.links[0], world.at)], world.ca), world.ca)
    judgement = judge(response, chain.links[0], world.at, nonce=bytes(32))
    assert (judgement.status, judgement.notes) == (Status.GOOD, (NO_NONCE,))
    return chain, judgement


def leaf_verdict(chain: Chain, policy: Policy, world: World, *judgements: Judgement, **said: Any) -> CertVerdict:
    evidence = {chain.links[0].fingerprint: judgements}
    facts: dict[str, Any] = {"offered": frozenset({5}), "answered": frozenset({5}), "protocol": "TLSv1.3"}
    return decide(Situation(chain, world.at, evidence=evidence, **(facts | said)), policy).certificates[0]


def test_a_good_staple(world: World, noted: tuple[Chain, Judgement]) -> None:
    chain, good = noted
    whole = CertVerdict(
        chain.links[0], obliged=False, outcome=Outcome.ACCEPTED, status=Status.GOOD,
        judgement=good, judgements=(good,), reasons=(), notes=(NO_NONCE,),
    )  # fmt: skip
    assert leaf_verdict(chain, STAPLES, world, good) == whole
    late = world.evidence(chain.links[0], GOOD, Source.OCSP)
    assert leaf_verdict(chain, STAPLES, world, good, late) == whole, "the policy takes no fetched answer"
    assert leaf_verdict(chain, ASKING, world, good, late) == replace(whole, judgements=(good, late))


def test_a_good_answer_that_was_fetched(world: World) -> None:
    chain = world.chain()
    expired = world.evidence(chain.links[0], EXPIRED)
    fetched = world.evidence(chain.links[0], GOOD, Source.OCSP)
    assert leaf_verdict(chain, ASKING, world, expired, fetched) == CertVerdict(
        chain.links[0], obliged=False, outcome=Outcome.ACCEPTED, status=Status.GOOD,
        judgement=fetched, judgements=(expired, fetched), reasons=(), notes=(),
    )  # fmt: skip


def test_a_refusal(world: World) -> None:
    chain = world.chain()
    for said, status in ((EXPIRED, Status.UNUSABLE), (UNKNOWN, Status.UNKNOWN), (REVOKED, Status.REVOKED)):
        staple = world.evidence(chain.links[0], said)
        assert leaf_verdict(chain, preset("strict"), world, staple) == CertVerdict(
            chain.links[0], obliged=False, outcome=Outcome.REFUSED, status=status,
            judgement=staple, judgements=(staple,), reasons=staple.reasons, notes=(),
        )  # fmt: skip


def test_a_refusal_tells_its_notes_too(world: World) -> None:
    chain = world.chain()
    signer = world.ca.ocsp_signer("signer", not_before=world.at, nocheck=False)
    response = sign(answer([single(chain.links[0], world.at, serial_number=1)], signer), signer)
    staple = judge(response, chain.links[0], world.at, Rules(unchecked_delegate=UncheckedDelegate.ACCEPT))
    revoked = sign(answer([single(chain.links[0], world.at, status="revoked")], signer), signer)
    warning = judge(revoked, chain.links[0], world.at, Rules(unchecked_delegate=UncheckedDelegate.ACCEPT))
    assert [note.code for note in warning.notes] == [Code.DELEGATE_UNCHECKED]
    told = leaf_verdict(chain, preset("strict"), world, staple, warning)
    assert told == CertVerdict(
        chain.links[0], obliged=False, outcome=Outcome.REFUSED, status=Status.REVOKED,
        judgement=warning, judgements=(staple, warning), reasons=warning.reasons, notes=warning.notes,
    )  # fmt: skip


def test_a_broken_promise_with_a_staple_that_is_of_no_use(world: World) -> None:
    chain = world.chain([5])
    staple = world.evidence(chain.links[0], EXPIRED)
    fetched = world.evidence(chain.links[0], GOOD, Source.OCSP)
    policy = replace(preset("must-staple"), name="m")
    assert leaf_verdict(chain, policy, world, staple, fetched) == CertVerdict(
        chain.links[0], obliged=True, outcome=Outcome.REFUSED, status=Status.GOOD,
        judgement=fetched, judgements=(staple, fetched), reasons=staple.reasons, notes=(),
    )  # fmt: skip


def test_what_is_pending(world: World) -> None:
    chain = world.chain()
    staple = world.evidence(chain.links[0], EXPIRED)
    assert leaf_verdict(chain, ASKING, world, staple) == CertVerdict(
        chain.links[0], obliged=False, outcome=Outcome.PENDING, status=Status.UNUSABLE,
        judgement=staple, judgements=(staple,),
    )  # fmt: skip
    asked = world.evidence(chain.links[0], NOBODY, Source.OCSP)
    done = leaf_verdict(chain, ASKING, world, staple, asked)
    assert (done.outcome, done.judgement, done.judgements) == (Outcome.ACCEPTED, staple, (staple, asked))


def test_what_is_only_noted(world: World) -> None:
    chain = world.with_extensions(world.chain(), NO_REV_AVAIL)
    staple = world.evidence(chain.links[0], EXPIRED)
    accepted = CertVerdict(
        chain.links[0], obliged=False, outcome=Outcome.ACCEPTED, status=Status.UNUSABLE,
        judgement=staple, judgements=(staple,), reasons=(), notes=staple.reasons,
    )  # fmt: skip
    assert leaf_verdict(chain, STAPLES, world, staple) == accepted
    excusing = replace(STAPLES, no_rev_avail=NoRevAvail.ACCEPT)
    excuse = Reason(Code.NO_REVOCATION_AVAILABLE, "CN=site.test carries noRevAvail")
    assert leaf_verdict(chain, excusing, world, staple) == replace(accepted, notes=(excuse, *staple.reasons))


def test_evidence_under_the_key_of_another_certificate_counts_for_nobody(world: World) -> None:
    chain = world.chain()
    leaf, above = chain.links
    misplaced = decide(
        Situation(chain, world.at, evidence={leaf.fingerprint: [world.evidence(above, GOOD)]}), STAPLES
    ).certificates[0]
    assert (misplaced.status, misplaced.judgements) == (Status.MISSING, ())


@pytest.mark.parametrize(("policy", "checked"), [("must-staple", True), ("ignore", False)])
def test_every_certificate_below_the_anchor_has_a_verdict(world: World, policy: str, checked: bool) -> None:
    middle = world.root.intermediate("upper")
    chain = middle.intermediate("lower").leaf(["site.test"]).as_chain()
    verdict = decide(Situation(chain, world.at), preset(policy))
    assert [each.link for each in verdict.certificates] == list(chain.links)
    assert len(chain.links) == 3
    unasked = verdict.certificates[1 if checked else 0 :]
    assert {(each.status, each.outcome) for each in unasked} == {(Status.NOT_CHECKED, Outcome.ACCEPTED)}
    assert verdict.checked is checked


def test_the_first_of_equals_decides(world: World) -> None:
    chain = world.chain()
    one = world.evidence(chain.links[0], EXPIRED)
    other = world.evidence(chain.links[0], EXPIRED, Source.OCSP)
    assert combine([one, other]) is one
    assert combine([other, one]) is other
    assert combine([]) is None


def test_the_whole_verdict(world: World) -> None:
    chain = world.chain()
    before = (Reason(Code.NAME_MISMATCH, "other.test"),)
    situation = Situation(
        chain, world.at, frozenset({5}), frozenset({5}), "TLSv1.2", "engine",
        {link.fingerprint: [world.evidence(link, GOOD)] for link in chain.links}, before,
    )  # fmt: skip
    verdict = decide(situation, preset("strict"))
    assert verdict == ChainVerdict(
        outcome=Outcome.REFUSED, policy="strict", at=world.at, checked=True, certificates=verdict.certificates,
        reasons=before, wanted=(), protocol="TLSv1.2", engine="engine",
    )  # fmt: skip
    assert [each.outcome for each in verdict.certificates] == [Outcome.ACCEPTED] * 2

"""Tightening a rule for evidence never makes a good, and never lets pass what a looser one refuses."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any, Final

import pytest
from asn1crypto.crl import CertificateList
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from policy_order import RANK
from policy_world import DAY, World

from certtools.forge import Revoked, answer, crl, sign, single
from certtools.forge.ocsp import CertificateStatus
from certtools.forge.signing import sign_bytes
from mustaple.core.crl import judge_crl
from mustaple.core.decide import Situation, decide
from mustaple.core.ocsp import judge
from mustaple.core.policy import Action, Depth, NoNextUpdate, Policy, Rules, UncheckedDelegate, WeakSignature
from mustaple.core.verdict import Judgement, Source, Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from certtools.chain import Chain, Link

HOUR: Final = timedelta(hours=1)
SKEWS: Final = (2 * HOUR, timedelta(minutes=1), timedelta())
AGES: Final = (30 * DAY, 10 * DAY, 3 * DAY)
AXES: Final[dict[str, Sequence[Any]]] = {
    "skew": SKEWS,
    "max_age": AGES,
    "weak_signature": list(WeakSignature),
    "unchecked_delegate": list(UncheckedDelegate),
    "no_next_update": list(NoNextUpdate),
}
GRID: Final = [Rules(**dict(zip(AXES, values, strict=True))) for values in product(*AXES.values())]


@dataclass(frozen=True)
class Piece:
    """One piece of evidence for the link, judged by all rules there are."""

    judged: dict[Rules, Judgement]


@dataclass(frozen=True)
class Evidence:
    """A chain, and pieces of evidence of every kind for its leaf."""

    at: datetime
    chain: Chain
    pieces: list[Piece]


@pytest.fixture(scope="module")
def evidence(at: datetime) -> Evidence:
    world = World.at_moment(at)
    chain = world.chain()
    link = chain.links[0]
    return Evidence(at, chain, [*answers(world, link), *crls(world, link)])


def answers(world: World, link: Link) -> Iterator[Piece]:
    """OCSP responses: each status, signer, hash and age; those of a hold too."""
    at = world.at
    signers = (
        world.ca,
        world.ca.ocsp_signer(not_before=at - DAY),
        world.ca.ocsp_signer(not_before=at - DAY, nocheck=False),
        world.ca.ocsp_signer(not_before=at + HOUR / 2),
    )
    statuses = [(status, None) for status in CertificateStatus]
    statuses.append((CertificateStatus.REVOKED, x509.ReasonFlags.certificate_hold))
    for signer, (status, reason), algorithm, (begins, ends) in product(
        signers, statuses, (None, hashes.SHA1()), times(at)
    ):
        said = single(link, at, status=status, reason=reason, this_update=begins, next_update=ends)
        response = sign(answer([said], signer, signature_hash=algorithm), signer)
        judged = {rules: judge(response, link, at, rules) for rules in GRID}
        yield Piece(judged)


def times(at: datetime) -> Iterator[tuple[datetime, datetime | None]]:
    """When a thing was said and until when it holds: young, old, very old, and from an hour ahead."""
    for begins, ends in product((-20 * DAY, -5 * DAY, -HOUR, HOUR), (None, -HOUR / 2, DAY)):
        if ends is None or begins <= ends:
            yield at + begins, None if ends is None else at + ends


def crls(world: World, link: Link) -> Iterator[Piece]:
    """CRLs: with the certificate on them, on hold there, and not."""
    for entry, (begins, ends) in product((None, "revoked", "hold"), times(world.at)):
        if ends is None:
            continue  # no library writes one without nextUpdate
        reason = x509.ReasonFlags.certificate_hold if entry == "hold" else None
        listed = [] if entry is None else [Revoked(link.serial_number, world.at - DAY, reason)]
        made = crl(world.ca, listed, this_update=begins, next_update=ends, number=1)
        judged = {rules: judge_crl(made, link, world.at, rules, source=Source.STAPLE) for rules in GRID}
        yield Piece(judged)


def steps() -> Iterator[tuple[str, Rules, Rules]]:
    """Each axis, with rules and those that are one step tighter on it."""
    for rules in GRID:
        for axis, values in AXES.items():
            for looser, tighter in pairwise(values):
                if getattr(rules, axis) == looser:
                    yield axis, rules, replace(rules, **{axis: tighter})


STEPS: Final = list(steps())


def test_tighter_rules_make_nothing_better(evidence: Evidence) -> None:
    """What is not good stays so, and a revocation stays one."""
    seen = set()
    for piece, (axis, looser, tighter) in product(evidence.pieces, STEPS):
        before, after = piece.judged[looser].status, piece.judged[tighter].status
        if before is after:
            continue
        seen.add((before, axis))
        assert after is Status.UNUSABLE
        assert before is not Status.REVOKED
    assert {axis for before, axis in seen if before is Status.GOOD} == set(AXES)


def policies() -> Iterator[Policy]:
    """Every answer to what is missing, unusable, unknown and revoked."""
    for values in product(Action, repeat=4):
        actions = dict(zip(("missing", "unusable", "unknown", "revoked"), values, strict=True))
        yield Policy("any", depth=Depth.LEAF, **actions)


def test_tighter_rules_let_nothing_pass_that_looser_ones_refused(evidence: Evidence) -> None:
    for policy in policies():
        ranks = {status: rank(evidence, policy, status) for status in Status if status is not Status.NOT_CHECKED}
        for piece, (axis, looser, tighter) in product(evidence.pieces, STEPS):
            before, after = piece.judged[looser].status, piece.judged[tighter].status
            assert ranks[before] <= ranks[after], (policy, axis, before, after)


def rank(evidence: Evidence, policy: Policy, status: Status) -> int:
    """How a policy ranks a leaf of which one staple says this, and nothing else is known."""
    link = evidence.chain.links[0]
    said = next((each for piece in evidence.pieces for each in piece.judged.values() if each.status is status), None)
    known = {} if said is None else {link.fingerprint: (said,)}
    return RANK[decide(Situation(evidence.chain, evidence.at, evidence=known), policy).outcome]


@pytest.mark.requirement("RFC6960-2.2-3")
def test_who_doubts_a_good_still_heeds_a_warning(at: datetime) -> None:
    """The strictest rules believe a revocation that only looser ones would believe if it said good."""
    world = World.at_moment(at)
    link = world.chain().links[0]
    unchecked = world.ca.ocsp_signer(not_before=at - DAY, nocheck=False)
    for signer, algorithm, ends in (
        (world.ca, hashes.SHA1(), at + DAY),
        (unchecked, None, at + DAY),
        (world.ca, None, None),
    ):
        for status, expected in (
            (CertificateStatus.REVOKED, Status.REVOKED),
            (CertificateStatus.GOOD, Status.UNUSABLE),
        ):
            said = single(link, at, status=status, next_update=ends)
            response = sign(answer([said], signer, signature_hash=algorithm), signer)
            assert judge(response, link, at).status is expected


@pytest.mark.requirement("RFC6960-2.2-3")
@pytest.mark.parametrize(
    ("bits", "algorithm", "expected"),
    [
        (2048, hashes.SHA1(), Status.REVOKED),
        (2048, hashes.MD5(), Status.UNUSABLE),
        (1024, hashes.SHA1(), Status.UNUSABLE),
    ],
    ids=["sha-1", "md5", "a short key"],
)
def test_what_no_policy_believes_is_no_warning(
    at: datetime, bits: int, algorithm: hashes.HashAlgorithm, expected: Status
) -> None:
    key = rsa.generate_private_key(65537, bits)
    whole = World.at_moment(at)
    world = World(at, whole.root, whole.root.intermediate("RSA CA", key=key))
    link = world.chain().links[0]
    said = single(link, at, status=CertificateStatus.REVOKED)
    assert judge(sign(answer([said], world.ca, signature_hash=algorithm), world.ca), link, at).status is expected
    listed = [Revoked(link.serial_number, at - DAY)]
    honest = crl(world.ca, listed, this_update=at - HOUR, next_update=at + DAY, number=1)
    assert judge_crl(resigned(honest, key, algorithm), link, at).status is expected


def resigned(honest: bytes, key: rsa.RSAPrivateKey, algorithm: hashes.HashAlgorithm) -> bytes:
    """The same CRL, signed with another hash."""
    whole = CertificateList.load(honest)
    identifier, _ = sign_bytes(b"", key, algorithm)
    whole["tbs_cert_list"]["signature"] = whole["signature_algorithm"] = identifier
    whole["signature"] = sign_bytes(whole["tbs_cert_list"].dump(force=True), key, algorithm)[1]
    made: bytes = whole.dump(force=True)
    return made

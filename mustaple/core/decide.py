"""Decide a connection: what a policy makes of a chain and all the evidence there is for it, as a pure function."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from certtools.chain import is_authority, name_of
from certtools.extensions import has_no_rev_avail
from certtools.feature import Demand, Feature, FeatureError, demand, inheritance_fault
from mustaple.core.policy import Action, Depth, ExpectStaple, MustStaple, NoRevAvail, Policy
from mustaple.core.verdict import (
    CertVerdict,
    ChainVerdict,
    Code,
    Judgement,
    Outcome,
    Reason,
    Source,
    Status,
    by_rank,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from certtools.chain import Chain, Link

# How the pieces of evidence for one certificate combine: the first status present decides.
_PRECEDENCE: Final = {
    status: place
    for place, status in enumerate(
        (Status.REVOKED, Status.GOOD, Status.UNKNOWN, Status.UNUSABLE, Status.MISSING, Status.NOT_CHECKED)
    )
}
_SETTLED: Final = frozenset({Status.REVOKED, Status.GOOD})
_NO_EVIDENCE: Final[Mapping[bytes, Sequence[Judgement]]] = MappingProxyType({})
_NO_DEMAND: Final = Demand()
_STATUS_REQUESTS: Final = frozenset({int(Feature.STATUS_REQUEST), int(Feature.STATUS_REQUEST_V2)})
_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a client knows when it decides.

    `chain` is the path that was verified, leaf first, its trust anchor last. `offered` and `answered` are
    TLS extension numbers (5, 17) of ClientHello and server. `evidence` holds the judgements by the SHA-256
    fingerprint of the certificate they speak of. `reasons` are those for which the connection is refused
    already. `at` is aware UTC. `expect_staple` says that the host is remembered as an Expect-Staple host.
    """

    chain: Chain
    at: datetime
    offered: frozenset[int] = frozenset()
    answered: frozenset[int] = frozenset()
    protocol: str | None = None
    engine: str | None = None
    evidence: Mapping[bytes, Sequence[Judgement]] = field(default_factory=lambda: _NO_EVIDENCE)
    reasons: tuple[Reason, ...] = ()
    expect_staple: bool = False


def decide(situation: Situation, policy: Policy) -> ChainVerdict:
    """The verdict of this policy on this situation.

    PENDING means that no refusal is certain yet and that evidence for the fingerprints in `wanted` may still be
    asked for: call again with a judgement of that source, "missing" where nobody answered. (RFC 7633 §4.3.3 for
    the promise, RFC 6960 §2.2 for the statuses, DESIGN §4 for the rest.)
    """
    chain = situation.chain
    reasons, asked = _feature_reasons(situation, policy)
    leaf_owes = Code.PROMISE_BROKEN if asked.leaf else None
    chain_owes = Code.PROMISE_BROKEN if asked.chain else None
    if situation.expect_staple and leaf_owes is None and policy.expect_staple is ExpectStaple.ENFORCE:
        leaf_owes = None if _STATUS_REQUESTS.isdisjoint(situation.offered) else Code.EXPECTED_STAPLE
    if not chain.links and policy.nothing_to_check is Action.REFUSE:
        said = f"{name_of(chain.leaf)} is itself the trust anchor, so no issuer can vouch for it"
        reasons = (*reasons, Reason(Code.NOTHING_TO_CHECK, said))
    certificates = []
    wanted = []
    refused, checked = bool(reasons), False
    for position, link in enumerate(chain.links):
        owed = chain_owes if position else leaf_owes
        if owed is None and (not policy.looks_at_evidence or (position and policy.depth is Depth.LEAF)):
            certificates.append(
                CertVerdict(
                    link,
                    obliged=False,
                    outcome=Outcome.ACCEPTED,
                    status=Status.NOT_CHECKED,
                    judgement=None,
                    judgements=(),
                )
            )
            continue
        verdict = _decide_link(link, situation, policy, owed)
        checked = True
        refused = refused or verdict.outcome is Outcome.REFUSED
        if verdict.outcome is Outcome.PENDING:
            wanted.append(link.fingerprint)
        certificates.append(verdict)
    return ChainVerdict(
        outcome=Outcome.REFUSED if refused else Outcome.PENDING if wanted else Outcome.ACCEPTED,
        policy=policy.name,
        at=situation.at,
        checked=checked,
        certificates=tuple(certificates),
        reasons=by_rank(reasons),
        wanted=() if refused else tuple(wanted),
        protocol=situation.protocol,
        engine=situation.engine,
    )


def _feature_reasons(situation: Situation, policy: Policy) -> tuple[tuple[Reason, ...], Demand]:
    """Refusals that the TLS Feature lists alone bring, and what the leaf's list demands (RFC 7633 §4.2, §4.3.3)."""
    reasons = situation.reasons
    features = situation.chain.features
    if policy.must_staple is MustStaple.IGNORE:
        return reasons, _NO_DEMAND
    if features[1:].count(None) != len(features) - 1 or isinstance(features[0], FeatureError):
        reasons, features = _feature_faults(situation.chain, policy)
        reasons = situation.reasons + reasons
    own = features[0]
    if own is None or isinstance(own, FeatureError):
        return reasons, _NO_DEMAND
    asked = demand(own, reading=policy.reading, offered=situation.offered, tls13=situation.protocol == "TLSv1.3")
    if asked.unacceptable:
        refused = Reason(Code.FEATURE_UNACCEPTABLE, f"{asked.unacceptable} (reading {policy.reading.value})")
        reasons = (*reasons, refused)
    if asked.carriers - situation.answered:
        number = min(asked.carriers - situation.answered)
        said = f"the certificate promises extension {number}, and the server did not answer it"
        reasons = (*reasons, Reason(Code.WRONG_CARRIER, said))
    return reasons, asked


def _feature_faults(chain: Chain, policy: Policy) -> tuple[tuple[Reason, ...], tuple[tuple[int, ...] | None, ...]]:
    """Lists that are malformed, or lack what the issuer's holds; and the lists, with None for a malformed one."""
    reasons = []
    lists: list[tuple[int, ...] | None] = []
    for certificate, features in zip(chain.certificates, chain.features, strict=True):
        if isinstance(features, FeatureError):
            reasons.append(Reason(Code.FEATURE_MALFORMED, f"{name_of(certificate)}: {features}"))
            lists.append(None)
        else:
            lists.append(features)
    for link, own, above in zip(chain.links, lists, lists[1:], strict=False):
        fault = inheritance_fault(above, own, policy.reading)
        if fault is not None:
            reasons.append(Reason(Code.FEATURE_NOT_INHERITED, f"{name_of(link.subject)} {fault}"))
    return tuple(reasons), tuple(lists)


def _decide_link(link: Link, situation: Situation, policy: Policy, owed: Code | None) -> CertVerdict:
    """The verdict on one certificate; `owed` is the reason for which a staple that is not good refuses it, if any."""
    fingerprint = link.fingerprint
    judgements = tuple(
        [
            judgement
            for judgement in situation.evidence.get(fingerprint, ())
            if judgement.source in policy.sources and judgement.fingerprint == fingerprint
        ]
    )
    decisive = combine(judgements)
    obliged = owed is not None
    if decisive is not None and decisive.status is Status.GOOD and decisive.source is Source.STAPLE:
        # Nothing asks for more than this, so the rest need not be looked at.
        return CertVerdict(link, obliged, Outcome.ACCEPTED, Status.GOOD, decisive, judgements, (), decisive.notes)
    staple = combine([each for each in judgements if each.source is Source.STAPLE]) if obliged else None
    status = Status.MISSING if decisive is None else decisive.status
    # What is owed is a staple: no other source keeps the promise in its place, and nothing excuses from it.
    broken = obliged and (staple is None or staple.status is not Status.GOOD)
    excuses: tuple[Reason, ...] = ()
    if status is Status.REVOKED:
        refuse = broken or policy.revoked is Action.REFUSE
    elif status is Status.GOOD or broken:
        refuse = broken
    elif link is situation.chain.links[0] and (excuses := _excuses(link, policy)):
        refuse = False
    elif policy.sources - {Source.STAPLE} - {each.source for each in judgements}:
        return CertVerdict(link, obliged, Outcome.PENDING, status, decisive, judgements)
    else:
        refuse = _refuses(status, policy)
    why = _unpaid(link, owed, staple) if owed and broken and status is not Status.REVOKED else _why(link, decisive)
    notes = decisive.notes if decisive is not None else ()
    if refuse:
        return CertVerdict(link, obliged, Outcome.REFUSED, status, decisive, judgements, why, notes)
    return CertVerdict(link, obliged, Outcome.ACCEPTED, status, decisive, judgements, (), excuses + why + notes)


def combine(judgements: Sequence[Judgement]) -> Judgement | None:
    """The judgement that decides for one certificate: authentic revoked, good, unknown, unusable, missing."""
    if len(judgements) == 1:
        return judgements[0]
    return min(judgements, key=lambda judgement: _PRECEDENCE[judgement.status], default=None)


def _excuses(link: Link, policy: Policy) -> tuple[Reason, ...]:
    """What the policy lets excuse this leaf from having evidence (RFC 9608 §4); nothing excuses a CA."""
    leaf = link.subject
    excuses = []
    if policy.no_rev_avail is NoRevAvail.ACCEPT and has_no_rev_avail(leaf):
        excuses.append(Reason(Code.NO_REVOCATION_AVAILABLE, f"{name_of(leaf)} carries noRevAvail"))
    if policy.short_lived:
        # From notBefore through notAfter, both seconds included (RFC 5280 §4.1.2.5).
        validity = leaf.not_valid_after_utc - leaf.not_valid_before_utc + _SECOND
        if validity <= policy.short_lived and not is_authority(leaf):
            said = f"{name_of(leaf)} lives {validity}, and up to {policy.short_lived} counts as short"
            excuses.append(Reason(Code.SHORT_LIVED, said))
    return tuple(excuses)


def _refuses(status: Status, policy: Policy) -> bool:
    if status is Status.UNKNOWN:
        return policy.unknown is Action.REFUSE
    if status is Status.UNUSABLE:  # which says even less than "unknown"
        return policy.unusable is Action.REFUSE or policy.unknown is Action.REFUSE
    return policy.missing is Action.REFUSE


def _unpaid(link: Link, owed: Code, staple: Judgement | None) -> tuple[Reason, ...]:
    """Why what is owed was not given: what is wrong with the staple, or that there is none."""
    if staple is not None and staple.status is not Status.MISSING:
        return staple.reasons
    name = name_of(link.subject)
    if owed is Code.EXPECTED_STAPLE:
        return (Reason(owed, f"this host's Expect-Staple header promises a staple for {name}, and it sent none"),)
    return (Reason(owed, f"{name} promises a staple, and the server sent none"),)


def _why(link: Link, decisive: Judgement | None) -> tuple[Reason, ...]:
    if decisive is None:
        return (Reason(Code.NO_STAPLE, f"the server stapled nothing for {name_of(link.subject)}"),)
    return decisive.reasons

"""What each kind of client does with each state of the evidence: asked of `decide()`, on real responses and CRLs."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from certtools.authority import Authority
from certtools.forge import Revoked, crl
from certtools.forge.ocsp import CertificateStatus, answer, sign, single
from mustaple.core.crl import judge_crl
from mustaple.core.decide import Situation, decide
from mustaple.core.ocsp import judge
from mustaple.core.policy import PRESETS, Policy
from mustaple.core.verdict import Code, Judgement, Outcome, Reason, Source, Status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from certtools.chain import Chain, Link
    from mustaple.core.policy import Rules

SHORT_LIFE: Final = timedelta(days=7)
CRL_ONLY: Final = "crl"
PUSHED: Final = "pushed-filter"
SHORT_LIVED: Final = "short-lived"
_AT: Final = datetime(2026, 6, 1, 12, tzinfo=UTC)
_DAY: Final = timedelta(days=1)

# The presets as they are, and what might take the place of OCSP as policies over the same axes: a client that looks at
# nothing but CRLs; one to which the browser's maker pushes all that is revoked, which is a CRL that nobody has to ask
# for; and a hard-failer that takes a leaf of seven days without any evidence (RFC 9608 §4, CA/B BR "short-lived").
CLIENTS: Final[Mapping[str, Policy]] = MappingProxyType(
    {
        **PRESETS,
        CRL_ONLY: replace(PRESETS["hard-fail"], name=CRL_ONLY, sources=frozenset({Source.CRL})),
        PUSHED: replace(PRESETS["soft-fail"], name=PUSHED, sources=frozenset({Source.CRL})),
        SHORT_LIVED: replace(PRESETS["hard-fail"], name=SHORT_LIVED, short_lived=SHORT_LIFE),
    }
)


class Said(enum.StrEnum):
    """What a source says of a certificate; the last is no answer at all."""

    GOOD = "good"
    REVOKED = "revoked"
    EXPIRED = "expired"
    NOBODY = "nobody"


class Leaf(enum.StrEnum):
    """The leaf that the server shows."""

    PROMISING = "promising"
    SILENT = "silent"
    SHORT = "short"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a client can learn in one connection: two staples, and what the CA's responder and CRL say of the leaf.

    Nobody answers for the intermediate but the staple: no policy here asks on for it.
    """

    leaf: Leaf = Leaf.PROMISING
    staple: Said = Said.NOBODY
    ca_staple: Said = Said.NOBODY
    ocsp: Said = Said.NOBODY
    crl: Said = Said.NOBODY


@dataclass(frozen=True, slots=True)
class Done:
    """What the client did: accept or refuse, and which sources it asked on the way."""

    accepted: bool
    asked: frozenset[Source]


@cache
def outcome(policy: Policy, evidence: Evidence) -> Done:
    """What a client of this policy does, all its requests included, as the strict client's own rules have it."""
    return _bench().settle(policy, evidence)


class _Bench:
    """A small PKI at one moment, with every answer that a source may give, judged by the real judges."""

    def __init__(self) -> None:
        begin, end = _AT - 30 * _DAY, _AT + 60 * _DAY
        self._root = Authority.root("simulated root", not_before=begin, not_after=end)
        self._ca = self._root.intermediate("simulated CA")
        spans = {Leaf.SHORT: (_AT - 3 * _DAY, _AT - 3 * _DAY + SHORT_LIFE - timedelta(seconds=1))}
        self._chains: dict[Leaf, Chain] = {}
        for kind in Leaf:
            features = (5,) if kind is Leaf.PROMISING else None
            since, until = spans.get(kind, (begin, end))
            leaf = self._ca.leaf(["site.test"], features=features, not_before=since, not_after=until)
            self._chains[kind] = leaf.as_chain()
        self._judged: dict[object, Judgement] = {}

    def settle(self, policy: Policy, evidence: Evidence) -> Done:
        chain = self._chains[evidence.leaf]
        leaf, ca = chain.links[0], chain.links[1]
        known = {link.fingerprint: () for link in chain.links} | (
            {
                link.fingerprint: (self._judgement(link, said, Source.STAPLE, policy.rules),)
                for link, said in ((leaf, evidence.staple), (ca, evidence.ca_staple))
                if said is not Said.NOBODY
            }
        )
        offered = frozenset({5}) if policy.asks_for_staples else frozenset[int]()
        # OpenSSL ends the handshake over an expired certificate before any policy is asked.
        reasons = (Reason(Code.PATH_INVALID, "expired"),) if evidence.leaf is Leaf.EXPIRED else ()
        situation = Situation(
            chain,
            _AT,
            offered=offered,
            answered=offered if evidence.staple is not Said.NOBODY else frozenset(),
            protocol="TLSv1.3",
            evidence=known,
            reasons=reasons,
        )
        verdict = decide(situation, policy)
        asked: set[Source] = set()
        for source, said in ((Source.OCSP, evidence.ocsp), (Source.CRL, evidence.crl)):
            if verdict.outcome is not Outcome.PENDING or source not in policy.sources:
                continue
            asked.add(source)
            more = dict(situation.evidence)
            for link in chain.links:
                if link.fingerprint in verdict.wanted:
                    found = self._judgement(link, said, source, policy.rules)
                    more[link.fingerprint] = (*more[link.fingerprint], found)
            situation = replace(situation, evidence=more)
            verdict = decide(situation, policy)
        return Done(verdict.accepted, frozenset(asked))

    def _judgement(self, link: Link, said: Said, source: Source, rules: Rules) -> Judgement:
        key = (link.fingerprint, said, source, rules)
        if key not in self._judged:
            self._judged[key] = self._judge(link, said, source, rules)
        return self._judged[key]

    def _judge(self, link: Link, said: Said, source: Source, rules: Rules) -> Judgement:
        if said is Said.NOBODY:
            reason = Reason(Code.UNREACHABLE, "nobody answers")
            return Judgement(Status.MISSING, source, "simulated", link.fingerprint, (reason,))
        signer = self._ca if link.issuer == self._ca.certificate else self._root
        since = _AT - (8 * _DAY if said is Said.EXPIRED else timedelta(hours=1))
        until = since + 7 * _DAY
        if source is Source.CRL:
            listed = [Revoked(link.serial_number, _AT - _DAY)] if said is Said.REVOKED else []
            data = crl(signer, listed, this_update=since, next_update=until, number=1)
            return judge_crl(data, link, _AT, rules)
        status = CertificateStatus.REVOKED if said is Said.REVOKED else CertificateStatus.GOOD
        one = single(link, _AT, status=status, this_update=since, next_update=until)
        return judge(sign(answer([one], signer), signer), link, _AT, rules, source=source)


@cache
def _bench() -> _Bench:
    return _Bench()

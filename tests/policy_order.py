"""The order of each axis, the product of all policies, and many situations: what the order of policies is tried on."""

from __future__ import annotations

import operator
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import combinations, pairwise, product
from typing import TYPE_CHECKING, Any, Final

from policy_world import DAY, EXPIRED, GOOD, NO_REV_AVAIL, NOBODY, OTHERS, REVOKED, UNKNOWN, World

from certtools.authority import Authority
from certtools.chain import Chain
from certtools.feature import OID, Reading, extension
from mustaple.core.decide import Situation, decide
from mustaple.core.policy import Action, Depth, ExpectStaple, MustStaple, NoRevAvail, Policy
from mustaple.core.verdict import Outcome, Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cryptography import x509

    from mustaple.core.verdict import Judgement

# Every ordered axis of `Policy`, loosest first. For a span of time, shorter is tighter.
ORDERED: Final[dict[str, Sequence[Any]]] = {
    "must_staple": list(MustStaple),
    "expect_staple": list(ExpectStaple),
    "depth": list(Depth),
    "missing": list(Action),
    "unusable": list(Action),
    "unknown": list(Action),
    "revoked": list(Action),
    "nothing_to_check": list(Action),
    "no_rev_avail": list(NoRevAvail),
    "short_lived": [10 * DAY, timedelta()],
}
UNORDERED: Final[dict[str, Sequence[Any]]] = {
    "sources": [frozenset(some) for size in range(4) for some in combinations(Source, size)],
    "reading": list(Reading),
}
RANK: Final = {Outcome.ACCEPTED: 0, Outcome.PENDING: 1, Outcome.REFUSED: 2}


def all_policies(without: Iterable[str] = ()) -> list[Policy]:
    """Every policy there is, but for the rules of evidence; the last axis of `ORDERED` and `UNORDERED` turns first."""
    axes = {**ORDERED, **UNORDERED, **{name: [getattr(Policy(), name)] for name in without}}
    return [Policy("any", **dict(zip(axes, values, strict=True))) for values in product(*axes.values())]


def violations(outcomes: bytes, without: Iterable[str] = ()) -> Iterator[tuple[str, int, int]]:
    """Where tightening an axis loosened the outcome: the axis, and the places of the two policies in `all_policies`.

    `outcomes` are the ranks of the outcomes of all policies in one situation.
    """
    left_out = set(without)
    sizes = {name: 1 if name in left_out else len(values) for name, values in {**ORDERED, **UNORDERED}.items()}
    stride = len(outcomes)
    for name, size in sizes.items():
        stride //= size
        if name in UNORDERED or size == 1:
            continue
        for start in range(0, len(outcomes), stride * size):
            for value in range(size - 1):
                begin = start + value * stride
                looser, tighter = outcomes[begin : begin + stride], outcomes[begin + stride : begin + 2 * stride]
                if not all(map(operator.le, looser, tighter)):
                    place = next(at for at in range(stride) if looser[at] > tighter[at])
                    yield name, begin + place, begin + stride + place


def outcome(situation: Situation, policy: Policy) -> int:
    """The rank of the outcome: 0 accepted, 1 pending, 2 refused."""
    return RANK[decide(situation, policy).outcome]


def neighbours(policy: Policy) -> Iterator[tuple[str, Policy, Policy]]:
    """For each ordered axis and each two values beside each other: the axis, the looser policy and the tighter one."""
    for name, values in ORDERED.items():
        for looser, tighter in pairwise(values):
            yield name, replace(policy, **{name: looser}), replace(policy, **{name: tighter})


@dataclass(frozen=True)
class Handshake:
    """A chain, and what client and server said of stapling in the handshake."""

    chain: Chain
    offered: frozenset[int]
    answered: frozenset[int]
    protocol: str


LEAF_STAPLES: Final = (None, GOOD, EXPIRED, UNKNOWN, REVOKED, OTHERS)
LEAF_OCSP: Final = (None, NOBODY, GOOD, EXPIRED, UNKNOWN, REVOKED)
LEAF_CRL: Final = (None, NOBODY, GOOD, REVOKED)
CA_SAID: Final = ((None, None, None), (GOOD, None, None), (REVOKED, None, None), (UNKNOWN, NOBODY, NOBODY))


def handshakes(world: World) -> list[Handshake]:
    """Each kind of feature list, read and unread, and what is short-lived or says noRevAvail."""
    five, both, seventeen = frozenset({5}), frozenset({5, 17}), frozenset({17})
    nothing: frozenset[int] = frozenset()
    silent, new, old = world.chain(), "TLSv1.3", "TLSv1.2"
    below = World(world.at, world.root, world.root.intermediate("demanding CA", features=[5]))
    malformed = x509_extension(b"\x31\x03\x02\x01\x05")
    return [
        Handshake(silent, five, five, new),
        Handshake(silent, nothing, nothing, new),
        Handshake(world.chain([5]), five, five, new),
        Handshake(world.chain([5]), nothing, nothing, new),
        Handshake(world.chain([5]), both, seventeen, old),
        Handshake(world.chain([17]), five, five, new),
        Handshake(world.chain([17]), both, seventeen, old),
        Handshake(world.chain([5, 17]), five, five, old),
        Handshake(world.chain([]), five, five, new),
        Handshake(world.chain([99]), five, nothing, new),
        Handshake(world.with_extensions(silent, malformed), five, five, new),
        Handshake(below.chain(), five, five, new),
        Handshake(below.chain([5]), five, five, new),
        Handshake(world.chain(days=7), five, five, new),
        Handshake(world.chain([5], days=7), five, five, new),
        Handshake(world.with_extensions(silent, NO_REV_AVAIL), five, five, new),
        Handshake(world.with_extensions(silent, NO_REV_AVAIL, extension([5])), five, five, new),
    ]


def x509_extension(der: bytes) -> x509.ExtensionType:
    from cryptography.x509 import UnrecognizedExtension

    return UnrecognizedExtension(OID, der)


def situations(world: World) -> list[Situation]:
    """Each handshake with all that may be said of its two certificates, for a host that is remembered and one not."""
    found = []
    for shaken in handshakes(world):
        leaf, above = shaken.chain.links
        own = [_said(world, leaf, *said) for said in product(LEAF_STAPLES, LEAF_OCSP, LEAF_CRL)]
        of_ca = [_said(world, above, *said) for said in CA_SAID]
        for ours, theirs, remembered in product(own, of_ca, (False, True)):
            evidence = {leaf.fingerprint: ours, above.fingerprint: theirs}
            found.append(
                Situation(
                    shaken.chain,
                    world.at,
                    shaken.offered,
                    shaken.answered,
                    shaken.protocol,
                    evidence=evidence,
                    expect_staple=remembered,
                )
            )
    return found


def alone(at: Any) -> Situation:
    """A leaf that is itself the trust anchor."""
    root = Authority.root("alone", not_before=at - DAY, not_after=at + DAY)
    return Situation(Chain((root.certificate,)), at, frozenset({5}), protocol="TLSv1.3")


def _said(world: World, link: Any, *said: str | None) -> tuple[Judgement, ...]:
    pairs = zip(said, (Source.STAPLE, Source.OCSP, Source.CRL), strict=True)
    return tuple(world.evidence(link, what, source) for what, source in pairs if what is not None)

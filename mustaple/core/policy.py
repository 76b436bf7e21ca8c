"""What a client demands: one enum per axis with closed defaults, the presets, and `decide()`, a pure function."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from certtools.feature import Reading
from mustaple.core.errors import InputError
from mustaple.core.verdict import Source

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography import x509


class Axis(enum.StrEnum):
    """An axis of the policy that has an order: its values are written from the loosest to the tightest.

    Tightening an axis never turns a refusal into an acceptance (tests/test_policy_order.py); for a span of time,
    shorter is tighter. `sources`, `trusted_responders` and `reading` have no such order: another source or signer may
    say "good" or "revoked", and no reading asks for all that another does. `mustaple.core.axes` says it in words.
    """

    @property
    def tightness(self) -> int:
        """The value's place in its axis; 0 is the loosest."""
        return list(type(self)).index(self)


class MustStaple(Axis):
    """Whether a TLS Feature promise binds the client (RFC 7633 §4.3.3)."""

    IGNORE = "ignore"
    ENFORCE = "enforce"


class ExpectStaple(Axis):
    """Whether a host remembered for its Expect-Staple header must staple its leaf as if the leaf promised it."""

    IGNORE = "ignore"
    ENFORCE = "enforce"


class Depth(Axis):
    """Which certificates are asked about: every one below the trust anchor, or the leaf."""

    LEAF = "leaf"
    EVERY = "every"


class Action(Axis):
    """What to do about a status that is not good."""

    NOTE = "note"
    REFUSE = "refuse"


class NoRevAvail(Axis):
    """Whether id-ce-noRevAvail in the leaf excuses it from having evidence (RFC 9608 §4)."""

    ACCEPT = "accept"
    IGNORE = "ignore"


class WeakSignature(Axis):
    """Whether evidence signed with SHA-1 may serve. MD5 never does."""

    ALLOW_SHA1 = "allow-sha1"
    REFUSE = "refuse"


class UncheckedDelegate(Axis):
    """A delegated signer without id-pkix-ocsp-nocheck, whose own revocation nobody proved (RFC 6960 §4.2.2.2.1)."""

    ACCEPT = "accept"
    REFUSE = "refuse"


class NoNextUpdate(Axis):
    """An answer that names no nextUpdate: RFC 9919 refuses it; RFC 6960 §2.4 lets it stand while it is young."""

    BY_AGE = "by-age"
    REFUSE = "refuse"


# No clock that is kept at all is further off. A hold stands for so long past its nextUpdate, whatever skew is allowed,
# so that a policy with less of it does not let pass what one with more refuses.
MAX_SKEW: Final = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class Rules:
    """How one piece of evidence is judged, whatever the policy then makes of it.

    `skew` is how far the responder's clock may be off, in both directions. `max_age` is how long after thisUpdate
    an answer may serve, whatever its nextUpdate says. `trusted_responders` are certificates whose signature the
    operator accepts for every issuer (RFC 6960 §4.2.2.2, "local configuration").

    Raises InputError for a skew above MAX_SKEW.
    """

    skew: timedelta = timedelta(seconds=60)
    max_age: timedelta = timedelta(days=10)
    weak_signature: WeakSignature = WeakSignature.REFUSE
    unchecked_delegate: UncheckedDelegate = UncheckedDelegate.REFUSE
    no_next_update: NoNextUpdate = NoNextUpdate.REFUSE
    trusted_responders: tuple[x509.Certificate, ...] = ()

    def __post_init__(self) -> None:
        if self.skew > MAX_SKEW:
            raise InputError(f"a skew of {self.skew} is more than {MAX_SKEW}, and no clock that is kept is so far off")


@dataclass(frozen=True, slots=True)
class Policy:
    """One value per axis; each default is the closed one. `name` is what reports call it.

    `expect_staple` alone is off by default: the header is no standard that demands it, and whoever wants it says so.
    `short_lived` excuses a leaf whose whole validity is no longer (CA/B BR: 10 days, 7 from 2026-03-15); zero is off.
    """

    name: str = "strict"
    must_staple: MustStaple = MustStaple.ENFORCE
    expect_staple: ExpectStaple = ExpectStaple.IGNORE
    depth: Depth = Depth.EVERY
    missing: Action = Action.REFUSE
    unusable: Action = Action.REFUSE
    unknown: Action = Action.REFUSE
    revoked: Action = Action.REFUSE
    nothing_to_check: Action = Action.REFUSE
    no_rev_avail: NoRevAvail = NoRevAvail.IGNORE
    short_lived: timedelta = timedelta()
    sources: frozenset[Source] = frozenset({Source.STAPLE})
    reading: Reading = Reading.EVIDENCE
    rules: Rules = field(default_factory=Rules)

    @property
    def asks_for_staples(self) -> bool:
        """Whether the ClientHello offers status_request at all."""
        return Source.STAPLE in self.sources

    @property
    def looks_at_evidence(self) -> bool:
        """Whether the policy asks for evidence at all; `ignore` does not, and one without sources may still miss it."""
        return bool(self.sources) or self.missing is Action.REFUSE


_BROWSER_RULES: Final = Rules(
    weak_signature=WeakSignature.ALLOW_SHA1,
    unchecked_delegate=UncheckedDelegate.ACCEPT,
    no_next_update=NoNextUpdate.BY_AGE,
)
_OPEN_DELEGATE: Final = Rules(unchecked_delegate=UncheckedDelegate.ACCEPT)

PRESETS: Final[Mapping[str, Policy]] = MappingProxyType(
    {
        policy.name: policy
        for policy in (
            Policy(
                "ignore",
                must_staple=MustStaple.IGNORE,
                depth=Depth.LEAF,
                missing=Action.NOTE,
                unusable=Action.NOTE,
                unknown=Action.NOTE,
                revoked=Action.NOTE,
                nothing_to_check=Action.NOTE,
                sources=frozenset(),
                rules=_BROWSER_RULES,
            ),
            Policy(
                "soft-fail",
                must_staple=MustStaple.IGNORE,
                depth=Depth.LEAF,
                missing=Action.NOTE,
                unusable=Action.NOTE,
                unknown=Action.NOTE,
                nothing_to_check=Action.NOTE,
                sources=frozenset({Source.STAPLE, Source.OCSP}),
                rules=_BROWSER_RULES,
            ),
            Policy(
                "must-staple",
                depth=Depth.LEAF,
                missing=Action.NOTE,
                unusable=Action.NOTE,
                unknown=Action.NOTE,
                sources=frozenset({Source.STAPLE, Source.OCSP}),
                rules=_OPEN_DELEGATE,
            ),
            Policy(
                "hard-fail",
                depth=Depth.LEAF,
                sources=frozenset({Source.STAPLE, Source.OCSP, Source.CRL}),
                rules=_OPEN_DELEGATE,
            ),
            Policy("strict"),
        )
    }
)


def preset(name: str) -> Policy:
    """The preset of this name. Raises KeyError, whose text lists the names there are."""
    try:
        return PRESETS[name]
    except KeyError:
        raise KeyError(f"no policy is called {name!r}; there are {', '.join(PRESETS)}") from None

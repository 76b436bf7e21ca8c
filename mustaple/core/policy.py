"""What a client demands: one enum per axis with closed defaults, the presets, and `decide()`, a pure function."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from certtools.feature import Reading
from mustaple.core.verdict import Source

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography import x509


class MustStaple(enum.StrEnum):
    """Whether a TLS Feature promise binds the client (RFC 7633 §4.3.3)."""

    ENFORCE = "enforce"
    IGNORE = "ignore"


class Depth(enum.StrEnum):
    """Which certificates are asked about: every one below the trust anchor, or the leaf."""

    EVERY = "every"
    LEAF = "leaf"


class Action(enum.StrEnum):
    """What to do about a status that is not good."""

    REFUSE = "refuse"
    NOTE = "note"


class WeakSignature(enum.StrEnum):
    """Whether evidence signed with SHA-1 may serve. MD5 never does."""

    REFUSE = "refuse"
    ALLOW_SHA1 = "allow-sha1"


class UncheckedDelegate(enum.StrEnum):
    """A delegated signer without id-pkix-ocsp-nocheck, whose own revocation nobody proved (RFC 6960 §4.2.2.2.1)."""

    REFUSE = "refuse"
    ACCEPT = "accept"


class NoNextUpdate(enum.StrEnum):
    """An answer that names no nextUpdate: RFC 9919 refuses it; RFC 6960 §2.4 lets it stand while it is young."""

    REFUSE = "refuse"
    BY_AGE = "by-age"


@dataclass(frozen=True, slots=True)
class Rules:
    """How one piece of evidence is judged, whatever the policy then makes of it.

    `skew` is how far the responder's clock may be off, in both directions. `max_age` is how long after thisUpdate
    an answer may serve, whatever its nextUpdate says. `trusted_responders` are certificates whose signature the
    operator accepts for every issuer (RFC 6960 §4.2.2.2, "local configuration").
    """

    skew: timedelta = timedelta(seconds=60)
    max_age: timedelta = timedelta(days=10)
    weak_signature: WeakSignature = WeakSignature.REFUSE
    unchecked_delegate: UncheckedDelegate = UncheckedDelegate.REFUSE
    no_next_update: NoNextUpdate = NoNextUpdate.REFUSE
    trusted_responders: tuple[x509.Certificate, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """One value per axis; each default is the closed one. `name` is what reports call it."""

    name: str = "strict"
    must_staple: MustStaple = MustStaple.ENFORCE
    depth: Depth = Depth.EVERY
    missing: Action = Action.REFUSE
    unusable: Action = Action.REFUSE
    unknown: Action = Action.REFUSE
    revoked: Action = Action.REFUSE
    nothing_to_check: Action = Action.REFUSE
    sources: frozenset[Source] = frozenset({Source.STAPLE})
    reading: Reading = Reading.EVIDENCE
    rules: Rules = field(default_factory=Rules)

    @property
    def asks_for_staples(self) -> bool:
        """Whether the ClientHello offers status_request at all."""
        return Source.STAPLE in self.sources

    @property
    def looks_at_evidence(self) -> bool:
        """Whether any evidence can change the outcome; `ignore` looks at none."""
        return bool(self.sources)


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

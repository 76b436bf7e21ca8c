"""What a judge may say: reasons with stable codes, judgements of evidence, verdicts on certificates and chains.

A verdict is never a bool or None: "not checked" is not "good". Only a judge can build a good or revoked
`Judgement`, because that takes the `Warrant` which the judging modules alone hold (kept by a test).
"""

from __future__ import annotations

import enum
from dataclasses import InitVar, dataclass
from typing import TYPE_CHECKING

from certtools.chain import name_of
from certtools.feature import FeatureError, read_features
from mustaple.core.reasons import Code, Reason, Rule, by_rank

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography import x509

    from certtools.chain import Link

__all__ = [
    "CertVerdict",
    "ChainVerdict",
    "Code",
    "Judgement",
    "Outcome",
    "Reason",
    "Request",
    "Rule",
    "Source",
    "Status",
    "Warrant",
    "by_rank",
]


class Status(enum.StrEnum):
    """What the evidence says of one certificate, most telling first (DESIGN: revoked > good > unknown > …)."""

    REVOKED = "revoked"
    GOOD = "good"
    UNKNOWN = "unknown"
    UNUSABLE = "unusable"
    MISSING = "missing"
    NOT_CHECKED = "not-checked"


class Source(enum.StrEnum):
    """Where a piece of evidence came from."""

    STAPLE = "staple"
    OCSP = "ocsp"
    CRL = "crl"


class Outcome(enum.StrEnum):
    """What the policy makes of it. PENDING: undecided until the certificates in `wanted` have been fetched for."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    PENDING = "pending"


class Warrant:
    """What a judge holds and nobody else: without it no judgement says good, revoked or unknown."""

    __slots__ = ()


_WARRANTED = frozenset({Status.GOOD, Status.REVOKED, Status.UNKNOWN})


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one piece of evidence proved about one certificate.

    `fingerprint` is the SHA-256 of the certificate it speaks of (32 bytes): evidence belongs to a certificate,
    never to a position. `origin` says in words where it came from: the TLS message, the URL, the file. Times
    are aware UTC. `reasons` say why it is not good; `notes` do not change the status. `dies_at` is the last
    moment it can serve: the least of nextUpdate and the signers' notAfter.

    Raises TypeError for a status that takes a judge's `Warrant` and comes without one.
    """

    status: Status
    source: Source
    origin: str
    fingerprint: bytes
    reasons: tuple[Reason, ...] = ()
    notes: tuple[Reason, ...] = ()
    produced_at: datetime | None = None
    this_update: datetime | None = None
    next_update: datetime | None = None
    revocation_time: datetime | None = None
    revocation_reason: str | None = None
    signer: x509.Certificate | None = None
    dies_at: datetime | None = None
    warrant: InitVar[Warrant | None] = None

    def __post_init__(self, warrant: Warrant | None) -> None:
        if self.status in _WARRANTED and type(warrant) is not Warrant:
            raise TypeError(f"A judgement that says {self.status} takes a judge's Warrant.")

    @property
    def responder(self) -> str | None:
        """The name of the certificate whose key signed the evidence, as RFC 4514 text."""
        return name_of(self.signer) if self.signer is not None else None


@dataclass(frozen=True, slots=True)
class Request:
    """One request that the client itself made to a CA, and what the CA could learn from it.

    `fingerprint` is the SHA-256 of the certificate that it was made for. `serial_number` is what it told: an OCSP
    request names the certificate, and with it the site; one for a CRL names nothing, and holds None. `redirects` are
    further addresses that the request went on to. `answer` says in words what came back; a request that failed may
    have arrived all the same.
    """

    source: Source
    url: str
    method: str
    fingerprint: bytes
    serial_number: int | None
    answer: str
    redirects: tuple[str, ...] = ()

    @property
    def encrypted(self) -> bool:
        """Whether none of it could be read on the way: every address was https."""
        return all(url.lower().startswith("https://") for url in (self.url, *self.redirects))


@dataclass(frozen=True, slots=True)
class CertVerdict:
    """What the policy makes of one certificate and all the evidence there is for it.

    `status` is the combined status; `judgement` is the piece of evidence that decided it (None where there was
    none), `judgements` are all of them. `reasons` refuse; `notes` only tell. `obliged` says whether the server
    owes this certificate's staple in this handshake: by a TLS Feature promise, or as an Expect-Staple host.
    """

    link: Link
    obliged: bool
    outcome: Outcome
    status: Status
    judgement: Judgement | None
    judgements: tuple[Judgement, ...]
    reasons: tuple[Reason, ...] = ()
    notes: tuple[Reason, ...] = ()

    @property
    def subject(self) -> str:
        """The certificate's subject as RFC 4514 text."""
        return name_of(self.link.subject)

    @property
    def issuer(self) -> str:
        """The issuer's subject as RFC 4514 text."""
        return name_of(self.link.issuer)

    @property
    def features(self) -> tuple[int, ...] | None:
        """The TLS Feature list; None where there is none, or where it is malformed (a reason of the chain)."""
        try:
            return read_features(self.link.subject)
        except FeatureError:
            return None


@dataclass(frozen=True, slots=True)
class ChainVerdict:
    """The verdict on one connection (or one chain), leaf first, without the trust anchor.

    `checked` is False where the policy looked at no evidence at all, as `ignore` does: accepted, not "good".
    `reasons` are those of the connection as a whole (path, name, features); the certificates carry their own.
    `wanted` are the fingerprints for which evidence must be fetched before a PENDING verdict is decided.
    `requests` are those that the client made for it to CAs, in the order made: what it cost in privacy.
    """

    outcome: Outcome
    policy: str
    at: datetime
    checked: bool
    certificates: tuple[CertVerdict, ...] = ()
    reasons: tuple[Reason, ...] = ()
    notes: tuple[Reason, ...] = ()
    wanted: tuple[bytes, ...] = ()
    protocol: str | None = None
    engine: str | None = None
    requests: tuple[Request, ...] = ()

    @property
    def accepted(self) -> bool:
        """True only for ACCEPTED; a pending verdict is not an acceptance."""
        return self.outcome is Outcome.ACCEPTED

    @property
    def all_reasons(self) -> tuple[Reason, ...]:
        """Every refusing reason of the connection and its certificates, most telling first."""
        own = self.reasons + tuple(reason for each in self.certificates for reason in each.reasons)
        return by_rank(own)

    @property
    def headline(self) -> str:
        """One line for logs and errors: the outcome and its most telling reason."""
        for reason in self.all_reasons[:1]:
            return f"{self.outcome}: {reason.code.value}: {reason.detail} ({reason.clause})"
        return f"{self.outcome} by policy {self.policy}" + ("" if self.checked else ", nothing checked")

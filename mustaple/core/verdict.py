"""What a judge may say: reasons with stable codes, judgements of evidence, verdicts on certificates and chains.

A verdict is never a bool or None: "not checked" is not "good". Only a judge can build a good or revoked
`Judgement`, because that takes the `Warrant` which the judging modules alone hold (kept by a test).
"""

from __future__ import annotations

import enum
from dataclasses import InitVar, dataclass
from typing import TYPE_CHECKING, NamedTuple, Self

from certtools.chain import name_of
from certtools.feature import FeatureError, read_features
from mustaple.core.errors import Alert

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography import x509

    from certtools.chain import Link


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


class Rule(NamedTuple):
    """One line of the table of reasons: how telling it is (0 is most), its clause, its alert, what to do."""

    rank: int
    clause: str
    alert: Alert
    advice: str


_BAD_STATUS = Alert.BAD_CERTIFICATE_STATUS_RESPONSE


class Code(enum.Enum):
    """Every reason there is. The value is the stable code; `rule` says the rest."""

    rule: Rule

    def __new__(cls, code: str, rank: int, clause: str, advice: str, alert: Alert = _BAD_STATUS) -> Self:
        """A member whose value is the code alone; the rest is its rule."""
        member = object.__new__(cls)
        member._value_ = code
        member.rule = Rule(rank, clause, alert, advice)
        return member

    # what the evidence says
    REVOKED = ("revoked", 0, "RFC 6960 §2.2", "replace the certificate and its key")
    UNKNOWN = ("unknown", 30, "RFC 6960 §2.2", "ask the responder that serves this issuer")
    # the path and the name
    PATH_INVALID = (
        "path-invalid",
        1,
        "RFC 5280 §6",
        "send the whole chain, and trust its root with --ca",
        Alert.BAD_CERTIFICATE,
    )
    NAME_MISMATCH = (
        "name-mismatch",
        2,
        "RFC 9525 §6",
        "connect by a name that the certificate holds, or use --sni",
        Alert.BAD_CERTIFICATE,
    )
    NO_CHAIN = (
        "no-chain",
        3,
        "RFC 9846 §2.2",
        "connect anew: a resumed session proves nothing",
        Alert.HANDSHAKE_FAILURE,
    )
    NOTHING_TO_CHECK = (
        "nothing-to-check",
        4,
        "RFC 5280 §6.1",
        "trust the certificate's issuer, not the certificate itself",
    )
    # TLS Feature
    FEATURE_MALFORMED = ("feature-malformed", 5, "RFC 7633 §4", "issue the certificate again", Alert.BAD_CERTIFICATE)
    FEATURE_NOT_INHERITED = (
        "feature-not-inherited",
        6,
        "RFC 7633 §4.2.2",
        "issue the certificate with every feature of its CA",
        Alert.BAD_CERTIFICATE,
    )
    FEATURE_UNACCEPTABLE = (
        "feature-unacceptable",
        7,
        "RFC 7633 §4.2.3",
        "issue the certificate with the feature list [5]",
        Alert.BAD_CERTIFICATE,
    )
    # what is absent
    PROMISE_BROKEN = ("promise-broken", 40, "RFC 7633 §4.3.3", "make the server staple; see `mustaple fetch`")
    NO_STAPLE = ("no-staple", 90, "RFC 6066 §8", "make the server staple this certificate")
    UNREACHABLE = ("unreachable", 91, "RFC 6960 §5", "see that the responder answers at this address")
    NO_URL = ("no-url", 92, "RFC 6960 §3.1", "issue the certificate with an OCSP URL, or name one")
    EXPECTED_STAPLE = (
        "expected-staple",
        42,
        "RFC 7633 §4.3.3",  # the header is no RFC's; enforced, it binds like a promise of the certificate
        "make the server staple, or let it send Expect-Staple with max-age=0 for some time first",
    )
    WRONG_CARRIER = ("wrong-carrier", 41, "RFC 7633 §4.3.3", "answer with the extension the certificate promises")
    # what excuses the lack of evidence: notes, never refusals
    NO_REVOCATION_AVAILABLE = (
        "no-revocation-available",
        93,
        "RFC 9608 §4",
        "nothing: the certificate says that nobody publishes its status",
    )
    SHORT_LIVED = ("short-lived", 94, "RFC 9608 §1", "nothing: expiry does what revocation would")
    # a response nobody can read
    OVERSIZED = ("oversized", 10, "RFC 6960 §4.2.1", "look at what answers there: no OCSP response is so large")
    MALFORMED = ("malformed", 11, "RFC 6960 §4.2.1", "look at what answers there: it is not an OCSP response")
    TRAILING_BYTES = ("trailing-bytes", 12, "RFC 6960 §4.2.1", "cut the response to its DER length")
    ERROR_STATUS = ("error-status", 13, "RFC 6960 §4.2.1", "ask the responder again; its log says why")
    RESPONSE_TYPE = ("response-type", 14, "RFC 6960 §4.2.1", "ask for id-pkix-ocsp-basic")
    # who said it
    BAD_SIGNATURE = ("bad-signature", 15, "RFC 6960 §3.2 (2)", "fetch it again from the CA's responder")
    WEAK_SIGNATURE = ("weak-signature", 16, "RFC 6960 §5.1.1", "have the responder sign with SHA-256 or better")
    UNAUTHORIZED_RESPONDER = (
        "unauthorized-responder",
        17,
        "RFC 6960 §4.2.2.2",
        "the signer must be the issuer, or hold its OCSPSigning certificate",
    )
    DELEGATE_EXPIRED = ("delegate-expired", 18, "RFC 6960 §4.2.2.2", "renew the responder's certificate")
    DELEGATE_UNCHECKED = (
        "delegate-unchecked",
        19,
        "RFC 6960 §4.2.2.2.1",
        "issue the responder's certificate with id-pkix-ocsp-nocheck",
    )
    RESPONDER_ID_MISMATCH = (
        "responder-id-mismatch",
        20,
        "RFC 6960 §4.2.2.3",
        "the responderID must be that of the signer",
    )
    # of whom
    OTHER_CERTIFICATE = (
        "other-certificate",
        21,
        "RFC 6960 §3.2 (1)",
        "staple the response for this certificate, not another's",
    )
    CERT_ID_HASH = ("cert-id-hash", 22, "RFC 6960 §4.1.1", "use SHA-1 or SHA-256 in the CertID")
    CONTRADICTION = (
        "contradiction",
        23,
        "RFC 6960 §4.2.2.3",
        "the response holds different statuses for one certificate",
    )
    CRITICAL_EXTENSION = ("critical-extension", 24, "RFC 6960 §4.4", "the responder must not demand what is unknown")
    NONCE_MISMATCH = ("nonce-mismatch", 25, "RFC 9654 §2.1", "somebody replays an old answer")
    # when
    NOT_YET_VALID = ("not-yet-valid", 26, "RFC 6960 §4.2.2.1", "see the clocks of responder and client")
    EXPIRED = ("expired", 27, "RFC 6960 §3.2 (6)", "fetch a fresh response; the server did not refresh in time")
    INVERTED_WINDOW = ("inverted-window", 28, "RFC 6960 §4.2.2.1", "nextUpdate must not precede thisUpdate")
    NO_NEXT_UPDATE = ("no-next-update", 29, "RFC 9919 §5", "have the responder set nextUpdate")
    TOO_OLD = ("too-old", 31, "RFC 6960 §3.2 (5)", "fetch a fresh response, or allow a greater age")
    # the carriage
    WIRE = ("wire", 9, "RFC 9846 §4.5.1.1", "the server's handshake does not carry a readable staple")


@dataclass(frozen=True, slots=True)
class Reason:
    """Why: a stable code and what was seen. Clause, rank, alert and advice belong to the code."""

    code: Code
    detail: str

    @property
    def clause(self) -> str:
        """The clause that this rests on, as `RFC 6960 §4.2.2.2`."""
        return self.code.rule.clause

    @property
    def rank(self) -> int:
        """How telling it is; 0 is the most."""
        return self.code.rule.rank

    @property
    def alert(self) -> Alert:
        """The TLS alert that tells the peer."""
        return self.code.rule.alert

    @property
    def advice(self) -> str:
        """What to do about it, as a clause without a full stop."""
        return self.code.rule.advice


def by_rank(reasons: tuple[Reason, ...]) -> tuple[Reason, ...]:
    """The same reasons, the most telling first."""
    return tuple(sorted(reasons, key=lambda reason: reason.rank)) if len(reasons) > 1 else reasons


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

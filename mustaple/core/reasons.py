"""Every reason there is for not believing a piece of evidence or a connection: stable codes and their rules."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import NamedTuple, Self

from mustaple.core.errors import Alert


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
    # a CRL that nobody can read
    CRL_OVERSIZED = ("crl-oversized", 50, "RFC 5280 §5.1", "look at what answers there: no CRL of use is so large")
    CRL_MALFORMED = ("crl-malformed", 51, "RFC 5280 §5.1", "look at what answers there: it is not a CRL in DER")
    CRL_TRAILING_BYTES = ("crl-trailing-bytes", 52, "RFC 5280 §5.1", "cut the CRL to its DER length")
    # whose CRL it is
    CRL_BAD_SIGNATURE = ("crl-bad-signature", 53, "RFC 5280 §6.3.3 (g)", "fetch it again from the CA")
    CRL_WEAK_SIGNATURE = ("crl-weak-signature", 54, "RFC 5280 §5.1.1.2", "have the CA sign with SHA-256 or better")
    CRL_ISSUER = ("crl-issuer", 55, "RFC 5280 §6.3.3 (b)", "give the CRL of the CA that issued this certificate")
    CRL_SIGN = ("crl-sign", 56, "RFC 5280 §6.3.3 (f)", "issue the CA's certificate with the key usage cRLSign")
    # what it is about
    CRL_DELTA = ("crl-delta", 57, "RFC 5280 §5.2.4", "give the complete CRL")
    CRL_INDIRECT = ("crl-indirect", 58, "RFC 5280 §5.2.5", "give a CRL that the certificate's issuer signs for itself")
    CRL_SCOPE = ("crl-scope", 59, "RFC 5280 §6.3.3 (b)", "give the CRL for certificates of this kind")
    CRL_OTHER_POINT = (
        "crl-other-point",
        60,
        "RFC 5280 §6.3.3 (b)",
        "give the CRL of a distribution point that the certificate names",
    )
    CRL_REASONS = ("crl-reasons", 61, "RFC 5280 §6.3.3 (d)", "give a CRL that covers every reason")
    CRL_CRITICAL_EXTENSION = (
        "crl-critical-extension",
        62,
        "RFC 5280 §5.2",
        "the CRL must not demand what is unknown",
    )
    CRL_CRITICAL_ENTRY = (
        "crl-critical-entry",
        63,
        "RFC 5280 §5.3",
        "no entry of the CRL may demand what is unknown",
    )
    CRL_REMOVED = ("crl-removed", 64, "RFC 5280 §5.3.1", "a complete CRL leaves out what is not revoked")
    # how old it is
    CRL_NOT_YET_VALID = ("crl-not-yet-valid", 65, "RFC 5280 §5.1.2.4", "see the clocks of CA and client")
    CRL_EXPIRED = ("crl-expired", 66, "RFC 5280 §5.1.2.5", "have the CA publish a fresh CRL")
    CRL_INVERTED_WINDOW = ("crl-inverted-window", 67, "RFC 5280 §5.1.2.5", "nextUpdate must not precede thisUpdate")
    CRL_NO_NEXT_UPDATE = ("crl-no-next-update", 68, "RFC 5280 §5.1.2.5", "have the CA set nextUpdate")
    CRL_TOO_OLD = ("crl-too-old", 69, "RFC 5280 §6.3.3 (a)", "fetch a fresh CRL, or allow a greater age")
    # no CRL at all
    CRL_UNREACHABLE = ("crl-unreachable", 95, "RFC 5280 §6.3.3 (a)", "see that the CRL can be fetched at this address")
    NO_CRL_URL = ("no-crl-url", 96, "RFC 5280 §4.2.1.13", "issue the certificate with a CRL URL, or give the CRL")
    # the carriage
    WIRE = ("wire", 9, "RFC 9846 §4.5.1.1", "the server's handshake does not carry a readable staple")


@dataclass(frozen=True, slots=True)
class Reason:
    """Why: a stable code and what was seen. Clause, rank, alert and advice belong to the code.

    `under` is the clause where it is another than the code's: a CRL says "revoked" by other rules than OCSP.
    """

    code: Code
    detail: str
    under: str = ""

    @property
    def clause(self) -> str:
        """The clause that this rests on, as `RFC 6960 §4.2.2.2`."""
        return self.under or self.code.rule.clause

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

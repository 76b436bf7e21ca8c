"""Judge one CRL for one certificate at one time: a table of checks, all run, failures gathered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography import x509

from mustaple.core.crl_case import Crl, CrlCase, open_crl
from mustaple.core.crl_rules import excusable, faults_at
from mustaple.core.policy import MAX_SKEW, Rules
from mustaple.core.verdict import Code, Judgement, Reason, Source, Status, Warrant, by_rank

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from certtools.chain import Link

_WARRANT: Final = Warrant()
_DEFAULT_RULES: Final = Rules()
# What an authentic entry may have wrong around it and still stand: age, and a scope, which says only what it means
# *not* to be on this CRL.
_AGE_ALONE: Final = frozenset({Code.CRL_EXPIRED, Code.CRL_TOO_OLD, Code.CRL_NOT_YET_VALID})
_STANDS: Final = _AGE_ALONE | {Code.CRL_SCOPE, Code.CRL_OTHER_POINT, Code.CRL_REASONS}
_REVOKED_UNDER: Final = "RFC 5280 §6.3.3 (i)"


def judge_crl(
    crl: bytes | Crl | Reason,
    link: Link,
    at: datetime,
    rules: Rules = _DEFAULT_RULES,
    *,
    source: Source = Source.CRL,
    origin: str = "",
) -> Judgement:
    """What this CRL proves about `link.subject` at the time `at` (RFC 5280 §6.3.3).

    `crl` is DER, or what `open_crl` made of it: opened once, it is read once for all certificates. `at` is aware UTC.
    GOOD means that every check passed and that the certificate is not on it. An authentic entry is REVOKED even past
    the CRL's nextUpdate and outside its scope, a certificateHold for MAX_SKEW: revocation does not grow old. Whatever
    else fails is UNUSABLE, with every reason. Delta and indirect CRLs are among it. Malformed input is a reason, never
    an exception. Raises TypeError for an `at` without a time zone.
    """
    if at.tzinfo is None:
        raise TypeError("Pass `at` as an aware datetime in UTC.")
    opened = open_crl(crl) if isinstance(crl, bytes) else crl
    if isinstance(opened, Reason):
        return Judgement(Status.UNUSABLE, source, origin, link.fingerprint, (opened,))
    case = CrlCase(opened, link, rules)
    return _conclude(case, at, faults_at(case, at), source, origin)


def _conclude(case: CrlCase, at: datetime, reasons: list[Reason], source: Source, origin: str) -> Judgement:
    link, crl, entry = case.link, case.crl, case.entry
    status = Status.UNUSABLE if reasons else Status.GOOD
    revocation_time = revocation_reason = None
    if entry is not None:
        revocation_time = entry.revocation_time
        revocation_reason = entry.reason.value if entry.reason is not None else None
        if _revocation_stands(case, at, reasons, entry.reason):
            status = Status.REVOKED
            said = f"revoked {revocation_time:%Y-%m-%d %H:%M:%S} UTC"
            said += f", {revocation_reason}" if revocation_reason else ""
            reasons.append(Reason(Code.REVOKED, said, _REVOKED_UNDER))
    return Judgement(
        status,
        source,
        origin,
        link.fingerprint,
        by_rank(tuple(reasons)),
        (),
        None,
        crl.this_update,
        crl.next_update,
        revocation_time,
        revocation_reason,
        link.issuer if crl.signed_by(link.issuer) else None,
        crl.next_update if crl.next_update is not None else crl.this_update + case.rules.max_age,
        _WARRANT,
    )


def _revocation_stands(case: CrlCase, at: datetime, reasons: Iterable[Reason], reason: x509.ReasonFlags | None) -> bool:
    """Whether an entry is authentic; only age and scope may be wrong, and for a hold only its age, by MAX_SKEW.

    What some policy would excuse does not count: who doubts a CRL need not doubt its warning, and a stricter policy
    must not let pass what a looser one refuses.
    """
    codes = {each.code for each in reasons}
    if codes:
        codes -= excusable(case)
    if reason is x509.ReasonFlags.certificate_hold:
        next_update = case.crl.next_update
        return codes <= _AGE_ALONE and (next_update is None or at <= next_update + MAX_SKEW)
    return codes <= _STANDS

"""Judge one OCSP response against one certificate at one time: a table of checks, all run, failures gathered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.x509 import ocsp

from mustaple.core.ocsp_case import Case, open_case
from mustaple.core.ocsp_rules import excusable, faults_at, notes
from mustaple.core.policy import MAX_SKEW, Rules
from mustaple.core.verdict import Code, Judgement, Reason, Source, Status, Warrant, by_rank

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from certtools.chain import Link

_WARRANT: Final = Warrant()
_DEFAULT_RULES: Final = Rules()
_STATUS: Final = {
    ocsp.OCSPCertStatus.GOOD: Status.GOOD,
    ocsp.OCSPCertStatus.REVOKED: Status.REVOKED,
    ocsp.OCSPCertStatus.UNKNOWN: Status.UNKNOWN,
}
# What an authentic "revoked" may have wrong and still stand, unless it is a hold.
_AGE_ALONE: Final = frozenset({Code.EXPIRED, Code.TOO_OLD, Code.NOT_YET_VALID, Code.CONTRADICTION})


def judge(
    response: bytes,
    link: Link,
    at: datetime,
    rules: Rules = _DEFAULT_RULES,
    *,
    source: Source = Source.STAPLE,
    origin: str = "",
    nonce: bytes | None = None,
) -> Judgement:
    """What this OCSP response proves about `link.subject` at the time `at` (RFC 6960 §3.2).

    `response` is DER; `at` is aware UTC; `nonce` is what the request carried, if it did (bytes). GOOD means
    that every check passed. An authentic REVOKED stands even past its nextUpdate, since
    revocation does not grow old; a certificateHold, which may be lifted, only for MAX_SKEW. Whatever else fails is
    UNUSABLE, with every reason.
    Malformed input is a reason, never an exception. Raises TypeError for an `at` without a time zone.
    """
    return judge_case(open_case(response, link, rules, nonce), link, at, source=source, origin=origin)


def judge_case(case: Case | Reason, link: Link, at: datetime, *, source: Source, origin: str = "") -> Judgement:
    """The judgement of `judge` on a response that `open_case` has read for this link, now or earlier.

    A client that is shown the same staple again keeps the case: who signed it does not change, only the time does.
    """
    if at.tzinfo is None:
        raise TypeError("Pass `at` as an aware datetime in UTC.")
    if isinstance(case, Reason):
        return Judgement(Status.UNUSABLE, source, origin, link.fingerprint, (case,))
    return _conclude(case, at, faults_at(case, at), source, origin)


def _conclude(case: Case, at: datetime, reasons: list[Reason], source: Source, origin: str) -> Judgement:
    link = case.link
    single = case.single
    if single is None:
        return Judgement(Status.UNUSABLE, source, origin, link.fingerprint, by_rank(tuple(reasons)))
    status = _STATUS[single.certificate_status]
    revocation_time = revocation_reason = None
    if status is Status.REVOKED:
        revocation_time = single.revocation_time_utc
        revocation_reason = single.revocation_reason.value if single.revocation_reason is not None else None
    if status is Status.REVOKED and _revocation_stands(case, at, reasons, revocation_reason):
        said = f"revoked {revocation_time:%Y-%m-%d %H:%M:%S} UTC"
        reasons.append(Reason(Code.REVOKED, said + (f", {revocation_reason}" if revocation_reason else "")))
    elif reasons:
        status = Status.UNUSABLE
    elif status is Status.UNKNOWN:
        reasons.append(Reason(Code.UNKNOWN, "the responder does not know this certificate"))
    next_update = case.next_update
    dies_at = next_update if next_update is not None else single.this_update_utc + case.rules.max_age
    if case.delegate is not None:
        dies_at = min(dies_at, case.delegate.not_valid_after_utc)
    return Judgement(
        status,
        source,
        origin,
        link.fingerprint,
        by_rank(tuple(reasons)),
        notes(case),
        case.response.produced_at_utc,
        case.this_update,
        next_update,
        revocation_time,
        revocation_reason,
        case.signer,
        dies_at,
        _WARRANT,
    )


def _revocation_stands(case: Case, at: datetime, reasons: Iterable[Reason], revocation_reason: str | None) -> bool:
    """Whether an answer that says revoked is authentic; only its age may be wrong, and that of a hold by MAX_SKEW.

    What some policy would excuse does not count: who doubts an answer that says good need not doubt a warning, and a
    stricter policy must not let pass what a looser one refuses.
    """
    codes = {reason.code for reason in reasons}
    if codes:
        codes -= excusable(case, at)
    if codes <= _AGE_ALONE and revocation_reason == "certificateHold":
        return case.next_update is None or at <= case.next_update + MAX_SKEW
    return codes <= _AGE_ALONE

"""Verdicts and judgements in words, for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mustaple.core.verdict import Outcome, Status
from mustaple.report.plain import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime, timedelta

    from mustaple.core.verdict import CertVerdict, ChainVerdict, Judgement, Reason, Request


def judgement_text(judgement: Judgement, subject: str, at: datetime) -> str:
    """One judgement as a few lines: the status first, then why, then its times."""
    lines = [f"{judgement.status.value}: {subject}"]
    lines.extend(_reason_lines(judgement.reasons, ""))
    lines.extend(f"note: {_plain(note)}" for note in judgement.notes)
    if judgement.responder is not None:
        lines.append(f"signed by {judgement.responder}")
    if judgement.this_update is not None:
        lines.append(_window(judgement, at))
    return "\n".join(map(printable, lines))


def verdict_text(verdict: ChainVerdict, target: str) -> str:
    """The verdict on a connection: the outcome, each certificate, and for a refusal why and what to do."""
    engine = f"engine {verdict.engine}" if verdict.engine not in {None, "openssl"} else None
    how = ", ".join(part for part in (verdict.protocol, engine, f"policy {verdict.policy}") if part)
    lines = [f"{verdict.outcome.value}: {target} ({how})"]
    if verdict.outcome is Outcome.ACCEPTED and not verdict.checked:
        lines.append("  nothing was checked: this policy looks at no evidence of revocation")
    lines.extend(_reason_lines(verdict.reasons, "  "))
    lines.extend(f"  note: {_plain(note)}" for note in verdict.notes)
    for certificate in verdict.certificates:
        lines.extend(_certificate_lines(certificate, verdict.at))
        own = [each for each in verdict.requests if each.fingerprint == certificate.link.fingerprint]
        lines.extend(f"    {_request_words(each)}" for each in own)
    if verdict.requests:
        lines.append(f"  {_privacy_words(verdict.requests)}")
    return "\n".join(map(printable, lines))


def _certificate_lines(verdict: CertVerdict, at: datetime) -> Iterator[str]:
    promise = ", must-staple" if verdict.obliged else ""
    yield f"  {verdict.subject}: {_status_words(verdict)}{promise}"
    yield from _reason_lines(verdict.reasons, "    ")
    for note in verdict.notes:
        yield f"    note: {_plain(note)}"
    judgement = verdict.judgement
    if judgement is not None and judgement.this_update is not None:
        yield f"    {judgement.origin or judgement.source.value}: {_window(judgement, at)}"
    for other in verdict.judgements:
        # What else there was, and why it did not decide.
        if other is not judgement:
            why = f", {', '.join(reason.code.value for reason in other.reasons)}" if other.reasons else ""
            yield f"    {other.source.value} from {other.origin or 'nowhere'}: {other.status.value}{why}"


def _request_words(request: Request) -> str:
    """One request that the client made, and what it gave away."""
    where = ", then ".join((request.url, *request.redirects))
    given = "nothing away" if request.serial_number is None else f"away serial number {request.serial_number:x}"
    how = "encrypted" if request.encrypted else "in clear"
    return f"asked {request.source.value} by {request.method} {where}, {how}, giving {given}: {request.answer}"


def _privacy_words(requests: Sequence[Request]) -> str:
    """What all requests together cost in privacy."""
    telling = sum(request.serial_number is not None for request in requests)
    clear = sum(request.serial_number is not None and not request.encrypted for request in requests)
    made = f"{len(requests)} request{'s' if len(requests) != 1 else ''} to CAs by this client itself"
    named = f"{telling} gave away which site was visited, {clear} of them in clear" if telling else "none named a site"
    return f"privacy: {made}; {named}"


def _status_words(verdict: CertVerdict) -> str:
    if verdict.status is Status.NOT_CHECKED:
        return "not looked at by this policy"
    if verdict.status is Status.MISSING:
        return "no evidence"
    return verdict.status.value


def _reason_lines(reasons: tuple[Reason, ...], indent: str) -> Iterator[str]:
    for reason in reasons:
        yield f"{indent}{_plain(reason)}"
        yield f"{indent}  to do: {reason.advice}"


def _plain(reason: Reason) -> str:
    return f"{reason.code.value}: {reason.detail} ({reason.clause})"


def _window(judgement: Judgement, at: datetime) -> str:
    begin = f"{judgement.this_update:%Y-%m-%d %H:%M} UTC" if judgement.this_update is not None else "?"
    if judgement.next_update is None:
        return f"from {begin}, no nextUpdate"
    left = judgement.next_update - at
    rest = f"{span_text(left)} left" if left.total_seconds() >= 0 else f"stale for {span_text(-left)}"
    return f"from {begin} until {judgement.next_update:%Y-%m-%d %H:%M} UTC, {rest}"


def span_text(span: timedelta) -> str:
    """A span in its two largest units: `3 d 4 h`, `12 min 5 s`."""
    seconds = int(span.total_seconds())
    parts = []
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"

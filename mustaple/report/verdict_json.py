"""Verdicts and judgements as JSON values: the one place that names their fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from mustaple.core.verdict import CertVerdict, ChainVerdict, Judgement, Reason, Request


def time_json(moment: datetime | None) -> str | None:
    """A time as RFC 3339 UTC, `2026-11-22T12:00:00Z`."""
    return None if moment is None else f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def reason_json(reason: Reason) -> dict[str, Any]:
    """A reason with all that belongs to its code."""
    return {
        "code": reason.code.value,
        "detail": reason.detail,
        "clause": reason.clause,
        "advice": reason.advice,
    }


def _reasons(reasons: Iterable[Reason]) -> list[dict[str, Any]]:
    return [reason_json(reason) for reason in reasons]


def judgement_json(judgement: Judgement) -> dict[str, Any]:
    """What one piece of evidence proved. Times are UTC."""
    return {
        "status": judgement.status.value,
        "source": judgement.source.value,
        "origin": judgement.origin,
        "reasons": _reasons(judgement.reasons),
        "notes": _reasons(judgement.notes),
        "responder": judgement.responder,
        "produced_at": time_json(judgement.produced_at),
        "this_update": time_json(judgement.this_update),
        "next_update": time_json(judgement.next_update),
        "dies_at": time_json(judgement.dies_at),
        "revocation_time": time_json(judgement.revocation_time),
        "revocation_reason": judgement.revocation_reason,
    }


def certificate_json(verdict: CertVerdict) -> dict[str, Any]:
    """The verdict on one certificate."""
    return {
        "subject": verdict.subject,
        "issuer": verdict.issuer,
        "serial_number": f"{verdict.link.serial_number:x}",
        "fingerprint": verdict.link.fingerprint.hex(),
        "features": None if verdict.features is None else list(verdict.features),
        "obliged": verdict.obliged,
        "outcome": verdict.outcome.value,
        "status": verdict.status.value,
        "reasons": _reasons(verdict.reasons),
        "notes": _reasons(verdict.notes),
        "evidence": [judgement_json(judgement) for judgement in verdict.judgements],
    }


def request_json(request: Request) -> dict[str, Any]:
    """One request that the client itself made to a CA. `serial_number` is what it told, null where it told nothing."""
    told = request.serial_number
    return {
        "source": request.source.value,
        "url": request.url,
        "redirects": list(request.redirects),
        "method": request.method,
        "encrypted": request.encrypted,
        "fingerprint": request.fingerprint.hex(),
        "serial_number": None if told is None else f"{told:x}",
        "answer": request.answer,
    }


def verdict_json(verdict: ChainVerdict) -> dict[str, Any]:
    """The verdict on a connection. `checked` is false where the policy looked at no evidence."""
    return {
        "outcome": verdict.outcome.value,
        "checked": verdict.checked,
        "policy": verdict.policy,
        "at": time_json(verdict.at),
        "protocol": verdict.protocol,
        "engine": verdict.engine,
        "reasons": _reasons(verdict.all_reasons),
        "notes": _reasons(verdict.notes),
        "certificates": [certificate_json(certificate) for certificate in verdict.certificates],
        "requests": [request_json(request) for request in verdict.requests],
    }

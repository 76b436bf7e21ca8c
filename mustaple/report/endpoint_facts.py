"""What a TLS server shows and staples, as JSON values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from certtools.chain import name_of, signed_by
from certtools.feature import Demand, FeatureError, Reading, demand, read_features
from mustaple.core.verdict import Status
from mustaple.report.certificate_facts import certificate_facts, validity
from mustaple.report.verdict_json import judgement_json, time_json

if TYPE_CHECKING:
    from datetime import datetime

    from mustaple.core.verdict import Judgement
    from mustaple.net.look import Look
    from mustaple.net.survey import Seen, Showing, Survey


def endpoint_facts(survey: Survey, target: str) -> dict[str, Any]:
    """The staples of each handshake, what is wrong with the path if anything is, and every certificate sent."""
    return {
        "target": target,
        "at": time_json(survey.at),
        "path_problem": survey.path,
        "handshakes": [_handshake_facts(each, survey.at) for each in survey.showings],
        "documents": [certificate_facts(each, survey.at, survey.known) for each in survey.certificates],
    }


def _handshake_facts(showing: Showing, at: datetime) -> dict[str, Any]:
    look = showing.look
    owed = _owed(showing)
    return {
        "protocol": look.protocol,
        "engine": look.engine,
        "offered": sorted(look.offered),
        "answered": sorted(look.flight.answered & look.offered) if look.flight is not None else [],
        "problem": look.problem,
        "certificates": [_seen_facts(each, place, owed, at) for place, each in enumerate(showing.seen)],
    }


def _owed(showing: Showing) -> Demand:
    """What the leaf's TLS Feature list makes the server owe in this handshake, as mustaple reads it."""
    leaf = showing.seen[0].certificate if showing.seen else None
    try:
        features = read_features(leaf) if leaf is not None else None
    except FeatureError:
        features = None
    return demand(features, reading=Reading.EVIDENCE, offered=showing.look.offered, tls13=_is_tls13(showing.look))


def _is_tls13(look: Look) -> bool:
    return look.protocol == "TLSv1.3"


def _seen_facts(seen: Seen, place: int, owed: Demand, at: datetime) -> dict[str, Any]:
    certificate, judgement = seen.certificate, seen.judgement
    top = certificate is not None and signed_by(certificate, certificate)
    promised = not top and (owed.leaf if place == 0 else owed.chain)
    return {
        "subject": name_of(certificate) if certificate is not None else None,
        "fingerprint": seen.entry.fingerprint.hex(),
        "self_signed": top,
        "promised": promised,
        "kept": judgement is not None and judgement.status is Status.GOOD,
        "carrier": seen.entry.origin if seen.staple is not None else None,
        "bytes": len(seen.staple) if seen.staple is not None else None,
        "judgement": _judgement_facts(judgement, at) if judgement is not None else None,
    }


def _judgement_facts(judgement: Judgement, at: datetime) -> dict[str, Any]:
    return judgement_json(judgement) | {"validity": validity(judgement.this_update, judgement.next_update, at)}

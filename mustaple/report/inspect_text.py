"""What a file says, in plain words, from the facts about it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from mustaple.report.issue_text import feature_text
from mustaple.report.plain import printable
from mustaple.report.verdict_text import span_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Facts = Mapping[str, Any]

MOST_ENTRIES: Final = 10  # of a CRL's entries are shown; JSON has more
_READERS: Final = {
    "evidence": "as mustaple reads it",
    "rfc": "by RFC 7633's letter",
    "mozilla": "as Firefox reads it",
    "gnutls": "as GnuTLS reads it",
}


def inspection_text(inspection: Facts) -> str:
    """Every document of a file, a paragraph each."""
    at = moment_of(inspection["at"])
    paragraphs = ["\n".join(map(printable, _lines(facts, at))) for facts in inspection["documents"]]
    return "\n\n".join(paragraphs)


def _lines(facts: Facts, at: datetime) -> Iterator[str]:
    match facts["kind"]:
        case "certificate":
            yield from _certificate(facts, at)
        case "request":
            yield from _request(facts)
        case "crl":
            yield from _crl(facts, at)
        case "ocsp-response":
            yield from _response(facts, at)
        case _:
            yield "A private key: keep it so."


def _certificate(facts: Facts, at: datetime) -> Iterator[str]:
    yield f"{_kind(facts)}: {facts['subject']}"
    if facts["names"]:
        yield f"  for {', '.join(facts['names'])}"
    yield f"  {window_text(facts, 'not_before', 'not_after', at)}"
    yield f"  serial {facts['serial_number']}, key {facts['key']}"
    if facts["self_signed"]:
        yield f"  signed by itself ({facts['signature']})"
    elif facts["signed_by"] is not None:
        yield f"  signed by {facts['signed_by']} ({facts['signature']})"
    else:
        yield f"  says it was issued by {facts['issuer']}, whose certificate is not here ({facts['signature']})"
    yield from _features(facts)
    for what, urls in (("OCSP", facts["ocsp_urls"]), ("CRL", facts["crl_urls"])):
        if urls:
            yield f"  {what} at {', '.join(urls)}"
    if facts["ocsp_signer"]:
        checked = "nobody checks its own status" if facts["ocsp_nocheck"] else "its own status has to be checked"
        yield f"  may sign OCSP responses for its issuer; {checked}"


def _kind(facts: Facts) -> str:
    if facts["authority"]:
        return "Root certificate" if facts["self_signed"] else "CA certificate"
    return "OCSP signer" if facts["ocsp_signer"] else "Certificate"


def _features(facts: Facts) -> Iterator[str]:
    if facts["features_problem"] is not None:
        yield f"  TLS Feature: {facts['features_problem']} A client that knows the extension refuses the certificate."
        return
    if facts["features"] is None:
        yield "  no TLS Feature list: it promises no staple"
    elif facts.get("authority"):
        yield f"  TLS Feature {facts['features']}: what it issues must promise at least as much (RFC 7633 §4.2.2)"
    else:
        yield f"  {feature_text(facts['features'])}: to a client that takes staples, its server owes"
        width = max(map(len, _READERS.values()))
        for reading, who in _READERS.items():
            yield f"    {who:<{width}}  {_demand(facts['demands'][reading])}"
    if facts["features_missing"]:
        yield f"  lacks {facts['features_missing']}, which its CA promises: it must not (RFC 7633 §4.2.2)"
    elif facts["features_unequal"]:
        yield "  its list is not its CA's, and Firefox wants them equal"


def _demand(asked: Facts) -> str:
    tls13, tls12 = _demand_words(asked["tls13"]), _demand_words(asked["tls12"])
    if tls13 == tls12:
        return tls13
    return f"{tls13}; in TLS 1.2 to an offer of 5 and 17: {tls12}"


def _demand_words(asked: Facts) -> str:
    if asked["unacceptable"] is not None:
        return f"refuses the certificate: {asked['unacceptable']}"
    if not asked["leaf"]:
        return "nothing"
    whom = "for every certificate below the root" if asked["chain"] else "for this certificate"
    carriers = " and ".join(map(str, asked["carriers"]))
    return f"a good staple {whom}" + (f", by extension {carriers}" if carriers else "")


def _request(facts: Facts) -> Iterator[str]:
    yield f"Certificate request: {facts['subject'] or 'no subject'}"
    yield f"  for {', '.join(facts['names']) or 'no name at all'}"
    sound = "sound" if facts["signature_valid"] else "WRONG, so its sender does not hold the key"
    yield f"  key {facts['key']}; signature {sound} ({facts['signature']})"
    yield from _features(facts)


def _crl(facts: Facts, at: datetime) -> Iterator[str]:
    number = "" if facts["number"] is None else f", number {facts['number']}"
    yield f"CRL of {facts['issuer']}{number}: {facts['revoked']} revoked"
    yield f"  {window_text(facts, 'this_update', 'next_update', at)}"
    yield f"  {_signed_by(facts)}"
    kinds = {"delta": "a delta CRL: only what changed", "indirect": "an indirect CRL: entries may be other CAs'"}
    for kind, words in kinds.items():
        if facts[kind]:
            yield f"  {words}"
    if facts["partial"]:
        yield "  covers only a part of the CA's certificates (issuingDistributionPoint)"
    for entry in facts["entries"][:MOST_ENTRIES]:
        yield f"  {_revoked(entry)}: {_whose(entry)}"
    if facts["revoked"] > MOST_ENTRIES:
        yield f"  and {facts['revoked'] - MOST_ENTRIES} more"


def _response(facts: Facts, at: datetime) -> Iterator[str]:
    if facts["status"] != "successful":
        yield f"OCSP response: the responder answers {facts['status']}, and says nothing of any certificate"
        return
    yield f"OCSP response by {facts['responder']}"
    yield f"  {_signed_by(facts)}"
    if facts["certificates"]:
        yield f"  sent along: {', '.join(facts['certificates'])}"
    nonce = "no nonce" if facts["nonce"] is None else f"nonce {facts['nonce']}"
    yield f"  produced {_date(facts['produced_at'])}, {nonce}"
    for single in facts["responses"]:
        status = _revoked(single) if single["status"] == "revoked" else single["status"]
        yield f"  {status}: {_whose(single)}"
        yield f"    {window_text(single, 'this_update', 'next_update', at)}"
        issuer = single["issuer"] or f"the CA whose key hashes to {single['issuer_key_hash']}"
        yield f"    issued by {issuer} ({single['hash_algorithm'] or 'an unknown hash'})"


def _signed_by(facts: Facts) -> str:
    if facts["signed_by"] is None:
        return f"signed by none of the certificates here ({facts['signature']}); name its CA with --issuer"
    return f"signed by {facts['signed_by']} ({facts['signature']})"


def _whose(facts: Facts) -> str:
    serial = f"serial {facts['serial_number']}"
    return serial if facts["certificate"] is None else f"{facts['certificate']} ({serial})"


def _revoked(facts: Facts) -> str:
    reason = "" if facts["revocation_reason"] is None else f", {facts['revocation_reason']}"
    return f"revoked since {_date(facts['revocation_time'])}{reason}"


def window_text(facts: Facts, begin: str, end: str, at: datetime) -> str:
    """From when until when, and how that stands at a time."""
    if facts[end] is None:
        return f"from {_date(facts[begin])}, and names no end"
    match facts["validity"]:
        case "expired":
            stands = f"{'EXPIRED' if end == 'not_after' else 'STALE'} for {span_text(at - moment_of(facts[end]))}"
        case "not-yet-valid":
            stands = f"NOT YET VALID, for {span_text(moment_of(facts[begin]) - at)}"
        case _:
            stands = f"{span_text(moment_of(facts[end]) - at)} left"
    return f"from {_date(facts[begin])} until {_date(facts[end])}: {stands}"


def moment_of(text: str) -> datetime:
    """A time of a JSON value."""
    return datetime.fromisoformat(text).astimezone(UTC)


def _date(text: str) -> str:
    return f"{moment_of(text):%Y-%m-%d %H:%M} UTC"

"""How the leaf's staple was found on a connection, and the report that an Expect-Staple host is sent about it.

The form is that of draft-helme-expect-staple §3.1 (see `mustaple.core.expect_staple`). Where the draft's list of
statuses has none that fits, the choice is ours and follows what Chromium did when it sent such reports: PROVIDED with
UNKNOWN for a response that nobody trustworthy has signed.
"""

from __future__ import annotations

import base64
import enum
import json
from datetime import UTC
from typing import TYPE_CHECKING, Final, NamedTuple

from cryptography.hazmat.primitives.serialization import Encoding

from mustaple.core.decide import combine
from mustaple.core.verdict import Code, Source, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from cryptography import x509

    from mustaple.core.flight import Flight
    from mustaple.core.verdict import ChainVerdict, Judgement

REPORT_TYPE: Final = "application/expect-staple-report"
REPORT_KEY: Final = "expect-staple-report"
MAX_REPORT: Final = 64 * 1024  # bytes of a report's body


class ResponseStatus(enum.StrEnum):
    """What became of the leaf's staple, in the draft's words (Expect-Staple §3.1)."""

    MISSING = "MISSING"
    PROVIDED = "PROVIDED"
    ERROR_RESPONSE = "ERROR_RESPONSE"
    BAD_PRODUCED_AT = "BAD_PRODUCED_AT"
    NO_MATCHING_RESPONSE = "NO_MATCHING_RESPONSE"
    INVALID_DATE = "INVALID_DATE"
    PARSE_RESPONSE_ERROR = "PARSE_RESPONSE_ERROR"
    PARSE_RESPONSE_DATA_ERROR = "PARSE_RESPONSE_DATA_ERROR"


class CertStatus(enum.StrEnum):
    """What the staple says of the certificate (Expect-Staple §3.1)."""

    GOOD = "GOOD"
    REVOKED = "REVOKED"
    UNKNOWN = "UNKNOWN"


class StapleFound(NamedTuple):
    """How the leaf's staple was found: the draft's statuses, `certificate` only where one was PROVIDED."""

    response: ResponseStatus
    certificate: CertStatus | None = None

    @property
    def complies(self) -> bool:
        """Whether it was a valid staple that says good: the only one that keeps the promise."""
        return self.certificate is CertStatus.GOOD


_SPOKEN: Final = {
    Status.GOOD: CertStatus.GOOD,
    Status.REVOKED: CertStatus.REVOKED,
    Status.UNKNOWN: CertStatus.UNKNOWN,
}
_NO_PARSE: Final = frozenset({Code.OVERSIZED, Code.MALFORMED, Code.TRAILING_BYTES, Code.RESPONSE_TYPE, Code.WIRE})
# In the order in which they are looked for; the first that is among the reasons is what is told.
_TOLD: Final = (
    (_NO_PARSE, ResponseStatus.PARSE_RESPONSE_ERROR),
    (frozenset({Code.ERROR_STATUS}), ResponseStatus.ERROR_RESPONSE),
    (frozenset({Code.CRITICAL_EXTENSION, Code.CONTRADICTION}), ResponseStatus.PARSE_RESPONSE_DATA_ERROR),
    (frozenset({Code.OTHER_CERTIFICATE, Code.CERT_ID_HASH}), ResponseStatus.NO_MATCHING_RESPONSE),
    (
        frozenset({Code.NOT_YET_VALID, Code.EXPIRED, Code.INVERTED_WINDOW, Code.NO_NEXT_UPDATE, Code.TOO_OLD}),
        ResponseStatus.INVALID_DATE,
    ),
)
# A connection with these has errors of its own, and nothing is evaluated on it (Expect-Staple §2.5).
_TLS_ERRORS: Final = frozenset({Code.PATH_INVALID, Code.NAME_MISMATCH, Code.NO_CHAIN})


def staple_found(verdict: ChainVerdict, flight: Flight | None) -> StapleFound | None:
    """How the leaf's staple was found on a connection; None where it was not evaluated.

    That is so where path or name failed, where the policy asked for no staple (then no `flight` was read), and where
    the leaf is itself the trust anchor.
    """
    codes = frozenset(reason.code for reason in verdict.reasons)
    if codes & _TLS_ERRORS:
        return None
    if codes & _NO_PARSE:  # what OpenSSL or we could not read as a staple at all, whosever it was
        return StapleFound(ResponseStatus.PARSE_RESPONSE_ERROR)
    if flight is None or not verdict.certificates:
        return None
    leaf = verdict.certificates[0]
    staple = combine([each for each in leaf.judgements if each.source is Source.STAPLE])
    if staple is None or staple.status is Status.MISSING:
        return StapleFound(ResponseStatus.MISSING)
    if staple.status in _SPOKEN:
        return StapleFound(ResponseStatus.PROVIDED, _SPOKEN[staple.status])
    return _unusable(staple, leaf.link.subject)


def _unusable(staple: Judgement, leaf: x509.Certificate) -> StapleFound:
    codes = frozenset(reason.code for reason in staple.reasons)
    produced_at = staple.produced_at
    if produced_at is not None and not leaf.not_valid_before_utc <= produced_at <= leaf.not_valid_after_utc:
        return StapleFound(ResponseStatus.BAD_PRODUCED_AT)
    for told, status in _TOLD:
        if codes & told:
            return StapleFound(status)
    # It is there, and nobody whom we believe has signed it: the draft has no word for that, so its status is unknown.
    return StapleFound(ResponseStatus.PROVIDED, CertStatus.UNKNOWN)


def report_body(
    found: StapleFound, verdict: ChainVerdict, flight: Flight | None, *, host: str, port: int, expires_at: datetime
) -> bytes:
    """The JSON that is sent to a report-uri (Expect-Staple §3.1, §3.2), at most MAX_REPORT bytes.

    `host` and `port` are those of the request, `expires_at` (aware UTC) is the effective expiration date. A chain that
    would make it longer is cut at its end.
    """
    report: dict[str, object] = {
        "date-time": _rfc3339(verdict.at),
        "hostname": host,
        "port": port,
        "effective-expiration-date": _rfc3339(expires_at),
        "response-status": found.response.value,
    }
    room = MAX_REPORT // 4
    staple = _leaf_staple(flight)
    if found.response is not ResponseStatus.MISSING and staple and len(staple) < room // 2:
        report["ocsp-response"] = _pem("OCSP RESPONSE", staple)
    if found.certificate is not None:
        report["cert-status"] = found.certificate.value
    report["served-certificate-chain"] = _chain((each.certificate for each in flight.entries) if flight else (), room)
    report["validated-certificate-chain"] = _chain(_validated(verdict), room)
    return json.dumps({REPORT_KEY: report}).encode("ascii")


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _leaf_staple(flight: Flight | None) -> bytes | None:
    """What was stapled for the certificate that was served first."""
    staples = flight.entries[0].staples if flight is not None and flight.entries else ()
    return staples[0] if staples else None


def _validated(verdict: ChainVerdict) -> Iterator[bytes]:
    """The path that was verified, leaf first, its trust anchor last."""
    for each in verdict.certificates:
        yield each.link.subject.public_bytes(Encoding.DER)
    for each in verdict.certificates[-1:]:
        yield each.link.issuer.public_bytes(Encoding.DER)


def _chain(certificates: Iterable[bytes], room: int) -> list[str]:
    """As many of these as there is room for, as PEM (RFC 7468)."""
    chain: list[str] = []
    for certificate in certificates:
        pem = _pem("CERTIFICATE", certificate)
        room -= len(pem) + pem.count("\n") + len('"", ')  # as JSON has it
        if room < 0:
            break
        chain.append(pem)
    return chain


def _pem(label: str, der: bytes) -> str:
    encoded = base64.b64encode(der).decode("ascii")
    lines = [encoded[start : start + 64] for start in range(0, len(encoded), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])

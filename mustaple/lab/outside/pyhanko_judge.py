"""Asks pyhanko-certvalidator, for each line read, what it makes of one piece of evidence about one certificate.

A line read is "KIND TIME SUBJECT ISSUER EVIDENCE NONCE", with tabs between: KIND is ocsp or crl, TIME in seconds since
1970, the rest base64 of DER; the nonce is for others. A line written is "OUTCOME DETAIL", with a tab between: good,
revoked, unknown, refused, or crash. It runs by itself, needs nothing of mustaple, and asks nobody on a network.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from typing import Any

from asn1crypto import crl, ocsp, x509
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import PathBuildingError, RevokedError, ValidationError

SKEW = timedelta(seconds=60)


def judge(kind: str, time: str, subject: str, issuer: str, evidence: str) -> tuple[str, str]:
    """The outcome and its detail. Raises what the library raises and should not."""
    data = b64decode(evidence)
    try:
        read: dict[str, Any] = (
            {"crls": [crl.CertificateList.load(data)]} if kind == "crl" else {"ocsps": [ocsp.OCSPResponse.load(data)]}
        )
    except ValueError as error:  # the library takes only what its ASN.1 parser has taken
        return "refused", str(error)
    anchor = x509.Certificate.load(b64decode(issuer))
    context = ValidationContext(
        trust_roots=[anchor],
        moment=datetime.fromtimestamp(int(time), UTC),
        allow_fetching=False,
        revocation_mode="require",
        time_tolerance=SKEW,
        **read,
    )
    validator = CertificateValidator(x509.Certificate.load(b64decode(subject)), validation_context=context)
    try:
        asyncio.run(validator.async_validate_path())
    except RevokedError as error:
        return "revoked", str(error)
    except (ValidationError, PathBuildingError) as error:
        return "refused", f"{type(error).__name__}: {error}"
    return "good", ""


def main() -> None:
    """Answer line by line until the input ends."""
    logging.disable()
    for line in sys.stdin:
        try:
            outcome, detail = judge(*line.rstrip("\n").split("\t")[:5])
        except Exception as error:  # noqa: BLE001 - a crash is an outcome of its own
            outcome, detail = "crash", f"{type(error).__name__}: {error}"
        print(outcome, " ".join(detail.split()), sep="\t", flush=True)  # noqa: T201 - this is what it is for


if __name__ == "__main__":
    main()

"""The same question put to pyhanko-certvalidator: a path and two OCSP responses from DER, hard fail, no network."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from asn1crypto import ocsp, x509
from pyhanko_certvalidator import CertificateValidator, ValidationContext

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


def validate(certificates: Sequence[bytes], responses: Sequence[bytes], at: datetime) -> None:
    """Validate leaf, intermediate, root (DER) with these OCSP responses (DER). Raises where it does not accept."""
    leaf, ca, root = (x509.Certificate.load(each) for each in certificates)
    context = ValidationContext(
        trust_roots=[root],
        other_certs=[ca],
        ocsps=[ocsp.OCSPResponse.load(each) for each in responses],
        moment=at,
        allow_fetching=False,
        revocation_mode="hard-fail",
    )
    validator = CertificateValidator(leaf, intermediate_certs=[ca], validation_context=context)
    asyncio.run(validator.async_validate_path())

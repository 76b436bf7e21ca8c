"""Certificate revocation lists: honest ones from the register's entries, and any other by fields and signer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certtools.drawing import ecdsa_deterministic
from certtools.keys import signature_hash
from certtools.profile import authority_key_identifier

if TYPE_CHECKING:
    from collections.abc import Iterable

    from certtools.forge.signing import Signer

AGE: Final = timedelta(hours=1)
LIFETIME: Final = timedelta(days=7)


@dataclass(frozen=True)
class Revoked:
    """One entry of a CRL (RFC 5280 §5.3). `revocation_time` is aware; `extensions` come with their critical flag."""

    serial_number: int
    revocation_time: datetime
    reason: x509.ReasonFlags | None = None
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = ()


def crl(
    signer: Signer,
    revoked: Iterable[Revoked] = (),
    *,
    this_update: datetime,
    next_update: datetime,
    number: int,
    extensions: Iterable[tuple[x509.ExtensionType, bool]] = (),
) -> bytes:
    """A CRL in DER with AKI and cRLNumber (RFC 5280 §5.2), signed with the signer's key.

    `extensions` are further ones with their critical flag. Times are aware.
    """
    key = signer.key
    said: list[tuple[x509.ExtensionType, bool]] = [
        (authority_key_identifier(signer.certificate), False),
        (x509.CRLNumber(number), False),
        *extensions,
    ]
    builder = x509.CertificateRevocationListBuilder(
        issuer_name=signer.certificate.subject,
        last_update=_naive(this_update),
        next_update=_naive(next_update),
        # All at once: the builder copies its list for every entry added singly.
        revoked_certificates=list(map(_entry, revoked)),
    )
    for value, critical in said:
        builder = builder.add_extension(value, critical=critical)
    signed = builder.sign(key, signature_hash(key), ecdsa_deterministic=ecdsa_deterministic(key))
    return signed.public_bytes(Encoding.DER)


def _entry(revoked: Revoked) -> x509.RevokedCertificate:
    builder = (
        x509.RevokedCertificateBuilder().serial_number(revoked.serial_number).revocation_date(revoked.revocation_time)
    )
    # An entry whose reason is unspecified says none (RFC 5280 §5.3.1).
    if revoked.reason is not None and revoked.reason is not x509.ReasonFlags.unspecified:
        builder = builder.add_extension(x509.CRLReason(revoked.reason), critical=False)
    for value, critical in revoked.extensions:
        builder = builder.add_extension(value, critical=critical)
    return builder.build()


def _naive(moment: datetime) -> datetime:
    # The builder's constructor, unlike its methods, takes naive UTC only.
    return moment.astimezone(UTC).replace(tzinfo=None, microsecond=0)

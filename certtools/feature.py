"""The TLS Feature extension (RFC 7633): build it, read it even where hostile, what it demands by each reading."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509

from certtools.extensions import TLS_FEATURE, TLS_FEATURE_DER, UNREADABLE, ExtensionsError, raw_extensions

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from certtools.extensions import Holder

OID = TLS_FEATURE


class Feature(enum.IntEnum):
    """TLS extension numbers that a feature list may promise (RFC 7633 §4.1)."""

    STATUS_REQUEST = 5  # RFC 6066 §8, and RFC 9846 §4.5.1.1 on every certificate
    STATUS_REQUEST_V2 = 17  # RFC 6961 §2.2: TLS 1.2 only, and history since RFC 9846


_STATUS_REQUEST = int(Feature.STATUS_REQUEST)
_STATUS_REQUEST_V2 = int(Feature.STATUS_REQUEST_V2)


class FeatureError(ValueError):
    """A TLS Feature extension that cannot be read."""


class Reading(enum.StrEnum):
    """Who reads the list.

    EVIDENCE: a good staple keeps the promise, whichever extension carried it (RFC 7633 §4.2.3.1).
    RFC: by the letter of §4.3.3: each promised and offered extension must itself be answered.
    MOZILLA: no value but 5 is acceptable, nor an empty list, and a CA's list must equal its child's.
    GNUTLS: 5 asks for a staple; every other value is passed over.
    """

    EVIDENCE = "evidence"
    RFC = "rfc"
    MOZILLA = "mozilla"
    GNUTLS = "gnutls"


class Demand(NamedTuple):
    """What a leaf's feature list asks of one handshake.

    `leaf`: a good staple for the leaf. `chain`: one for every certificate below the trust anchor. `carriers`:
    extension numbers that must themselves be answered. `unacceptable`: why this reading takes no such list.
    """

    leaf: bool = False
    chain: bool = False
    carriers: frozenset[int] = frozenset()
    unacceptable: str | None = None


_NOTHING = Demand()


def encode_features(values: Iterable[int]) -> bytes:
    """The DER of `Features ::= SEQUENCE OF INTEGER`, any values, none included."""
    from asn1crypto.core import Integer, SequenceOf

    encoded: bytes = SequenceOf([Integer(value) for value in values], spec=Integer).dump()
    return encoded


def extension(values: Sequence[int]) -> x509.ExtensionType:
    """The extension for a certificate or CSR builder.

    As raw DER, because `cryptography` builds no list with a value it does not know, nor an empty one.
    """
    return x509.UnrecognizedExtension(OID, encode_features(values))


def read_features(holder: Holder) -> tuple[int, ...] | None:
    """The promised extension numbers in the order written; None where there is no such extension.

    Raises FeatureError where the extension is malformed or stands twice.
    """
    if isinstance(holder, x509.Certificate):
        # A certificate that has the extension holds its OID's encoding; nearly all do not.
        if TLS_FEATURE_DER not in holder.tbs_certificate_bytes:
            return None
    elif TLS_FEATURE_DER not in holder.tbs_certrequest_bytes:
        return None
    try:
        return tuple(feature.value for feature in holder.extensions.get_extension_for_class(x509.TLSFeature).value)
    except x509.ExtensionNotFound:
        return None
    except UNREADABLE:
        return _read_hostile(holder)


def decode_features(data: bytes) -> tuple[int, ...]:
    """The numbers of a `Features` value in DER.

    Raises FeatureError for anything but a SEQUENCE OF INTEGER without trailing bytes.
    """
    from asn1crypto.core import Integer, SequenceOf

    try:
        values = tuple(int(item.native) for item in SequenceOf.load(data, spec=Integer, strict=True))
    except (ValueError, TypeError):
        values = None
    # A second encoding of the same list is BER, and two readers could then disagree on what was promised.
    if values is None or encode_features(values) != data:
        raise FeatureError(f"The TLS Feature extension is malformed: {data[:32].hex()}.")
    return values


def _read_hostile(holder: Holder) -> tuple[int, ...] | None:
    try:
        found = [each.value for each in raw_extensions(holder) if each.oid == OID.dotted_string]
    except ExtensionsError as error:
        raise FeatureError("The extensions of this certificate cannot be read.") from error
    if len(found) > 1:
        raise FeatureError("The TLS Feature extension stands twice.")
    return decode_features(found[0]) if found else None


def not_inherited(
    issuer: tuple[int, ...] | None, subject: tuple[int, ...] | None, reading: Reading = Reading.EVIDENCE
) -> frozenset[int]:
    """The values of a CA's list that the certificate it issued lacks (RFC 7633 §4.2.2: it must hold a superset).

    By the reading MOZILLA the two lists must be the same, so the values of either that the other lacks.
    """
    if issuer is None:
        return frozenset()
    own = frozenset(subject or ())
    if reading is Reading.MOZILLA and issuer != subject:
        return frozenset(issuer) ^ own or frozenset(issuer)
    return frozenset(issuer) - own


def inheritance_fault(issuer: tuple[int, ...] | None, subject: tuple[int, ...] | None, reading: Reading) -> str | None:
    """Why this reading takes no such list below such a list of its CA; None where it does (RFC 7633 §4.2.2).

    By the reading MOZILLA the two must be the same, order and all, and a certificate without a list is no match for
    the empty one; by every other the certificate's list is a superset.
    """
    if reading is Reading.MOZILLA:
        if issuer is None or issuer == subject:
            return None
        return f"has {'no list' if subject is None else f'the list {list(subject)}'} where its CA has {list(issuer)}"
    lacking = not_inherited(issuer, subject)
    return f"lacks {sorted(lacking)}, which its CA promises for it" if lacking else None


def demand(features: tuple[int, ...] | None, *, reading: Reading, offered: frozenset[int], tls13: bool) -> Demand:
    """What a leaf's list demands of a handshake whose ClientHello offered these extension numbers.

    A promise binds the server only as far as the client asked (RFC 7633 §4.3.3). In TLS 1.3 extension 17 can be
    answered by nobody, and status_request asks for every certificate, so 5 is what must have been offered there.
    """
    if features is None:
        return _NOTHING
    asked = _STATUS_REQUEST in offered
    if reading is Reading.MOZILLA:
        if not features or any(value != _STATUS_REQUEST for value in features):
            return Demand(unacceptable=f"the list {list(features)} is not [5]")
        return Demand(leaf=asked)
    if reading is Reading.GNUTLS:
        return Demand(leaf=asked and _STATUS_REQUEST in features)
    if reading is Reading.RFC:
        carriers = offered & frozenset(features) & {_STATUS_REQUEST, _STATUS_REQUEST_V2}
        return Demand(leaf=bool(carriers), chain=_STATUS_REQUEST_V2 in carriers, carriers=carriers)
    whole = _STATUS_REQUEST_V2 in features and (asked if tls13 else _STATUS_REQUEST_V2 in offered)
    return Demand(leaf=whole or (asked and _STATUS_REQUEST in features), chain=whole)

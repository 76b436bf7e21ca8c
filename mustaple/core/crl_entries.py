"""The entries of a CRL found among its bytes, a million of them too, without making an object of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

if TYPE_CHECKING:
    from collections.abc import Iterator

_SEQUENCE: Final = 0x30
_TRUE: Final = b"\x01\x01\xff"  # how DER writes it: without these bytes nothing is critical
_MOST_OID_BYTES: Final = 127
# reasonCode and invalidityDate: critical or not, they do not change which certificate an entry is about.
_UNDERSTOOD: Final = frozenset({bytes.fromhex("551d15"), bytes.fromhex("551d18")})
_CERTIFICATE_ISSUER: Final = bytes.fromhex("551d1d")
_TIME: Final = bytes.fromhex("170d3030303130313030303030305a")
_ALGORITHM: Final = bytes.fromhex("300a06082a8648ce3d040302")


class Entry:
    """One entry: when the certificate was revoked (aware UTC), and the CRLReason, None where it says none.

    A reason that cannot be read is none: the entry still revokes.
    """

    def __init__(self, der: bytes) -> None:
        parsed = _read(der)
        self.revocation_time = parsed.revocation_date_utc
        self.reason = _reason(parsed)


def _reason(entry: x509.RevokedCertificate) -> x509.ReasonFlags | None:
    try:
        return entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError, TypeError, KeyError, UnsupportedAlgorithm):
        return None


def _read(der: bytes) -> x509.RevokedCertificate:
    """One entry read by the library, which reads entries only inside a CRL: one that holds nothing else."""
    tbs = _sequence(bytes.fromhex("020101"), _ALGORITHM, _sequence(), _TIME, _sequence(der))
    (entry,) = x509.load_der_x509_crl(_sequence(tbs, _ALGORITHM, bytes.fromhex("030100")))
    return entry


def _sequence(*parts: bytes) -> bytes:
    from asn1crypto.parser import emit

    whole: bytes = emit(0, 1, 16, b"".join(parts))  # universal class, constructed, tag 16
    return whole


def header(der: bytes, at: int) -> tuple[int, int]:
    """Where the content of the DER value at this place begins and ends (X.690 §8.1.3).

    The value has been read by a parser before, or ValueError says that there is no such value.
    """
    if at + 2 > len(der):
        raise ValueError("there is no value")
    size, begin = der[at + 1], at + 2
    if size >= 0x80:
        begin += size & 0x7F
        size = int.from_bytes(der[at + 2 : begin], "big")
    return begin, begin + size


def entries_for(der: bytes, begin: int, end: int, serial_number: int) -> tuple[Entry, ...]:
    """The entries with this serial number among the revokedCertificates `der[begin:end]`, which a parser has read.

    An entry is found by its serial number as DER writes it, and is one if a SEQUENCE begins there that the library
    reads as an entry. A CA that writes all of that elsewhere into a CRL, inside an
    extension of another entry say, is taken at its word: the certificate is revoked.
    """
    content = serial_number.to_bytes(serial_number.bit_length() // 8 + 1, "big", signed=True)
    if len(content) >= 0x80:
        return ()  # no parser that read the certificate lets such a number pass
    found = []
    for at in _places(der, bytes([2, len(content)]) + content, begin, end):
        bounds = _entry_around(der, at, begin, end)
        if bounds is not None:
            try:
                found.append(Entry(der[bounds[0] : bounds[1]]))
            except ValueError:
                continue  # bytes that look like an entry, inside another one
    return tuple(found)


def _places(der: bytes, wanted: bytes, begin: int, end: int) -> Iterator[int]:
    at = der.find(wanted, begin, end)
    while at >= 0:
        yield at
        at = der.find(wanted, at + 1, end)


def _entry_around(der: bytes, serial: int, begin: int, end: int) -> tuple[int, int] | None:
    """The bounds of the SEQUENCE whose first value stands at `serial`; None where none begins just before it."""
    for length_bytes in (1, 2, 3, 4):
        start = serial - 1 - length_bytes
        if start < begin:
            return None
        if der[start] == _SEQUENCE:
            content, stop = header(der, start)
            if content == serial and stop <= end:
                return start, stop
    return None


def critical_extension(der: bytes, begin: int, end: int) -> tuple[str, bool] | None:
    """The OID of an entry extension in `der[begin:end]` that is critical and not understood; None where there is none.

    With it, whether that is certificateIssuer, which only indirect CRLs have (RFC 5280 §5.3.3).
    """
    for at in _places(der, _TRUE, begin, end):
        oid = _extension_before(der, at, begin, end)
        if oid is not None and oid not in _UNDERSTOOD:
            return _dotted(oid), oid == _CERTIFICATE_ISSUER
    return None


def _extension_before(der: bytes, critical: int, begin: int, end: int) -> bytes | None:
    """The content of the OID of the Extension whose `critical` stands at this place; None where there is none.

    Extension is SEQUENCE { OID, BOOLEAN, OCTET STRING } (RFC 5280 §4.1): it begins just before its OID.
    """
    if critical + 3 >= end or der[critical + 3] != 0x04:
        return None
    for size in range(1, min(_MOST_OID_BYTES, critical - begin - 4) + 1):
        at = critical - size - 2
        if der[at] != 0x06 or der[at + 1] != size:
            continue
        for length_bytes in (1, 2, 3, 4):
            start = at - 1 - length_bytes
            if start >= begin and der[start] == _SEQUENCE:
                content, stop = header(der, start)
                if content == at and critical + 3 < stop <= end:
                    return der[at + 2 : critical]
    return None


def _dotted(oid: bytes) -> str:
    from asn1crypto.core import ObjectIdentifier

    return str(ObjectIdentifier(contents=oid).dotted)

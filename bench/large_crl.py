"""A CRL of any size put together from bytes and signed once: a million entries in a second, not in minutes."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from asn1crypto.parser import emit
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import SignatureAlgorithmOID

if TYPE_CHECKING:
    from datetime import datetime

    from certtools.authority import Authority

_ALGORITHM: Final = bytes.fromhex("300a06082a8648ce3d040302")  # ecdsa-with-SHA256
_REASON: Final = bytes.fromhex("300c300a0603551d1504030a0101")  # keyCompromise
assert SignatureAlgorithmOID.ECDSA_WITH_SHA256.dotted_string == "1.2.840.10045.4.3.2"


def large_crl(authority: Authority, entries: int, at: datetime, *, revoked: int | None = None) -> bytes:
    """A CRL of this authority (with an EC P-256 key), valid at this time, that lists so many serial numbers in DER.

    The numbers are random, of 16 to 20 bytes as CAs draw them, so that entries differ in length; every third names a
    reason. `revoked` is one that stands last.
    """
    drawn = random.Random(5280)  # noqa: S311 - numbers that nobody guards
    listed = b"".join(
        _entry(drawn.getrandbits(8 * drawn.choice((16, 16, 19, 20)) - 1), at, reason=drawn.random() < 0.34)
        for _ in range(entries - (revoked is not None))
    )
    if revoked is not None:
        listed += _entry(revoked, at, reason=True)
    times = _time(at - timedelta(hours=1)) + _time(at + timedelta(days=6))
    tbs = _sequence(
        b"\x02\x01\x01" + _ALGORITHM + authority.certificate.subject.public_bytes() + times + _sequence(listed)
    )
    assert isinstance(authority.key, ec.EllipticCurvePrivateKey)
    signature = authority.key.sign(tbs, ec.ECDSA(hashes.SHA256()))
    return _sequence(tbs + _ALGORITHM + bytes(emit(0, 0, 3, b"\0" + signature)))


def _entry(serial: int, at: datetime, *, reason: bool) -> bytes:
    content = serial.to_bytes(serial.bit_length() // 8 + 1, "big")
    inner = bytes([2, len(content)]) + content + _time(at - timedelta(days=30)) + (_REASON if reason else b"")
    return bytes([0x30, len(inner)]) + inner


def _time(moment: datetime) -> bytes:
    return b"\x17\x0d" + f"{moment:%y%m%d%H%M%S}Z".encode()


def _sequence(content: bytes) -> bytes:
    return bytes(emit(0, 1, 16, content))

"""One CRL on trial: read it once, and for each certificate find what it says of it and who signed it."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from mustaple.core.crl_entries import Entry, critical_extension, entries_for, header
from mustaple.core.crl_rules import standing_faults
from mustaple.core.signature import verifies
from mustaple.core.verdict import Code, Reason

if TYPE_CHECKING:
    from certtools.chain import Link
    from mustaple.core.policy import Rules

# A million entries are 36 to 55 million bytes.
MAX_CRL_BYTES: Final = 64 * 1024 * 1024
# All but the entries: names, times, extensions and a signature take some hundred bytes, with ML-DSA 5,000.
MAX_FRAME_BYTES: Final = 64 * 1024
_UNREADABLE: Final = (
    *(ValueError, TypeError, KeyError),
    *(x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType),
)
_TIMES: Final = frozenset({0x17, 0x18})


class Crl:
    """A CRL that could be read. `read` is the library's view of it, `der` the bytes as they came.

    Nothing here depends on a certificate or on the time, so one that is kept serves all certificates of its issuer,
    and its signature is verified once. Its entries stay bytes: a million of them take no more memory than the file.
    """

    def __init__(self, der: bytes, read: x509.CertificateRevocationList) -> None:
        self.der = der
        self.read = read
        # Read at once, for the library reads each only when asked, and may find it unreadable.
        self.issuer = read.issuer
        self.extensions = read.extensions
        self.this_update = read.last_update_utc
        self.next_update = read.next_update_utc
        self._verified: dict[bytes, bool] = {}
        self._find_parts()

    def _find_parts(self) -> None:
        """Find the signed part and the entries (RFC 5280 §5.1).

        The library can write the signed part, too, but that takes ten times as long as reading all, and twice the
        memory; and what was signed is what came.
        """
        der = self.der
        begin, _ = header(der, 0)
        at, end = header(der, begin)
        self.signed = memoryview(der)[begin:end]
        if der[at] == 0x02:  # version
            _, at = header(der, at)
        _, at = header(der, at)  # the algorithm, of which the library has seen that it is named the same outside
        _, at = header(der, at)  # issuer
        while at < end and der[at] in _TIMES:
            at = header(der, at)[1]
        self.entries = header(der, at) if at < end and der[at] == 0x30 else (at, at)

    @property
    def frame_bytes(self) -> int:
        """How many bytes it has besides its entries."""
        return len(self.der) - (self.entries[1] - self.entries[0])

    @cached_property
    def critical_entry_extension(self) -> tuple[str, bool] | None:
        """The OID of an entry's extension that is critical and not understood, and whether it is certificateIssuer."""
        return critical_extension(self.der, *self.entries)

    def entries_for(self, serial_number: int) -> tuple[Entry, ...]:
        """Its entries for this serial number; honest CRLs have one at most."""
        return entries_for(self.der, *self.entries, serial_number)

    def signed_by(self, issuer: x509.Certificate) -> bool:
        """Whether this certificate's key made the signature."""
        known = issuer.public_bytes(Encoding.DER)
        if known not in self._verified:
            try:
                self._verified[known] = verifies(issuer.public_key(), self.read, self.signed)
            except (ValueError, UnsupportedAlgorithm):
                return False  # a key that cannot be read signs nothing
        return self._verified[known]


class CrlCase:
    """One CRL on trial for one certificate. `entry` is the entry that counts, None where the certificate is not on it.

    `issuer` is the name of the certificate's issuer, None where the library cannot read it.

    Nothing here depends on the time, so a case may be judged again later.
    """

    def __init__(self, crl: Crl, link: Link, rules: Rules) -> None:
        self.crl = crl
        self.link = link
        self.rules = rules
        self.issuer = _subject(link.issuer)
        found = crl.entries_for(link.serial_number) if crl.issuer == self.issuer else ()
        # Of several, one that is neither taken back nor on hold.
        self.entry = min(found, key=lambda entry: _TAKEN_BACK.get(entry.reason, 0), default=None)
        self.faults = standing_faults(self)
        """Why it is not to be believed, at whatever time."""


def _subject(certificate: x509.Certificate) -> x509.Name | None:
    try:
        return certificate.subject
    except ValueError:
        return None


_TAKEN_BACK: Final[dict[x509.ReasonFlags | None, int]] = {
    x509.ReasonFlags.certificate_hold: 1,
    x509.ReasonFlags.remove_from_crl: 2,
}


def open_crl(data: bytes) -> Crl | Reason:
    """The CRL in these bytes (DER), or the reason why it cannot be read (RFC 5280 §5.1).

    Malformed input is a reason, never an exception.
    """
    if len(data) > MAX_CRL_BYTES:
        return Reason(Code.CRL_OVERSIZED, f"{len(data):,} bytes, where {MAX_CRL_BYTES:,} is the most that is read")
    try:
        crl = Crl(data, x509.load_der_x509_crl(data))
    except _UNREADABLE as error:
        return _why_unreadable(data, error)
    if crl.frame_bytes > MAX_FRAME_BYTES:
        said = f"{crl.frame_bytes:,} bytes besides its entries, where {MAX_FRAME_BYTES:,} are the most that is read"
        return Reason(Code.CRL_OVERSIZED, said)
    return crl


def is_crl(data: bytes) -> bool:
    """Whether these bytes (DER) set out to be a CRL rather than an OCSP response, which begins with its status."""
    try:
        begin, _ = header(data, 0)
    except ValueError:
        return False
    return data[:1] == b"\x30" and data[begin : begin + 1] == b"\x30"


def _why_unreadable(data: bytes, error: Exception) -> Reason:
    """The most helpful reason for what the parser refuses."""
    from asn1crypto.parser import peek

    if not data:
        return Reason(Code.CRL_MALFORMED, "it is empty")
    start = data[:64].lstrip()[:16].lower()
    if start.startswith((b"-----begin", b"<!doctype", b"<html")):
        return Reason(Code.CRL_MALFORMED, f"it is {'PEM' if start.startswith(b'-') else 'HTML'}, not DER")
    try:
        used = peek(data)
    except ValueError:
        return Reason(Code.CRL_MALFORMED, "it is cut short, or is not DER")
    if used < len(data):
        return Reason(Code.CRL_TRAILING_BYTES, f"{len(data) - used} bytes follow the CRL")
    said = str(error).splitlines()[0] if str(error) else repr(error)
    return Reason(Code.CRL_MALFORMED, f"it cannot be parsed: {said}")

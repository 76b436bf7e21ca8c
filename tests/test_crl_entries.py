"""Entries found among bytes: the same that the library finds, for any serial numbers, lengths and look-alikes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import pytest
from asn1crypto.parser import emit
from crl_world import DAY, UNKNOWN, CrlWorld
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from certtools.forge import Revoked
from mustaple.core.crl_case import Crl, open_crl
from mustaple.core.crl_entries import Entry, critical_extension, entries_for, header

if TYPE_CHECKING:
    from collections.abc import Sequence

AT: Final = datetime.fromisoformat("2026-06-01T12:00:00+00:00")
WORLD: Final = CrlWorld(AT)
OID: Final = UNKNOWN.oid
REASON: Final = x509.CRLReason(x509.ReasonFlags.superseded)
# Lengths around every form of a DER length, and numbers whose first byte needs a zero before it.
SERIALS = st.one_of(
    st.integers(1, 300), st.sampled_from([127, 128, 255, 256, 1 << 63, 1 << 158]), st.integers(1, (1 << 159) - 1)
)
EXTENSION_BYTES = st.sampled_from([0, 1, 60, 90, 110, 200, 230, 300, 70_000])


def opened(revoked: Sequence[Revoked]) -> Crl:
    found = open_crl(WORLD.crl(*revoked))
    assert isinstance(found, Crl)
    return found


@st.composite
def lists(draw: st.DrawFn) -> list[Revoked]:
    """Entries with distinct serial numbers, some with extensions of every length, some critical."""
    numbers = draw(st.lists(SERIALS, min_size=1, max_size=12, unique=True))
    found = []
    for number in numbers:
        extensions: list[tuple[x509.ExtensionType, bool]] = []
        if draw(st.booleans()):
            extensions.append((REASON, draw(st.booleans())))
        if draw(st.booleans()):
            value = bytes(draw(EXTENSION_BYTES))
            extensions.append((x509.UnrecognizedExtension(OID, value), draw(st.booleans())))
        found.append(Revoked(number, AT - timedelta(days=draw(st.integers(1, 900))), extensions=tuple(extensions)))
    return found


@settings(max_examples=150, deadline=None)
@given(lists(), SERIALS)
def test_the_same_entries_as_the_librarys(revoked: list[Revoked], absent: int) -> None:
    crl = opened(revoked)
    for number in {absent, *(each.serial_number for each in revoked)}:
        theirs = crl.read.get_revoked_certificate_by_serial_number(number)
        ours = crl.entries_for(number)
        assert [each.revocation_time for each in ours] == ([] if theirs is None else [theirs.revocation_date_utc])
    demanding = any(critical for each in revoked for value, critical in each.extensions if value is not REASON)
    assert crl.critical_entry_extension == ((OID.dotted_string, False) if demanding else None)


def test_every_entry_of_a_serial_number_is_found() -> None:
    crl = opened([Revoked(5, AT - DAY), Revoked(6, AT - DAY), Revoked(5, AT - 2 * DAY)])
    assert [each.revocation_time for each in crl.entries_for(5)] == [AT - DAY, AT - 2 * DAY]


@pytest.mark.parametrize("before", range(4))
def test_a_serial_number_within_another_is_not_listed(before: int) -> None:
    """`02 01 05` is how DER writes 5, and a greater number may hold these bytes close behind its own header."""
    greater = int.from_bytes(bytes(range(0x41, 0x41 + before)) + b"\x02\x01\x05\x17\x0d", "big")
    crl = opened([Revoked(greater, AT - DAY), Revoked(7, AT - DAY)])
    assert crl.entries_for(5) == ()
    assert len(crl.entries_for(greater)) == 1


def test_a_crl_without_entries_lists_nobody() -> None:
    crl = opened([])
    assert crl.entries[0] == crl.entries[1]
    assert crl.entries_for(5) == ()
    assert crl.critical_entry_extension is None


def test_a_reason_that_cannot_be_read_still_revokes() -> None:
    strange = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.21"), b"\x0a\x01\x63")
    (entry,) = opened([Revoked(5, AT - DAY, extensions=((strange, False),))]).entries_for(5)
    assert (entry.reason, entry.revocation_time) == (None, AT - DAY)


def _entry(serial: bytes, time: bytes = b"\x17\x0d260531120000Z", *, rest: bytes = b"") -> bytes:
    whole: bytes = emit(0, 1, 16, emit(0, 0, 2, serial) + time + rest)
    return whole


@pytest.mark.parametrize(
    ("inside", "listed"),
    [
        (emit(0, 0, 2, b"\x05"), False),  # the number alone
        (emit(0, 0, 2, b"\x05") + b"\x17\x0d260531120000Z", False),  # and a time, but no SEQUENCE before it
        (b"\x30\x7f" + emit(0, 0, 2, b"\x05") + b"\x17\x0d260531120000Z", False),  # a SEQUENCE of another length
        (_entry(b"\x05", b"\x17\x0dXX0531120000Z"), False),  # a time that is none
        (_entry(b"\x05", b"\x18\x03abc"), False),
    ],
    ids=["number", "number-and-time", "wrong-length", "no-time", "short-time"],
)
def test_what_looks_like_an_entry_within_another_is_none(inside: bytes, listed: bool) -> None:
    holder = x509.UnrecognizedExtension(OID, inside)
    crl = opened([Revoked(9, AT - DAY, extensions=((holder, False),)), Revoked(7, AT - DAY)])
    assert crl.read.get_revoked_certificate_by_serial_number(5) is None
    assert bool(crl.entries_for(5)) is listed


def test_a_whole_entry_within_another_is_the_cas_own_word() -> None:
    """Whoever writes it into what the CA signs is the CA: the closed side, and no honest CRL has it."""
    holder = x509.UnrecognizedExtension(OID, _entry(b"\x05"))
    assert opened([Revoked(9, AT - DAY, extensions=((holder, False),))]).entries_for(5)


@pytest.mark.parametrize(
    "inside",
    [
        b"\x01\x01\xff",
        b"\x01\x01\xff\x04\x00",
        b"\x06\x03\x88\x37\x71\x01\x01\xff\x04\x00",  # no SEQUENCE before it
        b"\x30\x7f\x06\x03\x88\x37\x71\x01\x01\xff\x04\x00",  # one of another length
        b"\x30\x0a\x06\x03\x88\x37\x71\x01\x01\xff\x05\x00",  # no OCTET STRING behind it
        b"\x30\x0b\x06\x03\x55\x1d\x15\x01\x01\xff\x04\x01\x0a",  # one that is understood
    ],
    ids=["boolean", "octets", "oid", "wrong-length", "null", "understood"],
)
def test_what_looks_critical_and_is_not(inside: bytes) -> None:
    holder = x509.UnrecognizedExtension(OID, inside)
    crl = opened([Revoked(9, AT - DAY, extensions=((holder, False),)), Revoked(7, AT - DAY)])
    assert crl.critical_entry_extension is None


def test_bytes_that_end_too_soon_hold_no_value_and_no_entry() -> None:
    with pytest.raises(ValueError, match="no value"):
        header(b"\x30", 0)
    whole = _entry(b"\x05")
    assert len(entries_for(whole, 0, len(whole), 5)) == 1
    for cut in range(len(whole)):
        assert entries_for(whole[:cut], 0, cut, 5) == ()
    assert entries_for(whole, 1, len(whole), 5) == ()
    assert entries_for(whole, 0, len(whole) - 1, 5) == ()
    assert entries_for(whole, 0, len(whole), 1 << 2000) == ()
    assert critical_extension(b"\x01\x01\xff", 0, 3) is None


def test_an_entry_is_read_as_the_library_reads_it() -> None:
    entry = Entry(_entry(b"\x05", b"\x18\x0f20510531120000Z"))
    assert entry.revocation_time == datetime.fromisoformat("2051-05-31T12:00:00+00:00")
    with pytest.raises(ValueError, match="pars"):
        Entry(b"\x30\x00")

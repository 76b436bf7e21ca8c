"""What a server staples for each way to ask: it follows the offer, in the order of the client's list."""

from __future__ import annotations

import pytest

from mustaple.core.errors import Alert, WireError
from mustaple.core.offer import Answer, Offer, answer_tls12, answer_tls13, encode_unchecked, read_offer
from mustaple.core.wire import (
    CertificateStatus,
    decode_certificate_status,
    decode_certificate_tls13,
    encode_certificate_tls13,
)

FIVE, JAVA = bytes.fromhex("01 0000 0000"), bytes.fromhex("0007 02 0004 0000 0000")
OCSP_ONLY = bytes.fromhex("0007 01 0004 0000 0000")
MULTI_FIRST, OCSP_FIRST = (
    bytes.fromhex(f"000e {first} 0004 0000 0000 {then} 0004 0000 0000") for first, then in (("02", "01"), ("01", "02"))
)
UNKNOWN_FIRST = bytes.fromhex("000b 63 0001 aa 02 0004 0000 0000")
UNKNOWN_ONLY = bytes.fromhex("0004 63 0001 aa")
LEAF, CA = b"leaf's staple", b"CA's staple"
BOTH = (LEAF, CA)

MULTI = Answer(17, CertificateStatus(2, BOTH))
OCSP_BY_17 = Answer(17, CertificateStatus(1, (LEAF,)))
OCSP_BY_5 = Answer(5, CertificateStatus(1, (LEAF,)))

# extension 5, extension 17, the staples, the answer of TLS 1.2
ANSWERS = {
    "nothing is asked": (None, None, BOTH, None),
    "5 alone": (FIVE, None, BOTH, OCSP_BY_5),
    "17 alone": (None, JAVA, BOTH, MULTI),
    "5 and 17, as Java asks": (FIVE, JAVA, BOTH, MULTI),
    "17 lists ocsp alone": (None, OCSP_ONLY, BOTH, OCSP_BY_17),
    "17 lists ocsp alone, beside 5": (FIVE, OCSP_ONLY, BOTH, OCSP_BY_17),
    "17 prefers ocsp_multi": (None, MULTI_FIRST, BOTH, MULTI),
    "17 prefers ocsp": (None, OCSP_FIRST, BOTH, OCSP_BY_17),
    "17 prefers ocsp, and the leaf has none": (
        None,
        OCSP_FIRST,
        (None, CA),
        Answer(17, CertificateStatus(2, (b"", CA))),
    ),
    "17 prefers what nobody knows": (None, UNKNOWN_FIRST, BOTH, MULTI),
    "17 lists only what nobody knows": (None, UNKNOWN_ONLY, BOTH, None),
    "17 lists only what nobody knows, beside 5": (FIVE, UNKNOWN_ONLY, BOTH, OCSP_BY_5),
    "5 asks for what nobody knows": (b"\x63\xaa", None, BOTH, None),
    "5 asks for what nobody knows, beside 17": (b"\x63\xaa", JAVA, BOTH, MULTI),
    "no staples": (FIVE, JAVA, (), None),
    "a staple for no certificate": (FIVE, JAVA, (None, None), None),
    "the leaf's alone": (FIVE, JAVA, (LEAF, None), Answer(17, CertificateStatus(2, (LEAF, b"")))),
    "the CA's alone, by 5": (FIVE, None, (None, CA), None),
    "the CA's alone, by ocsp of 17": (None, OCSP_ONLY, (None, CA), None),
    "an empty response on purpose": (FIVE, None, (b"",), Answer(5, CertificateStatus(1, (b"",)))),
}


def _offer(five: bytes | None, seventeen: bytes | None) -> Offer:
    return read_offer({number: body for number, body in ((5, five), (17, seventeen)) if body is not None})


@pytest.mark.requirement("RFC6066-8-6", "RFC6961-2.2-5", "RFC6961-2.2-6")
@pytest.mark.parametrize(("five", "seventeen", "staples", "answer"), ANSWERS.values(), ids=ANSWERS)
def test_the_offer_is_followed(
    five: bytes | None, seventeen: bytes | None, staples: tuple[bytes | None, ...], answer: Answer | None
) -> None:
    assert answer_tls12(_offer(five, seventeen), staples) == answer


@pytest.mark.parametrize(
    ("five", "seventeen", "numbers"),
    [(None, None, set()), (FIVE, None, {5}), (None, JAVA, {17}), (FIVE, JAVA, {5, 17}), (b"\x63", UNKNOWN_ONLY, {17})],
)
def test_the_extensions_that_ask_are_known_by_number(
    five: bytes | None, seventeen: bytes | None, numbers: set[int]
) -> None:
    assert _offer(five, seventeen).extensions == numbers


@pytest.mark.parametrize(
    ("number", "body"),
    [(5, b""), (5, FIVE + b"x"), (5, FIVE[:-1]), (17, b""), (17, b"\0\0"), (17, JAVA[:-1]), (17, JAVA + b"x")],
)
def test_a_malformed_offer_is_a_wire_error(number: int, body: bytes) -> None:
    with pytest.raises(WireError) as caught:
        read_offer({number: body})
    assert caught.value.alert is Alert.DECODE_ERROR


CERTIFICATES = (b"leaf", b"CA")
ENTRIES = {
    "5": (FIVE, None, BOTH, BOTH),
    "5 and 17": (FIVE, JAVA, BOTH, BOTH),
    "17 alone": (None, JAVA, BOTH, (None, None)),
    "nothing": (None, None, BOTH, (None, None)),
    "one staple": (FIVE, None, (None, CA), (None, CA)),
    "too few": (FIVE, None, (LEAF,), (LEAF, None)),
    "too many": (FIVE, None, (*BOTH, b"more"), BOTH),
    "none": (FIVE, None, (), (None, None)),
}


@pytest.mark.requirement("RFC9846-4.5.1.1-1", "RFC9846-4.5.1.1-3")
@pytest.mark.parametrize(("five", "seventeen", "staples", "sent"), ENTRIES.values(), ids=ENTRIES)
def test_in_tls_13_each_entry_has_its_own_and_17_asks_for_nothing(
    five: bytes | None,
    seventeen: bytes | None,
    staples: tuple[bytes | None, ...],
    sent: tuple[bytes | None, bytes | None],
) -> None:
    entries = answer_tls13(_offer(five, seventeen), staples, CERTIFICATES)
    assert tuple(entry.certificate for entry in entries) == CERTIFICATES
    found = tuple(
        decode_certificate_status(dict(entry.extensions)[5]).responses[0] if entry.extensions else None
        for entry in entries
    )
    assert found == sent
    assert decode_certificate_tls13(encode_certificate_tls13(entries)) == entries


@pytest.mark.parametrize("status", [CertificateStatus(1, (b"\0",)), CertificateStatus(2, (b"", b"one"))])
def test_what_is_sent_unchecked_is_what_the_codec_would_send(status: CertificateStatus) -> None:
    assert decode_certificate_status(encode_unchecked(status), allowed=(1, 2)) == status


@pytest.mark.parametrize("status", [CertificateStatus(1, (b"",)), CertificateStatus(2, ())])
def test_what_no_codec_would_send_can_be_sent(status: CertificateStatus) -> None:
    with pytest.raises(WireError):
        decode_certificate_status(encode_unchecked(status), allowed=(1, 2))

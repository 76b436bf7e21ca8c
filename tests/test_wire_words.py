"""What a person reads of malformed bytes: the structure, what is wrong with it and how far; and the alert of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mustaple.core import wire
from mustaple.core.errors import Alert, WireError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

REQUEST, REQUEST_V2 = wire.decode_status_request, wire.decode_status_request_v2
STATUS, CERTIFICATE_12, CERTIFICATE_13 = (
    wire.decode_certificate_status,
    wire.decode_certificate_tls12,
    wire.decode_certificate_tls13,
)


def multi(body: bytes) -> wire.CertificateStatus:
    return wire.decode_certificate_status(body, allowed=(wire.OCSP, wire.OCSP_MULTI))


@pytest.mark.parametrize(
    ("decode", "encoded", "said"),
    [
        (REQUEST, "", "status_request ends early: 1 bytes wanted, 0 left."),
        (REQUEST, "0100", "status_request ends early: 2 bytes wanted, 1 left."),
        (REQUEST, "010004", "status_request ends early: 4 bytes wanted, 0 left."),
        (REQUEST, "0100000000ff", "status_request has 1 bytes after its end."),
        (REQUEST, "01 0003 00020a 0000", "responder_id_list ends early: 2 bytes wanted, 1 left."),
        (REQUEST, "01 0002 0000 0000", "responder_id_list holds a vector of 0 bytes where at least 1 must be."),
        (REQUEST_V2, "", "status_request_v2 ends early: 2 bytes wanted, 0 left."),
        (REQUEST_V2, "0000", "status_request_v2 holds a vector of 0 bytes where at least 1 must be."),
        (REQUEST_V2, "0001 01", "certificate_status_req_list ends early: 2 bytes wanted, 0 left."),
        (REQUEST_V2, "0007 01 0004 00000000 aabb", "status_request_v2 has 2 bytes after its end."),
        (REQUEST_V2, "0004 01 0001 aa", "CertificateStatusRequestItemV2 ends early: 2 bytes wanted, 1 left."),
        (REQUEST_V2, "0008 01 0005 00000000 ff", "CertificateStatusRequestItemV2 has 1 bytes after its end."),
        (STATUS, "", "CertificateStatus ends early: 1 bytes wanted, 0 left."),
        (STATUS, "01 000000", "CertificateStatus holds a vector of 0 bytes where at least 1 must be."),
        (STATUS, "01 000003 aa", "CertificateStatus ends early: 3 bytes wanted, 1 left."),
        (STATUS, "01 000001 aabbcc", "CertificateStatus has 2 bytes after its end."),
        (multi, "02 000001 aa", "ocsp_response_list ends early: 3 bytes wanted, 1 left."),
        (multi, "02 000000", "CertificateStatus holds a vector of 0 bytes where at least 1 must be."),
        (CERTIFICATE_13, "", "Certificate ends early: 1 bytes wanted, 0 left."),
        (CERTIFICATE_13, "00 000001 aa", "certificate_list ends early: 3 bytes wanted, 1 left."),
        (
            CERTIFICATE_13,
            "00 000005 000000 0000",
            "certificate_list holds a vector of 0 bytes where at least 1 must be.",
        ),
        (CERTIFICATE_13, "00 000006 000001 aa 0000 ff", "Certificate has 1 bytes after its end."),
        (
            CERTIFICATE_13,
            "00 00000d 000001 aa 0000 000001 aa 0001 05",
            "The extensions of CertificateEntry 1 end early, in the one that begins as 5.",
        ),
        (
            CERTIFICATE_13,
            "00 00000b 000001 aa 0005 0006 0002 00",
            "The extensions of CertificateEntry 0 end early, in the one that begins as 6.",
        ),
        (CERTIFICATE_12, "0000", "Certificate ends early: 3 bytes wanted, 2 left."),
        (CERTIFICATE_12, "000000", "Certificate holds a vector of 0 bytes where at least 1 must be."),
        (CERTIFICATE_12, "000001 aa", "certificate_list ends early: 3 bytes wanted, 1 left."),
        (CERTIFICATE_12, "000004 000001 aa ff", "Certificate has 1 bytes after its end."),
    ],
)
def test_what_cannot_be_read_says_what_and_where(decode: Callable[[bytes], Any], encoded: str, said: str) -> None:
    with pytest.raises(WireError) as raised:
        decode(bytes.fromhex(encoded))
    assert str(raised.value) == said
    assert raised.value.alert is Alert.DECODE_ERROR


@pytest.mark.parametrize(
    ("decode", "encoded", "said", "alert"),
    [
        (REQUEST, "02", "status_request asks for the unknown status type 2.", Alert.ILLEGAL_PARAMETER),
        (
            STATUS,
            "02 000000",
            "CertificateStatus has the status type 2, which nobody asked for.",
            Alert.BAD_CERTIFICATE_STATUS_RESPONSE,
        ),
        (
            CERTIFICATE_13,
            "01 01 ff",
            "A server's Certificate has a certificate_request_context.",
            Alert.ILLEGAL_PARAMETER,
        ),
        (
            CERTIFICATE_13,
            "00 00000a 000001 aa 0004 0011 0000",
            "A CertificateEntry holds status_request_v2.",
            Alert.ILLEGAL_PARAMETER,
        ),
        (
            CERTIFICATE_13,
            "00 00000a 000001 aa 0004 002a 0000",
            "A CertificateEntry holds extension 42, which was not offered.",
            Alert.UNSUPPORTED_EXTENSION,
        ),
        (
            CERTIFICATE_13,
            "00 00000e 000001 aa 0008 0005 0000 0005 0000",
            "CertificateEntry 0 holds extension 5 twice.",
            Alert.ILLEGAL_PARAMETER,
        ),
    ],
)
def test_what_must_not_be_there_says_so_and_has_its_alert(
    decode: Callable[[bytes], Any], encoded: str, said: str, alert: Alert
) -> None:
    with pytest.raises(WireError) as raised:
        decode(bytes.fromhex(encoded))
    assert (str(raised.value), raised.value.alert) == (said, alert)


def test_a_name_given_to_a_status_is_in_its_errors() -> None:
    with pytest.raises(WireError, match=r"^the staple of entry 2 has 1 bytes after its end\.$"):
        wire.decode_certificate_status(bytes.fromhex("01 000001 aabb"), what="the staple of entry 2")


@pytest.mark.parametrize(
    ("encode", "said"),
    [
        (
            lambda: wire.encode_status_request(wire.StatusRequest(wire.OCSP_MULTI)),
            "status_request holds only the type ocsp; the others take status_request_v2.",
        ),
        (
            lambda: wire.encode_status_request_v2([wire.OtherRequest(1, b"")]),
            "The types ocsp and ocsp_multi take a StatusRequest.",
        ),
        (
            lambda: wire.encode_status_request_v2([wire.StatusRequest(3)]),
            "A StatusRequest has the type ocsp or ocsp_multi, not 3.",
        ),
        (
            lambda: wire.encode_certificate_status(wire.CertificateStatus(3, (b"a",))),
            "The status type 3 is not known.",
        ),
        (lambda: wire.vector(b"", 1, least=1), "0 bytes do not fit a vector of 1 to 255 bytes."),
        (lambda: wire.vector(bytes(256), 1), "256 bytes do not fit a vector of 0 to 255 bytes."),
        (lambda: wire.vector(bytes(65_536), 2, least=7), "65536 bytes do not fit a vector of 7 to 65535 bytes."),
        (lambda: wire.encode_certificate_tls12([b""]), "0 bytes do not fit a vector of 1 to 16777215 bytes."),
        (
            lambda: wire.encode_certificate_tls13([wire.CertificateEntry(b"")]),
            "0 bytes do not fit a vector of 1 to 16777215 bytes.",
        ),
    ],
)
def test_what_cannot_be_written_says_why(encode: Callable[[], bytes], said: str) -> None:
    with pytest.raises(ValueError, match=r"\.$") as raised:
        encode()
    assert str(raised.value) == said


# --- the shortest and the longest that there are


def test_one_byte_is_enough_where_one_must_be() -> None:
    status = wire.CertificateStatus(wire.OCSP, (b"a",))
    assert wire.decode_certificate_status(wire.encode_certificate_status(status)) == status
    assert wire.vector(b"a", 1, least=1) == b"\x01a"
    assert wire.vector(bytes(255), 1) == b"\xff" + bytes(255)
    request = wire.StatusRequest(wire.OCSP, (b"r",))
    assert wire.decode_status_request(wire.encode_status_request(request)) == request


def test_a_reader_gives_exactly_what_is_there() -> None:
    reader = wire.Reader(b"\x01\x02\x03", "three bytes")
    assert reader
    assert reader.take(0) == b""
    assert reader.uint(1) == 1
    assert reader.take(2) == b"\x02\x03"
    assert not reader
    reader.end()
    assert wire.Reader(b"\x01\x02", "two").uint(2) == 0x0102
    assert wire.Reader(b"\x01\x02", "two").vector(1) == b"\x02"


@pytest.mark.parametrize("read", [lambda reader: reader.take(3), lambda reader: reader.uint(3)], ids=["take", "uint"])
def test_a_reader_that_is_asked_for_more_says_how_much(read: Callable[[wire.Reader], object]) -> None:
    reader = wire.Reader(b"\x00\x01\x02", "three bytes")
    reader.uint(1)
    with pytest.raises(WireError, match=r"^three bytes ends early: 3 bytes wanted, 2 left\.$"):
        read(reader)
    with pytest.raises(WireError, match=r"^three bytes has 2 bytes after its end\.$"):
        reader.end()

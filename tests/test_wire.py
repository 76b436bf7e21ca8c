"""The status encodings: known vectors both ways, cut at every byte, with bytes after the end, and any bytes at all."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mustaple.core import wire
from mustaple.core.errors import Alert, WireError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Codec = tuple[Callable[[bytes], Any], Callable[[Any], bytes]]

REQUEST: Codec = (wire.decode_status_request, wire.encode_status_request)
REQUEST_V2: Codec = (wire.decode_status_request_v2, wire.encode_status_request_v2)
STATUS: Codec = (wire.decode_certificate_status, wire.encode_certificate_status)
MULTI: Codec = (
    lambda body: wire.decode_certificate_status(body, allowed=(wire.OCSP, wire.OCSP_MULTI)),
    wire.encode_certificate_status,
)
CERTIFICATE_12: Codec = (wire.decode_certificate_tls12, wire.encode_certificate_tls12)
CERTIFICATE_13: Codec = (wire.decode_certificate_tls13, wire.encode_certificate_tls13)

VECTORS = {
    "status_request as every client sends it": (REQUEST, "01 0000 0000", wire.StatusRequest()),
    "status_request with responders and extensions": (
        REQUEST,
        "01 0008 0002 aabb 0002 ccdd 0003 300100",
        wire.StatusRequest(wire.OCSP, (b"\xaa\xbb", b"\xcc\xdd"), bytes.fromhex("300100")),
    ),
    "status_request_v2 as Java 17 sends it": (
        REQUEST_V2,
        "0007 02 0004 0000 0000",
        (wire.StatusRequest(wire.OCSP_MULTI),),
    ),
    "status_request_v2, ocsp_multi before ocsp": (
        REQUEST_V2,
        "000e 02 0004 0000 0000 01 0004 0000 0000",
        (wire.StatusRequest(wire.OCSP_MULTI), wire.StatusRequest(wire.OCSP)),
    ),
    "status_request_v2 with a type of the future": (
        REQUEST_V2,
        "000c 63 0002 beef 02 0004 0000 0000",
        (wire.OtherRequest(0x63, b"\xbe\xef"), wire.StatusRequest(wire.OCSP_MULTI)),
    ),
    "CertificateStatus, ocsp": (STATUS, "01 000003 300100", wire.CertificateStatus(wire.OCSP, (b"\x30\x01\x00",))),
    "CertificateStatus, ocsp_multi, the middle one absent": (
        MULTI,
        "02 00000d 000002 aaaa 000000 000002 bbbb",
        wire.CertificateStatus(wire.OCSP_MULTI, (b"\xaa\xaa", b"", b"\xbb\xbb")),
    ),
    "CertificateStatus, ocsp_multi, nothing but an absent one": (
        MULTI,
        "02 000003 000000",
        wire.CertificateStatus(wire.OCSP_MULTI, (b"",)),
    ),
    "Certificate of TLS 1.2": (CERTIFICATE_12, "000009 000002 aabb 000001 cc", (b"\xaa\xbb", b"\xcc")),
    "Certificate of TLS 1.3, the second entry stapled": (
        CERTIFICATE_13,
        "00 000018 000002 aabb 0000 000001 cc 000b 0005 0007 01 000003 300100",
        (
            wire.CertificateEntry(b"\xaa\xbb"),
            wire.CertificateEntry(b"\xcc", ((5, bytes.fromhex("01000003300100")),)),
        ),
    ),
}
each_vector = pytest.mark.parametrize(("codec", "encoded", "value"), VECTORS.values(), ids=VECTORS)


@pytest.mark.requirement("RFC6066-8-1", "RFC6066-8-2", "RFC6961-2.2-1", "RFC6961-2.2-2", "RFC9846-4.5.1-1")
@each_vector
def test_a_vector_reads_as_its_value_and_the_value_writes_as_the_vector(
    codec: Codec, encoded: str, value: object
) -> None:
    decode, encode = codec
    assert decode(bytes.fromhex(encoded)) == value
    assert encode(value) == bytes.fromhex(encoded)


@pytest.mark.requirement("RFC9846-3.4-1")
@each_vector
def test_a_vector_cut_anywhere_is_a_decode_error(codec: Codec, encoded: str, value: object) -> None:
    whole = bytes.fromhex(encoded)
    for length in range(len(whole)):
        with pytest.raises(WireError) as caught:
            codec[0](whole[:length])
        assert caught.value.alert is Alert.DECODE_ERROR


@pytest.mark.requirement("RFC9846-3.4-1", "RFC6066-8-2")
@each_vector
def test_a_byte_after_the_end_is_a_decode_error(codec: Codec, encoded: str, value: object) -> None:
    with pytest.raises(WireError) as caught:
        codec[0](bytes.fromhex(encoded) + b"\0")
    assert caught.value.alert is Alert.DECODE_ERROR


REFUSED = {
    # lengths that lie
    "responder list longer than the body": (REQUEST, "01 0001 0000", Alert.DECODE_ERROR),
    "responder id of no length": (REQUEST, "01 0002 0000 0000", Alert.DECODE_ERROR),
    "responder id beyond its list": (REQUEST, "01 0003 0002 aa 0000 bb", Alert.DECODE_ERROR),
    "empty list of requests": (REQUEST_V2, "0000", Alert.DECODE_ERROR),
    "item shorter than its request": (REQUEST_V2, "0007 02 0003 0000 00 00", Alert.DECODE_ERROR),
    "item longer than its request": (REQUEST_V2, "0008 02 0005 0000 0000 00", Alert.DECODE_ERROR),
    "item beyond the list": (REQUEST_V2, "0007 02 0005 0000 0000 00", Alert.DECODE_ERROR),
    "staple of no length": (STATUS, "01 000000", Alert.DECODE_ERROR),
    "list of no staples": (MULTI, "02 000000", Alert.DECODE_ERROR),
    "second staple beyond the list": (MULTI, "02 000008 000002 aaaa 000002 bbbb", Alert.DECODE_ERROR),
    "no certificate in TLS 1.2": (CERTIFICATE_12, "000000", Alert.DECODE_ERROR),
    "a certificate of no length in TLS 1.2": (CERTIFICATE_12, "000003 000000", Alert.DECODE_ERROR),
    "no certificate in TLS 1.3": (CERTIFICATE_13, "00 000000", Alert.DECODE_ERROR),
    "a certificate of no length in TLS 1.3": (CERTIFICATE_13, "00 000005 000000 0000", Alert.DECODE_ERROR),
    "extensions beyond the entry": (CERTIFICATE_13, "00 000006 000001 aa 0001", Alert.DECODE_ERROR),
    # types that nobody asked for
    "unknown type asked for": (REQUEST, "02 0000 0000", Alert.ILLEGAL_PARAMETER),
    "ocsp_multi where only ocsp was asked for": (
        STATUS,
        "02 000003 000000",
        Alert.BAD_CERTIFICATE_STATUS_RESPONSE,
    ),
    "a type of the future": (MULTI, "03 000003 300100", Alert.BAD_CERTIFICATE_STATUS_RESPONSE),
    # entries that hold what they must not
    "a request context from a server": (CERTIFICATE_13, "01 aa 000006 000001 aa 0000", Alert.ILLEGAL_PARAMETER),
    "an extension twice": (
        CERTIFICATE_13,
        "00 00000e 000001 aa 0008 0005 0000 0005 0000",
        Alert.ILLEGAL_PARAMETER,
    ),
    "status_request_v2 in TLS 1.3": (CERTIFICATE_13, "00 00000a 000001 aa 0004 0011 0000", Alert.ILLEGAL_PARAMETER),
    "an extension that was not offered": (
        CERTIFICATE_13,
        "00 00000a 000001 aa 0004 0012 0000",
        Alert.UNSUPPORTED_EXTENSION,
    ),
}


@pytest.mark.requirement("RFC9846-3.4-1", "RFC9846-4.3-1", "RFC9846-4.5.1.1-2", "RFC9846-4.5.1.3-1", "RFC6066-8-2")
@pytest.mark.parametrize(("codec", "encoded", "alert"), REFUSED.values(), ids=REFUSED)
def test_what_the_grammar_forbids_is_refused_with_its_alert(codec: Codec, encoded: str, alert: Alert) -> None:
    with pytest.raises(WireError) as caught:
        codec[0](bytes.fromhex(encoded))
    assert caught.value.alert is alert


def test_an_extension_that_was_offered_is_read() -> None:
    body = bytes.fromhex("00 00000a 000001 aa 0004 0012 0000")
    assert wire.decode_certificate_tls13(body, offered=(5, 18)) == (wire.CertificateEntry(b"\xaa", ((18, b""),)),)


@pytest.mark.parametrize(
    "encode",
    [
        lambda: wire.encode_status_request(wire.StatusRequest(wire.OCSP_MULTI)),
        lambda: wire.encode_status_request(wire.StatusRequest(responder_ids=(b"",))),
        lambda: wire.encode_status_request(wire.StatusRequest(extensions=bytes(1 << 16))),
        lambda: wire.encode_status_request_v2([]),
        lambda: wire.encode_status_request_v2([wire.OtherRequest(wire.OCSP, b"")]),
        lambda: wire.encode_status_request_v2([wire.StatusRequest(3)]),
        lambda: wire.encode_certificate_status(wire.CertificateStatus(wire.OCSP, (b"",))),
        lambda: wire.encode_certificate_status(wire.CertificateStatus(wire.OCSP, (b"a", b"b"))),
        lambda: wire.encode_certificate_status(wire.CertificateStatus(wire.OCSP_MULTI, ())),
        lambda: wire.encode_certificate_status(wire.CertificateStatus(3, (b"a",))),
        lambda: wire.encode_certificate_tls12([]),
        lambda: wire.encode_certificate_tls13([]),
    ],
)
def test_what_no_vector_can_hold_is_not_written(encode: Callable[[], bytes]) -> None:
    with pytest.raises(ValueError, match=r"."):
        encode()


octets = st.binary(max_size=40)
some = st.binary(min_size=1, max_size=40)
requests = st.builds(
    wire.StatusRequest,
    st.sampled_from([wire.OCSP, wire.OCSP_MULTI]),
    st.lists(some, max_size=3).map(tuple),
    octets,
)
other_requests = st.builds(wire.OtherRequest, st.integers(3, 255) | st.just(0), octets)
entries = st.builds(
    wire.CertificateEntry,
    some,
    st.lists(st.tuples(st.sampled_from([5, 18]), octets), max_size=2, unique_by=lambda item: item[0]).map(tuple),
)


@given(st.lists(requests | other_requests, min_size=1, max_size=4).map(tuple))
def test_requests_come_back_as_they_were_written(items: tuple[wire.StatusRequest | wire.OtherRequest, ...]) -> None:
    assert wire.decode_status_request_v2(wire.encode_status_request_v2(items)) == items


@given(st.lists(octets, min_size=1, max_size=4).map(tuple))
def test_a_list_of_staples_comes_back_as_it_was_written(responses: tuple[bytes, ...]) -> None:
    status = wire.CertificateStatus(wire.OCSP_MULTI, responses)
    assert MULTI[0](wire.encode_certificate_status(status)) == status


@given(st.lists(entries, min_size=1, max_size=4).map(tuple))
def test_entries_come_back_as_they_were_written(written: tuple[wire.CertificateEntry, ...]) -> None:
    assert wire.decode_certificate_tls13(wire.encode_certificate_tls13(written), offered=(5, 18)) == written


@given(st.binary(max_size=64))
def test_any_bytes_are_a_value_that_encodes_to_them_or_a_wire_error(data: bytes) -> None:
    for decode, encode in (REQUEST, REQUEST_V2, STATUS, MULTI, CERTIFICATE_12, CERTIFICATE_13):
        with contextlib.suppress(WireError):
            assert encode(decode(data)) == data


@each_vector
def test_a_vector_with_one_byte_changed_is_a_value_or_a_wire_error(codec: Codec, encoded: str, value: object) -> None:
    whole = bytes.fromhex(encoded)
    for place in range(len(whole)):
        for changed in (0, 1, 2, 0x7F, 0xFF):
            altered = whole[:place] + bytes([changed]) + whole[place + 1 :]
            with contextlib.suppress(WireError):
                assert codec[1](codec[0](altered)) == altered

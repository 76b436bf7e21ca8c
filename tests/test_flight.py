"""The server's flight: as real OpenSSL sends it in every suite and shape, and as nobody should send it."""

from __future__ import annotations

import contextlib
import hashlib
from typing import TYPE_CHECKING

import flights
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from flights import Sealer, capture, flight_12, flight_13
from hypothesis import given
from hypothesis import strategies as st
from tls_server import server_context

from mustaple.core.errors import Alert, WireError
from mustaple.core.flight import MAX_FLIGHT_BYTES, CarriageError, Entry, Flight, Staple, read_flight

if TYPE_CHECKING:
    from OpenSSL import SSL

    from certtools.authority import Authority, Issued

SUITES = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"]
CCM_SUITES = ["TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256"]
LEAF, CA = b"the leaf", b"the CA"


def _der(issued: Issued) -> tuple[bytes, ...]:
    return tuple(certificate.public_bytes(Encoding.DER) for certificate in issued.chain[:-1])


def _refusal(data: bytes, secret: bytes | None = flights.SECRET) -> WireError:
    with pytest.raises(WireError) as caught:
        read_flight(data, secret=secret)
    return caught.value


def _flight_or_error(data: bytes, secret: bytes | None) -> Flight | WireError:
    try:
        return read_flight(data, secret=secret)
    except WireError as error:
        return error


# --- real handshakes


@pytest.mark.requirement("RFC9846-5.2-1", "RFC9846-4.5.1.1-1")
@pytest.mark.parametrize("suite", SUITES + CCM_SUITES)
def test_every_suite_of_openssl_is_opened(leaf: Issued, staple: bytes, suite: str) -> None:
    context = server_context(leaf, staple, version="TLSv1.3", suites=suite.encode())
    captured = capture(context, suites=suite.encode())
    assert captured.cipher == suite
    flight = read_flight(captured.data, secret=captured.secret)
    assert (flight.protocol, flight.answered) == ("TLSv1.3", {5})
    assert [(entry.certificate, entry.staples) for entry in flight.entries] == [
        (_der(leaf)[0], (staple,)),
        (_der(leaf)[1], ()),
    ]


@pytest.mark.parametrize("suite", SUITES)
def test_another_secret_opens_nothing(leaf: Issued, staple: bytes, suite: str) -> None:
    captured = capture(server_context(leaf, staple, version="TLSv1.3"), suites=suite.encode())
    assert captured.secret is not None
    wrong = bytes([captured.secret[0] ^ 1]) + captured.secret[1:]
    for secret in (wrong, captured.secret[1:], b"", None):
        assert not isinstance(_refusal(captured.data, secret), CarriageError)


@pytest.mark.requirement("RFC6066-8-3")
def test_the_flight_of_tls_12_is_read_in_clear(leaf: Issued, staple: bytes) -> None:
    captured = capture(server_context(leaf, staple, version="TLSv1.2"))
    assert captured.secret is None
    flight = read_flight(captured.data)
    assert flight.protocol == "TLSv1.2"
    assert 5 in flight.answered
    assert [entry.staples for entry in flight.entries] == [(staple,), ()]


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_a_server_that_staples_nothing_leaves_its_entries_bare(leaf: Issued, version: str) -> None:
    captured = capture(server_context(leaf, None, version=version))
    flight = read_flight(captured.data, secret=captured.secret)
    assert [entry.staples for entry in flight.entries] == [(), ()]
    assert 5 not in flight.answered
    assert flight.sent.staples == {}


def test_a_hello_retry_request_comes_first(leaf: Issued, staple: bytes) -> None:
    context: SSL.Context = server_context(leaf, staple, version="TLSv1.3")
    context.set_tmp_ecdh(ec.SECP521R1())
    captured = capture(context)
    assert flights.RETRY_RANDOM in captured.data
    assert read_flight(captured.data, secret=captured.secret).entries[0].staples == (staple,)


def test_a_request_for_a_client_certificate_is_passed_over(leaf: Issued, staple: bytes, root: Authority) -> None:
    for version in ("TLSv1.2", "TLSv1.3"):
        context = server_context(leaf, staple, version=version, client_ca=root.certificate, require=False)
        captured = capture(context)
        assert read_flight(captured.data, secret=captured.secret).entries[0].staples == (staple,)


def test_large_certificates_span_records(intermediate: Authority, staple: bytes) -> None:
    wide = intermediate.leaf([f"host-{number}.{'x' * 60}.example" for number in range(300)])
    for version in ("TLSv1.2", "TLSv1.3"):
        captured = capture(server_context(wide, staple, version=version))
        flight = read_flight(captured.data, secret=captured.secret)
        assert len(flight.entries[0].certificate) > 1 << 14
        assert flight.entries[0].certificate == _der(wide)[0]


# --- every cut, in whatever shape


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_a_cut_never_yields_another_flight(leaf: Issued, staple: bytes, version: str) -> None:
    captured = capture(server_context(leaf, staple, version=version))
    whole = read_flight(captured.data, secret=captured.secret)
    found = [_flight_or_error(captured.data[:length], captured.secret) for length in range(len(captured.data))]
    incomplete = found.index(whole)
    assert all(type(each) is WireError for each in found[:incomplete])
    assert all(each == whole for each in found[incomplete:])


@pytest.mark.parametrize("size", [1, 7, 1 << 14])
@pytest.mark.parametrize("padding", [0, 300])
def test_messages_may_be_cut_into_records_anyhow(size: int, padding: int) -> None:
    flight = read_flight(flight_13((LEAF, b"s0"), (CA, b"s1"), size=size, padding=padding), secret=flights.SECRET)
    assert flight.entries == (
        Entry(LEAF, (b"s0",), "TLS 1.3 Certificate, entry 0"),
        Entry(CA, (b"s1",), "TLS 1.3 Certificate, entry 1"),
    )
    messages = (flights.certificate_12(LEAF, CA), flights.certificate_status(1, b"s0"), flights.HELLO_DONE)
    assert read_flight(flight_12(*messages, size=size)).entries[0] == Entry(LEAF, (b"s0",), "TLS 1.2 CertificateStatus")


# --- whose staple is it


@pytest.mark.requirement("RFC6961-2.2-2", "RFC6961-2.2-3")
def test_staples_of_ocsp_multi_go_to_the_certificates_in_their_order() -> None:
    for responses, expected in (
        ((b"s0", b"s1"), [(b"s0",), (b"s1",)]),
        ((b"", b"s1"), [(), (b"s1",)]),
        ((b"s0",), [(b"s0",), ()]),
        ((b"s0", b""), [(b"s0",), ()]),
    ):
        messages = (flights.certificate_12(LEAF, CA), flights.certificate_status(2, *responses), flights.HELLO_DONE)
        flight = read_flight(flight_12(*messages, extensions=[(17, b"")]))
        assert [entry.staples for entry in flight.entries] == expected
        assert flight.answered == {17}


def test_a_certificate_sent_twice_has_the_staples_of_both_places() -> None:
    flight = read_flight(flight_13((LEAF, b"s0"), (CA, None), (LEAF, b"s2")), secret=flights.SECRET)
    assert flight.sent.staples == {
        hashlib.sha256(LEAF).digest(): (
            Staple(b"s0", "TLS 1.3 Certificate, entry 0"),
            Staple(b"s2", "TLS 1.3 Certificate, entry 2"),
        )
    }


@pytest.mark.requirement("RFC6066-8-4")
def test_a_status_that_was_announced_may_fail_to_come() -> None:
    flight = read_flight(flight_12(flights.certificate_12(LEAF), flights.KEY_EXCHANGE, flights.HELLO_DONE))
    assert flight.entries[0].staples == ()
    assert flight.answered == {5}


# --- what nobody should send

_STATUS = flights.certificate_status(1, b"s0")
_MULTI = flights.certificate_status(2, b"s0", b"s1", b"s2")
_CHAIN = flights.certificate_12(LEAF, CA)
_DONE = flights.HELLO_DONE
_HELLO_12 = flights.server_hello(0x0303, suite=0xC02B)
_HELLO_12_STATUS = flights.server_hello(0x0303, suite=0xC02B, extensions=[(5, b"")])

CARRIAGE = {
    "a status before the certificates": (flight_12(_STATUS, _CHAIN, _DONE), Alert.UNEXPECTED_MESSAGE),
    "a status too late": (flight_12(_CHAIN, flights.KEY_EXCHANGE, _STATUS, _DONE), Alert.UNEXPECTED_MESSAGE),
    "a status twice": (flight_12(_CHAIN, _STATUS, _STATUS, _DONE), Alert.UNEXPECTED_MESSAGE),
    "status without its extension": (
        flight_12(_CHAIN, _STATUS, _DONE, extensions=[]),
        Alert.UNEXPECTED_MESSAGE,
    ),
    "an announcement that is not empty": (
        flight_12(_CHAIN, _STATUS, _DONE, extensions=[(5, b"x")]),
        Alert.DECODE_ERROR,
    ),
    "ocsp_multi announced by extension 5": (
        flight_12(_CHAIN, _MULTI, _DONE),
        Alert.BAD_CERTIFICATE_STATUS_RESPONSE,
    ),
    "more staples than certificates": (
        flight_12(_CHAIN, _MULTI, _DONE, extensions=[(17, b"")]),
        Alert.BAD_CERTIFICATE_STATUS_RESPONSE,
    ),
    "no certificate": (flight_12(flights.message(11, b"\0\0\0"), _DONE), Alert.DECODE_ERROR),
    "an empty staple in TLS 1.3": (
        flights.records(flights.server_hello())
        + Sealer().records(
            flights.ENCRYPTED_EXTENSIONS
            + flights.message(11, bytes.fromhex("00 00000e 000001 aa 0008 0005 0004 01 000000"))
        ),
        Alert.DECODE_ERROR,
    ),
}


@pytest.mark.requirement("RFC6066-8-3", "RFC6961-2.2-3", "RFC6961-2.2-4")
@pytest.mark.parametrize(("data", "alert"), CARRIAGE.values(), ids=CARRIAGE)
def test_a_fault_in_what_carries_staples_is_told_apart(data: bytes, alert: Alert) -> None:
    error = _refusal(data)
    assert isinstance(error, CarriageError)
    assert error.alert is alert


_CLEAR = flights.records(flights.server_hello())
_RETRY = flights.server_hello(random=flights.RETRY_RANDOM)
_CERTIFICATE = flights.certificate_13((LEAF, b"s0"))

HANDSHAKE = {
    "nothing": b"",
    "another protocol": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "an alert": bytes.fromhex("15 0303 0002 0228"),
    "an empty record": _CLEAR + bytes.fromhex("16 0303 0000") + Sealer().records(_CERTIFICATE),
    "a record too long": flights.records(bytes(1 << 14) + b"x", size=(1 << 14) + 1),
    "no ServerHello": flights.records(_CHAIN),
    "a second ServerHello": flights.records(_HELLO_12 + _HELLO_12),
    "a retry twice": flights.records(_RETRY + _RETRY),
    "a retry and then TLS 1.2": flights.records(_RETRY + _HELLO_12 + _CHAIN + _DONE),
    "TLS 1.1": flights.records(flights.message(2, b"\x03\x02" + bytes(32) + b"\0\xc0\x2b\0")),
    "a session id too long": flights.records(flights.message(2, b"\x03\x03" + bytes(32) + b"\x21" + bytes(36))),
    "compression": flights.records(flights.message(2, b"\x03\x03" + bytes(32) + b"\0\xc0\x2b\x01")),
    "two versions chosen": flights.records(flights.server_hello(0x0303, extensions=[(43, b"\x03\x04\x03\x03")])),
    "a suite nobody knows": flights.records(flights.server_hello(suite=0x1399)) + Sealer().records(_CERTIFICATE),
    "a message across the change of keys": flights.records(flights.server_hello() + b"\x08")
    + Sealer().records(flights.ENCRYPTED_EXTENSIONS[1:] + _CERTIFICATE),
    "a record in clear after the change": _CLEAR + flights.records(flights.ENCRYPTED_EXTENSIONS + _CERTIFICATE),
    "no EncryptedExtensions": _CLEAR + Sealer().records(_CERTIFICATE),
    "no Certificate": _CLEAR + Sealer().records(flights.ENCRYPTED_EXTENSIONS + flights.message(20, bytes(32))),
    "a protected record of padding": _CLEAR + Sealer().seal(bytes(20)),
    "a protected record of application data": _CLEAR + Sealer().seal(b"hello\x17"),
    "a protected alert": _CLEAR + Sealer().seal(b"\x02\x28\x15"),
    "a protected record too long": _CLEAR + Sealer().seal(bytes(1 << 14) + b"x\x16"),
    "an empty protected handshake record": _CLEAR + Sealer().seal(b"\x16"),
    "a change cipher spec of two bytes": _CLEAR + bytes.fromhex("14 0303 0002 0101"),
    "a resumed session of TLS 1.2": flights.records(_HELLO_12) + flights.CHANGE_CIPHER_SPEC,
    "no ServerHelloDone": flight_12(_CHAIN, _STATUS, flights.KEY_EXCHANGE),
    "a flight without end": flight_12(*[flights.message(12, bytes(1 << 14))] * 80),
}


@pytest.mark.requirement("RFC6066-8-3", "RFC9846-5.2-1")
@pytest.mark.parametrize("data", HANDSHAKE.values(), ids=HANDSHAKE)
def test_a_broken_handshake_is_a_wire_error_of_its_own(data: bytes) -> None:
    assert not isinstance(_refusal(data), CarriageError)


def test_the_flight_that_the_broken_ones_differ_from_is_read() -> None:
    assert read_flight(_CLEAR + Sealer().records(flights.ENCRYPTED_EXTENSIONS + _CERTIFICATE), secret=flights.SECRET)
    assert read_flight(flight_12(_CHAIN, _STATUS, flights.KEY_EXCHANGE, _DONE))
    assert read_flight(flight_12(_CHAIN, _DONE, extensions=[]))


def test_warnings_and_requests_to_begin_are_passed_over_in_clear() -> None:
    warning, request = bytes.fromhex("15 0303 0002 0170"), flights.records(flights.message(0, b""))
    plain = flight_12(_CHAIN, _STATUS, flights.KEY_EXCHANGE, _DONE)
    hello, rest = flights.records(_HELLO_12_STATUS), flights.records(_CHAIN + _STATUS + flights.KEY_EXCHANGE + _DONE)
    for more in (warning, request, warning + request):
        assert read_flight(more + hello + more + rest) == read_flight(plain)
    protected = Sealer().records(flights.ENCRYPTED_EXTENSIONS + _CERTIFICATE)
    assert read_flight(warning + _CLEAR + protected, secret=flights.SECRET)
    _refusal(_CLEAR + warning + protected)
    _refusal(_CLEAR + Sealer().records(flights.message(0, b"") + flights.ENCRYPTED_EXTENSIONS + _CERTIFICATE))


@pytest.mark.requirement("RFC9846-5.2-1")
def test_records_out_of_order_do_not_open() -> None:
    sealer = Sealer()
    first, second = sealer.records(flights.ENCRYPTED_EXTENSIONS), sealer.records(_CERTIFICATE)
    assert read_flight(_CLEAR + first + second, secret=flights.SECRET)
    _refusal(_CLEAR + second + first)


def test_a_flight_beyond_the_limit_is_not_read() -> None:
    data = flight_13((LEAF, b"s0"))
    assert read_flight(data + bytes(MAX_FLIGHT_BYTES - len(data)), secret=flights.SECRET)
    _refusal(data + bytes(MAX_FLIGHT_BYTES - len(data) + 1))


# --- any bytes at all

_TWELVE = flight_12(_CHAIN, _STATUS, flights.KEY_EXCHANGE, _DONE)
_THIRTEEN = flight_13((LEAF, b"s0"), (CA, b"s1"), size=9)


def _read_or_wire_error(data: bytes) -> None:
    with contextlib.suppress(WireError):
        read_flight(data, secret=flights.SECRET)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_flight_or_a_wire_error(data: bytes) -> None:
    _read_or_wire_error(data)
    _read_or_wire_error(flights.records(data))
    _read_or_wire_error(flights.records(_HELLO_12 + data))
    _read_or_wire_error(_CLEAR + Sealer().records(data))
    _read_or_wire_error(_CLEAR + Sealer().seal(data))
    _read_or_wire_error(_CLEAR + Sealer().records(flights.ENCRYPTED_EXTENSIONS + flights.message(11, data)))


@given(st.sampled_from([_TWELVE, _THIRTEEN]), st.data())
def test_a_flight_with_bytes_changed_is_a_flight_or_a_wire_error(flight: bytes, data: st.DataObject) -> None:
    altered = bytearray(flight)
    for _ in range(data.draw(st.integers(1, 3))):
        altered[data.draw(st.integers(0, len(flight) - 1))] = data.draw(st.integers(0, 255))
    _read_or_wire_error(bytes(altered))

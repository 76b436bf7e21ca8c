"""Servers that carry staples as none should, and those that do not get so far: each ends with the right alert."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from stapling_ends import ChainClients, ChainServer, Pair, both_versions, codes, shake

from mustaple.core import wire
from mustaple.core.errors import Alert, InputError, NetworkError
from mustaple.core.policy import preset
from mustaple.core.verdict import Code
from mustaple.net import tls_chain
from mustaple.net.service_name import service_name
from mustaple.net.tls_chain import ChainClientTLS
from mustaple.net.tls_context import Identity
from mustaple.net.tls_rfc6961 import ServerEnd, handshake_message
from mustaple.net.tlslite_ng import ServerHello, TLSExtension

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from certtools.authority import Authority, Issued


@pytest.fixture(scope="session")
def clients(root: Authority, at: datetime) -> ChainClients:
    """Makes clients for localhost that trust the root."""
    return ChainClients(root, at)


# --- the carriage: what no server should send


class _Twice(ServerEnd):
    """CertificateStatus once more."""

    def _stapled(self, msgs: list[Any]) -> Iterator[Any]:
        messages = list(super()._stapled(msgs))
        yield from (*messages[:3], messages[2], *messages[3:])


class _Late(ServerEnd):
    """CertificateStatus after ServerKeyExchange."""

    def _stapled(self, msgs: list[Any]) -> Iterator[Any]:
        hello, certificate, status, exchange, *rest = super()._stapled(msgs)
        yield from (hello, certificate, exchange, status, *rest)


class _Early(ServerEnd):
    """CertificateStatus before Certificate."""

    def _stapled(self, msgs: list[Any]) -> Iterator[Any]:
        hello, certificate, status, *rest = super()._stapled(msgs)
        yield from (hello, status, certificate, *rest)


class _Unannounced(ServerEnd):
    """CertificateStatus without its extension in ServerHello."""

    def _stapled(self, msgs: list[Any]) -> Iterator[Any]:
        for message in super()._stapled(msgs):
            if isinstance(message, ServerHello):
                message.extensions = [each for each in message.extensions if each.extType not in {5, 17}]
            yield message


class _Loud(ServerEnd):
    """An announcement that is not empty."""

    def _stapled(self, msgs: list[Any]) -> Iterator[Any]:
        for message in super()._stapled(msgs):
            if isinstance(message, ServerHello):
                message.extensions = [each for each in message.extensions if each.extType != 17]
                message.extensions.append(TLSExtension(extType=17).create(bytearray(b"x")))
            yield message


class _OtherType(ServerEnd):
    """A status type that was never announced."""

    def _stapled(self, msgs: list[Any]) -> Iterator[Any]:
        for place, message in enumerate(super()._stapled(msgs)):
            yield handshake_message(22, b"\x63" + bytes(4)) if place == 2 else message


class _Silent(ServerEnd):
    """An announcement, and no CertificateStatus."""

    def _stapled(self, msgs: list[Any]) -> Iterator[Any]:
        messages = list(super()._stapled(msgs))
        yield from (*messages[:2], *messages[3:])


class _Unsolicited(ServerEnd):
    """An extension that the client never offered."""

    def _stapled(self, msgs: list[Any]) -> Iterator[Any]:
        for message in super()._stapled(msgs):
            if isinstance(message, ServerHello):
                message.extensions.append(TLSExtension(extType=18).create(bytearray()))
            yield message


CARRIAGE = {
    "twice": (_Twice, [Code.WIRE], Alert.UNEXPECTED_MESSAGE),
    "late": (_Late, [Code.WIRE], Alert.UNEXPECTED_MESSAGE),
    "early": (_Early, [Code.WIRE], Alert.UNEXPECTED_MESSAGE),
    "not announced": (_Unannounced, [Code.WIRE], Alert.UNEXPECTED_MESSAGE),
    "announced with a body": (_Loud, [Code.WIRE], Alert.DECODE_ERROR),
    "of another type": (_OtherType, [Code.WIRE], Alert.BAD_CERTIFICATE_STATUS_RESPONSE),
    "announced, and legally left out": (_Silent, [Code.PROMISE_BROKEN, Code.NO_STAPLE], 113),
}


@pytest.mark.requirement("RFC6066-8-3", "RFC6066-8-4", "RFC6961-2.2-4")
@pytest.mark.parametrize(("end", "expected", "alert"), CARRIAGE.values(), ids=CARRIAGE)
def test_a_certificate_status_out_of_place_ends_the_handshake(
    clients: ChainClients, leaf: Issued, honest: Pair, end: type[ServerEnd], expected: list[Code], alert: int
) -> None:
    tls = clients()
    server = shake(tls, ChainServer(leaf, honest, version="TLSv1.2", end=end))
    assert (codes(tls), server.alert) == (expected, alert)
    assert not server.completed


def test_an_answer_that_was_not_asked_for_ends_the_handshake(clients: ChainClients, leaf: Issued, honest: Pair) -> None:
    tls = clients()
    server = ChainServer(leaf, honest, version="TLSv1.2", end=_Unsolicited)
    with pytest.raises(NetworkError, match="extension 18, which was not offered"):
        shake(tls, server)
    assert (tls.verdict, server.alert) == (None, Alert.UNSUPPORTED_EXTENSION)


class _Messages13(ServerEnd):
    """Changes the protected messages of TLS 1.3 before they are sent."""

    changes: dict[int, Callable[[bytes], Sequence[bytes]]]

    def _queue_message(self, msg: Any) -> None:
        sent = bytes(msg.write())
        for each in self.changes.get(sent[0], lambda message: [message])(sent):
            super()._queue_message(handshake_message(each[0], each[4:]))


def _entry_17(certificate: bytes) -> list[bytes]:
    first, *rest = wire.decode_certificate_tls13(certificate[4:])
    body = wire.encode_certificate_status(wire.CertificateStatus(2, (b"one",)))
    changed = wire.CertificateEntry(first.certificate, (*first.extensions, (17, body)))
    return [b"\x0b\0\0\0" + wire.encode_certificate_tls13([changed, *rest])]


def _encrypted_extensions(*extensions: tuple[int, bytes]) -> Callable[[bytes], list[bytes]]:
    return lambda _: [b"\x08\0\0\0" + wire.encode_extensions(extensions)]


def _status_after(certificate: bytes) -> list[bytes]:
    return [certificate, b"\x16\0\0\0" + wire.encode_certificate_status(wire.CertificateStatus(1, (b"one",)))]


# message, change, whether it is a refusal, the alert
CARRIAGE_13 = {
    "status_request_v2 in an entry": (11, _entry_17, True, Alert.ILLEGAL_PARAMETER),
    "status_request in EncryptedExtensions": (8, _encrypted_extensions((5, b"")), False, Alert.ILLEGAL_PARAMETER),
    "status_request_v2 in EncryptedExtensions": (8, _encrypted_extensions((17, b"")), False, Alert.ILLEGAL_PARAMETER),
    "an answer nobody asked for": (8, _encrypted_extensions((18, b"")), False, Alert.UNSUPPORTED_EXTENSION),
    "a CertificateStatus after Certificate": (11, _status_after, False, Alert.UNEXPECTED_MESSAGE),
    "a CertificateStatus before Certificate": (
        11,
        lambda message: _status_after(message)[::-1],
        True,
        Alert.UNEXPECTED_MESSAGE,
    ),
}


@pytest.mark.requirement("RFC9846-4.5.1.1-2", "RFC9846-4.3-1")
@pytest.mark.parametrize(("number", "change", "refused", "alert"), CARRIAGE_13.values(), ids=CARRIAGE_13)
def test_in_tls_13_the_alert_comes_under_the_handshake_keys(
    clients: ChainClients,
    leaf: Issued,
    honest: Pair,
    number: int,
    change: Callable[[bytes], Sequence[bytes]],
    refused: bool,
    alert: Alert,
) -> None:
    tls = clients()
    end = type("Changed", (_Messages13,), {"changes": {number: change}})
    server = ChainServer(leaf, honest, version="TLSv1.3", end=end)
    if refused:
        shake(tls, server)
        assert codes(tls) == [Code.WIRE]
    else:
        with pytest.raises(NetworkError):
            shake(tls, server)
        assert tls.verdict is None
    assert server.alert == alert  # the server could read it


# --- faults that are nobody's verdict


@pytest.mark.parametrize(
    "said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", bytes.fromhex("15 0303 0002 0228"), b"\x16\x03\x03\x00\x02\x02"]
)
def test_what_is_no_handshake_is_a_network_error(clients: ChainClients, said: bytes) -> None:
    tls = clients()
    tls.to_send()
    with pytest.raises(NetworkError):  # noqa: PT012 - with the first bytes or where they end
        tls.receive(said)
        tls.receive(b"")
    assert tls.verdict is None
    with pytest.raises(RuntimeError):
        tls.read()
    tls.close()


def test_a_flight_without_end_is_refused(
    clients: ChainClients, leaf: Issued, honest: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_chain, "MAX_FLIGHT_BYTES", 200)
    tls = clients()
    server = shake(tls, ChainServer(leaf, honest))
    assert codes(tls) == [Code.WIRE]
    assert not server.completed


@both_versions
def test_a_wrong_signature_over_the_handshake_is_a_network_error(
    clients: ChainClients, leaf: Issued, other: Issued, honest: Pair, version: str
) -> None:
    """The certificates and staples are shown by somebody who has not the leaf's key."""
    tls = clients(maximum=version)
    server = ChainServer(other, honest, chain=other.chain[:-1])
    server.tls._credentials.certificates = tuple(ChainServer(leaf).tls._credentials.certificates)
    with pytest.raises(NetworkError):
        shake(tls, server)
    assert tls.verdict is None
    assert server.alert == 51  # decrypt_error


@both_versions
def test_a_fault_of_our_own_is_not_taken_for_the_servers(
    clients: ChainClients, leaf: Issued, honest: Pair, at: datetime, version: str
) -> None:
    naive = at.replace(tzinfo=None)
    tls = ChainClientTLS(clients.context, service_name("localhost"), preset("strict"), naive, maximum=version)
    with pytest.raises(TypeError, match="aware"):
        shake(tls, ChainServer(leaf, honest))
    assert tls.verdict is None


@pytest.mark.parametrize(
    "more",
    [bytes.fromhex("15 0303 0002 0170"), bytes.fromhex("16 0303 0004 00000000")],
    ids=["warning", "HelloRequest"],
)
def test_warnings_and_requests_to_begin_are_passed_over(
    clients: ChainClients, leaf: Issued, honest: Pair, more: bytes
) -> None:
    """unrecognized_name, say, which a server may send before its ServerHello (RFC 6066 §3)."""
    tls = clients(maximum="TLSv1.2")
    first = [more]
    server = shake(tls, ChainServer(leaf, honest), lambda data: (first.pop() if first else b"") + data)
    assert tls.verdict is not None
    assert tls.verdict.accepted
    assert server.completed


@pytest.mark.parametrize("last", [b"", bytes.fromhex("17 0303 0020") + bytes(32)], ids=["cut off", "forged"])
def test_a_connection_that_ends_badly_after_its_verdict_is_a_network_error(
    clients: ChainClients, leaf: Issued, honest: Pair, last: bytes
) -> None:
    tls = clients()
    shake(tls, ChainServer(leaf, honest))
    tls.receive(last)
    with pytest.raises(NetworkError):
        tls.read()
    with pytest.raises(NetworkError):
        tls.write(b"too late")


def test_a_client_certificate_that_tlslite_cannot_use_is_an_input_error(clients: ChainClients, tmp_path: Path) -> None:
    (tmp_path / "own.pem").write_text("no PEM", "ascii")
    with pytest.raises(InputError, match="client's certificate"):
        clients(identity=Identity(str(tmp_path / "own.pem"), str(tmp_path / "own.pem")))

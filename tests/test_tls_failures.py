"""The strict client's TLS where the handshake fails, lies or never ends, and what is no verdict."""

from __future__ import annotations

import ssl
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from asn1crypto import x509 as asn1_x509
from asn1crypto.core import OctetBitString
from asn1crypto.parser import emit
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL
from strict_client import Clients, codes
from tls_server import MemoryServer, server_context, shake

from certtools.forge.signing import sign_bytes
from mustaple.core.errors import NetworkError
from mustaple.core.flight import Entry, Flight, Sent
from mustaple.core.policy import PRESETS, preset
from mustaple.core.verdict import Code
from mustaple.net import tls_judge
from mustaple.net.service_name import service_name
from mustaple.net.tls_context import ClientContext
from mustaple.net.tls_errors import explain, unreadable_staples
from mustaple.net.tls_openssl import ClientTLS

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography import x509

    from certtools.authority import Authority, Issued

DAY = timedelta(days=1)
VERSIONS = ("TLSv1.2", "TLSv1.3")
both_versions = pytest.mark.parametrize("version", VERSIONS)


@pytest.fixture(scope="session")
def clients(root: Authority, at: datetime) -> Clients:
    return Clients(root, at)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak TLS"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "does not speak TLS"),
        (bytes.fromhex("15 0303 0002 0228"), "the server ended the connection: .*handshake failure"),
        (bytes.fromhex("15 0303 0002 0246"), "the server ended the connection: .*protocol version"),
        (bytes.fromhex("16 0303 0004 02000000"), "the TLS handshake failed"),
        (b"", "closed the connection"),
    ],
)
def test_an_answer_that_is_no_handshake_is_a_network_error(clients: Clients, data: bytes, said: str) -> None:
    tls = clients()
    with pytest.raises(NetworkError, match=said):
        tls.receive(data)
    assert (tls.done, tls.verdict) == (True, None)


@both_versions
def test_a_handshake_that_fails_after_the_decision_has_no_verdict(
    clients: Clients, leaf: Issued, staple: bytes, root: Authority, version: str
) -> None:
    tls = clients()
    demanding = server_context(leaf, staple, version=version, client_ca=root.certificate)
    if version == "TLSv1.3":  # there the handshake is over for the client before the server has said no
        server = shake(tls, demanding)
        assert not server.seen.completed
        tls.receive(server.to_send())
        with pytest.raises(NetworkError, match=r"the server ended the connection: .*certificate required"):
            tls.read()
        return
    with pytest.raises(NetworkError, match="the server ended the connection"):
        shake(tls, demanding)
    assert tls.verdict is None


@both_versions
def test_a_server_without_the_key_is_no_verdict(clients: Clients, leaf: Issued, staple: bytes, version: str) -> None:
    def altered(data: bytes) -> bytes:
        return data[:-20] + bytes([data[-20] ^ 1]) + data[-19:] if len(data) > 500 else data

    tls = clients()
    with pytest.raises(NetworkError, match="the TLS handshake failed"):
        shake(tls, server_context(leaf, staple, version=version), altered)
    assert tls.verdict is None


@both_versions
def test_a_stream_cut_off_is_told_from_its_end(clients: Clients, leaf: Issued, staple: bytes, version: str) -> None:
    tls = clients()
    shake(tls, server_context(leaf, staple, version=version))
    tls.receive(b"")
    with pytest.raises(NetworkError, match="closed the connection"):
        tls.read()


def test_a_flight_without_end_is_refused(
    clients: Clients, leaf: Issued, staple: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    shake(clients(), server_context(leaf, staple))
    monkeypatch.setattr(tls_judge, "MAX_FLIGHT_BYTES", 200)
    tls = clients()
    server = shake(tls, server_context(leaf, staple))
    assert codes(tls) == [Code.WIRE]
    assert not server.seen.completed


@both_versions
def test_an_exception_in_a_callback_comes_out_of_the_handshake(
    clients: Clients, leaf: Issued, staple: bytes, version: str, at: datetime
) -> None:
    naive = at.replace(tzinfo=None)
    tls = ClientTLS(clients.context, service_name("localhost"), preset("must-staple"), naive)
    with pytest.raises(TypeError, match="aware"):
        shake(tls, server_context(leaf, staple, version=version))
    assert tls.verdict is None


@both_versions
def test_bytes_that_come_one_by_one_come_to_the_same(
    clients: Clients, leaf: Issued, staple: bytes, version: str
) -> None:
    tls = clients()
    server = MemoryServer(server_context(leaf, staple, version=version))
    while sent := tls.to_send():
        for byte in server.exchange(sent):
            tls.receive(bytes([byte]))
    assert tls.verdict is not None
    assert tls.verdict.accepted


@pytest.mark.requirement("RFC6066-8-3")
@pytest.mark.parametrize("code", [Code.MALFORMED, Code.WIRE])
def test_a_staple_that_openssl_cannot_read_is_a_refusal_with_its_reason(
    clients: Clients, leaf: Issued, staple: bytes, code: Code
) -> None:
    """TLS 1.2 in clear: the staple is changed on its way, which OpenSSL notices before it could miss a signature."""
    response = b"\x30\x82" if code is Code.MALFORMED else b""
    head = bytes([22]) + (len(staple) + 4).to_bytes(3, "big") + b"\x01"

    def spoiled(data: bytes) -> bytes:
        place = data.find(head)
        if place < 0:
            return data
        if code is Code.WIRE:  # a length that reaches one byte too far
            return data.replace(len(staple).to_bytes(3, "big") + staple, (len(staple) + 1).to_bytes(3, "big") + staple)
        return data.replace(staple, response + staple[2:].replace(staple[4:8], b"\xff\xff\xff\xff", 1))

    tls = clients()
    shake(tls, server_context(leaf, staple, version="TLSv1.2"), spoiled)
    assert codes(tls) == [code]


@settings(max_examples=40, deadline=None)
@given(st.binary(min_size=1, max_size=60))
def test_any_bytes_end_in_a_network_error_or_wait_for_more(data: bytes) -> None:
    tls = ClientTLS(_BARE, service_name("localhost"), preset("strict"), datetime.fromisoformat("2026-06-01T00:00Z"))
    try:
        tls.receive(data)
        tls.receive(b"")
    except NetworkError:
        assert tls.verdict is None
    else:
        pytest.fail("a stream that ended is no handshake")


_BARE = ClientContext(())


@both_versions
def test_an_empty_record_that_openssl_lets_pass_is_a_refusal(
    clients: Clients, leaf: Issued, staple: bytes, version: str
) -> None:
    """RFC 9846 §5.1 and RFC 5246 §6.2.1 forbid it; the certificates are told all the same."""
    tls = clients()
    empty = bytes.fromhex("16 0303 0000")
    server = shake(tls, server_context(leaf, staple, version=version), lambda data: empty + data if data else data)
    assert codes(tls) == [Code.WIRE, Code.PROMISE_BROKEN]
    assert tls.verdict is not None
    assert len(tls.verdict.certificates) == 2
    assert (server.seen.alert, server.seen.completed) == (113, False)


def _of_version_4(certificate: x509.Certificate, authority: Authority) -> bytes:
    """The same certificate as X.509 v4, which OpenSSL takes: `cryptography` cannot so much as load it."""
    original = asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER))
    signed = original["tbs_certificate"].dump().replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x03", 1)
    _, signature = sign_bytes(signed, authority.key)
    body = signed + original["signature_algorithm"].dump() + OctetBitString(signature).dump()
    encoded: bytes = emit(0, 1, 16, body)
    return encoded


@both_versions
@pytest.mark.parametrize("policy", PRESETS)
@pytest.mark.parametrize("which", ["leaf", "expired leaf", "CA"])
def test_a_certificate_that_cannot_be_loaded_is_a_path_error_and_no_crash(
    clients: Clients, root: Authority, version: str, policy: str, which: str, tmp_path: Path, at: datetime
) -> None:
    issuer = root.intermediate("a CA") if which == "CA" else root
    leaf = issuer.leaf(["localhost"], not_after=at - timedelta(days=1) if which == "expired leaf" else None)
    sent = [certificate.public_bytes(Encoding.DER) for certificate in leaf.chain[:-1]]
    sent[-1] = _of_version_4(leaf.chain[-2], root)
    chain = tmp_path / "chain.pem"
    chain.write_text("".join(map(ssl.DER_cert_to_PEM_cert, sent)))
    server = server_context(leaf, None, chain=[], version=version)
    server.use_certificate_chain_file(chain)
    tls = clients(policy)
    end = shake(tls, server)
    assert codes(tls) == [Code.PATH_INVALID]
    assert tls.verdict is not None
    assert "cannot be read" in tls.verdict.reasons[0].detail
    assert not tls.verdict.accepted
    assert end.seen.completed is (which == "CA" and policy == "ignore")  # which asks for no callback, so is told late


@both_versions
@pytest.mark.parametrize("policy", ["ignore", "must-staple"])
def test_a_fault_of_our_own_is_not_taken_for_a_refusal(
    clients: Clients, leaf: Issued, staple: bytes, version: str, policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(tls_judge, "name_reason", broken)
    tls = clients(policy)
    with pytest.raises(ZeroDivisionError):
        shake(tls, server_context(leaf, staple, version=version))
    assert (tls.done, tls.verdict) == (True, None)


def test_nothing_is_written_after_the_end(clients: Clients, leaf: Issued, staple: bytes) -> None:
    tls = clients()
    shake(tls, server_context(leaf, staple))
    tls.close()
    assert tls.to_send()
    with pytest.raises(NetworkError):
        tls.write(b"too late")


def test_errors_without_words_still_say_what_they_are() -> None:
    assert explain(SSL.Error()) == "the TLS handshake failed: Error"
    assert explain(SSL.Error([("SSL routines", "", "odd")])) == "the TLS handshake failed: odd"


def test_a_staple_that_only_openssl_cannot_read_is_told_in_its_words(staple: bytes) -> None:
    flight = Flight("TLSv1.3", 0x1301, Sent((Entry(b"a certificate", (staple,), "entry 0"),)), frozenset({5}))
    parsing = SSL.Error([("asn1", "", "too long"), ("SSL routines", "", "tlsv1 bad certificate status response")])
    assert [reason.code for reason in unreadable_staples(flight, parsing)] == [Code.MALFORMED]
    assert unreadable_staples(flight, SSL.Error([("SSL routines", "", "bad signature")])) == []

"""The chain stapling server over real sockets: what it staples, what it records, whom it keeps waiting."""

from __future__ import annotations

import select
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from certtools.authority import Authority
from certtools.forge import CertificateStatus, answer, good, sign, single
from mustaple.core.errors import Alert, InputError, NetworkError
from mustaple.core.verdict import Outcome
from mustaple.net.client import check, connect
from mustaple.net.listen import listen
from mustaple.net.stapling_server import ChainStaplingServer, Ended

if TYPE_CHECKING:
    from collections.abc import Callable

    from mustaple.core.verdict import ChainVerdict
    from mustaple.net.stapling_session import ChainConnectionRecord

NOW = datetime.now(UTC)
ROOT = Authority.root("server root", not_before=NOW - timedelta(days=1), not_after=NOW + timedelta(days=1))
CA = ROOT.intermediate("server CA")
LEAF = CA.leaf(["localhost"])
LINKS = LEAF.as_chain().links
CHAIN = LEAF.chain[:-1]
STAPLES = (good(LINKS[0], CA, NOW), good(LINKS[1], ROOT, NOW))
CA_REVOKED = sign(answer([single(LINKS[1], NOW, status=CertificateStatus.REVOKED)], ROOT), ROOT)
OTHERS = good(CA.leaf(["other.example"]).as_chain().links[0], CA, NOW)
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"

both_versions = pytest.mark.parametrize("version", ["1.2", "1.3"])
both_engines = pytest.mark.parametrize("engine", ["openssl", "rfc6961"])


def serve(staples: Any = STAPLES, **options: Any) -> ChainStaplingServer:
    return ChainStaplingServer(CHAIN, LEAF.key, staples, **options)


def ask(server: ChainStaplingServer, policy: str = "strict", **options: Any) -> ChainVerdict:
    return check("localhost", server.port, policy, ca=ROOT.certificate, **options)


def page(server: ChainStaplingServer, policy: str = "strict", request: bytes = REQUEST, **options: Any) -> bytes:
    with connect("localhost", server.port, policy, ca=ROOT.certificate, **options) as connection:
        connection.sendall(request)
        return b"".join(iter(connection.recv, b""))


# --- stapled, and judged by the strict client on either library


@both_engines
@pytest.mark.requirement("RFC9846-4.5.1.1-1")
def test_in_tls_13_a_staple_in_every_entry_is_accepted(engine: str) -> None:
    with serve() as server:
        assert ask(server, engine=engine).accepted
        record = server.next_record()
    assert (record.ended, record.protocol, record.carrier) == (Ended.COMPLETED, "TLSv1.3", "entries")
    assert (record.sent, record.stapled, record.alert) == (STAPLES, STAPLES[0], None)
    assert record.offered == ({5} if engine == "openssl" else {5, 17})
    assert record.server_name == "localhost"
    assert record.completed
    assert record.asked_for_status


@both_engines
@pytest.mark.parametrize(
    ("staples", "subject"),
    [
        ((STAPLES[0], CA_REVOKED), "CN=server CA"),
        ((STAPLES[0], None), "CN=server CA"),
        ((STAPLES[0],), "CN=server CA"),
        ((STAPLES[0], STAPLES[0]), "CN=server CA"),
        ((OTHERS, STAPLES[1]), "CN=localhost"),
        ((None, STAPLES[1]), "CN=localhost"),
        ((STAPLES[0] + b"x", STAPLES[1]), "CN=localhost"),
    ],
    ids=["revoked", "dropped", "too few", "the leaf's", "another's", "leaf dropped", "a byte too many"],
)
def test_in_tls_13_one_wrong_staple_is_refused_naming_its_certificate(
    staples: tuple[bytes | None, ...], subject: str, engine: str
) -> None:
    with serve(staples) as server:
        verdict = ask(server, engine=engine)
        record = server.next_record()
    refused = [each.subject for each in verdict.certificates if each.outcome is Outcome.REFUSED]
    # OpenSSL reads every staple itself, and one with a byte too many ends its handshake before there is a path.
    assert refused == [subject] or (engine == "openssl" and "1 bytes follow" in verdict.headline)
    assert (record.ended, record.alert) == (Ended.REFUSED, Alert.BAD_CERTIFICATE_STATUS_RESPONSE)
    assert record.application_data == b""
    assert "113, bad_certificate_status_response" in str(record)


@pytest.mark.requirement("RFC6066-8-6", "RFC6961-2.2-5")
@pytest.mark.parametrize(
    ("engine", "carrier", "sent", "accepted"),
    [("openssl", "ocsp", STAPLES[:1], False), ("rfc6961", "ocsp_multi", STAPLES, True)],
)
def test_in_tls_12_the_leafs_for_5_and_the_whole_list_for_17(
    engine: str, carrier: str, sent: tuple[bytes, ...], accepted: bool
) -> None:
    with serve(maximum="1.2") as server:
        verdict = ask(server, engine=engine)
        record = server.next_record()
    assert (verdict.accepted, verdict.protocol, verdict.engine) == (accepted, "TLSv1.2", engine)
    assert (record.carrier, record.sent) == (carrier, sent)


@both_versions
def test_nothing_is_stapled_to_a_client_that_does_not_ask(version: str) -> None:
    with serve(minimum=version, maximum=version) as server:
        body = page(server, "ignore")
        record = server.next_record()
    assert b"stapled nothing, because your client did not ask" in body
    assert (record.offered, record.sent, record.stapled, record.carrier) == (set(), (), None, None)
    assert not record.asked_for_status


@pytest.mark.parametrize("staples", [(), (None, None), lambda: (), lambda: (None,)])
def test_nothing_is_stapled_where_there_is_nothing(staples: Any) -> None:
    with serve(staples) as server:
        body = page(server, "ignore")
        assert not ask(server).accepted
        server.next_record()
        assert server.next_record().carrier is None
    assert b"HTTP/1.1 200 OK" in body


@both_versions
def test_the_page_says_what_was_stapled(version: str) -> None:
    with serve(maximum=version) as server:
        body = page(server, engine="rfc6961")
        head = page(server, engine="rfc6961", request=b"HEAD / HTTP/1.1\r\n\r\n")
        record = server.next_record()
    carrier = {"1.2": "ocsp_multi", "1.3": "entries"}[version]
    assert f"over TLSv{version}, and it stapled as {carrier}".encode() in body
    assert f"certificate 1: an OCSP response of {len(STAPLES[1])} bytes".encode() in body
    assert head.endswith(b"\r\n\r\n")
    assert (record.ended, record.application_data) == (Ended.SERVED, REQUEST)


def test_a_page_of_the_callers_own() -> None:
    with serve(page=lambda record: f"hello {record.server_name}".encode()) as server:
        assert page(server).endswith(b"\r\n\r\nhello localhost")


# --- staples that change, and those that cannot be had


def test_staples_may_be_replaced_while_it_runs() -> None:
    with serve() as server:
        assert ask(server).accepted
        server.staples = (STAPLES[0], CA_REVOKED)
        assert not ask(server).accepted
        server.staples = lambda: STAPLES
        assert ask(server).accepted


def test_a_source_of_staples_that_fails_leaves_the_server_serving() -> None:
    def broken() -> tuple[bytes, ...]:
        raise RuntimeError("no such file")

    with serve(broken) as server:
        page(server, "ignore")
        assert server.next_record().error is None  # nobody asked
        assert not ask(server).accepted
        record = server.next_record()
    assert record.error == "no staple, because its source failed: no such file"


def test_a_source_is_asked_once_by_each_client_that_asks() -> None:
    asked = []

    def source() -> tuple[bytes, ...]:
        asked.append(threading.current_thread())
        return STAPLES

    with serve(source) as server:
        for policy in ("ignore", "strict", "strict"):
            assert ask(server, policy).accepted
    assert len(asked) == 2


@pytest.mark.parametrize("key", ["ec-p256", "ec-p384", "rsa-2048", "ed25519"])
@both_engines
@both_versions
def test_every_kind_of_leaf_is_served(key: str, version: str, engine: str) -> None:
    leaf = CA.leaf(["localhost"], key=key)
    staple = good(leaf.as_chain().links[0], CA, NOW)
    with ChainStaplingServer(leaf.chain[:-1], leaf.key, [staple, STAPLES[1]], maximum=version) as server:
        assert ask(server, "must-staple", engine=engine).accepted


# --- clients that do not behave


def _next(server: ChainStaplingServer, act: Callable[[socket.socket], object]) -> ChainConnectionRecord:
    with socket.create_connection((server.host, server.port)) as sock:
        sock.settimeout(30)
        act(sock)
        return server.next_record()


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x00\x05hello",
        b"\x80\x02\x01\x00",
        bytes(64),
        b"\x15\x03\x03\0\x02\x02\x28",
    ],
)
def test_what_is_no_client_hello_ends_its_connection_alone(said: bytes) -> None:
    def act(sock: socket.socket) -> None:
        sock.sendall(said)
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(4096):
            pass

    with serve() as server:
        record = _next(server, act)
        assert record.ended in {Ended.FAILED, Ended.REFUSED}
        assert not record.completed
        assert record.error or record.alert
        assert ask(server).accepted


def test_a_client_that_leaves_within_the_handshake() -> None:
    with serve() as server:
        record = _next(server, lambda sock: sock.shutdown(socket.SHUT_WR))
    assert (record.ended, record.error) == (Ended.FAILED, "the client closed the connection within the handshake")


def test_a_silent_client_is_let_go_and_a_slow_one_has_one_deadline_for_all() -> None:
    def drip(sock: socket.socket) -> None:
        """Begin a record that is long, and go on byte by byte until nobody listens."""
        sock.sendall(b"\x16\x03\x01\x40\x00")
        with suppress(OSError):
            while True:
                sock.sendall(b"\x01")
                select.select([], [], [], 0.02)

    with serve(handshake_timeout=0.3) as server:
        silent = _next(server, lambda _: None)
        slow = _next(server, drip)
    for record in (silent, slow):
        assert (record.ended, record.error) == (Ended.TIMED_OUT, "nothing came for 0.3 s")


def test_a_client_that_asks_for_nothing_after_the_handshake_is_let_go() -> None:
    with serve(handshake_timeout=2.0) as server:
        with connect("localhost", server.port, ca=ROOT.certificate):
            record = server.next_record()
        assert (record.ended, record.error) == (Ended.COMPLETED, "nothing came for 2 s")


def test_too_many_clients_are_turned_away_and_room_comes_again() -> None:
    with serve(max_connections=2) as server, ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(connect("localhost", server.port, ca=ROOT.certificate))
        with pytest.raises(NetworkError):
            ask(server)
        assert server.next_record().ended is Ended.TURNED_AWAY
        stack.close()
        assert {server.next_record().ended for _ in range(2)} == {Ended.COMPLETED}
        # A place is free again a moment after its record.
        assert any(_accepted(server) for _ in range(200))


def _accepted(server: ChainStaplingServer) -> bool:
    try:
        return ask(server).accepted
    except NetworkError:
        return False


def test_many_clients_at_once() -> None:
    with serve() as server, ThreadPoolExecutor(8) as pool:
        verdicts = list(pool.map(lambda _: ask(server), range(8)))
        records = [server.next_record() for _ in range(8)]
        assert sorted(map(str, records)) == sorted(map(str, server.records))
    assert all(verdict.accepted for verdict in verdicts)
    assert {record.ended for record in records} == {Ended.COMPLETED}


# --- its life


def test_closing_ends_open_connections_and_frees_the_port() -> None:
    seen: list[ChainConnectionRecord] = []
    server = serve(on_event=seen.append)
    server.start()
    with socket.create_connection((server.host, server.port)):
        assert ask(server).accepted
        server.next_record()
        server.close()
    server.close()
    listen("127.0.0.1", server.port).close()
    assert [record.ended for record in seen] == [Ended.COMPLETED, Ended.FAILED]


def test_a_server_that_was_never_started_can_be_closed() -> None:
    server = serve()
    assert server.url == f"https://127.0.0.1:{server.port}/"
    server.close()


def test_waiting_for_a_record_that_does_not_come() -> None:
    with serve() as server, pytest.raises(NetworkError, match="ended within"):
        server.next_record(timeout=0.05)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"chain": ()}, "at least one certificate"),
        ({"key": CA.key}, "not that of the certificate"),
        ({"maximum": "1.1"}, "TLS 1.1 is not spoken"),
        ({"host": "0.0.0.0"}, "reachable from other machines"),
        ({"port": -1}, "no address"),
    ],
    ids=["no chain", "another key", "TLS 1.1", "every address", "no port"],
)
def test_what_cannot_be_served_is_an_input_error(change: dict[str, Any], said: str) -> None:
    options = {"chain": CHAIN, "key": LEAF.key, **change}
    with pytest.raises(InputError, match=said):
        ChainStaplingServer(options.pop("chain"), options.pop("key"), STAPLES, **options)


@pytest.mark.parametrize("curve", [ec.SECP224R1(), ec.SECP256K1()], ids=lambda curve: curve.name)
def test_a_key_that_tlslite_does_not_know_is_an_input_error(curve: ec.EllipticCurve) -> None:
    leaf = CA.leaf(["localhost"], key=ec.generate_private_key(curve))
    with pytest.raises(InputError, match="tlslite-ng does not serve"):
        ChainStaplingServer(leaf.chain[:-1], leaf.key)

"""The stapling server over real sockets: what it staples, what it records, and whom it keeps waiting."""

from __future__ import annotations

import socket
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

import pytest
from OpenSSL import SSL

from certtools.authority import Authority
from certtools.chain import Link
from certtools.forge import CertificateStatus, answer, good, sign, single
from certtools.keys import KeyKind, available_kinds
from mustaple.core.errors import Alert, InputError, NetworkError
from mustaple.net.listen import listen
from mustaple.net.server import Ended, StaplingServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from mustaple.net.tls_session import ConnectionRecord

NOW = datetime.now(UTC)
ROOT = Authority.root("server root", not_before=NOW - timedelta(days=1), not_after=NOW + timedelta(days=1))
CA = ROOT.intermediate("server CA")
LEAF = CA.leaf(["localhost"])
LINK = Link(LEAF.certificate, CA.certificate)
CHAIN = LEAF.chain[:-1]
GOOD = good(LINK, CA, NOW)
REVOKED = sign(answer([single(LINK, NOW, status=CertificateStatus.REVOKED)], CA), CA)
GARBAGE = {"garbage": b"garbage", "a trailing byte": GOOD + b"\0", "half": GOOD[:-1]}


def serve(staple: Any = GOOD, **arguments: Any) -> StaplingServer:
    return StaplingServer(CHAIN, LEAF.key, staple, **arguments)


class Client:
    """A plain pyOpenSSL client that asks for the status and takes any, unless told what to do."""

    def __init__(self, server: StaplingServer, *, judge: Callable[[bytes], bool] | None = None, **options: Any) -> None:
        self.staple: bytes | None = None
        self.tickets = 0
        self._judge = judge or (lambda _: True)
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        if options.get("maximum"):
            context.set_max_proto_version(options["maximum"])
        context.set_ocsp_client_callback(self._take)
        if options.get("certificate"):
            issued = options["certificate"]
            context.use_certificate(issued.certificate)
            context.use_privatekey(issued.key)
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=30)
        self.socket.settimeout(None)  # pyOpenSSL would see a non-blocking socket
        self.tls = SSL.Connection(context, self.socket)
        self.tls.set_connect_state()
        if options.get("ask", True):
            self.tls.request_ocsp()

    def _take(self, _connection: SSL.Connection, staple: bytes, _data: Any) -> bool:
        self.staple = staple
        return self._judge(staple)

    def get(self, request: bytes = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") -> bytes:
        self.tls.do_handshake()
        self.tls.sendall(request)
        received = b""
        while True:
            try:
                received += self.tls.recv(65536)
            except SSL.ZeroReturnError:
                return received

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


versions = pytest.mark.parametrize(
    ("maximum", "name"), [(SSL.TLS1_2_VERSION, "TLSv1.2"), (SSL.TLS1_3_VERSION, "TLSv1.3")], ids=["1.2", "1.3"]
)


@versions
@pytest.mark.requirement("RFC6066-8-1")
def test_the_leaf_is_stapled_and_the_page_says_so(maximum: int, name: str) -> None:
    with serve() as server, Client(server, maximum=maximum) as client:
        page = client.get()
        record = server.next_record()
    assert client.staple == GOOD
    assert page.startswith(b"HTTP/1.1 200 OK\r\n")
    assert f"over {name}, and it stapled an OCSP response of {len(GOOD)} bytes".encode() in page
    assert (record.ended, record.protocol, record.stapled, record.alert) == (Ended.SERVED, name, GOOD, None)
    assert record.asked_for_status
    assert record.application_data.startswith(b"GET / ")
    assert record.client_certificate is None
    assert str(record).endswith(" served")


@versions
def test_nothing_is_stapled_to_a_client_that_does_not_ask(maximum: int, name: str) -> None:
    with serve() as server, Client(server, maximum=maximum, ask=False) as client:
        page = client.get()
        record = server.next_record()
    assert not client.staple
    assert b"stapled nothing, because your client did not ask" in page
    assert (record.asked_for_status, record.stapled, record.protocol) == (False, None, name)


@versions
@pytest.mark.parametrize("staple", [None, b"", lambda: None, lambda: b""])
def test_nothing_is_stapled_where_there_is_nothing(maximum: int, name: str, staple: Any) -> None:
    with serve(staple) as server, Client(server, maximum=maximum) as client:
        assert b"stapled nothing.\n" in client.get()
        record = server.next_record()
    assert client.staple == b""
    assert (record.asked_for_status, record.stapled, record.protocol) == (True, None, name)


def test_a_staple_may_be_asked_for_each_time_or_replaced() -> None:
    staples = iter([GOOD, REVOKED])
    with serve(lambda: next(staples)) as server:
        for expected in (GOOD, REVOKED, REVOKED):
            with Client(server) as client:
                client.get()
            assert client.staple == expected
            if expected == REVOKED:
                server.staple = REVOKED


@pytest.mark.parametrize("staple", GARBAGE.values(), ids=GARBAGE)
def test_a_staple_that_is_no_response_is_refused_at_once(staple: bytes) -> None:
    with pytest.raises(InputError, match="not an OCSP response"):
        serve(staple)


@pytest.mark.parametrize("staple", GARBAGE.values(), ids=GARBAGE)
def test_a_function_that_gives_no_response_is_written_down(staple: bytes) -> None:
    with serve(lambda: staple) as server, Client(server) as client:
        client.get()
        record = server.next_record()
    assert client.staple == b""
    assert record.stapled is None
    assert "not an OCSP response" in str(record.error)


def test_a_function_that_raises_does_not_stop_the_server() -> None:
    def fail() -> bytes:
        raise RuntimeError("the disk is on fire")

    with serve(fail) as server, Client(server) as client:
        assert b"stapled nothing" in client.get()
        assert "the disk is on fire" in str(server.next_record().error)


@versions
@pytest.mark.requirement("RFC6961-2.2-1")
def test_a_client_that_refuses_the_staple_is_seen_to(maximum: int, name: str) -> None:
    with serve(REVOKED) as server:
        with Client(server, maximum=maximum, judge=lambda _: False) as client, pytest.raises(SSL.Error):
            client.get()
        record = server.next_record()
    assert client.staple == REVOKED
    assert record.alert == Alert.BAD_CERTIFICATE_STATUS_RESPONSE
    assert record.ended is Ended.REFUSED
    assert record.protocol is None, name
    assert not record.completed
    assert record.application_data == b""
    assert "113, bad_certificate_status_response" in str(record)


@versions
@pytest.mark.parametrize("refuses", [False, True])
def test_a_client_certificate_is_seen_only_where_it_came(maximum: int, name: str, *, refuses: bool) -> None:
    own = CA.leaf(["client"])
    with serve(ask_client_certificate=True) as server:
        with Client(server, maximum=maximum, certificate=own, judge=lambda _: not refuses) as client:
            if refuses:
                with pytest.raises(SSL.Error):
                    client.get()
            else:
                client.get()
        record = server.next_record()
    assert record.client_certificate == (None if refuses else own.certificate), name


@pytest.mark.parametrize(("version", "name"), [("1.2", "TLSv1.2"), ("1.3", "TLSv1.3")])
def test_the_versions_are_those_asked_for(version: str, name: str) -> None:
    with serve(minimum=version, maximum=version) as server, Client(server) as client:
        client.get()
        assert server.next_record().protocol == name


def test_a_client_without_a_common_version_fails() -> None:
    with serve(minimum="1.3") as server:
        with Client(server, maximum=SSL.TLS1_2_VERSION) as client, pytest.raises(SSL.Error):
            client.get()
        record = server.next_record()
    assert record.ended is Ended.FAILED
    assert "unsupported protocol" in str(record)


# what else comes to a port


def test_garbage_instead_of_tls_is_a_failed_handshake() -> None:
    with serve() as server, socket.create_connection(("127.0.0.1", server.port), timeout=30) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
        while plain.recv(65536):
            pass
        record = server.next_record()
    assert (record.ended, record.protocol) == (Ended.FAILED, None)
    assert "http request" in str(record.error)


def test_a_client_that_goes_away_in_the_handshake_is_written_down() -> None:
    with serve() as server:
        socket.create_connection(("127.0.0.1", server.port), timeout=30).close()
        record = server.next_record()
    assert record.ended is Ended.FAILED
    assert "closed the connection within the handshake" in str(record)


def test_silent_clients_hold_nobody_up_and_are_sent_away() -> None:
    with serve(handshake_timeout=1.0) as server:
        silent = [socket.create_connection(("127.0.0.1", server.port), timeout=30) for _ in range(50)]
        with Client(server) as client:
            assert b"200 OK" in client.get()
        assert server.next_record().ended is Ended.SERVED
        for each in silent:
            with each:
                assert each.recv(1) == b"" if not _reset(each) else True
        assert {server.next_record().ended for _ in silent} == {Ended.TIMED_OUT}


def _reset(plain: socket.socket) -> bool:
    try:
        plain.recv(1, socket.MSG_PEEK)
    except ConnectionResetError:
        return True
    return False


def test_a_client_that_asks_for_nothing_is_sent_away_after_the_handshake() -> None:
    with serve(handshake_timeout=0.5) as server, Client(server) as client:
        client.tls.do_handshake()
        record = server.next_record()
    assert record.ended is Ended.COMPLETED
    assert record.completed
    assert "nothing came for 0.5 s" in str(record.error)


def test_one_connection_too_many_is_turned_away_until_another_ends() -> None:
    with serve(max_connections=1) as server:
        with Client(server) as first:
            first.tls.do_handshake()
            with socket.create_connection(("127.0.0.1", server.port), timeout=30):
                assert server.next_record().ended is Ended.TURNED_AWAY
            assert b"200 OK" in first.get()
            assert server.next_record().ended is Ended.SERVED
        while not comes_in(server):  # the server has yet to see the first one's end
            assert server.next_record().ended is Ended.TURNED_AWAY


def comes_in(server: StaplingServer) -> bool:
    try:
        with Client(server) as client:
            return b"200 OK" in client.get()
    except (SSL.Error, OSError):
        return False


def test_many_clients_at_once_are_all_served() -> None:
    pages: list[bytes] = []

    def visit() -> None:
        with Client(server) as client:
            pages.append(client.get())

    with serve() as server:
        threads = [threading.Thread(target=visit) for _ in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert len(pages) == 40
    assert all(b"200 OK" in page for page in pages)


@pytest.mark.parametrize("request_", [b"x" * 9000, b"HEAD / HTTP/1.1\r\n\r\n"], ids=["no end", "HEAD"])
def test_odd_requests_get_an_answer(request_: bytes) -> None:
    with serve() as server, Client(server) as client:
        answer_ = client.get(request_)
    head, _, body = answer_.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert bool(body) is not request_.startswith(b"HEAD")


def test_a_request_in_pieces_is_one_request() -> None:
    with serve() as server, Client(server) as client:
        client.tls.do_handshake()
        client.tls.sendall(b"GET / HTT")
        assert b"200 OK" in client.get(b"P/1.1\r\n\r\n")


def test_a_client_that_says_goodbye_first_is_heard() -> None:
    with serve() as server, Client(server) as client:
        client.tls.do_handshake()
        client.tls.shutdown()
        record = server.next_record()
    assert (record.ended, record.error, record.alert) == (Ended.COMPLETED, None, None)


def test_the_server_ends_with_connections_open() -> None:
    with serve() as server, Client(server) as client:
        client.tls.do_handshake()
        server.close()
        with pytest.raises((SSL.Error, ConnectionError)):
            client.tls.recv(1)
        server.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.port), timeout=30)


def test_events_are_told_as_they_come() -> None:
    told: list[ConnectionRecord] = []
    with serve(on_event=told.append) as server, Client(server) as client:
        client.get()
        record = server.next_record()
    assert told == [record]
    assert list(server.records) == [record]


def test_no_event_in_time_is_an_error() -> None:
    with serve() as server, pytest.raises(NetworkError, match="No connection"):
        server.next_record(timeout=0.01)


# what it does not serve


def test_a_key_of_another_certificate_is_refused() -> None:
    with pytest.raises(InputError, match="not that of the certificate"):
        StaplingServer(CHAIN, CA.key)


def test_no_certificate_is_refused() -> None:
    with pytest.raises(InputError, match="at least one certificate"):
        StaplingServer([], CA.key)


def test_a_version_that_is_not_served_is_refused() -> None:
    with pytest.raises(InputError, match=r"TLS 1\.1 is not served"):
        serve(minimum="1.1")


def test_a_key_that_openssl_does_not_serve_is_refused() -> None:
    from cryptography.hazmat.primitives.asymmetric import x25519

    key: Any = x25519.X25519PrivateKey.generate()

    class Odd:
        """A certificate for a key that signs nothing; OpenSSL is handed the real leaf's."""

        def public_key(self) -> Any:
            return key.public_key()

    with pytest.raises(InputError, match="OpenSSL does not serve"):
        StaplingServer([Odd()], key)  # no certificate, which is the point


@pytest.mark.parametrize("kind", [kind for kind in available_kinds() if kind.startswith("ml-dsa")])
def test_a_post_quantum_certificate_is_served_and_stapled_in_tls13_alone(kind: KeyKind) -> None:
    leaf = CA.leaf(["localhost"], key=kind)
    staple = good(Link(leaf.certificate, CA.certificate), CA, NOW)
    with StaplingServer(leaf.chain[:-1], leaf.key, staple) as server:
        with Client(server) as client:
            assert b"200" in client.get()
            assert client.staple == staple
        with Client(server, maximum=SSL.TLS1_2_VERSION) as client, pytest.raises(SSL.Error):
            client.get()


def test_a_port_in_use_is_one_clear_line() -> None:
    with serve() as server, pytest.raises(InputError, match=f"port {server.port} on 127.0.0.1 is in use"):
        serve(port=server.port)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_an_address_beyond_loopback_has_to_be_asked_for(host: str) -> None:
    with pytest.raises(InputError, match="has to be asked for"):
        listen(host)


def test_an_address_that_is_not_ours_cannot_be_listened_on() -> None:
    with pytest.raises(InputError, match=r"cannot listen on port 0 of 192\.0\.2\.1"):
        listen("192.0.2.1", expose=True)


@pytest.mark.parametrize("host", ["no such host", "no-such-host.invalid", "a" * 70])
def test_a_name_that_is_no_address_cannot_be_listened_on(host: str) -> None:
    with pytest.raises(InputError, match="is no address to listen on"):
        listen(host)


@pytest.mark.peer("IPv6 loopback")
def test_ipv6_loopback_is_loopback() -> None:
    with serve(host="::1") as server:
        assert server.url == f"https://[::1]:{server.port}/"
        assert server.host == "::1"

"""httpx over a transport that judges: pooled, tunnelled, over HTTP/1.1 and HTTP/2, refused before a byte leaves."""

from __future__ import annotations

import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from httpx_house import DAY, NOW, ROGUE, ROOT, Clock, codes, mutated, proxy_context, serve, staple
from proxies import TunnelProxy

from certtools.chain import to_pem
from certtools.forge import CertificateStatus, answer, sign, single
from mustaple.core.errors import InputError
from mustaple.integrations.httpx import StapledTransport, VerdictError
from mustaple.net.responder.serving import ResponderServer

if TYPE_CHECKING:
    from pathlib import Path

    from mustaple.core.verdict import ChainVerdict

SHORT = 0.5  # seconds that a test gives a peer that will not answer


def _client(policy: str = "must-staple", **options: Any) -> httpx.Client:
    return httpx.Client(transport=StapledTransport(policy, **{"ca": ROOT.certificate, **options}), timeout=30.0)


# --- judged once, and used


@pytest.mark.parametrize("http2", [False, True])
@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_a_hundred_requests_are_one_connection_and_one_judgement(http2: bool, version: str) -> None:
    judged: list[tuple[str, ChainVerdict]] = []
    with (
        serve(staple(), http2=http2, version=version) as server,
        _client(on_verdict=lambda host, verdict: judged.append((host, verdict))) as client,
    ):
        for _ in range(100):
            response = client.get(server.url)
            assert (response.status_code, response.text) == (200, "hello")
            assert response.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
        assert response.extensions["verdict"] is judged[0][1]
    (connection,) = server.connections
    assert (connection.requests, connection.asked, connection.alert) == (100, 1, None)
    ((host, verdict),) = judged
    assert (host, verdict.accepted, verdict.checked, verdict.protocol) == ("localhost", True, True, version)


@pytest.mark.parametrize("http2", [False, True])
def test_threads_share_a_pool(http2: bool) -> None:
    with serve(staple(), http2=http2) as server, _client() as client, ThreadPoolExecutor(8) as pool:
        pages = list(pool.map(lambda _: client.get(server.url).text, range(400)))
    assert pages == ["hello"] * 400
    assert sum(each.requests for each in server.connections) == 400
    assert len(server.connections) <= 8


def test_http2_is_not_spoken_where_it_is_not_wanted() -> None:
    with serve(staple(), http2=True) as server, _client(http2=False) as client:
        assert client.get(server.url).http_version == "HTTP/1.1"


def test_without_h2_there_is_http_1_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mustaple.integrations.httpx.find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"mustaple\[http2\]"):
        StapledTransport(http2=True)
    with serve(staple(), http2=True) as server, _client() as client:
        assert client.get(server.url).http_version == "HTTP/1.1"


def test_bodies_go_both_ways() -> None:
    body = bytes(range(256)) * 4096
    with serve(staple()) as server, _client() as client:
        assert client.post(server.url, content=body).content == b"hello" + body


def test_plain_http_is_as_it_was() -> None:
    with ResponderServer(lambda _: b"") as server, _client() as client:
        response = client.get(server.url)
    assert response.extensions["verdict"] is None


# --- refused


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
@pytest.mark.parametrize(
    ("mutation", "code"),
    [
        (None, "promise-broken"),
        ("revoked", "revoked"),
        ("expired", "expired"),
        ("unknown", "unknown"),
    ],
)
def test_a_refused_server_sees_an_alert_and_no_byte_of_the_request(
    mutation: str | None, code: str, version: str
) -> None:
    judged = []
    with (
        serve(None if mutation is None else mutated(mutation), version=version) as server,
        _client(on_verdict=lambda _, verdict: judged.append(verdict)) as client,
    ):
        with pytest.raises(VerdictError) as caught:
            client.post(server.url, content=b"secret")
        seen = server.next_ended()
    assert isinstance(caught.value, httpx.ConnectError)
    assert codes(caught.value.verdict) == [code]
    assert code in str(caught.value)
    assert judged == [caught.value.verdict]
    assert caught.value.request.url == server.url
    assert (seen.alert, seen.data, seen.requests) == (113, b"", 0)


def test_no_retry_changes_a_refusal() -> None:
    with serve(mutated("revoked")) as server, _client(retries=3) as client:
        with pytest.raises(VerdictError):
            client.get(server.url)
        server.next_ended()
        assert len(server.connections) == 1


@pytest.mark.parametrize(
    ("host", "ca", "code"),
    [("127.0.0.1", ROOT, "name-mismatch"), ("localhost", ROGUE, "path-invalid")],
)
def test_a_wrong_name_and_a_wrong_authority_are_verdicts_too(host: str, ca: Any, code: str) -> None:
    with serve(staple()) as server, _client(ca=ca.certificate) as client:
        with pytest.raises(VerdictError) as caught:
            client.get(f"https://{host}:{server.port}/")
        seen = server.next_ended()
    assert codes(caught.value.verdict) == [code]
    assert seen.data == b""


def test_the_name_may_be_given_apart() -> None:
    with serve(staple()) as server, _client() as client:
        asked = client.build_request(
            "GET", f"https://127.0.0.1:{server.port}/", extensions={"sni_hostname": "localhost"}
        )
        assert client.send(asked).text == "hello"
        assert server.connections[0].server_name == b"localhost"


def test_strict_says_that_it_needs_tls_13() -> None:
    # Root, CA, leaf: in TLS 1.2 OpenSSL cannot ask for the CA's staple.
    ca = ROOT.intermediate("CA")
    leaf = ca.leaf(["localhost"])
    good = sign(answer([single(leaf.as_chain().links[0], NOW)], ca), ca)
    told = {}
    for version in ("TLSv1.2", "TLSv1.3"):
        server, client = serve(good, leaf, version=version), _client("strict")
        with server, client, pytest.raises(VerdictError) as caught:
            client.get(server.url)
        assert codes(caught.value.verdict) == ["no-staple"]
        told[version] = str(caught.value)
    assert "'strict' needs TLS 1.3" in told["TLSv1.2"]
    assert "needs TLS 1.3" not in told["TLSv1.3"]


def test_strict_is_satisfied_by_the_leaf_under_its_root() -> None:
    with serve(staple()) as server, _client("strict") as client:
        assert client.get(server.url).text == "hello"


# --- evidence that is fetched


@pytest.mark.parametrize("status", list(CertificateStatus))
def test_what_a_policy_fetches_is_settled_before_a_byte_leaves(status: CertificateStatus) -> None:
    with ResponderServer(
        lambda _: sign(answer([single(leaf.as_chain().links[0], NOW, status=status)], ROOT), ROOT)
    ) as ca:
        leaf = ROOT.leaf(["localhost"], features=None, ocsp_urls=[ca.url])
        with serve(None, leaf) as server, _client("hard-fail") as client:
            if status is CertificateStatus.GOOD:
                assert client.get(server.url).text == client.get(server.url).text == "hello"
            else:
                with pytest.raises(VerdictError) as caught:
                    client.get(server.url)
                assert codes(caught.value.verdict)[0] == status.value
                seen = server.next_ended()
                assert (seen.data, seen.requests) == (b"", 0)
    assert len(ca.log.recent) == 1


# --- a staple that expires


@pytest.mark.parametrize("http2", [False, True])
def test_a_connection_ends_with_its_staples(http2: bool) -> None:
    clock = Clock()
    with serve(staple(NOW + timedelta(minutes=5)), http2=http2) as server, _client(clock=clock) as client:
        assert client.get(server.url).text == client.get(server.url).text == "hello"
        clock.at = NOW + timedelta(minutes=5)
        client.get(server.url)
        assert len(server.connections) == 1
        clock.at += timedelta(seconds=1)
        server.staple = staple(NOW + timedelta(minutes=10))
        client.get(server.url)
        client.get(server.url)
        assert [each.requests for each in server.connections] == [3, 2]
        assert server.next_ended() is server.connections[0]
        # And where the server has nothing newer, the next request is refused.
        clock.at += timedelta(hours=1)
        with pytest.raises(VerdictError) as caught:
            client.get(server.url)
    assert codes(caught.value.verdict) == ["expired"]
    assert [each.requests for each in server.connections] == [3, 2, 0]


def test_a_response_that_is_being_read_is_not_cut_off() -> None:
    clock = Clock()
    body = bytes(1 << 20)
    with serve(staple(NOW + timedelta(minutes=5))) as server, _client(clock=clock) as client:
        with client.stream("POST", server.url, content=body) as response:
            clock.at += timedelta(minutes=6)
            assert len(response.read()) == len(body) + 5
        assert len(server.connections) == 1


@pytest.mark.parametrize(("policy", "mutation"), [("ignore", None), ("soft-fail", None), ("soft-fail", "expired")])
def test_where_nothing_was_proved_nothing_expires(policy: str, mutation: str | None) -> None:
    clock = Clock()
    what = None if mutation is None else mutated(mutation)
    with serve(what) as server, _client(policy, clock=clock) as client:
        client.get(server.url)
        clock.at += 400 * DAY
        client.get(server.url)
        assert [each.requests for each in server.connections] == [2]
        assert bool(server.connections[0].asked) is (policy != "ignore")


@pytest.mark.parametrize("http2", [False, True])
def test_a_connection_that_is_busy_when_its_staples_expire_is_not_used_again(http2: bool) -> None:
    clock = Clock()
    with serve(staple(NOW + timedelta(minutes=5)), http2=http2) as server, _client(clock=clock) as client:
        with client.stream("GET", server.url) as busy:
            clock.at += timedelta(minutes=6)
            assert busy.read() == b"hello"
        server.staple = staple(NOW + timedelta(minutes=10))
        client.get(server.url)
        assert [each.requests for each in server.connections] == [1, 1]


@pytest.mark.parametrize("http2", [False, True])
def test_blocking_requests_take_turns_on_a_connection(http2: bool) -> None:
    with serve(staple(), http2=http2) as server, _client() as client:
        with client.stream("GET", server.url) as first, client.stream("GET", server.url) as second:
            assert first.read() == second.read() == b"hello"
        client.get(server.url)
        assert sorted(each.requests for each in server.connections) == [1, 2]


# --- peers that do not answer, and ends


def test_where_nobody_listens_it_is_a_connect_error_without_a_verdict() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with _client() as client, pytest.raises(httpx.ConnectError) as caught:
            client.get(f"https://localhost:{closed.getsockname()[1]}/")
    assert not isinstance(caught.value, VerdictError)


@pytest.mark.parametrize(("answer", "says"), [(b"HTTP/1.0 400 no\r\n\r\n", "does not speak TLS"), (b"", "closed")])
def test_what_is_not_tls_is_a_connect_error(answer: bytes, says: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def speak() -> None:
            with listener.accept()[0] as sock:
                sock.recv(1 << 16)
                sock.sendall(answer)

        thread = threading.Thread(target=speak)
        thread.start()
        with _client() as client, pytest.raises(httpx.ConnectError, match=says) as caught:
            client.get(f"https://localhost:{listener.getsockname()[1]}/")
        thread.join()
    assert not isinstance(caught.value, VerdictError)


def test_a_silent_server_is_a_connect_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"https://localhost:{listener.getsockname()[1]}/"
        with _client() as client, pytest.raises(httpx.ConnectTimeout):
            client.get(address, timeout=httpx.Timeout(30.0, connect=SHORT))


def test_a_dripping_server_has_one_deadline() -> None:
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            with listener.accept()[0] as sock:
                sock.sendall(b"\x16\x03\x03\x40\x00")  # a record of 16 KiB, byte by byte
                while not over.wait(SHORT / 10):
                    sock.sendall(b"\0")

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            with _client() as client, pytest.raises(httpx.ConnectTimeout):
                client.get(f"https://localhost:{listener.getsockname()[1]}/", timeout=httpx.Timeout(30, connect=SHORT))
        finally:
            over.set()
            thread.join()


@pytest.mark.parametrize("http2", [False, True])
def test_an_answer_that_does_not_come_is_a_read_timeout(http2: bool) -> None:
    with serve(staple(), http2=http2) as server, _client() as client, pytest.raises(httpx.ReadTimeout):
        client.get(f"{server.url}wait", timeout=httpx.Timeout(30.0, read=SHORT))


def test_an_answer_cut_off_is_a_read_error() -> None:
    with serve(staple()) as server, _client() as client, pytest.raises(httpx.ReadError):
        client.get(f"{server.url}cut")


def test_a_connection_that_the_server_closed_is_not_used_again() -> None:
    with _client() as client:
        with serve(staple()) as server:
            client.get(server.url)
            port = server.port
        with pytest.raises(httpx.ConnectError):
            client.get(f"https://localhost:{port}/")


@pytest.mark.parametrize("name", ["exa mple.test", "a..b"])
def test_an_impossible_name_is_a_connect_error(name: str) -> None:
    with serve(staple()) as server, _client() as client, pytest.raises(httpx.ConnectError, match="neither a host name"):
        client.get(server.url, extensions={"sni_hostname": name})


def test_closing_says_goodbye() -> None:
    with serve(staple()) as server:
        with _client() as client:
            client.get(server.url)
        seen = server.next_ended()
    assert type(seen.error).__name__ == "ZeroReturnError"


# --- through a proxy


@pytest.mark.parametrize("http2", [False, True])
def test_a_server_behind_a_proxy_is_judged_in_the_tunnel(http2: bool) -> None:
    with TunnelProxy() as proxy, serve(staple(), http2=http2) as server:
        with _client(proxy=proxy.url) as client:
            assert client.get(server.url).text == client.get(server.url).text == "hello"
        (head,) = proxy.asked
        assert head.startswith(b"CONNECT localhost:%d HTTP/1.1\r\n" % server.port)
    assert [each.requests for each in server.connections] == [2]


def test_a_server_refused_behind_a_proxy_leaves_nothing_in_the_pool() -> None:
    limits = httpx.Limits(max_connections=1)
    with (
        TunnelProxy() as proxy,
        serve(mutated("revoked")) as server,
        _client(proxy=proxy.url, limits=limits) as client,
    ):
        for _ in range(3):
            with pytest.raises(VerdictError) as caught:
                client.get(server.url, timeout=httpx.Timeout(30.0, pool=SHORT))
            seen = server.next_ended()
            assert codes(caught.value.verdict) == ["revoked"]
            assert (seen.alert, seen.data) == (113, b"")
        assert b"GET" not in proxy.carried


def test_a_connection_through_a_proxy_ends_with_its_staples() -> None:
    clock = Clock()
    with TunnelProxy() as proxy, serve(staple(NOW + timedelta(minutes=5))) as server:
        client = _client(proxy=proxy.url, clock=clock)
        with client:
            client.get(server.url)
            clock.at += timedelta(minutes=5, seconds=1)
            client.get(server.url)
    assert [each.requests for each in server.connections] == [1, 1]


def test_a_proxy_may_want_a_password() -> None:
    with TunnelProxy(credentials="me:secret") as proxy, serve(staple()) as server:
        with _client(proxy=httpx.Proxy(proxy.url, auth=("me", "secret"))) as client:
            assert client.get(server.url).text == "hello"
        with _client(proxy=proxy.url) as client, pytest.raises(httpx.ProxyError, match="407"):
            client.get(server.url)


def test_a_proxy_may_speak_tls_itself_and_is_not_judged(tmp_path: Path) -> None:
    judged = []
    with TunnelProxy(tls=proxy_context(tmp_path)) as proxy, serve(staple()) as server:
        trusting = ssl.create_default_context(cadata=to_pem((ROOT.certificate,)).decode())
        told = httpx.Proxy(proxy.url, ssl_context=trusting)
        with _client(proxy=told, on_verdict=lambda host, _: judged.append(host)) as client:
            assert client.get(server.url).text == "hello"
            server.staple = None
            assert client.get(server.url).text == "hello"
        with _client(proxy=told) as client, pytest.raises(VerdictError):
            client.get(server.url)
    assert judged == ["localhost"]
    assert [each.requests for each in server.connections] == [2, 0]


def test_what_a_policy_fetches_goes_through_the_proxy_too() -> None:
    leaf = ROOT.leaf(["localhost"], features=None, ocsp_urls=["http://ocsp.invalid/"])
    with TunnelProxy(credentials="me:secret") as proxy, serve(None, leaf) as server:
        told = httpx.Proxy(proxy.url, auth=("me", "secret"))
        with _client("hard-fail", proxy=told) as client, pytest.raises(VerdictError) as caught:
            client.get(server.url)
        assert any(b" http://ocsp.invalid/" in head for head in proxy.asked)
    assert "502" in str(caught.value)


# --- who it is made for


def test_a_client_certificate_is_shown(tmp_path: Path) -> None:
    own = ROOT.leaf(["client.test"], features=None)
    both = tmp_path / "own.pem"
    both.write_bytes(own.chain_pem() + own.key_pem())
    with serve(staple(), client_ca=ROOT.certificate) as server:
        with _client(certificate=both) as client:
            assert client.get(server.url).text == "hello"
        with _client() as client, pytest.raises(httpx.HTTPError):
            client.get(server.url)
    with pytest.raises(InputError, match="without its certificate"):
        StapledTransport(key=both)


def test_trust_is_a_file_or_several(tmp_path: Path) -> None:
    file = tmp_path / "root.pem"
    file.write_bytes(to_pem((ROOT.certificate,)))
    with serve(staple()) as server:
        for ca in (file, str(file), [ROGUE.certificate, ROOT.certificate]):
            with _client(ca=ca) as client:
                assert client.get(server.url).text == "hello"
        with _client(ca=None) as client, pytest.raises(VerdictError):
            client.get(server.url)


@pytest.mark.parametrize("policy", ["nonsense", ""])
def test_a_policy_that_there_is_not_is_refused_at_once(policy: str) -> None:
    with pytest.raises(InputError):
        StapledTransport(policy)

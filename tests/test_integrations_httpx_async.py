"""httpx without blocking, over a transport that judges, under asyncio and trio: the same promises, kept again."""

from __future__ import annotations

import socket
import ssl
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest
from httpx_house import NOW, ROGUE, ROOT, Clock, codes, mutated, proxy_context, serve, staple
from proxies import TunnelProxy

from certtools.chain import to_pem
from certtools.forge import CertificateStatus, answer, sign, single
from mustaple.integrations.httpx import AsyncStapledTransport, VerdictError
from mustaple.net.responder.serving import ResponderServer

if TYPE_CHECKING:
    from pathlib import Path

    from mustaple.core.verdict import ChainVerdict

SHORT = 0.5  # seconds that a test gives a peer that will not answer

Run = "Callable[[Callable[[], Awaitable[None]]], None]"


@pytest.fixture(params=["asyncio", "trio"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs an asynchronous test."""
    return lambda test: anyio.run(test, backend=request.param)


def _client(policy: str = "must-staple", **options: Any) -> httpx.AsyncClient:
    transport = AsyncStapledTransport(policy, **{"ca": ROOT.certificate, **options})
    return httpx.AsyncClient(transport=transport, timeout=30.0)


@pytest.mark.parametrize("http2", [False, True])
@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_a_hundred_requests_are_one_connection_and_one_judgement(run: Run, http2: bool, version: str) -> None:
    judged: list[ChainVerdict] = []

    async def test() -> None:
        async with _client(on_verdict=lambda _, verdict: judged.append(verdict)) as client:
            for _ in range(100):
                response = await client.get(server.url)
                assert (response.status_code, response.text) == (200, "hello")
                assert response.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
            assert response.extensions["verdict"] is judged[0]

    with serve(staple(), http2=http2, version=version) as server:
        run(test)
    (connection,) = server.connections
    assert (connection.requests, connection.asked, connection.alert) == (100, 1, None)
    assert [(verdict.accepted, verdict.protocol) for verdict in judged] == [(True, version)]


@pytest.mark.parametrize("http2", [False, True])
def test_tasks_share_a_pool(run: Run, http2: bool) -> None:
    pages = []

    async def test() -> None:
        async with _client() as client:

            async def get() -> None:
                pages.append((await client.post(server.url, content=b"x" * 100_000)).content[:5])

            await client.get(server.url)
            async with anyio.create_task_group() as tasks:
                for _ in range(32):
                    tasks.start_soon(get)

    with serve(staple(), http2=http2) as server:
        run(test)
    assert pages == [b"hello"] * 32
    assert sum(each.requests for each in server.connections) == 33
    assert not http2 or len(server.connections) == 1


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
@pytest.mark.parametrize(("mutation", "code"), [(None, "promise-broken"), ("revoked", "revoked")])
def test_a_refused_server_sees_an_alert_and_no_byte_of_the_request(
    run: Run, mutation: str | None, code: str, version: str
) -> None:
    async def test() -> None:
        async with _client() as client:
            with pytest.raises(VerdictError) as caught:
                await client.post(server.url, content=b"secret")
            assert isinstance(caught.value, httpx.ConnectError)
            assert codes(caught.value.verdict) == [code]

    with serve(None if mutation is None else mutated(mutation), version=version) as server:
        run(test)
        seen = server.next_ended()
    assert (seen.alert, seen.data, seen.requests) == (113, b"", 0)


@pytest.mark.parametrize(
    ("host", "ca", "code"), [("127.0.0.1", ROOT, "name-mismatch"), ("localhost", ROGUE, "path-invalid")]
)
def test_a_wrong_name_and_a_wrong_authority_are_verdicts_too(run: Run, host: str, ca: Any, code: str) -> None:
    async def test() -> None:
        async with _client(ca=ca.certificate) as client:
            with pytest.raises(VerdictError) as caught:
                await client.get(f"https://{host}:{server.port}/")
            assert codes(caught.value.verdict) == [code]

    with serve(staple()) as server:
        run(test)
        assert server.next_ended().data == b""


@pytest.mark.parametrize("status", [CertificateStatus.GOOD, CertificateStatus.REVOKED])
def test_what_a_policy_fetches_is_settled_before_a_byte_leaves(run: Run, status: CertificateStatus) -> None:
    async def test() -> None:
        async with _client("hard-fail") as client:
            if status is CertificateStatus.GOOD:
                assert (await client.get(server.url)).text == "hello"
            else:
                with pytest.raises(VerdictError) as caught:
                    await client.get(server.url)
                assert codes(caught.value.verdict) == ["revoked"]

    def tell(_: object) -> bytes:
        return sign(answer([single(leaf.as_chain().links[0], NOW, status=status)], ROOT), ROOT)

    with ResponderServer(tell) as responder:
        leaf = ROOT.leaf(["localhost"], features=None, ocsp_urls=[responder.url])
        with serve(None, leaf) as server:
            run(test)
            seen = server.next_ended()
    assert bool(seen.data) is (status is CertificateStatus.GOOD)
    assert len(responder.log.recent) == 1


def test_who_is_cancelled_does_not_wait_for_a_fetch(run: Run) -> None:
    async def test() -> None:
        async with _client("hard-fail", fetch_timeout=20.0) as client:
            with anyio.move_on_after(SHORT) as scope:
                await client.get(server.url)
            assert scope.cancelled_caught

    with socket.create_server(("127.0.0.1", 0)) as silent:
        leaf = ROOT.leaf(["localhost"], features=None, ocsp_urls=[f"http://127.0.0.1:{silent.getsockname()[1]}/"])
        with serve(None, leaf) as server:
            run(test)
            assert server.next_ended().data == b""
            with silent.accept()[0] as asked:
                asked.settimeout(SHORT)
                assert asked.recv(1 << 16)
                with pytest.raises(TimeoutError):  # the fetch is still under way, left behind
                    asked.recv(1)


@pytest.mark.parametrize("http2", [False, True])
def test_a_connection_ends_with_its_staples(run: Run, http2: bool) -> None:
    clock = Clock()

    async def test() -> None:
        async with _client(clock=clock) as client:
            await client.get(server.url)
            clock.at = NOW + timedelta(minutes=5)
            await client.get(server.url)
            assert len(server.connections) == 1
            clock.at += timedelta(seconds=1)
            server.staple = staple(NOW + timedelta(minutes=10))
            await client.get(server.url)
            assert [each.requests for each in server.connections] == [2, 1]

    with serve(staple(NOW + timedelta(minutes=5)), http2=http2) as server:
        run(test)


def test_a_busy_connection_takes_no_request_more_once_its_staples_have_expired(run: Run) -> None:
    clock = Clock()

    async def test() -> None:
        async with _client(clock=clock) as client, client.stream("GET", server.url) as busy:
            await client.get(server.url)
            assert len(server.connections) == 1
            clock.at += timedelta(minutes=6)
            server.staple = staple(NOW + timedelta(minutes=10))
            await client.get(server.url)
            assert await busy.aread() == b"hello"
            assert [each.requests for each in server.connections] == [2, 1]

    with serve(staple(NOW + timedelta(minutes=5)), http2=True) as server:
        run(test)


def test_where_nobody_listens_it_is_a_connect_error_without_a_verdict(run: Run) -> None:
    async def test() -> None:
        async with _client() as client:
            with pytest.raises(httpx.ConnectError) as caught:
                await client.get(f"https://localhost:{closed.getsockname()[1]}/")
            assert not isinstance(caught.value, VerdictError)

    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        run(test)


def test_what_is_not_tls_is_a_connect_error(run: Run) -> None:
    async def test() -> None:
        async with _client() as client:
            with pytest.raises(httpx.ConnectError, match="does not speak TLS"):
                await client.get(plain.root.replace("http://127.0.0.1", "https://localhost"))

    with ResponderServer(lambda _: b"") as plain:
        run(test)


def test_a_silent_server_is_a_connect_timeout(run: Run) -> None:
    async def test() -> None:
        async with _client() as client:
            with pytest.raises(httpx.ConnectTimeout):
                await client.get(
                    f"https://localhost:{silent.getsockname()[1]}/", timeout=httpx.Timeout(30.0, connect=SHORT)
                )

    with socket.create_server(("127.0.0.1", 0)) as silent:
        run(test)


def test_an_answer_that_does_not_come_is_a_read_timeout_and_one_cut_off_a_read_error(run: Run) -> None:
    async def test() -> None:
        async with _client() as client:
            with pytest.raises(httpx.ReadTimeout):
                await client.get(f"{server.url}wait", timeout=httpx.Timeout(30.0, read=SHORT))
            with pytest.raises(httpx.ReadError):
                await client.get(f"{server.url}cut")

    with serve(staple()) as server:
        run(test)


def test_closing_says_goodbye(run: Run) -> None:
    async def test() -> None:
        async with _client() as client:
            await client.get(server.url)

    with serve(staple()) as server:
        run(test)
        assert type(server.next_ended().error).__name__ == "ZeroReturnError"


@pytest.mark.parametrize("http2", [False, True])
def test_a_server_behind_a_proxy_is_judged_in_the_tunnel(run: Run, http2: bool) -> None:
    async def test() -> None:
        async with _client(proxy=proxy.url) as client:
            for _ in range(2):
                assert (await client.get(server.url)).text == "hello"

    with TunnelProxy() as proxy, serve(staple(), http2=http2) as server:
        run(test)
        (head,) = proxy.asked
        assert head.startswith(b"CONNECT localhost:%d HTTP/1.1\r\n" % server.port)
    assert [each.requests for each in server.connections] == [2]


def test_a_server_refused_behind_a_proxy_leaves_nothing_in_the_pool(run: Run) -> None:
    async def test() -> None:
        async with _client(proxy=proxy.url, limits=httpx.Limits(max_connections=1)) as client:
            for _ in range(3):
                with pytest.raises(VerdictError):
                    await client.get(server.url, timeout=httpx.Timeout(30.0, pool=SHORT))

    with TunnelProxy() as proxy, serve(mutated("revoked")) as server:
        run(test)
        assert [(seen.alert, seen.data) for seen in (server.next_ended() for _ in range(3))] == [(113, b"")] * 3


def test_a_proxy_may_speak_tls_itself(run: Run, tmp_path: Path) -> None:
    trusting = ssl.create_default_context(cadata=to_pem((ROOT.certificate,)).decode())

    async def test() -> None:
        async with _client(proxy=httpx.Proxy(proxy.url, ssl_context=trusting)) as client:
            assert (await client.get(server.url)).text == "hello"

    with TunnelProxy(tls=proxy_context(tmp_path)) as proxy, serve(staple()) as server:
        run(test)

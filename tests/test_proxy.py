"""Through an HTTP proxy: a real tunnel, and proxies that refuse, lie or are none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from clear_servers import HONEST, AsyncServer, Dialogue, Hear, clear_server
from hypothesis import given
from hypothesis import strategies as st
from proxies import TunnelProxy
from strict_client import both_loops

from mustaple.core.errors import InputError, NetworkError
from mustaple.core.verdict import Code
from mustaple.net.proxy import connect_through, proxy_of
from mustaple.net.server import StaplingServer

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from datetime import datetime

    from certtools.authority import Authority, Issued
    from mustaple.core.verdict import ChainVerdict

    Ask = Callable[..., ChainVerdict]

HEAD = Hear(b"CONNECT localhost:", end=b"\r\n\r\n")
SHORT = 0.5  # seconds that a test gives a proxy that will not answer


@pytest.fixture(scope="module")
def options(root: Authority, at: datetime) -> dict[str, Any]:
    return {"ca": root.certificate, "at": at}


# --- a tunnel


@both_loops
def test_the_server_is_reached_through_the_proxy(stapling: StaplingServer, options: dict[str, Any], ask: Ask) -> None:
    with TunnelProxy() as proxy:
        verdict = ask("localhost", stapling.port, "must-staple", proxy=proxy.url, **options)
        assert stapling.next_record().server_name == "localhost"
    assert verdict.accepted
    (head,) = proxy.asked
    authority = f"localhost:{stapling.port}"
    assert head.decode() == f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n"


@both_loops
def test_a_server_is_refused_through_a_proxy_as_without_one(leaf: Issued, options: dict[str, Any], ask: Ask) -> None:
    with StaplingServer(leaf.chain[:-1], leaf.key) as bare, TunnelProxy() as proxy:
        verdict = ask("localhost", bare.port, "must-staple", proxy=proxy.url, **options)
        assert bare.next_record().alert == 113
    assert [reason.code for reason in verdict.all_reasons] == [Code.PROMISE_BROKEN]


@both_loops
def test_the_address_to_connect_to_is_what_the_proxy_hears(
    stapling: StaplingServer, options: dict[str, Any], ask: Ask
) -> None:
    with TunnelProxy() as proxy:
        where = ("127.0.0.1", stapling.port)
        assert ask("localhost", 1, "must-staple", address=where, proxy=proxy.url, **options).accepted
        assert stapling.next_record().server_name == "localhost"
    assert proxy.asked[0].startswith(f"CONNECT 127.0.0.1:{stapling.port} ".encode())


@both_loops
@pytest.mark.parametrize("protocol", ["smtp", "postgresql"])
def test_words_before_tls_go_through_the_tunnel(
    stapling: StaplingServer, options: dict[str, Any], ask: Ask, protocol: str
) -> None:
    with clear_server(HONEST[protocol], stapling.port) as server, TunnelProxy() as proxy:
        verdict = ask("localhost", server.port, "must-staple", proxy=proxy.url, starttls=protocol, **options)
        assert stapling.next_record().server_name == "localhost"
    assert verdict.accepted


@both_loops
def test_a_server_that_speaks_first_may_speak_along_with_the_proxy(
    stapling: StaplingServer, options: dict[str, Any], ask: Ask
) -> None:
    greeting, rest = HONEST["pop3"].steps[0], HONEST["pop3"].steps[1:]
    assert isinstance(greeting, bytes)
    with clear_server(Dialogue(rest), stapling.port) as server, TunnelProxy(ahead=greeting) as proxy:
        verdict = ask("localhost", server.port, "must-staple", proxy=proxy.url, starttls="pop3", **options)
        assert stapling.next_record().server_name == "localhost"
    assert verdict.accepted


@both_loops
def test_a_proxy_that_speaks_into_the_tunnel_only_breaks_it(options: dict[str, Any], ask: Ask) -> None:
    answer = b"HTTP/1.1 200 OK\r\n\r\nhello"
    with (
        clear_server(Dialogue((HEAD, answer), tls=False)) as proxy,
        pytest.raises(NetworkError, match="does not speak TLS"),
    ):
        ask("localhost", 443, proxy=f"http://127.0.0.1:{proxy.port}", **options)


@both_loops
@pytest.mark.parametrize(
    ("credentials", "error"),
    [
        ("us%40er:p%3Aw", None),
        ("us%40er:wrong", "does not take this user and password: 407"),
        (None, "asks for a user and a password: 407 'Proxy Authentication Required'"),
    ],
)
def test_a_proxy_may_ask_for_a_password(
    stapling: StaplingServer, options: dict[str, Any], ask: Ask, credentials: str | None, error: str | None
) -> None:
    with TunnelProxy(credentials="us@er:p:w") as proxy:
        url = proxy.url if credentials is None else proxy.url.replace("//", f"//{credentials}@")
        if error is None:
            assert ask("localhost", stapling.port, "must-staple", proxy=url, **options).accepted
            assert stapling.next_record().server_name == "localhost"
        else:
            with pytest.raises(NetworkError, match=error) as caught:
                ask("localhost", stapling.port, "must-staple", proxy=url, **options)
            assert "wrong" not in str(caught.value)


@both_loops
@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY", "http_proxy", "all_proxy"])
def test_the_environment_does_not_choose_a_proxy(
    stapling: StaplingServer,
    options: dict[str, Any],
    ask: Ask,
    variable: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1:1")
    assert ask("localhost", stapling.port, "must-staple", **options).accepted
    assert stapling.next_record().server_name == "localhost"


# --- no tunnel

NO_TUNNEL = {
    "403": (b"HTTP/1.1 403 Filtered\r\n\r\n", "does not connect to localhost:443: 403 'Filtered'"),
    "502": (b"HTTP/1.0 502\r\n\r\n", "does not connect to localhost:443: 502$"),
    "a redirect": (b"HTTP/1.1 302 Found\r\nLocation: http://login\r\n\r\n", "302 'Found'"),
    "a line feed alone": (b"HTTP/1.1 403 no\n\n", "403 'no'"),
    "not HTTP": (b"220 mail.example ESMTP\r\n\r\n", "is no HTTP proxy: illegal status line"),
    "nonsense": (b"\0" * 50, "is no HTTP proxy"),
    "TLS": (b"\x15\x03\x03\x00\x02\x02\x32", "speaks TLS at once, and not HTTP before it"),
    "a head without end": (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 20_000, "is no HTTP proxy: Receive buffer too long"),
    "headers without end": (b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 4000, "is no HTTP proxy: Receive buffer too long"),
    "patience without end": (b"HTTP/1.1 100 Continue\r\n\r\n" * 4000, "said more than 65536 bytes"),
}


@both_loops
@pytest.mark.parametrize("case", NO_TUNNEL)
def test_a_proxy_that_opens_no_tunnel_is_one_clear_error(options: dict[str, Any], ask: Ask, case: str) -> None:
    answer, error = NO_TUNNEL[case]
    with clear_server(Dialogue((HEAD, answer), tls=False)) as proxy, pytest.raises(NetworkError, match=error) as caught:
        ask("localhost", 443, proxy=f"http://127.0.0.1:{proxy.port}", timeout=5.0, **options)
    assert str(caught.value).startswith("localhost:443: ")
    assert f"127.0.0.1:{proxy.port}" in str(caught.value)
    assert "\n" not in str(caught.value)


@both_loops
def test_a_proxy_that_says_nothing_or_ends_or_is_not_there(options: dict[str, Any], ask: Ask) -> None:
    with clear_server(Dialogue((HEAD,), tls=False)) as silent:
        expected = r"did not answer within 0\.5 s: an answer to CONNECT did not come"
        with pytest.raises(NetworkError, match=expected):
            ask("localhost", 443, proxy=f"http://127.0.0.1:{silent.port}", timeout=SHORT, **options)

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    with (
        AsyncServer(play) as ends,
        pytest.raises(NetworkError, match=r"the proxy .* closed the connection instead of an answer to CONNECT"),
    ):
        ask("localhost", 443, proxy=f"http://127.0.0.1:{ends.port}", **options)
    with pytest.raises(NetworkError, match=r"the proxy 127\.0\.0\.1:\d+: connection refused"):
        ask("localhost", 443, proxy=f"http://127.0.0.1:{ends.port}", **options)


# --- what was asked for


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:3128",
        "https://proxy:1",
        "socks5://proxy:1",
        "http://",
        "http://a b:1",
        "http://a:1/x",
        "http://a:x",
    ],
)
@both_loops
def test_what_is_no_proxy_is_an_input_error(options: dict[str, Any], ask: Ask, url: str) -> None:
    with pytest.raises(InputError, match="http://host:port"):
        ask("localhost", 443, proxy=url, **options)


def test_a_proxy_shows_where_it_is_and_never_its_password() -> None:
    proxy = proxy_of("http://user:secret@[::1]:3128/")
    assert str(proxy) == "[::1]:3128"
    assert "secret" not in repr(proxy)
    assert proxy.credentials == b"user:secret"
    assert proxy_of("http://proxy.example").port == 80


@pytest.mark.parametrize(
    ("host", "authority"), [("::1", "[::1]:443"), ("münchen.example", "xn--mnchen-3ya.example:443"), ("a_b", "a_b:443")]
)
def test_the_authority_of_a_tunnel(host: str, authority: str) -> None:
    request = connect_through(proxy_of("http://p"), host, 443).to_send()
    assert request.startswith(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n".encode())


@pytest.mark.parametrize("host", ["a b", "a\r\nEvil: yes", "a\0", "é..é"])
def test_no_host_breaks_out_of_the_request(host: str) -> None:
    with pytest.raises(InputError, match="not a host name"):
        connect_through(proxy_of("http://p"), host, 443)


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_any_bytes_are_an_end_or_a_network_error(pieces: list[bytes]) -> None:
    prelude = connect_through(proxy_of("http://p"), "localhost", 443)
    try:
        for piece in pieces:
            if not prelude.done:
                prelude.receive(piece)
    except NetworkError:
        return
    assert not prelude.done

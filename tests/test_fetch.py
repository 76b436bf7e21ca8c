"""Fetching over HTTP: what is asked, by GET or POST, and that what is no whole answer in time is one NetworkError."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509 import ocsp

from certtools.authority import Authority
from certtools.chain import Link
from mustaple.core.errors import InputError, NetworkError
from mustaple.net.exchange import MAX_GET_URL, OCSP_RESPONSE, Exchange, get_url, ocsp_request
from mustaple.net.fetch import (
    afetch_crl,
    afetch_ocsp,
    crl_urls,
    fetch_crl,
    fetch_ocsp,
    new_nonce,
    ocsp_urls,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mustaple.net.exchange import Fetched

NOW = datetime.now(UTC)
BODY = bytes.fromhex("30030a0101")  # not an OCSP response: fetching must not care
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/ocsp-response\r\n"
ROOT = Authority.root("fetch root", not_before=NOW - timedelta(days=1), not_after=NOW + timedelta(days=1))


def link(*ocsp_urls: str, features: tuple[int, ...] = (5,), **more: Any) -> Link:
    leaf = ROOT.leaf(["localhost"], ocsp_urls=ocsp_urls, features=features, serial_number=7, **more)
    return Link(leaf.certificate, ROOT.certificate)


def answer(body: bytes = BODY, head: bytes = OK) -> bytes:
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


@dataclass
class Stub:
    """A server that reads one request per connection and plays one scripted reply, then hangs up."""

    replies: list[bytes | Callable[[socket.socket, Stub], None]]
    port: int = 0
    requests: list[bytes] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/ocsp"

    def serve(self, listener: socket.socket) -> None:
        for reply in self.replies:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(30)
                self.requests.append(read_request(connection))
                if callable(reply):
                    reply(connection, self)
                else:
                    connection.sendall(reply)


def read_request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


@contextmanager
def stub(*replies: bytes | Callable[[socket.socket, Stub], None]) -> Iterator[Stub]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        server = Stub(list(replies), listener.getsockname()[1])
        thread = threading.Thread(target=server.serve, args=(listener,))
        thread.start()
        try:
            yield server
        finally:
            server.stop.set()
            with socket.socket() as poke:  # a reply nobody asked for must not keep the thread in accept()
                poke.settimeout(1)
                poke.connect_ex(("127.0.0.1", server.port))
                poke.sendall(b"\r\n\r\n")
                thread.join(30)


def sync_ocsp(asked: Link, **arguments: Any) -> Fetched:
    return fetch_ocsp(asked, **arguments)


def async_ocsp(asked: Link, **arguments: Any) -> Fetched:
    return asyncio.run(afetch_ocsp(asked, **arguments))


both = pytest.mark.parametrize("fetch", [sync_ocsp, async_ocsp], ids=["sync", "async"])


def asked_by(request: bytes) -> ocsp.OCSPRequest:
    line = request.split(b"\r\n", 1)[0].decode()
    method, path, _ = line.split(" ")
    if method == "POST":
        return ocsp.load_der_ocsp_request(request.partition(b"\r\n\r\n")[2])
    return ocsp.load_der_ocsp_request(base64.b64decode(unquote(path.rpartition("/")[2]), validate=True))


# what is asked


@both
@pytest.mark.requirement("RFC9919-6-1", "RFC6960-A.1-1")
def test_a_short_request_goes_by_get(fetch: Callable[..., Fetched]) -> None:
    with stub(answer(head=OK + b"ETag: x\r\nDate: d\r\nServer: s\r\n")) as server:
        fetched = fetch(link(server.url))
    assert server.requests[0].startswith(b"GET /ocsp/M")
    assert asked_by(server.requests[0]).serial_number == 7
    assert (fetched.body, fetched.method, fetched.status_code, fetched.url) == (BODY, "GET", 200, server.url)
    assert fetched.headers == {"etag": "x", "date": "d"}
    assert 0 < fetched.elapsed < 30
    assert not fetched.redirects


@both
@pytest.mark.requirement("RFC9919-6-1", "RFC6960-A.1-2")
def test_a_long_request_goes_by_post(fetch: Callable[..., Fetched]) -> None:
    nonce = new_nonce(128)
    with stub(answer()) as server:
        fetched = fetch(link(server.url), nonce=nonce)
    assert server.requests[0].startswith(b"POST /ocsp HTTP/1.1\r\n")
    assert b"content-type: application/ocsp-request\r\n" in server.requests[0].lower()
    assert asked_by(server.requests[0]).extensions[0].value == x509.OCSPNonce(nonce)
    assert fetched.method == "POST"


@pytest.mark.requirement("RFC9919-6-1")
@pytest.mark.parametrize(("spare", "method"), [(0, "GET"), (1, "POST")])
def test_255_bytes_of_url_still_go_by_get(spare: int, method: str) -> None:
    request = ocsp_request(link("http://a/"))
    own = len(get_url("http://a", request) or "")
    base = "http://a" + "/" + "x" * (MAX_GET_URL - own - 1 + spare)
    exchange = Exchange(base, "an OCSP response", OCSP_RESPONSE, 100, request)
    assert exchange.method == method
    assert (len(exchange.url) == MAX_GET_URL) is (method == "GET")


@pytest.mark.requirement("RFC6960-A.1-1")
def test_every_byte_of_the_request_survives_the_url() -> None:
    request = bytes(range(60)) + b"\xfb\xef\xbe\xff\xff\xff\xff"  # its base64 holds +, / and =
    url = get_url("http://a/b/", request)
    assert url is not None
    assert not set("+/=") & set(url.removeprefix("http://a/b/"))
    assert base64.b64decode(unquote(url.removeprefix("http://a/b/"))) == request


def test_a_url_with_a_query_takes_a_post() -> None:
    assert get_url("http://a/ocsp?ca=1", b"0") is None


@pytest.mark.requirement("RFC9919-3.1.1-1")
@pytest.mark.parametrize("algorithm", [None, hashes.SHA256()], ids=["sha1", "sha256"])
def test_the_hash_of_the_certid_is_the_one_asked_for(algorithm: hashes.HashAlgorithm | None) -> None:
    request = ocsp.load_der_ocsp_request(ocsp_request(link(), algorithm))
    assert request.hash_algorithm.name == (algorithm.name if algorithm else "sha1")
    assert not list(request.extensions)


@pytest.mark.requirement("RFC9654-2.1-2")
@pytest.mark.parametrize("length", [1, 32, 128])
def test_a_nonce_of_1_to_128_bytes_is_sent(length: int) -> None:
    nonce = new_nonce(length)
    assert nonce != new_nonce(length) or length == 1
    request = ocsp.load_der_ocsp_request(ocsp_request(link(), nonce=nonce))
    assert request.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == nonce


@pytest.mark.requirement("RFC9654-2.1-2")
@pytest.mark.parametrize("length", [0, 129])
def test_a_nonce_of_another_length_is_not(length: int) -> None:
    with pytest.raises(InputError, match=f"not {length}"):
        ocsp_request(link(), nonce=bytes(length))


@pytest.mark.requirement("RFC9654-2.1-2")
def test_a_nonce_has_32_bytes_unless_told_otherwise() -> None:
    assert len(new_nonce()) == 32


@pytest.mark.parametrize("features", [(5,), (5, 99), ()], ids=["plain", "a value unknown", "empty"])
def test_addresses_are_read_even_of_hostile_certificates(features: tuple[int, ...]) -> None:
    certificate = link(
        "ldap://a/", "http://a/", "HTTPS://b/", features=features, crl_urls=["ldap://c", "http://d/ca.crl"]
    ).subject
    assert ocsp_urls(certificate) == ("http://a/", "HTTPS://b/")
    assert crl_urls(certificate) == ("http://d/ca.crl",)


def test_a_certificate_without_addresses_has_none() -> None:
    assert ocsp_urls(link().subject) == ()
    assert crl_urls(link().subject) == ()
    with pytest.raises(NetworkError, match="names no OCSP address"):
        fetch_ocsp(link("ldap://a/"))


# what is taken, and what is not

REFUSED = {
    "another status": (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "HTTP 404 (Not Found)"),
    "a status nobody knows": (b"HTTP/1.1 599 ?\r\nContent-Length: 0\r\n\r\n", "HTTP 599, not"),
    "no content": (b"HTTP/1.1 204 None\r\n\r\n", "HTTP 204"),
    "a page": (answer(b"<html>", b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=x\r\n"), "text/html"),
    "no type": (answer(head=b"HTTP/1.1 200 OK\r\n"), "no content type"),
    "an encoding": (answer(head=OK + b"Content-Encoding: gzip\r\n"), "encoding"),
    "nothing": (answer(b""), "with nothing"),
    "no HTTP": (b"220 mail.example ESMTP\r\n", "did not answer in HTTP"),
    "half a body": (OK + b"Content-Length: 9\r\n\r\n1234", "did not answer in HTTP"),
    "a lie about its length": (OK + b"Content-Length: 99999999999\r\n\r\n1", "more than 65,536 bytes"),
    "too much": (answer(bytes(65537)), "more than 65,536 bytes"),
    "too much in pieces": (
        OK + b"Transfer-Encoding: chunked\r\n\r\n" + (b"8000\r\n" + bytes(0x8000) + b"\r\n") * 3 + b"0\r\n\r\n",
        "more than 65,536 bytes",
    ),
    "see other": (b"HTTP/1.1 303 See Other\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", "HTTP 303"),
    "off HTTP": (b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n", "http or https"),
    "to a password": (
        b"HTTP/1.1 302 Found\r\nLocation: http://u:p@127.0.0.1/\r\nContent-Length: 0\r\n\r\n",
        "user name or password",
    ),
    "nowhere": (b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", "HTTP 302"),
}


@both
@pytest.mark.requirement("RFC6960-A.2-1")
@pytest.mark.parametrize(("reply", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_an_answer_is_one_sentence(fetch: Callable[..., Fetched], reply: bytes, words: str) -> None:
    with stub(reply) as server, pytest.raises(NetworkError) as caught:
        fetch(link(server.url), timeout=30)
    said = str(caught.value)
    assert words in said
    assert said.endswith(".")
    assert "\n" not in said
    assert server.url in said or "password" in said


@both
def test_an_answer_as_large_as_the_limit_is_taken(fetch: Callable[..., Fetched]) -> None:
    with stub(answer(bytes(65536))) as server:
        assert len(fetch(link(server.url)).body) == 65536


def redirect(*path: bytes) -> bytes:
    return b"HTTP/1.1 307 Again\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % (path[0] if path else b"/x")


@both
def test_three_redirects_are_followed(fetch: Callable[..., Fetched]) -> None:
    with stub(redirect(b"/a"), redirect(b"b"), redirect(b"/c"), answer()) as server:
        fetched = fetch(link(server.url), nonce=new_nonce(128))
    assert [request.split(b" ")[1] for request in server.requests] == [b"/ocsp", b"/a", b"/b", b"/c"]
    assert {request.split(b" ")[0] for request in server.requests} == {b"POST"}
    assert len({request.partition(b"\r\n\r\n")[2] for request in server.requests}) == 1
    assert [url.rpartition("/")[2] for url in fetched.redirects] == ["a", "b", "c"]


@both
def test_a_fourth_redirect_is_not(fetch: Callable[..., Fetched]) -> None:
    with stub(*[redirect()] * 4, answer()) as server, pytest.raises(NetworkError, match="redirects more than 3"):
        fetch(link(server.url))


@both
@pytest.mark.requirement("RFC6960-A.1-2")
def test_a_responder_that_takes_only_post_gets_one(fetch: Callable[..., Fetched]) -> None:
    refused = b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n"
    with stub(refused, answer()) as server:
        assert fetch(link(server.url)).method == "POST"
    assert [request.split(b" ")[0] for request in server.requests] == [b"GET", b"POST"]
    with stub(refused, refused, answer()) as server, pytest.raises(NetworkError, match="HTTP 405"):
        fetch(link(server.url))


# what hangs


def silence(_connection: socket.socket, server: Stub) -> None:
    server.stop.wait(30)


def drip(start: bytes, piece: bytes) -> Callable[[socket.socket, Stub], None]:
    def play(connection: socket.socket, server: Stub) -> None:
        connection.sendall(start)
        try:
            while not server.stop.wait(0.05):
                connection.sendall(piece)
        except OSError:
            return  # the client went away, which is what it should do

    return play


HANGING = {
    "silence": silence,
    "a body that drips": drip(OK + b"Content-Length: 60000\r\n\r\n", b"x"),
    "headers that drip": drip(OK, b"X: y\r\n"),
    "a status line that drips": drip(b"HTTP/1.1 200 O", b"K"),
}


@both
@pytest.mark.parametrize("reply", HANGING.values(), ids=HANGING)
def test_the_deadline_holds_for_everything_together(fetch: Callable[..., Fetched], reply: Any) -> None:
    before = set(threading.enumerate())
    with stub(reply) as server:
        with pytest.raises(NetworkError, match=r"did not answer within 0\.5 s"):
            fetch(link(server.url), timeout=0.5)
        # The thread that asked is over too, not left to the server's mercy.
        asking = [t for t in threading.enumerate() if t.name == "mustaple-fetch" and t not in before]
        for thread in asking:
            thread.join(30)
            assert not thread.is_alive()


@both
def test_nobody_there_is_said(fetch: Callable[..., Fetched]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    with pytest.raises(NetworkError, match=r"cannot be reached: .*\.$") as caught:
        fetch(link(url))
    assert url in str(caught.value)


@both
def test_a_host_that_does_not_resolve_is_said(fetch: Callable[..., Fetched]) -> None:
    with pytest.raises(NetworkError, match=r"http://no-such-host\.invalid/ (cannot be reached|did not answer)"):
        fetch(link("http://no-such-host.invalid/"), timeout=20)


HOSTILE_URLS = {
    "a password": ("http://user:secret@127.0.0.1/", "user name or password"),
    "a bad port": ("http://127.0.0.1:99999/", "is not a URL"),
    "no host": ("http:///ocsp", "is not a URL that can be asked"),
    "a newline": ("http://127.0.0.1/a\r\nX: y", "is not a URL that can be asked"),
    "a file": ("file:///etc/passwd", "not an http or https URL"),
    "a bracket": ("http://[::1/", "is not a URL"),
    "a label too long": ("http://" + "a" * 70 + ".example/", "cannot be reached|can be asked"),
}


@both
@pytest.mark.parametrize(("url", "words"), HOSTILE_URLS.values(), ids=HOSTILE_URLS)
def test_an_address_that_cannot_be_asked_is_said(fetch: Callable[..., Fetched], url: str, words: str) -> None:
    with pytest.raises(NetworkError, match=words) as caught:
        fetch(link(), url=url, timeout=20)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


# proxies, clients, TLS


@both
@pytest.mark.parametrize("how", ["argument", "environment"])
def test_a_proxy_is_used(fetch: Callable[..., Fetched], how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with stub(answer()) as server:
        proxy = f"http://127.0.0.1:{server.port}"
        if how == "environment":
            monkeypatch.setenv("http_proxy", proxy)
        fetched = fetch(link("http://ocsp.example/"), proxy=proxy if how == "argument" else None)
    assert server.requests[0].startswith(b"GET http://ocsp.example/M")
    assert fetched.body == BODY


@both
@pytest.mark.parametrize("proxy", ["proxy", "ftp://127.0.0.1:1/", "http://127.0.0.1:x/"])
def test_a_proxy_that_is_none_is_the_callers_mistake(fetch: Callable[..., Fetched], proxy: str) -> None:
    with pytest.raises(InputError, match="proxy cannot be used"):
        fetch(link("http://127.0.0.1/"), proxy=proxy)


def test_a_client_given_is_used_and_stays_open() -> None:
    with stub(answer(), answer()) as server, httpx.Client(headers={"X-Who": "me"}) as client:
        assert fetch_ocsp(link(server.url), client=client).body == BODY
        assert fetch_ocsp(link(server.url), client=client).body == BODY
    assert all(b"x-who: me" in request.lower() for request in server.requests)


def test_an_async_client_given_is_used_and_stays_open() -> None:
    async def twice(url: str) -> None:
        async with httpx.AsyncClient(headers={"X-Who": "me"}) as client:
            await afetch_ocsp(link(url), client=client)
            await afetch_ocsp(link(url), client=client)

    with stub(answer(), answer()) as server:
        asyncio.run(twice(server.url))
    assert all(b"x-who: me" in request.lower() for request in server.requests)


def tls(path: Path) -> Callable[[socket.socket, Stub], None]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf = ROOT.leaf(["localhost"])
    (path / "s.pem").write_bytes(leaf.chain_pem() + leaf.key_pem())
    context.load_cert_chain(path / "s.pem")

    def play(connection: socket.socket, _server: Stub) -> None:
        try:
            with context.wrap_socket(connection.dup(), server_side=True) as secure:
                read_request(secure)
                secure.sendall(answer())
        except ssl.SSLError:
            return  # the client does not trust this root, as it should

    return play


@both
def test_https_needs_a_trusted_certificate(fetch: Callable[..., Fetched], tmp_path: Path) -> None:
    play = tls(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(30)
                play(connection, Stub([]))

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(NetworkError, match=r"cannot be reached: .*certificate"):
            fetch(link(f"https://localhost:{listener.getsockname()[1]}/"), timeout=30)
        thread.join(30)


def test_many_at_once_share_nothing() -> None:
    async def all_of(urls: list[str]) -> list[Fetched]:
        return await asyncio.gather(*(afetch_ocsp(link(url)) for url in urls))

    with stub(answer(b"one")) as first, stub(answer(b"two")) as second:
        fetched = asyncio.run(all_of([first.url, second.url]))
    assert [each.body for each in fetched] == [b"one", b"two"]


# CRLs


@pytest.mark.parametrize("kind", [b"application/pkix-crl", b"application/octet-stream", b"text/plain"])
def test_a_crl_is_got_whatever_its_type(kind: bytes) -> None:
    reply = answer(bytes(100_000), b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nLast-Modified: m\r\n" % kind)
    with stub(reply, reply) as server:
        fetched = fetch_crl(server.url)
        assert asyncio.run(afetch_crl(server.url)).body == fetched.body
    assert len(fetched.body) == 100_000
    assert fetched.headers == {"last-modified": "m"}
    assert server.requests[0].startswith(b"GET /ocsp HTTP/1.1\r\n")


def test_a_crl_larger_than_the_limit_is_not() -> None:
    reply = answer(bytes(1001), b"HTTP/1.1 200 OK\r\n")
    with stub(reply) as server, pytest.raises(NetworkError, match=r"more than 1,000 bytes, too many for a CRL"):
        fetch_crl(server.url, max_bytes=1000)
    with stub(reply) as server:
        assert len(fetch_crl(server.url, max_bytes=1001).body) == 1001


def test_the_time_to_fetch_is_measured() -> None:
    started = time.monotonic()
    with stub(answer()) as server:
        fetched = fetch_ocsp(link(server.url))
    assert fetched.elapsed <= time.monotonic() - started

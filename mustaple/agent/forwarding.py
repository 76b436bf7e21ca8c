"""The agent as a proxy for OCSP alone: finds the question in any request-target, and passes on what is on a list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from asn1crypto import parser
from cryptography.x509 import ocsp

from mustaple.agent.entry import origin_of
from mustaple.agent.fetching import http_client
from mustaple.core.errors import NetworkError
from mustaple.net.exchange import shown
from mustaple.net.fetch import TIMEOUT, afetch_answer
from mustaple.net.responder.aborting import target
from mustaple.net.responder.question import QuestionError, read_path
from mustaple.net.responder.reply import Reply, try_later

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from pathlib import Path

    import httpx

    from mustaple.net.responder.question import Question

AT_ONCE: Final = 16  # requests that are passed on at the same time
_DEPTH: Final = 16  # slashes before the question in a path: that of an OCSP URL has one or two
_SEQUENCE: Final = 16  # its tag
_URL: Final = "mustaple.url"


class AnyTarget:
    """An ASGI application around the responder's at `/`, which then has the question at any path of any host.

    A server that is pointed here by its own setting keeps the path of its CA's OCSP URL, and a client that takes us for
    its proxy sends the whole of it (RFC 9112 §3.2.2): whose question it is, the CertID says. CONNECT is none of ours.
    """

    def __init__(self, inner: Callable[..., Awaitable[None]], forwarder: Forwarder | None = None) -> None:
        self._inner = inner
        self._forwarder = forwarder

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request, or the server's start and end."""
        if scope["type"] == "http":
            base, question = split(scope["method"], target(scope))
            scope = {**scope, "raw_path": question, _URL: base}
        elif scope["type"] == "lifespan" and self._forwarder is not None:
            async with self._forwarder.open():
                await self._inner(scope, receive, send)
            return
        await self._inner(scope, receive, send)


def split(method: str, whole: bytes) -> tuple[str, bytes]:
    """The OCSP URL that is asked and the path that is left: `/` or a question.

    The URL is empty where the target names no host, or has a query, which no OCSP URL that can be asked by GET has. A
    question in base64 may have slashes of its own, and so may the URL before it: it begins at the first slash after
    which all is one SEQUENCE.
    """
    path, query, _ = whole.partition(b"?")
    host = b""
    if not path.startswith(b"/"):
        scheme, separator, rest = path.partition(b"://")
        authority, slash, rest = rest.partition(b"/")
        host, path = scheme + separator + authority, slash + rest
    start = len(path) if method == "POST" else _question(path)
    base = (host + path[:start]).decode("ascii", "replace") if host and not query else ""
    return base, path[start:] or b"/"


def _question(path: bytes) -> int:
    """Where the question begins; 0 where there is none, and the responder says so."""
    start = -1
    for _ in range(_DEPTH):
        start = path.find(b"/", start + 1)
        if start < 0:
            break
        try:
            tag = parser.parse(read_path(path[start:]), strict=True)[2]
        except (QuestionError, ValueError):
            continue
        if tag == _SEQUENCE:
            return start
    return 0


class Forwarder:
    """Asks the responders of a list for certificates that the agent does not watch, and nobody else.

    `allowed` are OCSP URLs; a request for one of them is asked there, and it is the list's URL that is asked, whatever
    the client wrote. What comes is passed on and not kept: without the issuer's certificate it cannot be judged here.
    """

    def __init__(
        self, allowed: Iterable[str], *, proxy: str | None = None, trust: Path | None = None, timeout: float = TIMEOUT
    ) -> None:
        self._allowed = {_same(url): url for url in allowed}
        self._proxy = proxy
        self._trust = trust
        self._timeout = timeout
        self._client: httpx.AsyncClient | None = None
        self._under_way = 0

    def open(self) -> httpx.AsyncClient:
        """The client by which it asks, to be closed in the event loop in which it is used."""
        self._client = http_client(proxy=self._proxy, trust=self._trust)
        return self._client

    async def __call__(self, scope: dict[str, Any], request: bytes, _: Question) -> Reply | None:
        """What the responder says to this request in DER; None where it is not on the list."""
        asked: str = scope[_URL]
        url = self._allowed.get(_same(asked)) if asked else None
        if url is None or self._client is None:
            return None
        if self._under_way >= AT_ONCE:
            return try_later(f"{AT_ONCE} requests are passed on already")
        self._under_way += 1
        try:
            fetched = await afetch_answer(url, request, client=self._client, timeout=self._timeout)
        except NetworkError as error:
            return try_later(str(error))
        finally:
            self._under_way -= 1
        return _passed_on(fetched.body, url)


def _passed_on(body: bytes, url: str) -> Reply:
    """What came, as it came, if it is an OCSP response at all."""
    try:
        response = ocsp.load_der_ocsp_response(body)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            return Reply(body, ("forwarded",), why=f"{shown(url)} said {response.response_status.name}")
        this_update = next(iter(response.responses)).this_update_utc
    except (ValueError, StopIteration) as error:
        return try_later(f"{shown(url)} answered with what is no OCSP response: {shown(str(error))}")
    return Reply(body, ("forwarded",), this_update=this_update)


def _same(url: str) -> str:
    """What is the same for two ways to write one address: a host in small letters, a port that goes without saying."""
    try:
        return origin_of(url) + urlsplit(url).path.rstrip("/")
    except ValueError:
        return ""

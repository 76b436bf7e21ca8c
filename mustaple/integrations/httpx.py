"""Transports for httpx that judge each server before they talk to it: `httpx.Client(transport=StapledTransport())`."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import anyio.to_thread
import httpcore
import httpx

from mustaple.core.errors import InputError
from mustaple.core.verdict import Source
from mustaple.integrations import httpcore_async, httpcore_sync
from mustaple.integrations.httpcore_judging import Judging
from mustaple.integrations.httpx_errors import VerdictError, httpx_errors
from mustaple.integrations.httpx_expect import ExpectStaple
from mustaple.net.approach import authorities_of, identity_of, preset_or_policy
from mustaple.net.crl_cache import CrlCache
from mustaple.net.crl_files import read_crls
from mustaple.net.evidence import Means
from mustaple.net.tls_context import client_context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator
    from types import TracebackType

    from mustaple.core.policy import Policy
    from mustaple.core.verdict import ChainVerdict
    from mustaple.integrations.httpcore_judging import Judged
    from mustaple.net.expect_hosts import ExpectHosts
    from mustaple.net.expect_reports import ReportSender
    from mustaple.net.tls_context import Authorities, PathLike

__all__ = ["AsyncStapledTransport", "StapledTransport", "VerdictError"]

# As in httpx.
LIMITS: Final = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=5.0)
FETCH_TIMEOUT: Final = 10.0


def _now() -> datetime:
    return datetime.now(UTC)


class _Transport:
    """How both transports are made; see `StapledTransport` for the arguments."""

    _network: ClassVar[tuple[Any, Any]]  # the pool and the backend of the one kind or the other
    _pool: Any

    def __init__(
        self,
        policy: Policy | str = "must-staple",
        *,
        ca: Authorities | Iterable[Authorities] | None = None,
        certificate: PathLike | None = None,
        key: PathLike | None = None,
        http2: bool | None = None,
        limits: httpx.Limits = LIMITS,
        proxy: httpx.Proxy | httpx.URL | str | None = None,
        retries: int = 0,
        local_address: str | None = None,
        fetch_timeout: float = FETCH_TIMEOUT,
        crls: Iterable[bytes | PathLike] = (),
        crl_cache: CrlCache | None = None,
        clock: Callable[[], datetime] = _now,
        on_verdict: Callable[[str, ChainVerdict], None] | None = None,
        expect_hosts: ExpectHosts | None = None,
        expect_reports: ReportSender | None = None,
    ) -> None:
        installed = find_spec("h2") is not None
        if http2 and not installed:
            raise InputError("HTTP/2 needs the package h2: pip install 'mustaple[http2]'.")
        both = installed if http2 is None else http2
        if expect_reports is not None and expect_hosts is None:
            raise InputError("Whom to report is in the memory of Expect-Staple hosts: give expect_hosts, too.")
        self._expect = ExpectStaple(expect_hosts, expect_reports) if expect_hosts is not None else None
        self._clock = clock
        chosen, given = preset_or_policy(policy), read_crls(crls)
        if given and Source.CRL not in chosen.sources:
            raise InputError(f"Policy {chosen.name!r} takes no CRL as evidence; hard-fail does, or one of your own.")
        told = proxy if proxy is None or isinstance(proxy, httpx.Proxy) else httpx.Proxy(proxy)
        judging = Judging(
            client_context(authorities_of(ca), identity=identity_of(certificate, key)),
            chosen,
            clock,
            ("h2", "http/1.1") if both else ("http/1.1",),
            fetch_timeout,
            on_verdict,
            self._expect,
            Means(
                given,
                crl_cache if crl_cache is not None else CrlCache(),
                None if told is None else _with_password(told),
            ),
        )
        make_pool, make_backend = self._network
        self._pool = make_pool(
            ssl_context=judging.token,
            network_backend=make_backend(judging),
            proxy=None if told is None else _proxy(told),
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            http2=both,
            retries=retries,
            local_address=local_address,
        )

    def _note(self, request: httpx.Request, response: httpcore.Response) -> Callable[[], None] | None:
        """What there is to be learned from an answer, to be called where waiting for a file hinders nobody."""
        judged: Judged | None = response.extensions["network_stream"].get_extra_info("judged")
        if self._expect is None or judged is None or not self._expect.news(judged, response.headers):
            return None
        return partial(self._expect.answered, response.status, response.headers, judged, _port(request), self._clock())


class StapledTransport(_Transport, httpx.BaseTransport):
    """Judges each TLS connection before a byte of a request leaves; a refusal is a `VerdictError`.

        with httpx.Client(transport=StapledTransport("must-staple", ca="root.pem")) as client:
            response = client.get("https://service.example/")
        response.extensions["verdict"].headline

    `policy` is a `Policy` or the name of one. `strict` needs servers with TLS 1.3, since OpenSSL cannot ask for every
    certificate's staple in TLS 1.2. Threads may share it: a connection has one request at a time, over HTTP/2 too. `ca`
    is what to trust: a file, a directory, a certificate, or several; None is the system's store. `certificate` and
    `key` are PEM files with the client's own. `http2` None offers HTTP/2 where the package h2 is installed. `limits`,
    `retries` and `local_address` are those of `httpx.HTTPTransport`; timeouts are the client's, `connect` for the TCP
    connection and again for the handshake. `fetch_timeout` bounds, in seconds, what the policy has fetched for one
    connection; `crls` and `crl_cache` are as in `mustaple.connect`. `on_verdict` gets the host and verdict of each
    connection, accepted or refused. `clock` gives the time (aware UTC) at which staples are judged; a connection whose
    staples have expired is not used for another request. `expect_hosts` remembers hosts by their Expect-Staple header,
    which a policy may enforce, and `expect_reports` reports those that break their word.

    `proxy` belongs here: given to `httpx.Client` it would be asked through a transport of httpx's own, which judges
    nothing, and proxies of the environment are not heeded. A proxy's own certificate is httpx's to verify. Plain
    `http://` URLs are fetched as they are.

    Raises InputError for arguments of no use; requests raise httpx's errors.
    """

    _network = (httpcore_sync.Pool, httpcore_sync.Backend)

    def __enter__(self) -> Self:
        self._pool.__enter__()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        with httpx_errors():
            self._pool.__exit__(exc_type, exc_value, traceback)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request over a connection that has been judged."""
        with httpx_errors():
            try:
                response = self._pool.handle_request(_request(request))
            except VerdictError as error:
                if self._expect is not None:
                    self._expect.refused(error, _port(request))
                raise
        if note := self._note(request, response):
            try:
                note()
            except BaseException:
                response.close()
                raise
        return _response(response, _Body(response.stream))

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()


class AsyncStapledTransport(_Transport, httpx.AsyncBaseTransport):
    """The same as `StapledTransport` for `httpx.AsyncClient`, under asyncio and trio; HTTP/2 connections are shared."""

    _network = (httpcore_async.Pool, httpcore_async.Backend)

    async def __aenter__(self) -> Self:
        await self._pool.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        with httpx_errors():
            await self._pool.__aexit__(exc_type, exc_value, traceback)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request over a connection that has been judged."""
        with httpx_errors():
            try:
                response = await self._pool.handle_async_request(_request(request))
            except VerdictError as error:
                if self._expect is not None:
                    await anyio.to_thread.run_sync(self._expect.refused, error, _port(request))
                raise
        if note := self._note(request, response):
            try:
                await anyio.to_thread.run_sync(note)
            except BaseException:
                await response.aclose()
                raise
        return _response(response, _AsyncBody(response.stream))

    async def aclose(self) -> None:
        """Close every connection."""
        await self._pool.aclose()


class _Body(httpx.SyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        with httpx_errors():
            yield from self._stream

    def close(self) -> None:
        self._stream.close()


class _AsyncBody(httpx.AsyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with httpx_errors():
            async for part in self._stream:
                yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


def _request(request: httpx.Request) -> httpcore.Request:
    url = request.url
    return httpcore.Request(
        request.method,
        httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
        headers=request.headers.raw,
        content=request.stream,
        extensions=request.extensions,
    )


def _port(request: httpx.Request) -> int:
    return request.url.port or 443


def _response(response: httpcore.Response, body: _Body | _AsyncBody) -> httpx.Response:
    """httpx's response, with the verdict among its extensions; None over plain HTTP."""
    verdict = response.extensions["network_stream"].get_extra_info("verdict")
    extensions = {**response.extensions, "verdict": verdict}
    return httpx.Response(response.status, headers=response.headers, stream=body, extensions=extensions)


def _proxy(proxy: httpx.Proxy) -> httpcore.Proxy:
    url = proxy.url
    return httpcore.Proxy(
        httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
        auth=proxy.raw_auth,
        headers=proxy.headers.raw,
        ssl_context=proxy.ssl_context,
    )


def _with_password(proxy: httpx.Proxy) -> str:
    """The proxy's URL for the fetches, which go the same way."""
    if proxy.auth is None:
        return str(proxy.url)
    return str(proxy.url.copy_with(username=proxy.auth[0], password=proxy.auth[1]))

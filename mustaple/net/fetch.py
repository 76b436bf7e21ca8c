"""One OCSP or CRL request over HTTP, by GET up to 255 bytes of URL and else by POST; it fetches and never judges."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import threading
import time
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from certtools.extensions import crl_urls as all_crl_urls
from certtools.extensions import ocsp_urls as all_ocsp_urls
from mustaple.core.crl_case import MAX_CRL_BYTES
from mustaple.core.errors import InputError, NetworkError
from mustaple.net.exchange import (
    MAX_OCSP_BYTES,
    NONCE_BYTES,
    OCSP_RESPONSE,
    Exchange,
    Fetched,
    ocsp_request,
)

if TYPE_CHECKING:
    import ssl

    import httpx
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    from certtools.chain import Link

__all__ = [
    "Fetched",
    "afetch_answer",
    "afetch_crl",
    "afetch_ocsp",
    "crl_urls",
    "fetch_crl",
    "fetch_ocsp",
    "new_nonce",
    "ocsp_urls",
]

ClientT = TypeVar("ClientT", "httpx.Client", "httpx.AsyncClient")

TIMEOUT = 10.0  # seconds, for the whole of it: name, connection, redirects, the last byte


def ocsp_urls(certificate: x509.Certificate) -> tuple[str, ...]:
    """The OCSP addresses in a certificate (RFC 5280 §4.2.2.1) that can be asked over HTTP, in its order.

    Hostile certificates are read too; unreadable extensions give none.
    """
    return _over_http(all_ocsp_urls(certificate))


def crl_urls(certificate: x509.Certificate) -> tuple[str, ...]:
    """The CRL addresses in a certificate (RFC 5280 §4.2.1.13) that can be asked over HTTP, in its order."""
    return _over_http(all_crl_urls(certificate))


def _over_http(urls: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(url for url in urls if url.lower().startswith(("http://", "https://")))


def new_nonce(length: int = NONCE_BYTES) -> bytes:
    """A fresh nonce of `length` bytes (RFC 9654 §2.1). Pass it to `fetch_ocsp`, then to the judge."""
    return secrets.token_bytes(length)


def fetch_ocsp(
    link: Link,
    *,
    url: str | None = None,
    hash_algorithm: hashes.HashAlgorithm | None = None,
    nonce: bytes | None = None,
    timeout: float = TIMEOUT,
    max_bytes: int = MAX_OCSP_BYTES,
    proxy: str | None = None,
    etag: str | None = None,
    bypass_caches: bool = False,
    same_host: bool = False,
    client: httpx.Client | None = None,
) -> Fetched:
    """Ask for the status of `link.subject`, at `url` or at the first OCSP address in the certificate.

    `hash_algorithm` names the issuer in the CertID (SHA-1 unless given); `nonce` comes from `new_nonce()`.
    `timeout` is the deadline in seconds for everything together, also against a server that drips; `max_bytes`
    bounds the answer. `proxy` is a URL; without it the usual environment variables hold. With the `etag` of an
    answer already here, `not_modified` may be what is fetched; `bypass_caches` asks for an answer from the responder
    itself, and with `same_host` no redirect leads to another one. A `client` given is used as it is and stays open.

    Raises NetworkError, in one sentence that names the address, for whatever is not a whole answer of type
    application/ocsp-response with HTTP status 200 (RetryLaterError where it says when to come back); InputError for
    a nonce or a proxy that cannot be used.
    """
    how = {"bypass_caches": bypass_caches, "same_host": same_host}
    exchange = _ocsp(link, url, hash_algorithm, nonce, max_bytes, etag=etag, **how)
    return _fetch(exchange, timeout, proxy, client)


async def afetch_ocsp(
    link: Link,
    *,
    url: str | None = None,
    hash_algorithm: hashes.HashAlgorithm | None = None,
    nonce: bytes | None = None,
    timeout: float = TIMEOUT,
    max_bytes: int = MAX_OCSP_BYTES,
    proxy: str | None = None,
    etag: str | None = None,
    bypass_caches: bool = False,
    same_host: bool = False,
    client: httpx.AsyncClient | None = None,
) -> Fetched:
    """`fetch_ocsp` for asyncio: the same request, the same refusals."""
    how = {"bypass_caches": bypass_caches, "same_host": same_host}
    exchange = _ocsp(link, url, hash_algorithm, nonce, max_bytes, etag=etag, **how)
    return await _afetch(exchange, timeout, proxy, client)


async def afetch_answer(
    url: str, request: bytes, *, client: httpx.AsyncClient, timeout: float = TIMEOUT, max_bytes: int = MAX_OCSP_BYTES
) -> Fetched:
    """Ask with an OCSPRequest in DER that somebody else has made; no redirect leads to another host.

    Arguments and errors are those of `fetch_ocsp`.
    """
    exchange = Exchange(url, "an OCSP response", OCSP_RESPONSE, max_bytes, request, same_host=True)
    return await _afetch(exchange, timeout, None, client)


def fetch_crl(
    url: str,
    *,
    timeout: float = TIMEOUT,
    max_bytes: int = MAX_CRL_BYTES,
    proxy: str | None = None,
    client: httpx.Client | None = None,
) -> Fetched:
    """Get the CRL at `url`, of whatever content type: servers disagree on it, and the judge reads the bytes.

    Arguments and errors are those of `fetch_ocsp`.
    """
    return _fetch(Exchange(url, "a CRL", None, max_bytes), timeout, proxy, client)


async def afetch_crl(
    url: str,
    *,
    timeout: float = TIMEOUT,
    max_bytes: int = MAX_CRL_BYTES,
    proxy: str | None = None,
    client: httpx.AsyncClient | None = None,
) -> Fetched:
    """`fetch_crl` for asyncio."""
    return await _afetch(Exchange(url, "a CRL", None, max_bytes), timeout, proxy, client)


def _ocsp(
    link: Link,
    url: str | None,
    algorithm: hashes.HashAlgorithm | None,
    nonce: bytes | None,
    max_bytes: int,
    *,
    etag: str | None,
    **how: Any,
) -> Exchange:
    if url is None:
        urls = ocsp_urls(link.subject)
        if not urls:
            raise NetworkError("The certificate names no OCSP address that HTTP reaches.")
        url = urls[0]
    request = ocsp_request(link, algorithm, nonce)
    return Exchange(url, "an OCSP response", OCSP_RESPONSE, max_bytes, request, etag=etag, **how)


def _fetch(exchange: Exchange, timeout: float, proxy: str | None, client: httpx.Client | None) -> Fetched:
    worker = _Worker(exchange, timeout, proxy, client)
    worker.start()
    try:
        worker.join(timeout)
    finally:
        worker.abandon()
    if worker.fetched is not None:
        return worker.fetched
    if worker.error is None or worker.abandoned:  # an error after that is that its socket was shut
        raise _too_late(exchange, timeout)
    raise worker.error


class _Worker(threading.Thread):
    """One exchange in a thread, so that its caller waits no longer than the deadline, whatever hangs.

    httpx bounds each operation but not their sum: a server that sends a header a second never times out, nor does
    a resolver. Whoever gives up shuts the connection's sockets, which ends this thread as well.
    """

    def __init__(self, exchange: Exchange, timeout: float, proxy: str | None, client: httpx.Client | None) -> None:
        super().__init__(name="mustaple-fetch", daemon=True)
        self.fetched: Fetched | None = None
        self.error: BaseException | None = None
        self._arguments = (exchange, timeout, proxy, client)
        self._sockets: list[socket.socket] = []
        self.abandoned = False

    def run(self) -> None:
        try:
            self.fetched = self._perform(*self._arguments)
        except BaseException as error:  # noqa: BLE001 - it is raised again in the thread that waits
            self.error = error

    def abandon(self) -> None:
        """End the connections if the exchange is not over. A pooled one of a client given is left to its own limits."""
        if self.is_alive():
            self.abandoned = True
            for each in self._sockets:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(each, socket.SHUT_RDWR)

    def _trace(self, event: str, info: dict[str, Any]) -> None:
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._sockets.append(info["return_value"].get_extra_info("socket"))
            if self.abandoned:
                self.abandon()

    def _perform(self, exchange: Exchange, timeout: float, proxy: str | None, client: httpx.Client | None) -> Fetched:
        import httpx

        started = time.monotonic()
        try:
            while True:
                left = started + timeout - time.monotonic()
                with contextlib.ExitStack() as stack:
                    session = client or stack.enter_context(_new(httpx.Client, exchange, proxy))
                    response = stack.enter_context(session.stream(**_arguments(exchange, left, trace=self._trace)))
                    if exchange.head(response.status_code, response.headers):
                        for chunk in response.iter_raw():
                            exchange.feed(chunk)
                        return exchange.finish(time.monotonic() - started)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            raise _translated(error, exchange, timeout) from error


async def _afetch(exchange: Exchange, timeout: float, proxy: str | None, client: httpx.AsyncClient | None) -> Fetched:
    import httpx

    started = time.monotonic()
    try:
        async with asyncio.timeout(timeout), contextlib.AsyncExitStack() as stack:
            while True:
                # A redirect may change the scheme, and with it what the client must be able to do.
                session = client
                if session is None:
                    session = await stack.enter_async_context(_new(httpx.AsyncClient, exchange, proxy))
                async with session.stream(**_arguments(exchange, timeout)) as response:
                    if exchange.head(response.status_code, response.headers):
                        async for chunk in response.aiter_raw():
                            exchange.feed(chunk)
                        return exchange.finish(time.monotonic() - started)
    except TimeoutError as error:
        raise _too_late(exchange, timeout) from error
    except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
        raise _translated(error, exchange, timeout) from error


def _arguments(exchange: Exchange, left: float, **extensions: Any) -> dict[str, Any]:
    """What both clients' `stream()` take for the next request; `left` is in seconds."""
    return {
        "method": exchange.method,
        "url": exchange.url,
        "headers": exchange.headers,
        "content": exchange.content,
        "timeout": max(left, 0.001),
        "follow_redirects": False,
        "extensions": extensions,
    }


def _new(kind: type[ClientT], exchange: Exchange, proxy: str | None) -> ClientT:
    """A client for the next request. OCSP is nearly always plain HTTP: no trust store is loaded for that."""
    import httpx

    try:
        return kind(verify=_trust(urlsplit(exchange.url).scheme), proxy=proxy)
    except (ValueError, ImportError, httpx.InvalidURL) as error:
        raise InputError(f"The proxy cannot be used: {' '.join(str(error).split())}") from error


@cache
def _trust(scheme: str) -> ssl.SSLContext:
    import ssl

    return ssl.create_default_context() if scheme == "https" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _too_late(exchange: Exchange, timeout: float) -> NetworkError:
    return NetworkError(f"{exchange.name} did not answer within {timeout:g} s.")


def _translated(error: Exception, exchange: Exchange, timeout: float) -> NetworkError:
    import httpx

    if isinstance(error, httpx.TimeoutException):
        return _too_late(exchange, timeout)
    said = " ".join(_root_of(error).split()).rstrip(".") or type(error).__name__
    if isinstance(error, httpx.RemoteProtocolError):
        return NetworkError(f"{exchange.name} did not answer in HTTP: {said}.")
    if isinstance(error, httpx.ProxyError):
        return NetworkError(f"The proxy on the way to {exchange.name} refused: {said}.")
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol | UnicodeError):
        return NetworkError(f"{exchange.name} is not a URL that can be asked: {said}.")
    return NetworkError(f"{exchange.name} cannot be reached: {said}.")


def _root_of(error: BaseException) -> str:
    """What the system said, below the layers that say only that something failed."""
    root: BaseException | None = error
    while root is not None:
        if isinstance(root, BaseExceptionGroup):  # one for each address of the host
            root = root.exceptions[0]
        if isinstance(root, ConnectionError) and root.errno:
            return os.strerror(root.errno)  # asyncio has words of its own for it
        if isinstance(root, OSError) and root.strerror:
            return root.strerror
        root = root.__cause__ or root.__context__  # httpcore says "from None"
    return str(error)

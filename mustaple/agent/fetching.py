"""Where answers come from: the contract of a fetcher, and the one that asks responders over HTTP."""

from __future__ import annotations

import ssl
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, Protocol

import httpx

from mustaple.core.errors import InputError
from mustaple.net.fetch import TIMEOUT, afetch_ocsp
from mustaple.net.multistaple import Gathering, afetch_staple
from mustaple.net.store import Loaded

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from datetime import datetime
    from pathlib import Path

    from certtools.chain import Link
    from mustaple.agent.engine import Order
    from mustaple.core.policy import Rules
    from mustaple.net.fetch import Fetched
    from mustaple.net.multistaple import Gathered


class Fetcher(Protocol):
    """Carries out an order. Whatever a responder does is told in the answer, and never raised."""

    async def __call__(self, order: Order) -> tuple[Gathered, Mapping[str, datetime]]:
        """What was gathered for this order, judged, and who asked to be left alone until when."""


class JudgingFetcher:
    """Asks every address of a certificate in turn by `fetch`, and judges what comes (`mustaple.net.multistaple`)."""

    def __init__(
        self,
        fetch: Callable[..., Awaitable[Fetched]],
        clock: Callable[[], datetime],
        rules: Rules,
        *,
        timeout: float = TIMEOUT,
        responder: str | None = None,
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._rules = rules
        self._timeout = timeout
        self._responder = responder

    async def __call__(self, order: Order) -> tuple[Gathered, Mapping[str, datetime]]:
        """See `Fetcher`. When to ask is the planner's word, so what is held is never found too fresh to ask."""
        held = {} if order.held is None else {order.link.fingerprint: order.held}
        how = Gathering(
            rules=self._rules,
            stored=Loaded(held, waits=order.waits),
            responder=self._responder,
            timeout=self._timeout,
            clock=self._clock,
            fetch=self._fetch,
            always=True,
        )
        return await afetch_staple(order.link, how)


def http_client(*, proxy: str | None, trust: Path | None) -> httpx.AsyncClient:
    """The client that all requests share: connections are kept for a while, cookies and redirects are not.

    `trust` is a file of CA certificates for responders behind https, the system's where it is None. Without a `proxy`
    the usual environment variables hold. Raises InputError for a proxy or a file that cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=str(trust) if trust is not None else None)
    except OSError as error:
        raise InputError(f"ca: {trust} holds no certificates to trust: {error.strerror or error}") from error
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=32, keepalive_expiry=5.0)
    try:
        nobody = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
        return httpx.AsyncClient(verify=context, proxy=proxy, limits=limits, cookies=nobody)
    except (ValueError, ImportError, httpx.InvalidURL) as error:
        raise InputError(f"proxy: it cannot be used: {' '.join(str(error).split())}") from error


def over_http(client: httpx.AsyncClient, *, same_host: bool = True) -> Callable[..., Awaitable[Fetched]]:
    """`afetch_ocsp` with this client; unless told otherwise no redirect leads to another host."""

    async def fetch(link: Link, **asking: Any) -> Fetched:
        asking.pop("proxy", None)  # the client knows it
        return await afetch_ocsp(link, **asking, client=client, same_host=same_host)

    return fetch

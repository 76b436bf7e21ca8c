"""A tunnel through an HTTP proxy: the CONNECT request and its answer, without I/O (RFC 9110 §9.3.6)."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

import h11
import idna

from mustaple.core.errors import InputError, NetworkError
from mustaple.net.dial import written
from mustaple.net.prelude import Prelude, shown

if TYPE_CHECKING:
    from collections.abc import Generator

_DEFAULT_PORT: Final = 80


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy. Make one with `proxy_of`; its user and password are never shown."""

    host: str
    port: int
    credentials: bytes | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return written(self.host, self.port)


def proxy_of(url: str) -> Proxy:
    """The proxy of a URL such as http://user:password@host:3128. Raises InputError where it names none."""
    advice = "write it as http://host:port, or http://user:password@host:port"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise InputError(f"The proxy is no URL; {advice}.") from None
    if parts.scheme != "http" or not host or parts.path.strip("/") or parts.query or parts.fragment:
        raise InputError(f"The proxy is not the URL of an HTTP proxy; {advice}.")
    if any(character.isspace() or not character.isprintable() for character in host):
        raise InputError(f"The proxy {host!r} is not a host; {advice}.")
    credentials = None
    if parts.username is not None:
        credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
    return Proxy(host, _DEFAULT_PORT if port is None else port, credentials)


def connect_through(proxy: Proxy, host: str, port: int) -> Prelude:
    """The conversation that opens a tunnel to this host, up to its first byte.

    Raises InputError for a host that no request can name.
    """
    try:
        name = host if host.isascii() else idna.encode(host, uts46=True).decode("ascii")
    except UnicodeError:
        raise InputError(f"{host!r} is not a host name.") from None
    authority = written(name, port)
    headers = [("Host", authority)]
    if proxy.credentials is not None:
        headers.append(("Proxy-Authorization", f"Basic {base64.b64encode(proxy.credentials).decode('ascii')}"))
    http = h11.Connection(h11.CLIENT)
    try:
        request = http.send(h11.Request(method="CONNECT", target=authority, headers=headers))
    except h11.LocalProtocolError:
        raise InputError(f"{host!r} is not a host name.") from None
    http.send(h11.EndOfMessage())
    return Prelude(
        "HTTP", lambda prelude: _tunnel(prelude, http, request or b"", proxy, authority), who=f"the proxy {proxy}"
    )


def _tunnel(
    prelude: Prelude, http: h11.Connection, request: bytes, proxy: Proxy, authority: str
) -> Generator[None, None, None]:
    prelude.say(request, waiting_for="an answer to CONNECT")
    while True:
        try:
            event = http.next_event()
        except h11.RemoteProtocolError as error:
            raise NetworkError(f"what answers at {proxy} is no HTTP proxy: {error}") from None
        if isinstance(event, h11.Response):
            break
        if event is h11.NEED_DATA:
            http.receive_data((yield from prelude.some()))
    if not 200 <= event.status_code < 300:
        raise NetworkError(_refusal(proxy, authority, event.status_code, event.reason))
    # A server that speaks first may have spoken already: what follows the answer is its (RFC 9110 §9.3.6).
    prelude.give_back(http.trailing_data[0])


def _refusal(proxy: Proxy, authority: str, status: int, reason: bytes) -> str:
    said = f"{status} {shown(reason)}" if reason else str(status)
    if status != 407:
        return f"the proxy {proxy} does not connect to {authority}: {said}"
    if proxy.credentials is None:
        return f"the proxy {proxy} asks for a user and a password: {said}"
    return f"the proxy {proxy} does not take this user and password: {said}"

"""What the transports raise: httpx's own errors, and the one that carries a verdict."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import httpcore
import httpx

from mustaple.core.errors import InputError, NetworkError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mustaple.core.flight import Flight
    from mustaple.core.verdict import ChainVerdict


class VerdictError(httpx.ConnectError):
    """The policy refused the server before a byte of the request left; `verdict` says which certificate and why.

    `host` is the name that was asked for, `flight` what the server sent, where it was read.
    """

    def __init__(
        self, verdict: ChainVerdict, hint: str = "", *, host: str | None = None, flight: Flight | None = None
    ) -> None:
        super().__init__(verdict.headline + hint)
        self.verdict = verdict
        self.host = host
        self.flight = flight


NOT_CONNECTED: Final = (VerdictError, httpcore.ConnectError, httpcore.ConnectTimeout)

_AS_HTTPX: Final = {
    getattr(httpcore, name): getattr(httpx, name)
    for name in (
        *("TimeoutException", "ConnectTimeout", "ReadTimeout", "WriteTimeout", "PoolTimeout"),
        *("NetworkError", "ConnectError", "ReadError", "WriteError"),
        *("ProxyError", "UnsupportedProtocol", "ProtocolError", "LocalProtocolError", "RemoteProtocolError"),
    )
}


@contextmanager
def httpx_errors() -> Iterator[None]:
    """Raise httpcore's errors as httpx's of the same name, as httpx's own transports do."""
    try:
        yield
    except Exception as error:
        for kind in type(error).__mro__:
            if kind in _AS_HTTPX:
                raise _AS_HTTPX[kind](str(error)) from error
        raise


@contextmanager
def connect_errors() -> Iterator[None]:
    """Whatever goes wrong before the verdict stands is an error of connecting; a `VerdictError` stays what it is."""
    try:
        yield
    except httpcore.TimeoutException as error:
        raise httpcore.ConnectTimeout(str(error)) from error
    except (httpcore.NetworkError, NetworkError, InputError) as error:
        raise httpcore.ConnectError(str(error)) from error


@contextmanager
def tls_errors(kind: type[httpcore.NetworkError]) -> Iterator[None]:
    """Raise what TLS finds wrong as `kind`, ReadError or WriteError."""
    try:
        yield
    except NetworkError as error:
        raise kind(str(error)) from error

"""Receives Expect-Staple reports over HTTP as an ASGI application: POST alone, validated, and everything bounded."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections import OrderedDict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mustaple.core.errors import InputError
from mustaple.core.expect_report import MAX_REPORT, REPORT_KEY, REPORT_TYPE, CertStatus, ResponseStatus
from mustaple.core.expect_staple import canonical_name
from mustaple.net.listen import listen, url_of
from mustaple.net.report_store import Subject
from mustaple.net.responder.serving import AppRunner

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mustaple.net.report_store import ReportStore

    Scope = dict[str, Any]
    Receive = Callable[[], Awaitable[dict[str, Any]]]
    Send = Callable[[dict[str, Any]], Awaitable[None]]

BODY_TIMEOUT: Final = 10.0  # seconds for a whole body
PER_CLIENT: Final = 60  # requests from one address in a minute
PER_MINUTE: Final = 6000  # requests from all addresses in a minute
MOST_CONNECTIONS: Final = 512
_WINDOW: Final = 60.0  # seconds
_MOST_CLIENTS: Final = 10_000  # addresses that are counted
_TYPES: Final = frozenset({REPORT_TYPE.encode(), b"application/json"})  # the second is what Chromium sent
_CLOSE: Final = (b"connection", b"close")

_Time = Annotated[
    str, Field(max_length=64, pattern=r"^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)$")
]
_Text = Annotated[str, Field(max_length=MAX_REPORT)]
_Chain = Annotated[list[_Text], Field(max_length=64)]


class ExpectStapleReport(BaseModel):
    """One report as Expect-Staple §3.1 has it; keys beyond those are left out.

    Nothing of what it says is believed: anybody may send one.
    """

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)

    hostname: Annotated[str, Field(min_length=1, max_length=255)]
    port: Annotated[int, Field(ge=1, le=65535)]
    response_status: Annotated[ResponseStatus, Field(alias="response-status")]
    date_time: Annotated[_Time, Field(alias="date-time")]
    # Chromium, whose hosts came from a list of its own, sent none.
    effective_expiration_date: Annotated[_Time | None, Field(alias="effective-expiration-date")] = None
    cert_status: Annotated[CertStatus | None, Field(alias="cert-status")] = None
    ocsp_response: Annotated[_Text | None, Field(alias="ocsp-response")] = None
    served_certificate_chain: Annotated[_Chain, Field(alias="served-certificate-chain")] = []
    validated_certificate_chain: Annotated[_Chain, Field(alias="validated-certificate-chain")] = []


class _Wrapped(BaseModel):
    """A report as it is sent (Expect-Staple §3.2); Chromium sent it without the wrapper."""

    model_config = ConfigDict(extra="ignore", strict=True)

    report: Annotated[ExpectStapleReport | None, Field(alias=REPORT_KEY)] = None


def read_report(body: bytes) -> Subject:
    """What a report is about. Raises InputError for anything that is no report."""
    try:
        report = _Wrapped.model_validate_json(body).report or ExpectStapleReport.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        raise InputError(f"This is no Expect-Staple report: {where}: {first['msg']}.") from None
    name = canonical_name(report.hostname)
    if name is None:
        raise InputError("This is no Expect-Staple report: hostname is no host name.")
    return Subject(name, report.port, report.response_status.value, report.cert_status and report.cert_status.value)


class _HTTPError(Exception):
    def __init__(self, status: int, said: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(said)
        self.status = status
        self.headers = headers


class _Rates:
    """How many requests came in the minute that runs, from each address and from all; a fixed window for each."""

    def __init__(self, per_client: int, per_minute: int) -> None:
        self._per_client = per_client
        self._per_minute = per_minute
        self._clients: OrderedDict[str, int] = OrderedDict()
        self._all = 0
        self._began = time.monotonic()

    def admit(self, address: str) -> bool:
        """Count one more request from this address; whether it is one too many."""
        now = time.monotonic()
        if now - self._began >= _WINDOW:
            self._clients.clear()
            self._all, self._began = 0, now
        count = self._clients.get(address, 0) + 1
        self._clients[address] = count
        self._clients.move_to_end(address)
        if len(self._clients) > _MOST_CLIENTS:
            self._clients.popitem(last=False)
        if count > self._per_client or self._all >= self._per_minute:
            return False
        self._all += 1
        return True

    def wait(self) -> int:
        """Seconds until the next minute begins, at least 1."""
        return max(1, round(self._began + _WINDOW - time.monotonic()))


class CollectorApp:
    """The application. Reports go to `store`, each told to `on_report` before; rates are requests in a minute.

    An address of IPv6 counts by its network of 64 bits. Behind a proxy all clients are one.
    """

    def __init__(
        self,
        store: ReportStore,
        *,
        per_client: int = PER_CLIENT,
        per_minute: int = PER_MINUTE,
        body_timeout: float = BODY_TIMEOUT,
        on_report: Callable[[Subject], None] | None = None,
    ) -> None:
        self._store = store
        self._rates = _Rates(per_client, per_minute)
        self._body_timeout = body_timeout
        self._on_report = on_report

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the server's start and end."""
        if scope["type"] == "lifespan":
            while (await receive())["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
        elif scope["type"] == "http":
            try:
                await self._take(scope, receive)
            except _HTTPError as error:
                await _answer(send, error.status, f"{error}\n".encode(), *error.headers)
            else:
                await _answer(send, 204)

    async def _take(self, scope: Scope, receive: Receive) -> None:
        if not self._rates.admit(_counted_as(scope.get("client"))):
            wait = str(self._rates.wait()).encode()
            raise _HTTPError(429, "There were too many reports.", (b"retry-after", wait), _CLOSE)
        if scope["method"] != "POST":
            raise _HTTPError(405, "Expect-Staple reports come by POST.", (b"allow", b"POST"), _CLOSE)
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if headers.get(b"content-type", b"").partition(b";")[0].strip().lower() not in _TYPES:
            raise _HTTPError(415, f"The content type of a report is {REPORT_TYPE}.", _CLOSE)
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length[:20]) > MAX_REPORT:
            raise _too_large()
        try:
            async with asyncio.timeout(self._body_timeout):
                body = await _body(receive)
        except TimeoutError:
            raise _HTTPError(408, "The report did not come in time.", _CLOSE) from None
        try:
            subject = read_report(body)
        except InputError as error:
            raise _HTTPError(400, str(error)) from None
        try:
            self._store.add(subject, body, datetime.now(UTC))
        except InputError:
            raise _HTTPError(503, "The report cannot be kept now.", (b"retry-after", b"60")) from None
        if self._on_report is not None:
            self._on_report(subject)


async def _body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _HTTPError(400, "The client went away in the middle of its report.", _CLOSE)
        body += message.get("body", b"")
        if len(body) > MAX_REPORT:  # the length announced may be a lie, or missing
            raise _too_large()
        if not message.get("more_body", False):
            return bytes(body)


async def _answer(send: Send, status: int, body: bytes = b"", *headers: tuple[bytes, bytes]) -> None:
    fields = [(b"cache-control", b"no-store"), *headers]
    if body:
        fields += [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})


def _too_large() -> _HTTPError:
    return _HTTPError(413, f"A report has at most {MAX_REPORT} bytes.", _CLOSE)


def _counted_as(client: tuple[str, int] | None) -> str:
    if client is None:
        return "?"
    try:
        address = ipaddress.ip_address(client[0].partition("%")[0])
    except ValueError:
        return client[0]
    return str(ipaddress.ip_network((address, 64), strict=False)) if address.version == 6 else str(address)


class CollectorServer:
    """A running receiver in a thread of its own; a context manager.

        with ReportStore(None) as store, CollectorServer(store) as server:
            tell_hosts(f'report-uri="{server.url}"')

    The options that are not about listening are those of `CollectorApp`. `on_end` is called in the server's thread when
    it has stopped. Raises InputError for an address that cannot be listened on.
    """

    def __init__(
        self,
        store: ReportStore,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        expose: bool = False,
        on_end: Callable[[], None] | None = None,
        **options: Any,
    ) -> None:
        app = CollectorApp(store, **options)
        listener = listen(host, port, expose=expose)
        self.host, self.port = listener.getsockname()[:2]
        self.url = url_of(listener, "http") + "/"
        self._runner = AppRunner(app, listener, on_end, most_connections=MOST_CONNECTIONS)

    def start(self) -> None:
        """Take reports from now on. Raises NetworkError where the server does not come up."""
        self._runner.start()

    @property
    def stopped(self) -> bool:
        """Whether the server has stopped, for whatever reason."""
        return self._runner.ended.is_set()

    def close(self) -> None:
        """Stop and free the port. Safe to call twice."""
        self._runner.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

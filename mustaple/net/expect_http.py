"""One bounded HTTP request over a connection that was accepted, to see its Expect-Staple header and learn from it."""

from __future__ import annotations

import asyncio
import enum
import os
import socket
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import h11

from mustaple.core.errors import InputError, NetworkError
from mustaple.core.expect_report import staple_found
from mustaple.core.expect_staple import HeaderError, canonical_name, first_field, parse_header
from mustaple.net.dial import written

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from mustaple.core.expect_staple import ExpectStapleHeader, KnownHost
    from mustaple.core.flight import Flight
    from mustaple.core.verdict import ChainVerdict
    from mustaple.net.aclient import AsyncConnection
    from mustaple.net.client import Connection
    from mustaple.net.expect_hosts import ExpectHosts
    from mustaple.net.expect_reports import ReportSender

MAX_HEAD: Final = 32 * 1024  # bytes of a response's head, informational ones included
TIMEOUT: Final = 10.0  # seconds for the request and the response's head together
_CHUNK: Final = 4096
_FIELDS: Final = (("User-Agent", "mustaple"), ("Accept", "*/*"), ("Connection", "close"))


class Heard(enum.StrEnum):
    """What came of a response's Expect-Staple header."""

    ABSENT = "absent"  # there was none
    NOTED = "noted"  # the host is remembered, for the first time or anew
    FORGOTTEN = "forgotten"  # max-age=0
    IGNORED = "ignored"  # it does not conform, or does not count on this connection


@dataclass(frozen=True, slots=True)
class HeaderSeen:
    """The answer to one request. `status` is HTTP's, `value` the first Expect-Staple field as text, None if absent.

    `header` is what it says where it conforms, `known` what is remembered because of it, `why` one clause on why it was
    ignored. `reported` says that its report-uri is sent a report about this connection.
    """

    status: int
    heard: Heard
    value: str | None = None
    header: ExpectStapleHeader | None = None
    known: KnownHost | None = None
    why: str | None = None
    reported: bool = False


def look_http(
    connection: Connection,
    host: str,
    port: int,
    at: datetime,
    memory: ExpectHosts,
    *,
    sender: ReportSender | None = None,
    path: str = "/",
    timeout: float = TIMEOUT,
) -> HeaderSeen:
    """Ask for a page, read no more than the head of the answer, and learn from its Expect-Staple header.

    `host` and `port` are those of the request, `at` is aware UTC. What the header says is remembered only where the
    connection had a valid staple that says good (Expect-Staple §2.3.1); where it had not, `sender` reports it to the
    header's report-uri. The connection is of no further use.

    Raises NetworkError where no HTTP comes, not in time (`timeout` in seconds), or a head larger than MAX_HEAD.
    """
    head = exchange(connection, "GET", host, port, path, timeout=timeout)
    verdict, flight = connection.verdict, connection.flight
    return hear(
        head.status_code, head.headers, verdict, flight, host=host, port=port, at=at, memory=memory, sender=sender
    )


async def alook_http(
    connection: AsyncConnection,
    host: str,
    port: int,
    at: datetime,
    memory: ExpectHosts,
    *,
    sender: ReportSender | None = None,
    path: str = "/",
    timeout: float = TIMEOUT,
) -> HeaderSeen:
    """`look_http` for asyncio: the same arguments, the same result, the same errors."""
    request = _Request("GET", host, port, path)
    try:
        with request.errors():
            async with asyncio.timeout(timeout):
                await connection.send(request.to_send)
                while (head := request.head()) is None:
                    request.receive(await connection.recv(_CHUNK))
    except TimeoutError as error:
        raise request.too_late(timeout) from error
    verdict, flight = connection.verdict, connection.flight
    return hear(
        head.status_code, head.headers, verdict, flight, host=host, port=port, at=at, memory=memory, sender=sender
    )


def hear(
    status: int,
    headers: Iterable[tuple[bytes, bytes]],
    verdict: ChainVerdict,
    flight: Flight | None,
    *,
    host: str,
    port: int,
    at: datetime,
    memory: ExpectHosts,
    sender: ReportSender | None = None,
) -> HeaderSeen:
    """Learn from the Expect-Staple header of an answer, as `look_http` does of the one that it asked for.

    `verdict` and `flight` are those of the connection over which it came. Raises InputError for a memory of no use.
    """
    value = first_field(headers)
    if value is None:
        return HeaderSeen(status, Heard.ABSENT)
    text = value.decode("latin-1")
    try:
        header = parse_header(value)
    except HeaderError as error:
        return HeaderSeen(status, Heard.IGNORED, text, why=str(error))
    if canonical_name(host) is None:
        return HeaderSeen(status, Heard.IGNORED, text, header, why="an IP address is never remembered")
    found = staple_found(verdict, flight)
    if found is None:
        said = "this policy asked for no staple, so the connection shows nothing"
        return HeaderSeen(status, Heard.IGNORED, text, header, why=said)
    if not found.complies:
        reported = False
        if sender is not None and header.report_uri is not None:
            reported = sender.report(
                verdict, flight, host=host, port=port, report_uri=header.report_uri, expires_at=at + header.max_age
            )
        said = "it came over a connection without a good staple"
        return HeaderSeen(status, Heard.IGNORED, text, header, why=said, reported=reported)
    known = memory.learn(host, header, at)
    return HeaderSeen(status, Heard.NOTED if known else Heard.FORGOTTEN, text, header, known)


def exchange(
    connection: Connection,
    method: str,
    host: str,
    port: int,
    path: str,
    *,
    headers: Sequence[tuple[str, str]] = (),
    body: bytes = b"",
    timeout: float = TIMEOUT,
) -> h11.Response:
    """Send one HTTP/1.1 request and read the head of its answer; the body is left unread.

    Raises NetworkError as `look_http` does.
    """
    request = _Request(method, host, port, path, headers=headers, body=body)
    with request.errors(), _ending(connection, timeout, request):
        connection.sendall(request.to_send)
        while (head := request.head()) is None:
            request.receive(connection.recv(_CHUNK))
        return head


class _Request:
    """One HTTP/1.1 request and the head of its answer, without I/O. Raises InputError for what is no request."""

    def __init__(
        self,
        method: str,
        host: str,
        port: int,
        path: str,
        *,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> None:
        self.peer = written(host, port)
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        self._received = 0
        name = canonical_name(host) or (f"[{host}]" if ":" in host else host)
        fields = [("Host", name if port == 443 else f"{name}:{port}"), *_FIELDS, *headers]
        if body:
            fields.append(("Content-Length", str(len(body))))
        try:
            start = h11.Request(method=method, target=path, headers=fields)
        except (h11.LocalProtocolError, UnicodeError) as error:
            raise InputError(f"{method} {path!r} is no HTTP request: {error}") from error
        events = (start, h11.Data(data=body), h11.EndOfMessage())
        self.to_send = b"".join(self._http.send(event) or b"" for event in events)

    def receive(self, data: bytes) -> None:
        """Take bytes of the answer; empty bytes mean that no more will come."""
        self._received += len(data)
        if self._received > MAX_HEAD:  # one 1xx after the other is no head too long for h11
            raise h11.RemoteProtocolError(f"the head of its answer is longer than {MAX_HEAD} bytes")
        self._http.receive_data(data)

    def head(self) -> h11.Response | None:
        """The head of the answer, informational ones passed over; None where more bytes are needed."""
        while True:
            event = self._http.next_event()
            if isinstance(event, h11.Response):
                return event
            if event is h11.NEED_DATA:
                return None

    @contextmanager
    def errors(self) -> Iterator[None]:
        """What is wrong with the answer, as a NetworkError."""
        try:
            yield
        except h11.RemoteProtocolError as error:
            raise NetworkError(f"{self.peer} does not answer in HTTP: {error}") from error

    def too_late(self, seconds: float) -> NetworkError:
        """What to raise where the answer did not come in time."""
        return NetworkError(f"{self.peer} did not answer in HTTP within {seconds:g} s")


@contextmanager
def _ending(connection: Connection, timeout: float, request: _Request) -> Iterator[None]:
    """End the connection when the time is over: a socket's own timeout begins anew with each byte that drips in."""
    late = threading.Event()
    line = socket.socket(fileno=os.dup(connection.fileno()))

    def end() -> None:
        late.set()
        with suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(timeout, end)
    timer.daemon = True
    connection.settimeout(timeout)
    timer.start()
    try:
        yield
    except NetworkError as error:
        if late.is_set():
            raise request.too_late(timeout) from error
        raise
    finally:
        timer.cancel()
        timer.join()
        line.close()

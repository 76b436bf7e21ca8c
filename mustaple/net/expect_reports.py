"""Sends Expect-Staple reports: in the background, each once, within limits, and never a trouble to the connection."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, Self
from urllib.parse import urlsplit

from mustaple.core.errors import InputError, MustapleError
from mustaple.core.expect_report import REPORT_TYPE, report_body, staple_found
from mustaple.net.deadline_loop import DeadlineLoop

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from datetime import datetime

    from mustaple.core.flight import Flight
    from mustaple.core.verdict import ChainVerdict
    from mustaple.net.expect_hosts import ExpectHosts

TIMEOUT: Final = 10.0  # seconds for one report, name look-up included
MOST_WAITING: Final = 100  # reports that wait to be sent
_KEPT_FAILURES: Final = 100


class Evaluated(Protocol):
    """What is reported about: a `Connection`, or a handshake that was refused."""

    @property
    def verdict(self) -> ChainVerdict | None:
        """The verdict, None where there is none."""

    @property
    def flight(self) -> Flight | None:
        """What the server sent."""


class _Report(NamedTuple):
    uri: str
    body: bytes


class ReportSender:
    """Posts reports one after the other in a thread of its own; a context manager that waits for what is under way.

    `hosts` remembers what was reported when, so that a host is reported once a day. `timeout` (seconds) bounds each
    report, `tls` is the trust for https (default the system's). `sent` counts those that were taken with a 2xx;
    `failures` are the last ones that were not, in one sentence each, and `on_failure` is told of each, in the sender's
    thread. A report that fails is not tried again.
    """

    def __init__(
        self,
        hosts: ExpectHosts,
        *,
        timeout: float = TIMEOUT,
        tls: ssl.SSLContext | None = None,
        on_failure: Callable[[str], None] | None = None,
    ) -> None:
        self.sent = 0
        self.failures: deque[str] = deque(maxlen=_KEPT_FAILURES)
        self._hosts = hosts
        self._timeout = timeout
        self._tls = tls
        self._on_failure = on_failure
        self._waiting: queue.Queue[_Report | None] = queue.Queue(MOST_WAITING)
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def report(
        self, about: Evaluated, host: str, port: int, *, report_uri: str, expires_at: datetime, at: datetime
    ) -> bool:
        """Send a report about this connection to `host` and `port` unless it complies; whether one is on its way.

        `expires_at` is the effective expiration date of what the host promised, `at` the time; both are aware UTC.
        Raises nothing: neither a memory that cannot be used nor a queue that is full hinders the connection.
        """
        verdict, flight = about.verdict, about.flight
        found = staple_found(verdict, flight) if verdict is not None else None
        if verdict is None or found is None or found.complies:
            return False
        try:
            if not self._hosts.may_report(host, urlsplit(report_uri).hostname or "", at):
                return False
        except InputError as error:
            self._failed(str(error))
            return False
        body = report_body(found, verdict, flight, host=host, port=port, expires_at=expires_at)
        try:
            self._waiting.put_nowait(_Report(report_uri, body))
        except queue.Full:
            self._failed(f"no report to {report_uri}: {MOST_WAITING} others wait already")
            return False
        self._start()
        return True

    def close(self, timeout: float | None = None) -> None:
        """Send what waits, for at most `timeout` seconds (default that of one report), and end; again does nothing."""
        thread = self._thread
        if thread is None:
            return
        deadline = time.monotonic() + (self._timeout if timeout is None else timeout)
        try:
            self._waiting.put(None, timeout=max(0.0, deadline - time.monotonic()))
        except queue.Full:
            return  # a daemon thread: it ends with the process
        thread.join(max(0.0, deadline - time.monotonic()))
        self._thread = None

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="mustaple-reports", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        loop = DeadlineLoop()
        try:
            while (report := self._waiting.get()) is not None:
                try:
                    loop.run_until_complete(self._post(report))
                except MustapleError as error:
                    self._failed(str(error))
                except Exception as error:  # noqa: BLE001 - whatever a receiver does, the next report is sent
                    self._failed(f"no report to {report.uri}: {type(error).__name__}: {error}")
        finally:
            loop.close()

    async def _post(self, report: _Report) -> None:
        import httpx

        headers = {"content-type": REPORT_TYPE, "user-agent": "mustaple"}
        secure = urlsplit(report.uri).scheme.lower() == "https"
        async with asyncio.timeout(self._timeout), httpx.AsyncClient(verify=self._trust(secure=secure)) as client:
            post = client.stream("POST", report.uri, content=report.body, headers=headers, timeout=self._timeout)
            async with post as response:  # what it says beyond the status is not read
                if not response.is_success:
                    raise InputError(f"{report.uri} took no report: HTTP {response.status_code}")
        self.sent += 1

    def _trust(self, *, secure: bool) -> ssl.SSLContext:
        """No trust store is loaded for plain HTTP, and no TLS is spoken there."""
        import ssl

        if not secure:
            return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        return self._tls if self._tls is not None else ssl.create_default_context()

    def _failed(self, said: str) -> None:
        line = " ".join(said.split())
        self.failures.append(line)
        if self._on_failure is not None:
            self._on_failure(line)

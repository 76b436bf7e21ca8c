"""Sends Expect-Staple reports: in the background, each once, within limits, and never a trouble to the connection."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple, Self
from urllib.parse import urlsplit

from mustaple.core.errors import InputError, MustapleError, NetworkError
from mustaple.core.expect_report import REPORT_TYPE, report_body, staple_found
from mustaple.core.policy import Action, Depth, ExpectStaple, Policy
from mustaple.net.deadline_loop import DeadlineLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from mustaple.core.flight import Flight
    from mustaple.core.verdict import ChainVerdict
    from mustaple.net.expect_hosts import ExpectHosts
    from mustaple.net.tls_context import Authorities

TIMEOUT: Final = 10.0  # seconds for one report, name look-up included
MOST_WAITING: Final = 100  # reports that wait to be sent
_KEPT_FAILURES: Final = 100
# Of a receiver nothing is demanded but what it promised itself: in its certificate, or by its own header.
_RECEIVER: Final = Policy(
    "report-receiver",
    expect_staple=ExpectStaple.ENFORCE,
    depth=Depth.LEAF,
    missing=Action.NOTE,
    unusable=Action.NOTE,
    unknown=Action.NOTE,
    nothing_to_check=Action.NOTE,
)


class _Report(NamedTuple):
    uri: str
    body: bytes


class ReportSender:
    """Posts reports one after the other in a thread of its own; a context manager that waits for what is under way.

    `hosts` remembers what was reported when, so that a host is reported once a day. `timeout` (seconds) bounds each
    report, `ca` is what to trust for https, as in `connect`. `sent` counts those that were taken with a 2xx;
    `failures` are the last ones that were not, in one sentence each, and `on_failure` is told of each, in the sender's
    thread. A report that fails is not tried again.
    """

    def __init__(
        self,
        hosts: ExpectHosts,
        *,
        timeout: float = TIMEOUT,
        ca: Authorities | Iterable[Authorities] | None = None,
        on_failure: Callable[[str], None] | None = None,
    ) -> None:
        self.sent = 0
        self.failures: deque[str] = deque(maxlen=_KEPT_FAILURES)
        self._hosts = hosts
        self._timeout = timeout
        self._ca = ca
        self._on_failure = on_failure
        self._waiting: queue.Queue[_Report | None] = queue.Queue(MOST_WAITING)
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def report(
        self,
        verdict: ChainVerdict,
        flight: Flight | None,
        *,
        host: str,
        port: int,
        report_uri: str,
        expires_at: datetime,
    ) -> bool:
        """Send a report about this connection to `host` and `port` unless it complies; whether one is on its way.

        `expires_at` (aware UTC) is the effective expiration date of what the host promised. Raises nothing: neither a
        memory that cannot be used nor a queue that is full hinders the connection.
        """
        found = staple_found(verdict, flight)
        if found is None or found.complies:
            return False
        try:
            if not self._hosts.may_report(host, urlsplit(report_uri).hostname or "", verdict.at):
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
                    self._post(report, loop)
                except MustapleError as error:
                    self._failed(str(error))
                except Exception as error:  # noqa: BLE001 - whatever a receiver does, the next report is sent
                    self._failed(f"no report to {report.uri}: {type(error).__name__}: {error}")
        finally:
            loop.close()

    def _post(self, report: _Report, loop: asyncio.AbstractEventLoop) -> None:
        parts = urlsplit(report.uri)
        if parts.scheme.lower() == "https":
            status = self._post_over_tls(parts.hostname or "", parts.port or 443, report)
        else:
            status = loop.run_until_complete(self._post_in_clear(report))
        if not 200 <= status < 300:
            raise NetworkError(f"{report.uri} took no report: HTTP {status}")
        self.sent += 1

    def _post_over_tls(self, host: str, port: int, report: _Report) -> int:
        """Over the strict client, for a receiver that is itself an Expect-Staple host has to comply (§2.1.1).

        That connection is never reported, so no two hosts can keep reporting each other.
        """
        from mustaple.net.client import connect
        from mustaple.net.expect_http import exchange

        parts = urlsplit(report.uri)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        with connect(host, port, _RECEIVER, ca=self._ca, timeout=self._timeout, expect_hosts=self._hosts) as connection:
            headers = [("Content-Type", REPORT_TYPE)]
            answer = exchange(
                connection, "POST", host, port, path, headers=headers, body=report.body, timeout=self._timeout
            )
        return answer.status_code

    async def _post_in_clear(self, report: _Report) -> int:
        import ssl

        import httpx

        headers = {"content-type": REPORT_TYPE, "user-agent": "mustaple"}
        nothing = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # plain HTTP needs no trust store, and loading one takes long
        try:
            async with asyncio.timeout(self._timeout), httpx.AsyncClient(verify=nothing, trust_env=False) as client:
                post = client.stream("POST", report.uri, content=report.body, headers=headers, timeout=self._timeout)
                async with post as response:  # what it says beyond the status is not read
                    return response.status_code
        except TimeoutError as error:
            raise NetworkError(f"{report.uri} took no report within {self._timeout:g} s") from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            raise NetworkError(f"{report.uri} took no report: {error or type(error).__name__}") from error

    def _failed(self, said: str) -> None:
        line = " ".join(said.split())
        self.failures.append(line)
        if self._on_failure is not None:
            self._on_failure(line)

"""Expect-Staple under the httpx transports: hosts are remembered by their header, and reported where they fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mustaple.core.expect_staple import first_field
from mustaple.net.expect_http import hear

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from mustaple.core.flight import Flight
    from mustaple.core.verdict import ChainVerdict
    from mustaple.integrations.httpcore_judging import Judged
    from mustaple.integrations.httpx_errors import VerdictError
    from mustaple.net.expect_hosts import ExpectHosts
    from mustaple.net.expect_reports import ReportSender

    Headers = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True)
class ExpectStaple:
    """The memory of hosts, and who reports them, if anybody. All of it may wait for a file.

    Raises InputError for a memory that cannot be used.
    """

    hosts: ExpectHosts
    sender: ReportSender | None = None

    def remembered(self, host: str, at: datetime) -> bool:
        """Whether this is a Known Expect-Staple Host."""
        return self.hosts.remembered(host, at) is not None

    def news(self, judged: Judged, headers: Headers) -> bool:
        """Whether this answer is the first over its connection, or has another Expect-Staple field than the last."""
        return judged.expect_staple is None or (first_field(headers) or b"") != judged.expect_staple

    def answered(self, status: int, headers: Headers, judged: Judged, port: int, at: datetime) -> None:
        """Learn from an answer, and report a known host that did not staple."""
        if judged.expect_staple is None:
            self._report(judged.verdict, judged.flight, judged.host, port)
        judged.expect_staple = first_field(headers) or b""
        hear(
            status,
            headers,
            judged.verdict,
            judged.flight,
            host=judged.host,
            port=port,
            at=at,
            memory=self.hosts,
            sender=self.sender,
        )

    def refused(self, error: VerdictError, port: int) -> None:
        """Report a known host that was refused because it did not staple."""
        if error.host is not None:
            self._report(error.verdict, error.flight, error.host, port)

    def _report(self, verdict: ChainVerdict, flight: Flight | None, host: str, port: int) -> None:
        known = self.hosts.remembered(host, verdict.at) if self.sender is not None else None
        if self.sender is None or known is None or known.report_uri is None:
            return
        self.sender.report(
            verdict, flight, host=host, port=port, report_uri=known.report_uri, expires_at=known.expires_at
        )

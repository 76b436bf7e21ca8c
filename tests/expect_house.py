"""A host that may send Expect-Staple and staple or not, a memory, and a receiver of reports, for tests."""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tls_server import MemoryServer, server_context

from certtools.authority import Authority
from certtools.forge import good
from mustaple.core.policy import ExpectStaple, preset
from mustaple.net.client import connect
from mustaple.net.collector import CollectorServer
from mustaple.net.expect_hosts import ExpectHosts
from mustaple.net.expect_http import look_http
from mustaple.net.expect_reports import ReportSender
from mustaple.net.report_store import ReportStore
from mustaple.net.server import StaplingServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from mustaple.core.policy import Policy
    from mustaple.net.client import Connection
    from mustaple.net.expect_http import HeaderSeen

NOW = datetime.now(UTC)
ROOT = Authority.root("expect root", not_before=NOW - timedelta(days=30), not_after=NOW + timedelta(days=30))
# Nothing is promised in the certificate, so whatever is owed is owed because of the header.
LEAF = ROOT.leaf(["localhost", "127.0.0.1"], features=None)
LINK = LEAF.as_chain().links[0]
GOOD = good(LINK, ROOT, NOW)
EXPIRED = good(LINK, ROOT, NOW - timedelta(days=20))
LENIENT = preset("must-staple")
ENFORCING = replace(LENIENT, name="enforcing", expect_staple=ExpectStaple.ENFORCE)


@dataclass
class World:
    """All of it; `header` is the one that the server sends, with the receiver's address as its report-uri."""

    server: StaplingServer
    memory: ExpectHosts
    store: ReportStore
    collector: CollectorServer
    sender: ReportSender
    header: str

    def connect(self, policy: Policy | str = LENIENT, host: str = "localhost", **options: Any) -> Connection:
        how = {"ca": ROOT.certificate, "expect_hosts": self.memory, "expect_reports": self.sender} | options
        return connect(host, self.server.port, policy, **how)

    def look(self, policy: Policy | str = LENIENT, host: str = "localhost", **options: Any) -> HeaderSeen:
        """Connect and ask for a page."""
        with self.connect(policy, host, **options) as connection:
            at = options.get("at", datetime.now(UTC))
            return look_http(connection, host, self.server.port, at, self.memory, sender=self.sender)

    def knows(self, host: str = "localhost") -> bool:
        """Whether the host is remembered now."""
        return self.memory.remembered(host, datetime.now(UTC)) is not None

    def came(self) -> list[tuple[str, int, str, str | None]]:
        """What has come to the receiver, after everything that waited was sent."""
        self.sender.close(30.0)
        return [tuple(each.subject) for each in self.store.tallies() for _ in range(each.reports)]


@contextmanager
def world(folder: Path, header: str | None = None, staple: bytes | None = GOOD, **options: Any) -> Iterator[World]:
    with ExitStack() as stack:
        store = stack.enter_context(ReportStore(None))
        collector = stack.enter_context(CollectorServer(store))
        value = header if header is not None else f'max-age=3600; report-uri="{collector.url}"'
        server = stack.enter_context(
            StaplingServer([LEAF.certificate], LEAF.key, staple, expect_staple=value, **options)
        )
        memory = stack.enter_context(ExpectHosts(folder / "hosts.db"))
        sender = stack.enter_context(ReportSender(memory, timeout=10.0, ca=ROOT.certificate))
        yield World(server, memory, store, collector, sender, value)


@contextmanager
def speaking(
    answer: Callable[[], Iterable[bytes]], staple: bytes | None = GOOD, *, wire: bool = False
) -> Iterator[int]:
    """A TLS server that answers each request with these pieces, and then hangs up: the port.

    With `wire`, the pieces are one answer, whose TLS records go out byte by byte.
    """
    context = server_context(LEAF, staple, chain=[])
    stop = threading.Event()
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        thread = threading.Thread(target=_serve, args=(listener, context, answer, stop, wire))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            stop.set()
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join(30)


def _serve(listener: socket.socket, context: Any, answer: Any, stop: threading.Event, wire: bool) -> None:
    while not stop.is_set():
        try:
            line, _ = listener.accept()
        except OSError:
            return
        with closing(line), suppress(OSError):
            line.settimeout(30)
            server = MemoryServer(context)
            while b"\r\n\r\n" not in server.seen.data:
                data = line.recv(65536)
                if not data:
                    break
                line.sendall(server.exchange(data))
            else:
                for piece in answer():
                    server.tls.sendall(piece)
                    sent = server.to_send()
                    for part in [sent[at : at + 1] for at in range(len(sent))] if wire else [sent]:
                        line.sendall(part)
                        if wire:
                            stop.wait(0.02)
                    if stop.is_set():
                        return
                line.shutdown(socket.SHUT_WR)
                line.recv(65536)

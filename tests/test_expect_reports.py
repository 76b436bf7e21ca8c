"""Reports go out in the background, once, within limits, and whatever becomes of them the connection stands."""

from __future__ import annotations

import threading
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from expect_house import GOOD, LEAF, LENIENT, NOW, ROOT, speaking

from certtools.authority import Authority
from mustaple.net import expect_reports
from mustaple.net.client import connect
from mustaple.net.expect_hosts import ExpectHosts
from mustaple.net.expect_reports import ReportSender
from mustaple.net.server import StaplingServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mustaple.net.client import Connection


@dataclass
class Receiver:
    """A web server that keeps what is sent to it, and answers with a status and headers."""

    url: str
    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    got: list[tuple[str, str, bytes]] = field(default_factory=list)
    hold: threading.Event | None = None
    arrived: threading.Event = field(default_factory=threading.Event)


@contextmanager
def receiver(**options: Any) -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.got.append((self.path, self.headers["Content-Type"], body))
            made.arrived.set()
            if made.hold is not None:
                made.hold.wait(30)
            self.send_response(made.status)
            for name, value in made.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made = Receiver(f"http://127.0.0.1:{server.server_port}/reports?x=y", **options)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield made
        finally:
            if made.hold is not None:
                made.hold.set()
            server.shutdown()
            thread.join(30)


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[ExpectHosts]:
    with ExpectHosts(tmp_path / "hosts.db") as made:
        yield made


@pytest.fixture(scope="module")
def bare() -> Iterator[Connection]:
    """A connection to a server that staples nothing, accepted."""
    with (
        StaplingServer([LEAF.certificate], LEAF.key) as server,
        connect("localhost", server.port, LENIENT, ca=ROOT.certificate) as connection,
    ):
        yield connection


def send(sender: ReportSender, about: Connection, uri: str, host: str = "site.test") -> bool:
    return sender.report(
        about.verdict, about.flight, host=host, port=443, report_uri=uri, expires_at=NOW + timedelta(hours=1)
    )


@pytest.mark.requirement("EXPECT-STAPLE-3.2-2")
def test_a_report_is_posted_with_its_content_type(memory: ExpectHosts, bare: Connection) -> None:
    with receiver() as there:
        with ReportSender(memory) as sender:
            assert send(sender, bare, there.url)
        assert (sender.sent, list(sender.failures)) == (1, [])
        path, content_type, body = there.got[0]
    assert (path, content_type) == ("/reports?x=y", "application/expect-staple-report")
    assert body.startswith(b'{"expect-staple-report": {')


@pytest.mark.requirement("EXPECT-STAPLE-2.1.1-2")
def test_a_host_is_reported_once_whoever_sends(memory: ExpectHosts, bare: Connection) -> None:
    with receiver() as there:
        for _ in range(2):
            with ReportSender(memory) as sender:
                told = [send(sender, bare, there.url), send(sender, bare, there.url + "&again")]
        assert told == [False, False]
        with ReportSender(memory) as sender:
            assert send(sender, bare, there.url, "other.test")
        assert len(there.got) == 2


def test_a_connection_that_complies_is_not_reported(memory: ExpectHosts) -> None:
    with (
        receiver() as there,
        StaplingServer([LEAF.certificate], LEAF.key, GOOD) as server,
        connect("localhost", server.port, LENIENT, ca=ROOT.certificate) as connection,
    ):
        with ReportSender(memory) as sender:
            assert not send(sender, connection, there.url)
        assert there.got == []


@pytest.mark.parametrize(
    ("status", "headers"), [(500, {}), (404, {}), (302, {"Location": "/elsewhere"}), (307, {"Location": "/elsewhere"})]
)
def test_a_report_that_is_not_taken_is_noted_and_not_sent_elsewhere_or_again(
    memory: ExpectHosts, bare: Connection, status: int, headers: dict[str, str]
) -> None:
    told: list[str] = []
    with receiver(status=status, headers=headers) as there:
        with ReportSender(memory, on_failure=told.append) as sender:
            assert send(sender, bare, there.url)
        assert len(there.got) == 1
    assert sender.sent == 0
    assert list(sender.failures) == told == [f"{there.url} took no report: HTTP {status}"]


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9/", "http://no-such-host.invalid/", "https://127.0.0.1:9/"])
def test_a_receiver_that_is_not_there_is_noted(memory: ExpectHosts, bare: Connection, uri: str) -> None:
    with ReportSender(memory, timeout=10.0) as sender:
        assert send(sender, bare, uri)
    assert sender.sent == 0
    assert len(sender.failures) == 1


def test_a_receiver_that_hangs_is_left_in_time_and_the_next_is_told(memory: ExpectHosts, bare: Connection) -> None:
    with receiver(hold=threading.Event()) as hangs, receiver() as there:
        sender = ReportSender(memory, timeout=0.5)
        assert send(sender, bare, hangs.url)
        assert send(sender, bare, there.url, "other.test")
        assert there.arrived.wait(30)
        sender.close(30.0)
        assert list(sender.failures) == [f"{hangs.url} took no report within 0.5 s"]
        assert sender.sent == 1


def test_no_more_than_so_many_wait(memory: ExpectHosts, bare: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expect_reports, "MOST_WAITING", 2)
    with receiver(hold=threading.Event()) as hangs:
        assert hangs.hold is not None
        sender = ReportSender(memory, timeout=30.0)
        assert send(sender, bare, hangs.url, "0.test")
        assert hangs.arrived.wait(30)
        told = [send(sender, bare, hangs.url, f"{number}.test") for number in range(1, 5)]
        assert told == [True, True, False, False]
        assert list(sender.failures) == [f"no report to {hangs.url}: 2 others wait already"] * 2
        sender.close(0.0)  # nobody waits for those
        hangs.hold.set()
        sender.close(30.0)


def test_a_memory_that_fails_hinders_nobody(memory: ExpectHosts, bare: Connection) -> None:
    memory.close()
    with ReportSender(memory) as sender:
        assert not send(sender, bare, "http://127.0.0.1:9/")
    assert "cannot be used" in sender.failures[0]


# --- over TLS

TAKEN = b"HTTP/1.1 204 No Content\r\n\r\n"


@pytest.mark.requirement("EXPECT-STAPLE-2.1.1-3")
def test_a_receiver_over_tls_has_to_be_who_it_is(memory: ExpectHosts, bare: Connection) -> None:
    rogue = Authority.root("rogue", not_before=NOW - timedelta(days=1), not_after=NOW + timedelta(days=1))
    with speaking(lambda: [TAKEN], None) as port:
        with ReportSender(memory, ca=rogue.certificate) as sender:
            assert send(sender, bare, f"https://localhost:{port}/", "a.test")
        assert "path-invalid" in sender.failures[0]
        with ReportSender(memory, ca=ROOT.certificate) as sender:
            assert send(sender, bare, f"https://localhost:{port}/x?y=z", "b.test")
        assert (sender.sent, list(sender.failures)) == (1, [])


@pytest.mark.requirement("EXPECT-STAPLE-2.1.1-3")
@pytest.mark.parametrize(("staple", "taken"), [(GOOD, 1), (None, 0)])
def test_a_receiver_that_promised_to_staple_has_to(
    memory: ExpectHosts, bare: Connection, staple: bytes | None, taken: int
) -> None:
    """And is not reported in its turn: two hosts that name each other make no loop."""
    with receiver() as there, speaking(lambda: [TAKEN], staple) as port:
        memory.learn("localhost", f'max-age=3600; report-uri="{there.url}"', datetime.now(UTC))
        with ReportSender(memory, ca=ROOT.certificate) as sender:
            assert send(sender, bare, f"https://localhost:{port}/")
        assert sender.sent == taken
        assert len(sender.failures) == 1 - taken
        assert all("expected-staple" in failure for failure in sender.failures)
        assert there.got == []


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 500 No\r\n\r\n"])
def test_what_a_receiver_over_tls_answers_is_noted(memory: ExpectHosts, bare: Connection, answer: bytes) -> None:
    with speaking(lambda: [answer], None) as port:
        with ReportSender(memory, ca=ROOT.certificate) as sender:
            assert send(sender, bare, f"https://localhost:{port}/")
        assert sender.sent == 0
        assert len(sender.failures) == 1


def test_closing_twice_and_sending_after_it_are_well(memory: ExpectHosts, bare: Connection) -> None:
    with receiver() as there, closing(ReportSender(memory)) as sender:
        sender.close()
        assert send(sender, bare, there.url)
        sender.close(30.0)
        sender.close()
        assert send(sender, bare, there.url, "other.test")
        sender.close(30.0)
        assert sender.sent == 2

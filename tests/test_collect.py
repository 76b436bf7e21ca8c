"""The receiver of Expect-Staple reports takes what is one, and survives whatever else is sent to it."""

from __future__ import annotations

import http.client
import json
import socket
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from asking import Answer, ask

from mustaple.cli.app import run
from mustaple.core.errors import InputError
from mustaple.core.expect_report import MAX_REPORT
from mustaple.net import collector
from mustaple.net.collector import CollectorServer, read_report
from mustaple.net.report_store import ReportStore, Subject, Tally
from mustaple.report.collect_text import subject_line, tallies_json, tallies_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
REPORT = "application/expect-staple-report"
MISSING: dict[str, Any] = {
    "date-time": "2026-06-01T12:00:00Z",
    "hostname": "site.test",
    "port": 443,
    "effective-expiration-date": "2026-07-01T12:00:00Z",
    "response-status": "MISSING",
    "served-certificate-chain": ["-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----"],
    "validated-certificate-chain": [],
}
REVOKED = MISSING | {"response-status": "PROVIDED", "cert-status": "REVOKED", "ocsp-response": "-----BEGIN"}
SUBJECT = Subject("site.test", 443, "MISSING", None)


def body(report: dict[str, Any]) -> bytes:
    return json.dumps({"expect-staple-report": report}).encode()


def without(key: str) -> bytes:
    return body({name: value for name, value in MISSING.items() if name != key})


class Receiver:
    """A receiver with a memory of its own, and what a client does to it."""

    def __init__(self, store: ReportStore, server: CollectorServer) -> None:
        self.store = store
        self.server = server

    def ask(self, method: str, content: Any, content_type: str = REPORT, **options: Any) -> Answer:
        return ask(self.server.port, method, "/any/path", content, {"Content-Type": content_type}, **options)

    def post(self, content: Any, **options: Any) -> int:
        return self.ask("POST", content, **options).status

    @property
    def tallies(self) -> dict[Subject, int]:
        return {each.subject: each.reports for each in self.store.tallies()}


@contextmanager
def receiving(**options: Any) -> Iterator[Receiver]:
    generous = {"per_client": 100_000, "per_minute": 100_000} | options
    with ReportStore(None) as store, CollectorServer(store, **generous) as server:
        yield Receiver(store, server)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def test_reports_are_taken_and_counted_by_host_and_status(receiver: Receiver) -> None:
    assert [receiver.post(body(each)) for each in (MISSING, MISSING, REVOKED)] == [204, 204, 204]
    assert receiver.tallies == {SUBJECT: 2, Subject("site.test", 443, "PROVIDED", "REVOKED"): 1}
    assert receiver.store.bodies() == [body(MISSING), body(MISSING), body(REVOKED)]


def test_what_chromium_sent_is_taken_too(receiver: Receiver) -> None:
    bare = {name: value for name, value in MISSING.items() if name != "effective-expiration-date"}
    assert receiver.post(json.dumps(bare).encode(), content_type="application/json; charset=utf-8") == 204
    assert receiver.tallies == {SUBJECT: 1}


def test_names_are_counted_together_however_they_are_written(receiver: Receiver) -> None:
    for name in ("SITE.test", "site.test."):
        assert receiver.post(body(MISSING | {"hostname": name})) == 204
    assert receiver.tallies == {SUBJECT: 2}


NO_REPORTS = {
    "nothing": b"",
    "no JSON": b"hello",
    "no object": b"[]",
    "null": b"null",
    "an empty object": b"{}",
    "an empty report": b'{"expect-staple-report": {}}',
    "a report that is a list": b'{"expect-staple-report": [1]}',
    "JSON after JSON": body(MISSING) + b"{}",
    "not UTF-8": body(MISSING).replace(b"site", b"s\xff\xfete"),
    "half a surrogate": body(MISSING).replace(b"site", b"s\\ud800te"),
    "a null byte": body(MISSING | {"hostname": "site\0.test"}),
    "an escape sequence": body(MISSING | {"hostname": "\x1b[2J\x1b]0;owned\x07.test"}),
    "a line break": body(MISSING | {"hostname": "a.test\nmustaple: all is well"}),
    "right-to-left": body(MISSING | {"hostname": "\u202etset.a"}),
    "markup": body(MISSING | {"hostname": "<script>alert(1)</script>"}),
    "an address": body(MISSING | {"hostname": "127.0.0.1"}),
    "no hostname": without("hostname"),
    "an empty hostname": body(MISSING | {"hostname": ""}),
    "a hostname without end": body(MISSING | {"hostname": "a" * 40_000}),
    "a hostname that is a number": body(MISSING | {"hostname": 7}),
    "a hostname that is null": body(MISSING | {"hostname": None}),
    "no port": without("port"),
    "port 0": body(MISSING | {"port": 0}),
    "a port beyond the last": body(MISSING | {"port": 65536}),
    "a negative port": body(MISSING | {"port": -1}),
    "a port as text": body(MISSING | {"port": "443"}),
    "a port that is true": body(MISSING | {"port": True}),
    "half a port": body(MISSING | {"port": 443.5}),
    "a huge port": body(MISSING).replace(b"443", b"9" * 50_000),
    "a port beyond floats": body(MISSING).replace(b"443", b"1e999999"),
    "a port that is no number": body(MISSING).replace(b"443", b"NaN"),
    "no status": without("response-status"),
    "a status nobody knows": body(MISSING | {"response-status": "FINE"}),
    "a status in lower case": body(MISSING | {"response-status": "missing"}),
    "a status that is an object": body(MISSING | {"response-status": {"a": 1}}),
    "a certificate status nobody knows": body(REVOKED | {"cert-status": "STOLEN"}),
    "no time": without("date-time"),
    "a time that is none": body(MISSING | {"date-time": "yesterday"}),
    "a time that ends in a line break": body(MISSING | {"date-time": "2026-06-01T12:00:00Z\n"}),
    "a chain that is text": body(MISSING | {"served-certificate-chain": "x"}),
    "a chain of numbers": body(MISSING | {"served-certificate-chain": [1, 2]}),
    "a chain without end": body(MISSING | {"served-certificate-chain": [""] * 10_000}),
    "deep nesting": b'{"expect-staple-report":' * 2500,
    "deep lists": b"[" * 60_000,
    "deep nesting where nobody looks": body(MISSING)[:-2] + b', "x": ' + b"[" * 20_000 + b"]" * 20_000 + b"}}",
    "many keys": b"{" + b",".join(b'"%d":1' % number for number in range(5000)) + b"}",
}


@pytest.mark.parametrize("content", NO_REPORTS.values(), ids=NO_REPORTS)
def test_what_is_no_report_is_refused_in_one_printable_line(content: bytes) -> None:
    assert len(content) <= MAX_REPORT
    with pytest.raises(InputError) as refused:
        read_report(content)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 300


def test_none_of_it_is_kept_and_the_receiver_goes_on(receiver: Receiver) -> None:
    assert {receiver.post(content) for content in NO_REPORTS.values()} == {400}
    assert receiver.post(body(MISSING)) == 204
    assert receiver.tallies == {SUBJECT: 1}


def test_keys_that_nobody_knows_are_passed_over(receiver: Receiver) -> None:
    assert receiver.post(body(MISSING | {"x": {"y": ["z"]}})) == 204
    assert receiver.tallies == {SUBJECT: 1}


def test_only_reports_by_post_are_taken(receiver: Receiver) -> None:
    refused = receiver.ask("GET", None)
    assert (refused.status, refused.getheader("Allow")) == (405, "POST")
    assert receiver.ask("PUT", body(MISSING)).status == 405
    assert receiver.post(body(MISSING), content_type="text/plain") == 415
    assert receiver.post(body(MISSING), content_type="") == 415
    assert receiver.tallies == {}


def test_a_report_has_at_most_so_many_bytes(receiver: Receiver) -> None:
    room = MAX_REPORT - len(body(REVOKED | {"ocsp-response": ""}))
    assert receiver.post(body(REVOKED | {"ocsp-response": "a" * room})) == 204
    assert receiver.post(body(REVOKED | {"ocsp-response": "a" * (room + 1)})) == 413


def raw(receiver: Receiver, *pieces: bytes, endless: bytes = b"") -> bytes:
    """What is answered to these bytes, and then to `endless` again and again until the connection ends."""
    with socket.create_connection(("127.0.0.1", receiver.server.port), timeout=30) as line:
        for piece in pieces:
            line.sendall(piece)
        try:
            while endless:
                line.sendall(endless)
        except OSError:
            pass  # it has hung up on us
        answer = b""
        try:
            while data := line.recv(65536):
                answer += data
        except ConnectionResetError:
            pass
        return answer


HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/expect-staple-report\r\n"


def test_chunks_without_end_are_cut_off(receiver: Receiver) -> None:
    raw(receiver, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", endless=b"1000\r\n" + b"a" * 4096 + b"\r\n")
    chunks = (body(MISSING)[start : start + 50] for start in range(0, len(body(MISSING)), 50))
    assert receiver.post(chunks, encode_chunked=True) == 204, "chunks that end are a body like any other"
    room = MAX_REPORT - len(body(REVOKED | {"ocsp-response": ""}))
    large = body(REVOKED | {"ocsp-response": "a" * (room + 1)})
    pieces = (large[start : start + 8192] for start in range(0, len(large), 8192))
    assert receiver.post(pieces, encode_chunked=True) == 413, "where no length is announced, what comes is counted"
    assert receiver.tallies == {SUBJECT: 1}


def test_a_length_that_lies_or_is_none_is_refused(receiver: Receiver) -> None:
    assert b" 413 " in raw(receiver, HEAD + b"Content-Length: 9999999999\r\n\r\n")
    for length in (b"-1", b"1e3", b"99999999999999999999999999999999"):
        assert b" 204 " not in raw(receiver, HEAD + b"Content-Length: " + length + b"\r\n\r\n" + body(MISSING))
    assert receiver.tallies == {}


def test_a_slow_body_ends_in_time_and_others_are_served_meanwhile() -> None:
    with receiving(body_timeout=1.0) as receiver, ThreadPoolExecutor(1) as pool:
        begun = threading.Event()

        def drip() -> bytes:
            with socket.create_connection(("127.0.0.1", receiver.server.port), timeout=30) as line:
                line.sendall(HEAD + b"Content-Length: 1000\r\n\r\n")
                begun.set()
                line.settimeout(0.05)
                while True:
                    try:
                        line.sendall(b"{")
                        if answer := line.recv(65536):
                            return answer
                    except TimeoutError:
                        continue

        slow = pool.submit(drip)
        assert begun.wait(30)
        assert receiver.post(body(MISSING)) == 204
        assert b" 408 " in slow.result(30).partition(b"\r\n")[0]
        assert receiver.tallies == {SUBJECT: 1}


def test_who_goes_away_in_the_middle_leaves_nothing(receiver: Receiver) -> None:
    with socket.create_connection(("127.0.0.1", receiver.server.port)) as line:
        line.sendall(HEAD + b"Content-Length: 1000\r\n\r\n" + body(MISSING)[:100])
    assert receiver.post(body(MISSING)) == 204
    assert receiver.tallies == {SUBJECT: 1}


def test_one_address_may_send_so_many_in_a_minute() -> None:
    with receiving(per_client=3) as receiver:
        assert [receiver.post(body(MISSING)) for _ in range(5)] == [204, 204, 204, 429, 429]
        refused = receiver.ask("POST", body(MISSING))
        assert 0 < int(refused.getheader("Retry-After") or 0) <= 60
        assert receiver.tallies == {SUBJECT: 3}


def test_all_together_may_send_so_many_in_a_minute() -> None:
    with receiving(per_minute=3) as receiver:
        assert [receiver.post(body(MISSING)) for _ in range(5)] == [204, 204, 204, 429, 429]


def test_rates_begin_anew_and_are_kept_for_so_many_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(collector.time, "monotonic", lambda: clock[0])
    rates = collector._Rates(per_client=1, per_minute=10)
    assert [rates.admit("a"), rates.admit("a"), rates.admit("b")] == [True, False, True]
    clock[0] = 60.0
    assert rates.admit("a")
    assert rates.wait() == 60
    monkeypatch.setattr(collector, "_MOST_CLIENTS", 5)
    for number in range(50):
        rates.admit(str(number))
    assert len(rates._clients) <= 5


@pytest.mark.parametrize(
    ("client", "counted"),
    [
        (None, "?"),
        (("127.0.0.1", 1), "127.0.0.1"),
        (("2001:db8:1:2:3::4", 1), "2001:db8:1:2::/64"),
        (("fe80::1%eth0", 1), "fe80::/64"),
        (("a name", 1), "a name"),
    ],
)
def test_an_ipv6_client_counts_by_its_network(client: tuple[str, int] | None, counted: str) -> None:
    assert collector._counted_as(client) == counted


def test_ten_thousand_reports_at_once_are_survived() -> None:
    """Over keep-alive connections, a thousand hosts among them: all are answered, and what is kept is bounded."""
    with (
        ReportStore(None, most_reports=100, most_tallies=50) as store,
        CollectorServer(store, per_client=9000, per_minute=100_000) as server,
        ThreadPoolExecutor(20) as pool,
    ):

        def send(worker: int) -> list[int]:
            statuses = []
            with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
                for number in range(500):
                    report = body(MISSING | {"hostname": f"{worker}-{number % 50}.test"})
                    connection.request("POST", "/", report, {"Content-Type": REPORT})
                    response = connection.getresponse()
                    response.read()
                    statuses.append(response.status)
            return statuses

        statuses = [status for worker in pool.map(send, range(20)) for status in worker]
        assert statuses.count(204) == 9000
        assert statuses.count(429) == 1000
        assert len(store.bodies()) == 100
        assert len(store.tallies()) == 50


def test_more_connections_than_allowed_are_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "MOST_CONNECTIONS", 3)
    with receiving() as receiver:
        idle = [socket.create_connection(("127.0.0.1", receiver.server.port)) for _ in range(5)]
        try:
            for line in idle:
                line.sendall(HEAD)
            assert receiver.post(body(MISSING)) == 503
        finally:
            for line in idle:
                line.close()


def test_a_store_that_fails_is_told_as_such(receiver: Receiver) -> None:
    assert receiver.post(body(MISSING)) == 204
    receiver.store.close()
    assert receiver.post(body(MISSING)) == 503


# --- the store


def test_reports_outlive_the_receiver_in_a_private_file(tmp_path: Path) -> None:
    path = tmp_path / "reports.db"
    with ReportStore(path) as store:
        store.add(SUBJECT, b"one", AT)
        store.add(SUBJECT, b"two", AT + timedelta(hours=1))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with ReportStore(path, create=False) as store:
        assert store.tallies() == [Tally(SUBJECT, 2, AT, AT + timedelta(hours=1))]
        assert store.bodies() == [b"one", b"two"]


def test_the_oldest_are_dropped(tmp_path: Path) -> None:
    with ReportStore(tmp_path / "reports.db", most_reports=2, most_tallies=2) as store:
        for number in range(4):
            store.add(Subject(f"{number}.test", 443, "MISSING", None), b"%d" % number, AT + timedelta(hours=number))
        assert store.bodies() == [b"2", b"3"]
        assert [each.subject.hostname for each in store.tallies()] == ["3.test", "2.test"]


def test_a_store_that_is_not_there_is_not_made_to_be_shown(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        ReportStore(tmp_path / "reports.db", create=False)
    assert list(tmp_path.iterdir()) == []


# --- what is shown


TALLIES = [
    Tally(SUBJECT, 12, AT, AT + timedelta(days=1)),
    Tally(Subject("a-longer-name.test", 8443, "PROVIDED", "REVOKED"), 1, AT, AT),
]


def test_the_table_says_host_status_count_and_last() -> None:
    assert tallies_text(TALLIES).splitlines() == [
        "host                     status             reports  last (UTC)",
        "site.test:443            MISSING                 12  2026-06-02 12:00:00",
        "a-longer-name.test:8443  PROVIDED, REVOKED        1  2026-06-01 12:00:00",
    ]
    assert tallies_text([]) == "No report has come."
    assert subject_line(TALLIES[1].subject) == "report: a-longer-name.test:8443 PROVIDED, REVOKED"


def test_nothing_that_came_can_move_the_terminal() -> None:
    hostile = Subject("\x1b[2J\x9b31m\u202e\n.test", 1, "MISSING\r", None)
    for text in (subject_line(hostile), *tallies_text([Tally(hostile, 1, AT, AT)]).splitlines()):
        assert text.isprintable()


def test_the_same_as_json() -> None:
    shown = tallies_json(TALLIES)
    assert shown["schema"] == "mustaple-collect-1"
    assert shown["reports"][1] == {
        "hostname": "a-longer-name.test",
        "port": 8443,
        "response_status": "PROVIDED",
        "cert_status": "REVOKED",
        "count": 1,
        "first": "2026-06-01T12:00:00Z",
        "last": "2026-06-01T12:00:00Z",
    }


# --- the command


def test_show_prints_what_came(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "reports.db"
    with ReportStore(path) as store:
        store.add(SUBJECT, b"one", AT)
    assert run(["collect", "--database", str(path), "--show"]) == 0
    assert "site.test:443  MISSING        1  2026-06-01 12:00:00" in capsys.readouterr().out
    assert run(["collect", "--database", str(path), "--show", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["reports"][0]["count"] == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--show"], "without --database"),
        (["--json"], "--json is for --show"),
        (["--show", "--database", "nowhere.db"], "nowhere.db cannot be used"),
        (["--host", "0.0.0.0"], "--expose"),
        (["--port", "99999"], "--port"),
        (["--per-client", "0"], "--per-client"),
    ],
)
def test_what_is_of_no_use_is_said_in_one_line(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["collect", *arguments]) == 2
    complaint = capsys.readouterr().err
    assert said in complaint
    assert complaint.count("\n") == 1
    assert list(tmp_path.iterdir()) == []

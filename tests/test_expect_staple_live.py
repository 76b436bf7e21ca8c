"""The header proposal at work: a host that promised to staple is remembered, reported and, where wanted, refused."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from commands import CA, Folder, free_port, running
from commands import run as run_command
from cryptography.hazmat.primitives.serialization import Encoding
from expect_house import ENFORCING, EXPIRED, GOOD, LEAF, LENIENT, LINK, ROOT, speaking, world

from certtools.forge import MUTATIONS, Scene, good
from mustaple.core.errors import InputError, NetworkError, RefusedError
from mustaple.core.expect_report import REPORT_KEY
from mustaple.core.verdict import Code
from mustaple.net.aclient import aconnect
from mustaple.net.approach import Plan
from mustaple.net.check_many import check_many
from mustaple.net.client import check, connect
from mustaple.net.expect_hosts import ExpectHosts
from mustaple.net.expect_http import MAX_HEAD, HeaderSeen, Heard, alook_http, look_http
from mustaple.net.expect_reports import ReportSender
from mustaple.net.server import StaplingServer
from mustaple.net.settings import Settings, Target
from mustaple.net.stapling_server import ChainStaplingServer
from mustaple.net.starttls import StartTLS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VERSIONS = ("1.2", "1.3")
SPLIT = "max-age=3600\r\nSet-Cookie: a=b"


@pytest.mark.requirement("EXPECT-STAPLE-2.3.1-1", "EXPECT-STAPLE-2.5-1")
@pytest.mark.parametrize("version", VERSIONS)
def test_a_host_that_promised_and_staples_no_more_is_refused_and_reported(tmp_path: Path, version: str) -> None:
    with world(tmp_path, minimum=version, maximum=version) as host:
        assert host.look(ENFORCING).heard is Heard.NOTED
        host.server.next_record()
        with host.connect(ENFORCING):
            pass  # it staples still
        host.server.next_record()
        host.server.staple = None
        with pytest.raises(RefusedError) as refused:
            host.connect(ENFORCING)
        assert [reason.code for reason in refused.value.verdict.all_reasons] == [Code.EXPECTED_STAPLE]
        record = host.server.next_record()
        assert record.alert == 113
        assert not record.application_data
        assert host.came() == [("localhost", host.server.port, "MISSING", None)]


@pytest.mark.requirement("EXPECT-STAPLE-2.5-1")
def test_without_enforcing_the_same_host_is_accepted_and_reported(tmp_path: Path) -> None:
    with world(tmp_path) as host:
        assert host.look().heard is Heard.NOTED
        assert host.came() == [], "while it staples there is nothing to report"
        host.server.staple = None
        with host.connect() as connection:
            assert connection.verdict.accepted
        assert host.came() == [("localhost", host.server.port, "MISSING", None)]


def test_a_host_that_promised_nothing_is_neither_refused_nor_reported(tmp_path: Path) -> None:
    with world(tmp_path, staple=None) as host, host.connect(ENFORCING) as connection:
        assert connection.verdict.accepted
        assert host.came() == []


@pytest.mark.requirement("EXPECT-STAPLE-2.3.1-1")
@pytest.mark.parametrize(("staple", "status"), [(None, "MISSING"), (EXPIRED, "INVALID_DATE")])
def test_a_header_over_a_connection_without_a_good_staple_is_reported_and_not_learned(
    tmp_path: Path, staple: bytes | None, status: str
) -> None:
    with world(tmp_path, staple=staple) as host:
        seen = host.look()
        assert (seen.heard, seen.reported) == (Heard.IGNORED, True)
        assert seen.why == "it came over a connection without a good staple"
        assert not host.knows()
        assert host.came() == [("localhost", host.server.port, status, None)]
        assert not host.look().reported, "once a day is enough"


def test_what_is_reported_is_what_was_served(tmp_path: Path) -> None:
    with world(tmp_path, staple=EXPIRED) as host:
        before = datetime.now(UTC)
        host.look()
        host.came()
        report = json.loads(host.store.bodies()[0])[REPORT_KEY]
    pems = [LEAF.certificate, ROOT.certificate]
    chain = [each.public_bytes(Encoding.PEM).decode() for each in pems]
    assert report["served-certificate-chain"] == chain[:1]
    assert report["validated-certificate-chain"] == chain
    assert report["ocsp-response"].startswith("-----BEGIN OCSP RESPONSE-----")
    expires_at = datetime.fromisoformat(report["effective-expiration-date"])
    assert timedelta() <= expires_at - before.replace(microsecond=0) - timedelta(hours=1) < timedelta(minutes=1)


def test_a_revoked_host_that_promised_is_reported_as_revoked(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    scene = Scene(link=LINK, issuer=ROOT, other=LINK, rogue=ROOT, at=now)
    with world(tmp_path) as host:
        host.look()
        host.server.staple = MUTATIONS["revoked"](scene)
        with pytest.raises(RefusedError):
            host.connect()
        assert host.came() == [("localhost", host.server.port, "PROVIDED", "REVOKED")]


@pytest.mark.requirement("EXPECT-STAPLE-2.5-2")
def test_a_connection_with_another_fault_is_not_reported(tmp_path: Path) -> None:
    with world(tmp_path) as host:
        host.look()
        host.server.staple = None
        with pytest.raises(RefusedError) as refused:
            host.connect(ca=LEAF.certificate)
        assert refused.value.verdict.all_reasons[0].code in {Code.PATH_INVALID, Code.NOTHING_TO_CHECK}
        assert host.came() == []


@pytest.mark.requirement("EXPECT-STAPLE-2.3.1-2")
def test_zero_forgets_but_only_over_a_good_connection(tmp_path: Path) -> None:
    with world(tmp_path, header="max-age=0") as host:
        host.memory.learn("localhost", "max-age=3600", datetime.now(UTC))
        host.server.staple = None
        assert host.look().heard is Heard.IGNORED
        assert host.knows(), "who strips the staple cannot make the client forget the promise"
        host.server.staple = GOOD
        assert host.look().heard is Heard.FORGOTTEN
        assert not host.knows()


@pytest.mark.requirement("EXPECT-STAPLE-2.3.2-1")
def test_an_address_is_not_learned(tmp_path: Path) -> None:
    with world(tmp_path) as host:
        seen = host.look(host="127.0.0.1")
        assert (seen.heard, seen.why) == (Heard.IGNORED, "an IP address is never remembered")
        assert host.look().heard is Heard.NOTED


@pytest.mark.requirement("EXPECT-STAPLE-2.5-2")
def test_a_policy_that_asks_for_no_staple_learns_and_reports_nothing(tmp_path: Path) -> None:
    with world(tmp_path) as host:
        seen = host.look("ignore")
        assert seen.heard is Heard.IGNORED
        assert "asked for no staple" in (seen.why or "")
        assert not host.knows()
        host.memory.learn("localhost", host.header, datetime.now(UTC))
        host.server.staple = None
        host.look("ignore")
        assert host.came() == []


def test_another_day_is_a_question_and_reported_to_nobody(tmp_path: Path) -> None:
    with world(tmp_path) as host:
        host.look()
        host.server.staple = None
        with pytest.raises(RefusedError), host.connect(ENFORCING, at=datetime.now(UTC) + timedelta(minutes=30)):
            pass
        with host.connect(ENFORCING, at=datetime.now(UTC) + timedelta(hours=2)):
            pass  # by then its promise is over
        assert host.came() == []


@pytest.mark.parametrize("version", VERSIONS)
def test_the_other_engine_enforces_and_reports_too(tmp_path: Path, version: str) -> None:
    with (
        world(tmp_path) as host,
        ChainStaplingServer([LEAF.certificate], LEAF.key, [GOOD], minimum=version, maximum=version) as server,
    ):
        host.memory.learn("localhost", host.header, datetime.now(UTC))
        options = {"ca": ROOT.certificate, "engine": "rfc6961", "expect_hosts": host.memory}
        assert check("localhost", server.port, ENFORCING, **options).accepted
        server.staples = [None]
        verdict = check("localhost", server.port, ENFORCING, **options, expect_reports=host.sender)
        assert [reason.code for reason in verdict.all_reasons] == [Code.EXPECTED_STAPLE]
        assert host.came() == [("localhost", server.port, "MISSING", None)]


def test_the_async_client_and_many_checks_know_the_host_too(tmp_path: Path) -> None:
    with world(tmp_path) as host:
        host.look()
        host.server.staple = None

        async def both() -> None:
            settings = Settings(ENFORCING, ca=ROOT.certificate, expect_hosts=host.memory, expect_reports=host.sender)
            with pytest.raises(RefusedError):
                await aconnect("localhost", host.server.port, ENFORCING, ca=ROOT.certificate, expect_hosts=host.memory)
            targets = [Target("localhost", host.server.port), Target("127.0.0.1", host.server.port)]
            async with aclosing(check_many(targets, settings, in_order=True)) as results:
                found = [result.result async for result in results]
            assert [getattr(each, "accepted", None) for each in found] == [False, True]

        asyncio.run(both())
        assert host.came() == [("localhost", host.server.port, "MISSING", None)]


def test_the_header_is_https_own_and_binds_no_mail_server(tmp_path: Path) -> None:
    with ExpectHosts(tmp_path / "hosts.db") as memory:
        now = datetime.now(UTC)
        memory.learn("mail.test", "max-age=3600", now)
        plan = Plan(Settings(ENFORCING, ca=ROOT.certificate, expect_hosts=memory))
        https = plan.start(Target("mail.test", 443), plan.engine, now)
        smtp = plan.start(Target("mail.test", 25, starttls=StartTLS.SMTP), plan.engine, now)
        assert https.known is not None
        assert smtp.known is None


# --- what a server says


def head(*lines: str) -> bytes:
    return "\r\n".join(["HTTP/1.1 200 OK", *lines, "", ""]).encode("latin-1")


def looked(folder: Path, *pieces: bytes, timeout: float = 20.0, wire: bool = False) -> tuple[HeaderSeen, bool]:
    """What came of these bytes of an answer, and whether localhost is remembered."""
    with ExpectHosts(folder / "hosts.db") as memory, speaking(lambda: pieces, wire=wire) as port:
        now = datetime.now(UTC)
        with connect("localhost", port, LENIENT, ca=ROOT.certificate, address=("127.0.0.1", port)) as connection:
            seen = look_http(connection, "localhost", port, now, memory, timeout=timeout)
        return seen, memory.remembered("localhost", now) is not None


def test_a_page_without_the_header_teaches_nothing(tmp_path: Path) -> None:
    assert looked(tmp_path, head("X: y")) == (HeaderSeen(200, Heard.ABSENT), False)


def test_the_header_counts_with_any_status(tmp_path: Path) -> None:
    answer = head("Expect-Staple: max-age=60").replace(b"200 OK", b"404 Not Found")
    seen, known = looked(tmp_path, answer)
    assert (seen.status, seen.heard, known) == (404, Heard.NOTED, True)


@pytest.mark.requirement("EXPECT-STAPLE-2.3.1-3")
def test_of_several_headers_the_first_counts(tmp_path: Path) -> None:
    seen, known = looked(tmp_path, head("Expect-Staple: max-age=60", "Expect-Staple: max-age=0"))
    assert (seen.value, seen.heard, known) == ("max-age=60", Heard.NOTED, True)
    seen, known = looked(tmp_path, head("Expect-Staple: max-age=0", "Expect-Staple: max-age=60"))
    assert (seen.heard, known) == (Heard.FORGOTTEN, False)
    seen, known = looked(tmp_path, head("Expect-Staple: malformed", "Expect-Staple: max-age=60"))
    assert (seen.heard, known) == (Heard.IGNORED, False)
    seen, known = looked(tmp_path, head("Expect-Staple: max-age=60, max-age=60"))
    assert (seen.heard, known) == (Heard.IGNORED, False)


def test_what_comes_before_the_answer_or_in_it_is_not_the_header(tmp_path: Path) -> None:
    early = head("Expect-Staple: max-age=60").replace(b"200 OK", b"103 Early Hints")
    seen, known = looked(tmp_path, early, head("Content-Length: 0"))
    assert (seen.heard, known) == (Heard.ABSENT, False)
    meta = b'<meta http-equiv="Expect-Staple" content="max-age=60">\r\nExpect-Staple: max-age=60\r\n\r\n'
    seen, known = looked(tmp_path, head(f"Content-Length: {len(meta)}") + meta)
    assert (seen.heard, known) == (Heard.ABSENT, False)


def test_a_split_response_is_read_as_the_lines_it_is(tmp_path: Path) -> None:
    """Whoever gets a line break into a header can write headers; the first Expect-Staple stands all the same."""
    injected = "X: y\r\nExpect-Staple: max-age=0"
    seen, known = looked(tmp_path, head("Expect-Staple: max-age=60", injected))
    assert (seen.heard, known) == (Heard.NOTED, True)


@pytest.mark.parametrize(
    "line",
    [
        "Expect-Staple: max-age=60\rX: y",
        "Expect-Staple: max-age=60\0",
        "Expect-Staple : max-age=60",
        "Expect Staple: max-age=60",
        ": max-age=60",
    ],
)
def test_lines_that_are_no_http_teach_nothing(tmp_path: Path, line: str) -> None:
    with pytest.raises(NetworkError, match="does not answer in HTTP"):
        looked(tmp_path, head(line))
    with ExpectHosts(tmp_path / "hosts.db") as memory:
        assert memory.hosts(datetime.now(UTC)) == []


def test_a_folded_header_is_the_one_line_that_it_means(tmp_path: Path) -> None:
    seen, known = looked(tmp_path, head("Expect-Staple: max-age", " =60"))
    assert (seen.heard, known) == (Heard.IGNORED, False)
    seen, known = looked(tmp_path, head("Expect-Staple: max-age=60;", " includeSubDomains"))
    assert (seen.value, known) == ("max-age=60; includeSubDomains", True)


def test_a_header_bomb_is_ignored_and_a_head_without_end_an_error(tmp_path: Path) -> None:
    seen, known = looked(tmp_path, head("Expect-Staple: max-age=60; x=" + "y" * 5000))
    assert (seen.heard, known) == (Heard.IGNORED, False)
    assert seen.why == "it is longer than 4096 characters"
    for bomb in (["X: " + "y" * MAX_HEAD], [f"X{number}: y" for number in range(10_000)]):
        with pytest.raises(NetworkError, match="does not answer in HTTP"):
            looked(tmp_path, head(*bomb, "Expect-Staple: max-age=60"))


def test_an_answer_that_never_comes_to_the_point_is_ended(tmp_path: Path) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"HTTP/1.1 103 Early Hints\r\n\r\n"

    with (
        speaking(endless) as port,
        ExpectHosts(tmp_path / "hosts.db") as memory,
        connect("127.0.0.1", port, LENIENT, ca=ROOT.certificate) as connection,
        pytest.raises(NetworkError, match=f"longer than {MAX_HEAD} bytes"),
    ):
        look_http(connection, "localhost", port, datetime.now(UTC), memory)


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nX: y", b"\x00" * 100])
def test_what_is_no_http_is_said_so(tmp_path: Path, answer: bytes) -> None:
    with pytest.raises(NetworkError):
        looked(tmp_path, answer)


@pytest.mark.parametrize("whole", [False, True], ids=["a letter in each TLS record", "one TLS record"])
def test_a_server_that_drips_is_ended_in_time(tmp_path: Path, whole: bool) -> None:
    answer = head("X: " + "y" * 8000, "Expect-Staple: max-age=60")
    pieces = (answer,) if whole else tuple(b"%c" % byte for byte in answer)
    with pytest.raises(NetworkError, match=r"did not answer in HTTP within 1 s"):
        looked(tmp_path, *pieces, timeout=1.0, wire=True)


async def alooked(folder: Path, port: int, timeout: float = 20.0) -> HeaderSeen:
    with ExpectHosts(folder / "hosts.db") as memory:
        async with await aconnect("localhost", port, LENIENT, ca=ROOT.certificate) as connection:
            return await alook_http(connection, "localhost", port, datetime.now(UTC), memory, timeout=timeout)


def test_asyncio_hears_the_same(tmp_path: Path) -> None:
    with world(tmp_path) as host:
        seen = asyncio.run(alooked(tmp_path, host.server.port))
        assert (seen.heard, seen.value) == (Heard.NOTED, host.header)
        assert host.knows()
        host.memory.clear()
        host.server.staple = EXPIRED
        assert asyncio.run(alooked(tmp_path, host.server.port)).heard is Heard.IGNORED
        assert not host.knows()


@pytest.mark.parametrize(
    "answer", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nX: y", head("X: " + "y" * MAX_HEAD)]
)
def test_asyncio_takes_no_more_for_http(tmp_path: Path, answer: bytes) -> None:
    with speaking(lambda: [answer]) as port, pytest.raises(NetworkError):
        asyncio.run(alooked(tmp_path, port))


def test_a_server_that_drips_is_ended_in_time_by_asyncio_too(tmp_path: Path) -> None:
    with (
        speaking(lambda: [head("X: " + "y" * 8000)], wire=True) as port,
        pytest.raises(NetworkError, match=r"did not answer in HTTP within 1 s"),
    ):
        asyncio.run(alooked(tmp_path, port, timeout=1.0))


def test_a_path_that_is_none_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    with world(tmp_path) as host:
        with host.connect() as connection, pytest.raises(InputError, match="no HTTP request"):
            look_http(connection, "localhost", 1, datetime.now(UTC), host.memory, path="/ HTTP/1.1\r\nX: y")
        assert not host.server.next_record().application_data


# --- what our own server sends


@pytest.mark.parametrize("value", [SPLIT, "includeSubDomains", "max-age=1; report-uri=http://a.test/", ""])
def test_our_server_sends_no_header_that_would_be_ignored(value: str) -> None:
    with pytest.raises(InputError, match="would be ignored"):
        StaplingServer([LEAF.certificate], LEAF.key, expect_staple=value)
    with pytest.raises(InputError, match="would be ignored"):
        ChainStaplingServer([LEAF.certificate], LEAF.key, expect_staple=value)


def test_both_our_servers_send_the_header(tmp_path: Path) -> None:
    with (
        ExpectHosts(tmp_path / "hosts.db") as memory,
        ChainStaplingServer([LEAF.certificate], LEAF.key, [GOOD], expect_staple="max-age=60") as server,
        connect("localhost", server.port, "strict", ca=ROOT.certificate) as connection,
    ):
        seen = look_http(connection, "localhost", server.port, datetime.now(UTC), memory)
    assert (seen.heard, seen.value) == (Heard.NOTED, "max-age=60")


# --- the commands together


def test_serve_promises_and_collect_hears_of_it(tmp_path: Path) -> None:
    """`mustaple serve` staples from a file and promises; started anew without, it is reported to `mustaple collect`."""
    folder = Folder(tmp_path)
    database, port = tmp_path / "reports.db", free_port()
    staple = tmp_path / "leaf.der"
    staple.write_bytes(good(folder.link, CA, datetime.now(UTC)))
    with (
        ExpectHosts(tmp_path / "hosts.db") as memory,
        running("collect", "--port", 0, "--database", database) as collect,
    ):
        url = collect.ready().split()[3]
        promise = f'max-age=3600; report-uri="{url}"'
        serve = ("serve", tmp_path, "--port", port, "--expect-staple", promise)
        with running(*serve, "--staple", staple) as server:
            server.ready()
            with connect("localhost", port, "must-staple", ca=tmp_path / "root.pem") as connection:
                assert look_http(connection, "localhost", port, datetime.now(UTC), memory).heard is Heard.NOTED
            assert server.end() == 0
        with running(*serve, "--staple", "none") as server:
            server.ready()
            with ReportSender(memory) as sender:
                options = {"ca": tmp_path / "root.pem", "expect_hosts": memory, "expect_reports": sender}
                assert not check("localhost", port, "must-staple", **options).accepted
            assert sender.sent == 1
            assert server.end() == 0
        assert f"report: localhost:{port} MISSING" in collect.says("report")
        shown = run_command("collect", "--database", database, "--show")
        assert f"localhost:{port}  MISSING" in shown.stdout
        assert collect.end() == 0

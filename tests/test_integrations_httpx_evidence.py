"""What the httpx transports know beside staples: Expect-Staple hosts, learned, enforced, reported; and CRLs."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest
from httpx_house import DAY, NOW, PLAIN, ROOT, Clock, codes, mutated, serve, staple

from certtools.forge import Revoked
from certtools.forge import crl as forge_crl
from mustaple.core.errors import InputError
from mustaple.core.policy import ExpectStaple, preset
from mustaple.core.verdict import Source
from mustaple.integrations.httpx import AsyncStapledTransport, StapledTransport, VerdictError
from mustaple.net.expect_hosts import ExpectHosts
from mustaple.net.expect_reports import ReportSender

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Nothing is demanded but of hosts that promised it by their header.
ENFORCING = replace(preset("must-staple"), name="enforcing", sources=frozenset({Source.STAPLE}))
ENFORCING = replace(ENFORCING, expect_staple=ExpectStaple.ENFORCE)
HOUR = "max-age=3600"
PLAIN_STAPLE = staple(link=PLAIN.as_chain().links[0])

Get = "Callable[..., httpx.Response]"


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[ExpectHosts]:
    with ExpectHosts(tmp_path / "hosts.db") as memory:
        yield memory


def _options(policy: Any, **options: Any) -> dict[str, Any]:
    return {"policy": policy, "ca": ROOT.certificate, **options}


def _get(url: str, times: int = 1, **options: Any) -> list[httpx.Response]:
    with httpx.Client(transport=StapledTransport(**_options(**options)), timeout=30.0) as client:
        return [client.get(url) for _ in range(times)]


def _get_async(url: str, times: int = 1, **options: Any) -> list[httpx.Response]:
    async def get() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=AsyncStapledTransport(**_options(**options)), timeout=30.0) as client:
            return [await client.get(url) for _ in range(times)]

    return anyio.run(get)


@pytest.fixture(params=[_get, _get_async], ids=["sync", "async"])
def get(request: pytest.FixtureRequest) -> Get:
    """Asks for a page so many times over one client."""
    found: Get = request.param
    return found


# --- Expect-Staple


@pytest.mark.parametrize("http2", [False, True])
def test_a_host_that_promised_by_its_header_is_held_to_it(hosts: ExpectHosts, get: Get, http2: bool) -> None:
    with serve(PLAIN_STAPLE, PLAIN, http2=http2) as server:
        server.headers["Expect-Staple"] = HOUR
        get(server.url, policy=ENFORCING, expect_hosts=hosts)
        server.staple = None
        get(server.url, policy=ENFORCING)  # who remembers nothing demands nothing
        get(server.url, policy="must-staple", expect_hosts=hosts)  # and no preset enforces it
        with pytest.raises(VerdictError) as caught:
            get(server.url, policy=ENFORCING, expect_hosts=hosts)
        assert server.connections[-1].data == b""
        clock = Clock()
        clock.at += timedelta(hours=2)
        get(server.url, policy=ENFORCING, expect_hosts=hosts, clock=clock)  # it has been forgotten
    assert codes(caught.value.verdict) == ["expected-staple"]
    assert [known.name for known in hosts.hosts(NOW)] == ["localhost"]


@pytest.mark.parametrize(
    ("header", "stapled", "learned"),
    [
        (HOUR, True, True),
        (HOUR, False, False),
        ("max-age=0", True, False),
        ("max-age=soon", True, False),
        (None, True, False),
    ],
)
def test_only_a_header_that_conforms_over_a_good_staple_counts(
    hosts: ExpectHosts, get: Get, header: str | None, stapled: bool, learned: bool
) -> None:
    with serve(PLAIN_STAPLE if stapled else None, PLAIN) as server:
        if header is not None:
            server.headers["Expect-Staple"] = header
        get(server.url, policy=ENFORCING, expect_hosts=hosts)
        assert bool(hosts.hosts(NOW)) is learned


def test_a_host_may_take_its_word_back_over_the_same_connection(hosts: ExpectHosts) -> None:
    clock = Clock()
    with serve(PLAIN_STAPLE, PLAIN) as server:
        transport = StapledTransport(ENFORCING, ca=ROOT.certificate, expect_hosts=hosts, clock=clock)
        with httpx.Client(transport=transport, timeout=30.0) as client:
            for header, known in ((HOUR, 1), ("max-age=0", 0), (HOUR, 1)):
                server.headers["Expect-Staple"] = header
                client.get(server.url)
                assert len(hosts.hosts(NOW)) == known
        assert len(server.connections) == 1


def test_plain_http_teaches_nothing(hosts: ExpectHosts) -> None:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Expect-Staple", HOUR)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        _get(f"http://localhost:{server.server_port}/", policy=ENFORCING, expect_hosts=hosts)
        server.shutdown()
        thread.join()
    assert hosts.hosts(NOW) == []


@pytest.fixture
def reports() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Where to report to, and what was reported."""
    taken: list[dict[str, Any]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", taken
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("policy", ["must-staple", ENFORCING], ids=["accepted", "refused"])
def test_a_host_that_breaks_its_word_is_reported(
    hosts: ExpectHosts, reports: tuple[str, list[dict[str, Any]]], get: Get, policy: Any
) -> None:
    uri, taken = reports
    with serve(PLAIN_STAPLE, PLAIN) as server, ReportSender(hosts) as sender:
        server.headers["Expect-Staple"] = f'{HOUR}; report-uri="{uri}"'
        get(server.url, 2, policy=policy, expect_hosts=hosts, expect_reports=sender)
        sender.close()
        assert taken == []
        server.staple = None
        server.headers.clear()
        try:
            get(server.url, 2, policy=policy, expect_hosts=hosts, expect_reports=sender)
        except VerdictError:
            assert policy is ENFORCING
        sender.close()
        assert not sender.failures
    (report,) = taken
    told = report["expect-staple-report"]
    assert (told["hostname"], told["port"], told["response-status"]) == ("localhost", server.port, "MISSING")


def test_reports_need_a_memory(hosts: ExpectHosts) -> None:
    with ReportSender(hosts) as sender, pytest.raises(InputError, match="give expect_hosts"):
        StapledTransport(expect_reports=sender)


def test_a_memory_that_is_gone_is_an_error_before_a_byte_leaves(tmp_path: Path, get: Get) -> None:
    hosts = ExpectHosts(tmp_path / "hosts.db")
    hosts.close()
    with serve(PLAIN_STAPLE, PLAIN) as server:
        with pytest.raises(httpx.ConnectError, match=r"hosts\.db"):
            get(server.url, policy=ENFORCING, expect_hosts=hosts)
        assert server.next_ended().data == b""


# --- CRLs


@pytest.mark.parametrize(("revoked", "code"), [(False, None), (True, "revoked")])
def test_a_crl_that_the_user_has_speaks_first(tmp_path: Path, get: Get, revoked: bool, code: str | None) -> None:
    entries = [Revoked(PLAIN.certificate.serial_number, NOW - DAY)] if revoked else []
    der = forge_crl(ROOT, entries, this_update=NOW - DAY, next_update=NOW + DAY, number=1)
    file = tmp_path / "ca.crl"
    file.write_bytes(der)
    # Though the staple says good: an authentic revocation from any source wins.
    for what in (PLAIN_STAPLE, None):
        with serve(what, PLAIN) as server:
            if code is None:
                get(server.url, policy="hard-fail", crls=[file])
                continue
            with pytest.raises(VerdictError) as caught:
                get(server.url, policy="hard-fail", crls=[file])
            assert codes(caught.value.verdict) == [code]
            assert server.next_ended().data == b""


def test_a_crl_is_of_no_use_where_the_policy_takes_none(tmp_path: Path) -> None:
    der = forge_crl(ROOT, [], this_update=NOW - DAY, next_update=NOW + DAY, number=1)
    with pytest.raises(InputError, match="'strict' takes no CRL"):
        StapledTransport("strict", crls=[der])
    with pytest.raises(InputError):
        StapledTransport("hard-fail", crls=[tmp_path / "none.crl"])


def test_a_staple_that_is_wrong_is_told_apart(get: Get) -> None:
    with serve(mutated("expired")) as server, pytest.raises(VerdictError) as caught:
        get(server.url, policy="strict")
    assert codes(caught.value.verdict) == ["expired"]

"""The playground by itself: its names, its page and its JSON, each case as promised, and clients that mean no good."""

from __future__ import annotations

import contextlib
import gzip
import json
import re
import socket
import ssl
import subprocess
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from commands import free_port, run, running
from playground_clients import over_http, over_tls, silent, trusting

from mustaple.core.errors import InputError
from mustaple.core.policy import PRESETS
from mustaple.lab.cases import FAMILIES, cases, find
from mustaple.lab.live import host_of
from mustaple.lab.playground import Playground
from mustaple.lab.playground.room import LEAST, room_for_connections

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EXPIRED = find("freshness/expired")
HTML = ("Accept: text/html",)
# One of each kind: all staples there, none, and wrong in eight ways that go out as any other bytes do.
TEN = (
    "presence/every-staple",
    "presence/no-staple",
    "freshness/expired",
    "freshness/not-yet-valid",
    "freshness/revoked-and-expired",
    "binding/other-certificate",
    "signature/flipped-bit",
    "delegation/delegate",
    "status/try-later",
    "singles/good-among-a-hundred",
)


@pytest.fixture(scope="module")
def playground() -> Iterator[Playground]:
    with Playground() as served:
        yield served


@pytest.fixture(scope="module")
def context(playground: Playground) -> ssl.SSLContext:
    return trusting(playground.root_pem)


# names


def test_every_case_has_a_host_name_of_its_own() -> None:
    labels = [host_of(case).partition(".") for case in cases()]
    assert len({label for label, _, _ in labels}) == len(cases())
    for label, _, rest in labels:
        assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", label), "a host label of RFC 1123 §2.1"
        assert rest == "localhost"


# the page


class Reader(HTMLParser):
    """What a page holds: rows by case with their cells, what it loads, and whether its elements are closed in order."""

    VOID = frozenset({"meta", "link", "input", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: dict[str, list[str]] = {}
        self.loads: list[str] = []
        self.links: list[str] = []
        self.text: list[str] = []
        self._row: list[str] | None = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "tr" and "data-case" in said:
            self._row = self.rows.setdefault(said["data-case"] or "", [])
        if tag == "td" and self._row is not None:
            self._row.append("")
        if tag == "a":
            self.links.append(said["href"] or "")
        self.loads += [said[name] or "" for name in ("src", "srcset", "data", "action") if name in said]
        if tag == "link":
            self.loads.append(said["href"] or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag == "tr":
            self._row = None

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if self._row and self.open and self.open[-1] != "tr":
            self._row[-1] += data


def test_the_page_lists_every_case_with_what_each_preset_should_do(playground: Playground) -> None:
    got = over_http(playground.page_port)
    assert (got.status, got.headers["content-type"]) == (200, "text/html; charset=utf-8")
    page = Reader(got.text)
    assert page.open == []
    assert list(page.rows) == [case.id for case in cases()]
    words = " ".join(" ".join(page.text).split())
    for case in cases():
        verdicts = [cell.split()[0] for cell in page.rows[case.id][1:]]
        assert verdicts == [
            {"accepted": "accept", "refused": "refuse"}[e.outcome.value] for e in case.expected.values()
        ]
        assert f"https://{host_of(case)}:{playground.server.port}/" in page.links
    assert page.rows[EXPIRED.id][3].split() == ["refuse", "expired"], "the reason stands with the verdict"
    assert "The leaf's staple ran out a day ago." in words
    assert "RFC 6960 §3.2" in words
    assert all(f"#{family}" in page.links for family in FAMILIES)


def test_the_page_needs_no_network(playground: Playground) -> None:
    text = over_http(playground.page_port).text
    assert Reader(text).loads == ["data:,"], "its style and its script are in it"
    assert "@import" not in text
    assert "url(" not in text


def test_a_browser_may_run_our_script_and_nothing_else(playground: Playground) -> None:
    import hashlib
    from base64 import b64encode

    got = over_http(playground.page_port)
    policy = got.headers["content-security-policy"]
    for element in ("script", "style"):
        inside = got.text.partition(f"<{element}>")[2].partition(f"</{element}>")[0]
        assert inside
        assert f"{element}-src 'sha256-{b64encode(hashlib.sha256(inside.encode()).digest()).decode()}'" in policy
    assert policy.startswith("default-src 'none'")


def test_the_page_says_how_to_trust_the_root(playground: Playground) -> None:
    text = over_http(playground.page_port).text
    for client in ("curl --cacert root.pem", "firefox", "sql:home/.pki/nssdb", "keytool", "update-ca-certificates"):
        assert client in text
    for path, media_type in (("/root.pem", "application/x-pem-file"), ("/root.crt", "application/x-x509-ca-cert")):
        got = over_http(playground.page_port, path)
        assert (got.body, got.headers["content-type"]) == (playground.root_pem, media_type)


def test_the_json_says_what_the_corpus_says(playground: Playground) -> None:
    told = json.loads(over_http(playground.page_port, "/cases.json").body)
    assert told["presets"] == list(PRESETS)
    assert told["url"] == playground.url
    for case, said in zip(cases(), told["cases"], strict=True):
        assert (said["id"], said["host"]) == (case.id, host_of(case))
        assert said["url"] == f"https://{host_of(case)}:{playground.server.port}/"
        assert said["own_url"] is None
        assert said["clauses"] == list(case.clauses)
        for preset, expected in case.expected.items():
            assert said["expected"][preset] == {"outcome": expected.outcome.value, "code": expected.code}


def test_the_json_says_what_a_client_needs_to_meet_the_case(playground: Playground) -> None:
    told = {each["id"]: each for each in json.loads(over_http(playground.page_port, "/cases.json").body)["cases"]}
    assert told["depth/trusted-leaf"]["needs"] == ["anchor"]
    assert told["wire12/long-list"]["needs"] == ["status_request_v2"], "the server answers what the client must offer"
    assert told["presence/status-request-v2-in-tls12"]["needs"] == ["status_request_v2"]
    assert told["wire12/late"]["needs"] == []
    assert told["wire13/twice-in-entry"]["protocols"] == ["TLSv1.3"]
    assert told["freshness/expired"]["needs"] == []


def test_a_case_with_a_root_of_its_own_hands_it_out(playground: Playground) -> None:
    case = find("depth/trusted-leaf")
    path = f"/anchors/{host_of(case).partition('.')[0]}.pem"
    assert path in Reader(over_http(playground.page_port).text).links
    got = over_http(playground.page_port, path)
    context = trusting(got.body)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # what is trusted is no root
    served = over_tls(context, playground.server.port, host_of(case))
    assert served.text.startswith(case.id)
    assert over_http(playground.page_port, "/anchors/nobody.pem").status == 404


def test_the_same_page_is_behind_an_honest_certificate(playground: Playground, context: ssl.SSLContext) -> None:
    got = over_tls(context, playground.server.port, "localhost")
    assert got.body == over_http(playground.page_port).body
    with pytest.raises(ssl.SSLCertVerificationError):
        over_tls(ssl.create_default_context(), playground.server.port, "localhost")


def test_a_page_is_packed_for_those_who_can_read_that(playground: Playground, context: ssl.SSLContext) -> None:
    plain = over_http(playground.page_port)
    packed = over_http(playground.page_port, headers=("Accept-Encoding: br;q=1, gzip",))
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body) / 4
    assert "content-encoding" not in plain.headers
    tls = over_tls(context, playground.server.port, "localhost", headers=("Accept-Encoding: gzip",))
    assert tls.headers["content-encoding"] == "gzip"


# one case


def test_each_case_says_what_it_is(playground: Playground, context: ssl.SSLContext) -> None:
    port = playground.server.port
    text = over_tls(context, port, host_of(EXPIRED)).text
    assert text.startswith("freshness/expired\nThe leaf's staple ran out a day ago.")
    assert "must-staple  refuse: expired" in text
    page = over_tls(context, port, host_of(EXPIRED), headers=HTML)
    assert page.headers["content-type"].startswith("text/html")
    assert Reader(page.text).open == []
    assert playground.page_url in Reader(page.text).links


def test_a_page_elsewhere_learns_what_the_server_saw(playground: Playground, context: ssl.SSLContext) -> None:
    port = playground.server.port
    got = over_tls(context, port, host_of(EXPIRED), "/seen.json")
    assert got.headers["access-control-allow-origin"] == "*"
    assert json.loads(got.body) == {
        "case": EXPIRED.id,
        "protocol": "TLSv1.3",
        "offered": [],  # Python's ssl asks for no staple
        "server_name": host_of(EXPIRED),
    }
    assert json.loads(over_tls(context, port, "localhost", "/seen.json").body)["case"] is None


def test_a_case_whose_certificate_is_another_servers_does_not_load(
    playground: Playground, context: ssl.SSLContext
) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        over_tls(context, playground.server.port, host_of(find("control/other-name")))
    assert over_tls(context, playground.server.port, host_of(find("control/all-well"))).status == 200


@pytest.mark.peer("openssl")
@pytest.mark.parametrize("protocol", ["tls1_2", "tls1_3"])
def test_openssl_gets_exactly_the_staples_that_the_cases_promise(
    playground: Playground, tmp_path: Path, protocol: str
) -> None:
    root = tmp_path / "root.pem"
    root.write_bytes(playground.root_pem)
    for case in map(find, TEN):
        while not playground.server._ended.empty():
            playground.server.next_record()
        said = subprocess.run(
            [
                *("openssl", "s_client", "-connect", f"127.0.0.1:{playground.server.port}"),
                *("-servername", host_of(case), "-CAfile", root, "-status", "-msg", f"-{protocol}"),
            ],
            input=b"",
            capture_output=True,
            timeout=60,
            check=False,
        ).stdout.decode("latin-1")
        assert "Verify return code: 0 (ok)" in said, case.id
        made = playground.server._stock.numbered(playground.server.next_record().number or 0)
        assert made is not None
        assert made.case is case
        staple, above = made.setup.staples
        messages = hex_dumped(said)
        for each in (staple, above if protocol == "tls1_3" else None):
            assert each is None or each in messages, f"{case.id}: byte for byte"
        assert ("no response sent" in said) == (staple is None)
        if case.id == "freshness/revoked-and-expired":
            assert "Cert Status: revoked" in said


def hex_dumped(said: str) -> bytes:
    """The bytes of all messages that `s_client -msg` shows."""
    return bytes.fromhex("".join(re.findall(r"^    ((?:[0-9a-f]{2} ?)+)$", said, re.MULTILINE)))


# a port each


def test_with_a_port_each_no_name_is_needed(context: ssl.SSLContext) -> None:
    first = free_port()
    chosen = [find(name) for name in ("control/all-well", "freshness/expired", "presence/no-staple")]
    with Playground(chosen, first_port=first) as served:
        bare = trusting(served.root_pem)
        for place, case in enumerate(chosen):
            with (
                socket.create_connection(("127.0.0.1", first + place), 60) as plain,
                nameless(bare).wrap_socket(plain) as tls,
            ):
                tls.sendall(b"GET / HTTP/1.1\r\n\r\n")
                assert case.id.encode() in tls.recv(1 << 16)
            assert over_tls(bare, first + place, "localhost").text.startswith(case.id), "the certificate is localhost's"
        told = json.loads(over_http(served.page_port, "/cases.json").body)["cases"]
        assert [each["own_url"] for each in told] == [f"https://localhost:{first + place}/" for place in range(3)]
        assert f"https://localhost:{first}/" in Reader(over_http(served.page_port).text).links


def nameless(context: ssl.SSLContext) -> ssl.SSLContext:
    """The same trust without a name to check or to ask for."""
    context.check_hostname = False
    return context


def test_ports_that_do_not_exist_are_refused() -> None:
    with pytest.raises(InputError, match="the last is 65535"):
        Playground(first_port=65500)


# bad input


def test_a_name_that_no_case_has_is_told_so(playground: Playground, context: ssl.SSLContext) -> None:
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
        over_tls(context, playground.server.port, "no-such-case.localhost")


@pytest.mark.parametrize(
    "garbage",
    [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff", b"\x16\x03\x01\x00\x04\x01\xff\xff\xff", bytes(2000)],
)
def test_garbage_ends_its_own_connection_alone(playground: Playground, context: ssl.SSLContext, garbage: bytes) -> None:
    with socket.create_connection(("127.0.0.1", playground.server.port), 60) as sock:
        sock.sendall(garbage)
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(4096):
            pass
    assert over_tls(context, playground.server.port, "localhost", "/seen.json").status == 200


def test_only_what_can_be_read_is_answered(playground: Playground, context: ssl.SSLContext) -> None:
    port = playground.server.port
    for got in (over_tls(context, port, "localhost", method="POST"), over_http(playground.page_port, method="POST")):
        assert (got.status, got.headers["allow"]) == (405, "GET, HEAD")
    for got in (over_tls(context, port, "localhost", "/none"), over_http(playground.page_port, "/../etc/passwd")):
        assert got.status == 404
    for got in (over_tls(context, port, "localhost", method="HEAD"), over_http(playground.page_port, method="HEAD")):
        assert (got.status, got.body) == (200, b"")
        assert int(got.headers["content-length"]) > 100_000
    with (
        socket.create_connection(("127.0.0.1", port), 60) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as tls,
    ):
        tls.sendall(b"what?\r\n\r\n")
        assert tls.recv(4096).startswith(b"HTTP/1.1 400 ")


def test_a_thousand_silent_clients_keep_nobody_waiting(playground: Playground, context: ssl.SSLContext) -> None:
    with silent(1000, playground.server.port), silent(1000, playground.page_port):
        assert over_tls(context, playground.server.port, host_of(EXPIRED)).text.startswith(EXPIRED.id)
        assert over_http(playground.page_port).status == 200


def test_who_never_asks_the_plain_page_for_anything_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mustaple.net.responder.aborting.SILENCE", 0.2)
    with (
        Playground([EXPIRED]) as served,
        silent(1, served.page_port) as (quiet,),
        socket.create_connection(("127.0.0.1", served.page_port), 60) as asking,
        asking.makefile("rb") as answers,
    ):
        for _ in range(2):
            asking.sendall(b"HEAD /root.pem HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert answers.readline() == b"HTTP/1.1 200 OK\r\n"
            while answers.readline() != b"\r\n":
                pass
            with contextlib.suppress(ConnectionResetError):
                assert quiet.recv(1) == b"", "its time is over before the other asks again"


def test_the_longest_silent_makes_room_and_who_speaks_stays() -> None:
    with Playground([EXPIRED], max_connections=20) as served:
        context = trusting(served.root_pem)
        with silent(10, served.server.port) as first, speaking(context, served.server.port) as speaker:
            with silent(20, served.server.port):
                assert over_tls(context, served.server.port, host_of(EXPIRED)).status == 200
                assert [sock.recv(1) for sock in first] == [b""] * 10, "the first to be sent away"
            speaker.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert speaker.recv(4096).startswith(b"HTTP/1.1 200 ")


def speaking(context: ssl.SSLContext, port: int) -> ssl.SSLSocket:
    """A client that has made its handshake and says no more."""
    plain = socket.create_connection(("127.0.0.1", port), 60)
    return context.wrap_socket(plain, server_hostname="localhost")


def test_room_is_what_the_system_allows() -> None:
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert room_for_connections(0) > LEAST
    assert room_for_connections(10**7) == LEAST
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= soft


# the command


def test_the_command_serves_until_it_is_told_to_end(tmp_path: Path) -> None:
    port, page_port, root = free_port(), free_port(), tmp_path / "root.pem"
    options = ("--port", port, "--page-port", page_port, "--case", EXPIRED.id, "--root-out", root)
    with running("playground", *options, "--family", "control") as command:
        assert command.ready() == (
            f"8 cases: see http://localhost:{page_port}/, or https://localhost:{port}/ once its root is trusted"
        )
        context = trusting(root.read_bytes())
        assert over_tls(context, port, host_of(EXPIRED)).text.startswith(EXPIRED.id)
        assert command.end() == 0
        assert not command.err.get(timeout=30), "it ends without a word"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--case", "freshness/expierd"), "is it freshness/expired"),
        (("--family", "freshnes"), "no family of cases is called 'freshnes'"),
        (("--host", "0.0.0.0"), "--expose"),
        (("--ports", 65500), "the last is 65535"),
        (("--root-out", "/no/such/folder/root.pem"), "cannot write the root"),
    ],
)
def test_the_command_says_in_one_line_what_it_cannot_do(options: tuple[object, ...], words: str) -> None:
    ended = run("playground", "--port", 0, "--page-port", 0, *options)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert words in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("option", ["--port", "--page-port", "--ports"])
def test_a_port_in_use_is_named_with_its_option(option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = {"--port": 0, "--page-port": 0, option: port}
        ended = run("playground", "--case", EXPIRED.id, *[word for pair in said.items() for word in pair])
    assert ended.returncode == 2
    assert f"port {port} on 127.0.0.1 is in use; choose another with {option}\n" in ended.stderr

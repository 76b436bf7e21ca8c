"""`mustaple agent` with a `[caching_responder]`, asked by other people's clients while the CA's responder is down."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import pytest
from asking import ask
from caching_house import Place, has_staples
from commands import CA, ROOT, Folder, run, running
from responder_house import TRY_LATER, UNAUTHORIZED, several

from certtools.chain import Link
from mustaple.agent.agent import Agent, rules_of
from mustaple.agent.answers import HeldAnswers
from mustaple.agent.config import read_config
from mustaple.agent.discovery import Discovery
from mustaple.agent.forwarding import AT_ONCE, Forwarder, split
from mustaple.core.ocsp import judge
from mustaple.core.verdict import Source, Status
from mustaple.net.exchange import ocsp_request
from mustaple.net.responder import ResponderServer, read_request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mustaple.net.responder import Reply


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """An agent that holds good staples, and nobody else to ask."""
    made = Place(tmp_path_factory.mktemp("place"))
    with running("agent", made.config) as agent:
        with made.responding():
            has_staples(agent)
        yield made


def is_good(place: Place, body: bytes, link: Link | None = None) -> bool:
    return judge(body, link or place.link, datetime.now(UTC), source=Source.OCSP).status is Status.GOOD


@pytest.mark.peer("openssl")
@pytest.mark.parametrize("proxied", [False, True], ids=["url", "proxy"])
@pytest.mark.parametrize("nonce", [False, True], ids=["no nonce", "nonce"])
def test_openssl_takes_its_answers_as_the_cas_own(place: Place, *, proxied: bool, nonce: bool) -> None:
    asked = ["-url", place.url]
    if proxied:
        asked = ["-url", place.folder.url, "-proxy", f"127.0.0.1:{place.port}", "-no_proxy", ""]
    done = place.openssl(*asked, *(["-nonce"] if nonce else ["-no_nonce"]))
    assert done.stdout.startswith("leaf.pem: good"), done.stderr
    assert "Response verify OK" in done.stderr
    assert ("WARNING: no nonce in response" in done.stderr) == nonce


@pytest.mark.peer("openssl")
def test_openssl_hears_of_another_certificate_that_it_is_not_ours(place: Place) -> None:
    done = place.openssl("-serial", "0x1234", "-url", place.url)
    assert "Responder Error: unauthorized (6)" in done.stdout + done.stderr
    other = place.openssl("-serial", "0x1234", "-url", "http://127.0.0.1:9/", "-proxy", f"127.0.0.1:{place.port}")
    assert "Responder Error: unauthorized (6)" in other.stdout + other.stderr, "and asks nobody"


@pytest.mark.peer("ocsptool")
def test_gnutls_takes_its_answers(place: Place) -> None:
    command = [
        "ocsptool",
        f"--ask={place.url}",
        "--load-cert=leaf.pem",
        "--load-issuer=ca.pem",
        "--load-trust=ca.pem",
    ]
    done = subprocess.run(command, cwd=place.path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Certificate Status: good" in done.stdout
    assert "Verifying OCSP Response: Success" in done.stdout


@pytest.mark.parametrize("target", ["/", "/ocsp/", "/Main/M/", "http://ocsp.test/", "http://127.0.0.1:9/a/b/"])
def test_a_question_is_found_at_any_path_of_any_host(place: Place, target: str) -> None:
    der = ocsp_request(place.link)
    for answer in (place.post(der, target), place.get(der, target)):
        assert (answer.status, answer.getheader("Content-Type")) == (200, "application/ocsp-response")
        assert is_good(place, answer.body)
    raw = ask(place.port, "GET", target + b64encode(der).decode(), None, {})
    assert is_good(place, raw.body), "as clients do that escape nothing"


def test_every_certificate_of_the_chain_has_an_answer(place: Place) -> None:
    for link in place.folder.leaf.as_chain().links:
        assert is_good(place, place.post(ocsp_request(link)).body, link)
    assert not is_good(place, place.post(ocsp_request(place.link)).body, place.folder.leaf.as_chain().links[1])


@pytest.mark.requirement("RFC9919-6-2")
def test_a_get_may_be_kept_by_caches_as_long_as_the_agent_would_keep_it(place: Place) -> None:
    der = ocsp_request(place.link)
    answer = place.get(der, "http://ocsp.test/")
    control = answer.getheader("Cache-Control")
    expires, modified = (answer.getheader(name) for name in ("Expires", "Last-Modified"))
    assert control is not None
    assert expires is not None
    assert modified is not None
    max_age = int(control.split(",")[0].removeprefix("max-age="))
    life = parsedate_to_datetime(expires) - parsedate_to_datetime(modified)
    assert 0 < max_age <= life.total_seconds() / 2
    assert control.endswith(", public, no-transform, must-revalidate")
    etag = answer.getheader("ETag")
    assert etag is not None
    assert place.get(der, "http://ocsp.test/", If_None_Match=etag).status == 304
    assert place.get(der, "http://ocsp.test/", If_None_Match='"other"').status == 200
    assert place.post(der).getheader("Cache-Control") == "private, max-age=0"
    refused = place.get(ocsp_request(Link(CA.certificate, ROOT.certificate)))
    assert (refused.body, refused.getheader("Cache-Control")) == (UNAUTHORIZED, "no-store")


def test_two_certificates_in_one_request_are_refused(place: Place) -> None:
    one, other = place.folder.leaf.as_chain().links
    assert place.post(several(one, other)).body == UNAUTHORIZED
    assert is_good(place, place.post(several(one)).body)


def test_it_is_no_proxy_for_anything_else(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        page = ask(place.port, "GET", f"http://127.0.0.1:{port}/secret", None, {})
        assert "no-store" in (page.getheader("Cache-Control") or "")
        assert page.getheader("Content-Type") == "application/ocsp-response"
        assert page.body == bytes.fromhex("30030a0101"), "malformedRequest"
        assert ask(place.port, "GET", f"http://127.0.0.1:{port}/", None, {}).status == 404
        assert ask(place.port, "PUT", f"http://127.0.0.1:{port}/", b"x", {}).status == 405
        assert place.post(ocsp_request(Link(CA.certificate, ROOT.certificate)), f"http://127.0.0.1:{port}/").body == (
            UNAUTHORIZED
        )
        with socket.create_connection(("127.0.0.1", place.port), timeout=30) as tunnel:
            tunnel.sendall(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            assert tunnel.recv(100).split()[1] in {b"400", b"405"}
        other.settimeout(0.2)
        with pytest.raises(TimeoutError):
            other.accept()


@pytest.mark.parametrize(
    ("method", "whole", "asked", "left"),
    [
        ("POST", b"/", "", b"/"),
        ("POST", b"http://h.test", "http://h.test", b"/"),
        ("POST", b"http://h.test/a?b", "", b"/"),
        ("GET", b"http://h.test/a/MAA%3D", "http://h.test/a", b"/MAA%3D"),
        ("GET", b"/MAA=/MAA=", "", b"/MAA="),
        ("GET", b"/BAP/MAA=", "", b"/MAA="),  # all of it is an OCTET STRING
        ("GET", b"http://h.test/" + b"a/" * 30 + b"MAA=", "http://h.test", b"/" + b"a/" * 30 + b"MAA="),
        ("GET", b"h.test:443", "h.test:443", b"/"),
        ("GET", b"http://h.test/\xff", "http://h.test", b"/\xff"),
    ],
)
def test_where_the_question_begins(method: str, whole: bytes, asked: str, left: bytes) -> None:
    assert split(method, whole) == (asked, left)


def test_what_is_answered_is_logged_and_counted(tmp_path: Path) -> None:
    place = Place(tmp_path)
    with running("agent", place.config) as agent:
        assert f"OCSP answers at {place.url}" in agent.says("OCSP answers at")
        with place.responding():
            has_staples(agent)
        place.post(ocsp_request(place.link, nonce=b"n" * 32))
        logged = json.loads(agent.says('"asked"'))
        assert (logged["severity"], logged["answered"], logged["method"]) == ("info", "good", "POST")
        assert f"serial {place.link.serial_number:x}" in logged["message"]
        assert logged["message"].endswith("a nonce is not answered from a cache (RFC 9919 §5)")
        place.post(b"\x30\x00")
        assert json.loads(agent.says('"asked"'))["answered"] == "malformedRequest"
        page = ""
        while 'mustaple_agent_answers_total{answer="malformedRequest"} 1.0' not in page:  # counted once it is logged
            page = ask(place.metrics, "GET", "/metrics", None, {}).body.decode()
        assert 'mustaple_agent_answers_total{answer="good"} 1.0' in page
        assert agent.end() == 0


@pytest.mark.peer("openssl")
def test_a_dead_staple_is_never_given(tmp_path: Path) -> None:
    place = Place(tmp_path)
    with running("agent", place.config) as agent:
        with place.responding(valid_for=timedelta(seconds=6)):
            has_staples(agent)
        assert "leaf.pem: good" in place.openssl("-url", place.url).stdout
        for _ in range(2):
            agent.says('"died"')
        done = place.openssl("-url", place.url)
        assert "Responder Error: trylater (3)" in done.stdout + done.stderr
        assert place.get(ocsp_request(place.link)).body == TRY_LATER, "nor one that was kept to be sent again"
        warned = json.loads(agent.says('"tryLater"'))
        assert (warned["severity"], "there is no good staple now" in warned["message"]) == ("warning", True)


def test_what_is_revoked_is_not_answered_with_the_good_answer_before(tmp_path: Path) -> None:
    place = Place(tmp_path)
    with running("agent", place.config) as agent:
        with place.responding(valid_for=timedelta(seconds=10)):
            has_staples(agent)
            assert is_good(place, place.get(ocsp_request(place.link)).body)
            place.folder.revoke()
            agent.says('"revoked"')
        assert place.get(ocsp_request(place.link)).body == TRY_LATER


def test_each_turn_of_the_agent_has_what_was_answered_looked_at_again(tmp_path: Path) -> None:
    place = Place(tmp_path)
    config = read_config(place.config)
    answers = HeldAnswers(rules_of(config))
    agent = Agent(config, lambda: 0.0, lambda _: None, answers=answers)
    at = datetime.now(UTC)
    asked = read_request(ocsp_request(place.link))
    assert answers.answer(asked, at).why == "the agent has only just started"
    agent.adopt(Discovery(config.chain, timedelta(0)).scan(at, 1.0), at)
    assert answers.answer(asked, at).why == "there is no good staple now (waiting)"
    before = answers.version()
    agent.step(at)
    assert answers.version() != before


# --- what is passed on


class Others:
    """A CA that the agent does not watch, with a responder that is on its list."""

    def __init__(self, path: Path) -> None:
        path.mkdir()
        self.folder = Folder(path)
        self.link = self.folder.link


def test_only_what_is_on_the_list_is_passed_on(tmp_path: Path) -> None:
    others, strangers = Others(tmp_path / "others"), Others(tmp_path / "strangers")
    place = Place(tmp_path, f'forward = ["{others.folder.url}"]')
    der = ocsp_request(others.link)
    with (
        running("agent", place.config) as agent,
        ResponderServer.of_directory(others.folder.path) as there,
        ResponderServer.of_directory(strangers.folder.path) as elsewhere,
    ):
        with place.responding():
            has_staples(agent)
        for answer in (place.post(der, others.folder.url), place.get(der, others.folder.url)):
            assert is_good(place, answer.body, others.link)
            assert answer.getheader("Cache-Control") == "private, max-age=0", "it was not judged here"
        nonce = b"n" * 32
        fresh = place.post(ocsp_request(others.link, nonce=nonce), others.folder.url).body
        judged = judge(fresh, others.link, datetime.now(UTC), source=Source.OCSP, nonce=nonce)
        assert judged.status is Status.GOOD, "a nonce goes through"
        assert there.log.total == 3
        assert json.loads(agent.says('"forwarded"'))["severity"] == "info"

        refused = [
            place.post(der),
            place.post(der, strangers.folder.url),
            place.get(der, strangers.folder.url),
            place.post(der, f"{others.folder.url}more"),
            place.post(der, f"{others.folder.url}?query"),
            place.post(der, others.folder.url.replace("http:", "file:")),
            place.post(der, others.folder.url.replace("//", "//user:word@")),
        ]
        assert [answer.body for answer in refused[:6]] == [UNAUTHORIZED] * 6
        assert place.post(ocsp_request(place.link), others.folder.url).body != UNAUTHORIZED, "ours is answered here"
        assert (there.log.total - 3, elsewhere.log.total) == (len(refused) - 6, 0)


def test_a_responder_on_the_list_that_fails_is_told_as_try_later(tmp_path: Path) -> None:
    others = Others(tmp_path / "others")
    liar = ResponderServer(lambda _: b"\x30\x03nonsense", base_path="/liar")
    endless = ResponderServer(lambda _: bytes(100_000))
    place = Place(tmp_path, f'forward = ["{others.folder.url}", "{liar.url}", "{endless.url}"]')
    der = ocsp_request(others.link)
    with running("agent", place.config) as agent, liar, endless:
        agent.says("OCSP answers at")
        with place.responding():
            has_staples(agent)
        assert place.post(der, others.folder.url).body == TRY_LATER
        assert "cannot be reached" in json.loads(agent.says('"tryLater"'))["message"]
        assert place.post(der, liar.url).body == TRY_LATER
        assert "what is no OCSP response" in json.loads(agent.says('"tryLater"'))["message"]
        assert place.post(der, endless.url).body == TRY_LATER
        assert "with more than 65,536 bytes" in json.loads(agent.says('"tryLater"'))["message"]


def test_a_responder_on_the_list_that_hangs_holds_up_so_many_requests_for_so_long(tmp_path: Path) -> None:
    der = ocsp_request(Others(tmp_path / "others").link)

    async def ask_too_often(url: str) -> list[Reply | None]:
        forwarder = Forwarder([url], timeout=1.0)
        async with forwarder.open():
            waiting = [forwarder({"mustaple.url": url}, der, read_request(der)) for _ in range(AT_ONCE + 1)]
            return await asyncio.gather(*waiting)

    with socket.create_server(("127.0.0.1", 0)) as hangs:
        replies = asyncio.run(ask_too_often(f"http://127.0.0.1:{hangs.getsockname()[1]}/"))
    said = [reply.why or "" for reply in replies if reply is not None and reply.body == TRY_LATER]
    assert [("within 1 s" in why) for why in said] == [True] * AT_ONCE + [False]
    assert said[-1] == "16 requests are passed on already"


# --- where it listens, and what it does not ask


@pytest.mark.parametrize(
    ("table", "top", "said"),
    [
        ('listen = "0.0.0.0:{port}"', "", "0.0.0.0 is reachable from other machines"),
        ('listen = "127.0.0.1:{busy}"', "", "is in use; choose another with caching_responder.listen"),
        ('listen = "127.0.0.1:{port}"', 'proxy = "http://localhost:{port}"', "it would ask itself"),
        ('listen = "127.0.0.1:{port}"\nforward = ["file:///etc/passwd"]', "", "is not the http or https URL"),
        ('listen = "127.0.0.1:{port}"\nforward = ["http://u:p@h/"]', "", "is not the http or https URL"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(tmp_path: Path, table: str, top: str, said: str) -> None:
    place = Place(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as busy:
        ports = {"port": place.port, "busy": busy.getsockname()[1]}
        text = place.config.read_text().replace(f'listen = "127.0.0.1:{place.port}"', table.format(**ports))
        place.config.write_text(f"{top.format(**ports)}\n{text}")
        done = run("agent", place.config)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert said in done.stderr


def test_an_environment_that_makes_it_everybodys_proxy_does_not_make_it_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path)
    monkeypatch.setenv("http_proxy", f"http://localhost:{place.port}")
    monkeypatch.setenv("HTTP_PROXY", f"127.0.0.1:{place.port}")
    environment = {name: value for name, value in os.environ.items() if name.lower() != "no_proxy"}
    with place.responding(), running("agent", place.config, under=("env", "-i", *_as_words(environment))) as agent:
        agent.says("http_proxy is the agent's own caching responder")
        has_staples(agent)
    with place.responding():
        shutil.rmtree(place.path / "kept")
        done = run("run-once", place.config, under=("env", "-i", *_as_words(environment)))
    assert done.returncode == 0, done.stderr


def _as_words(environment: dict[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in environment.items()]

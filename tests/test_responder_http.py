"""The responder over HTTP: requests in every writing, caches, CRLs, the log, and any function instead of a register."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import threading
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from io import StringIO
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.x509 import ocsp

from certtools.ca_dir import CaDir, issuer_id
from certtools.chain import Link
from mustaple.core.errors import InputError, NetworkError
from mustaple.core.verdict import Status
from mustaple.net.exchange import ocsp_request
from mustaple.net.fetch import fetch_crl, fetch_ocsp, new_nonce
from mustaple.net.responder import (
    FunctionAnswers,
    Question,
    QuestionError,
    Reply,
    RequestLog,
    ResponderServer,
    read_request,
)
from mustaple.net.responder.question import MAX_REQUEST

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

from responder_house import CA, MALFORMED, NOW, ROOT, House, house, new_leaf, several


@pytest.fixture
def home(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path) as made:
        yield made


BROKEN = {
    "nothing": b"",
    "garbage": b"garbage",
    "a sequence": bytes.fromhex("3000"),
    "half": several(Link(CA.certificate, ROOT.certificate))[:-1],
    "trailing": several(Link(CA.certificate, ROOT.certificate)) + b"\0",
    "no certificate": several(),
    "another version": several(Link(CA.certificate, ROOT.certificate), version=1),
    "two nonces": several(Link(CA.certificate, ROOT.certificate), nonces=(b"1", b"2")),
    "a critical extension": several(
        Link(CA.certificate, ROOT.certificate),
        request_extensions=[{"extn_id": "1.2.3.4", "critical": True, "extn_value": b"\x05\x00"}],
    ),
    "a nonce that is no octet string": several(Link(CA.certificate, ROOT.certificate), nonces=(b"x" * 9,)).replace(
        b"\x04\x09" + b"x" * 9, b"\x02\x09" + b"x" * 9
    ),
    "nested deep": b"\x30\x80" * 400,
}


@pytest.mark.requirement("RFC6960-2.3-1", "RFC6960-A.2-2")
@pytest.mark.parametrize("der", BROKEN.values(), ids=BROKEN)
def test_what_is_no_request_is_malformed_by_get_and_post(home: House, der: bytes) -> None:
    assert home.post(der) == MALFORMED
    assert home.server.log.recent[-1].answered == ("malformedRequest",)
    assert home.server.log.recent[-1].why
    if der:
        response = home.ask("GET", "/" + quote(base64.b64encode(der).decode(), safe=""))
        assert (response.status, response.body) == (200, MALFORMED)
        assert response.getheader("Cache-Control") == "no-store"
        assert response.getheader("Content-Length") == "5"


def test_extensions_that_ask_for_nothing_are_passed_over() -> None:
    link = Link(CA.certificate, ROOT.certificate)
    der = several(
        link,
        request_extensions=[
            {"extn_id": "1.3.6.1.5.5.7.48.1.8", "critical": True, "extn_value": []},
            {"extn_id": "1.2.3.4", "extn_value": b"\x05\x00"},
        ],
    )
    assert read_request(der) == Question(read_request(ocsp_request(link)).cert_ids)


def test_every_prefix_of_a_request_is_refused() -> None:
    der = several(Link(CA.certificate, ROOT.certificate), nonces=(b"n" * 32,))
    read_request(der)
    for cut in range(len(der)):
        with pytest.raises(QuestionError):
            read_request(der[:cut])


def paths(der: bytes) -> dict[str, str]:
    text = base64.b64encode(der).decode()
    return {
        "escaped": quote(text, safe=""),
        "bare": text,
        "escaped in lower case": quote(text, safe="").replace("%2F", "%2f").replace("%2B", "%2b").replace("%3D", "%3d"),
        "without padding": text.rstrip("="),
        "a slash more": "/" + text,
        "many slashes more": "///" + quote(text, safe=""),
        "all of it escaped": "".join(f"%{ord(character):02X}" for character in text),
        "plus as a space": text.replace("+", "%20"),
    }


@pytest.mark.requirement("RFC6960-A.1-3")
@pytest.mark.parametrize("way", list(paths(b"")))
def test_a_get_is_understood_however_it_is_written(home: House, way: str) -> None:
    # A serial number whose request holds + and / and = in base64.
    link, der = home.link, b""
    for _ in range(500):
        der = ocsp_request(link)
        if set("+/=") <= set(base64.b64encode(der).decode()):
            break
        issued = CA.leaf(["localhost"])
        link = Link(issued.certificate, CA.certificate)
    response = home.ask("GET", "/" + paths(der)[way])
    assert response.status == 200
    assert response.body == home.post(der)


@pytest.mark.parametrize("path", ["/ocsp", "/a/b/"])
def test_the_path_of_the_url_is_the_path_answered_at(tmp_path: Path, path: str) -> None:
    with CaDir.create(tmp_path / "ca", CA, {"ocsp_url": f"http://127.0.0.1:2560{path}"}):
        pass
    link = Link(CA.leaf(["localhost"]).certificate, CA.certificate)
    with ResponderServer.of_directory(tmp_path, port=0) as server:
        assert server.url == f"http://127.0.0.1:{server.port}{path}"
        assert fetch_ocsp(link, url=server.url).method == "GET"
        assert fetch_ocsp(link, url=server.url, nonce=new_nonce(128)).method == "POST"
        for wrong in ("/", "/elsewhere"):
            with pytest.raises(NetworkError, match="HTTP 404"):
                fetch_ocsp(link, url=f"http://127.0.0.1:{server.port}{wrong}")


REFUSED = {
    "nothing asked": ("GET", "/", None, {}, 404),
    "only slashes": ("GET", "///", None, {}, 404),
    "another method": ("PUT", "/", b"x", {}, 405),
    "deleting": ("DELETE", "/", None, {}, 405),
    "another path": ("POST", "/elsewhere", b"x", {"Content_Type": "application/ocsp-request"}, 404),
    "another type": ("POST", "/", b"x", {"Content_Type": "text/plain"}, 415),
    "no type": ("POST", "/", b"x", {}, 415),
    "too large": ("POST", "/", b"x" * (MAX_REQUEST + 1), {"Content_Type": "application/ocsp-request"}, 413),
    "too long a path": ("GET", "/" + "M" * (2 * MAX_REQUEST), None, {}, 414),
    "a CRL of nobody": ("GET", "/crl/0000000000000000.crl", None, {}, 404),
    "a CRL elsewhere": ("GET", "/crl/..%2f..%2fca.crl", None, {}, 404),
}


@pytest.mark.parametrize(("method", "path", "body", "headers", "status"), REFUSED.values(), ids=REFUSED)
def test_what_http_refuses_is_said_and_written_down(
    home: House, method: str, path: str, body: bytes | None, headers: dict[str, str], status: int
) -> None:
    response = home.ask(method, path, body, **headers)
    assert response.status == status
    assert response.getheader("Content-Type") == "text/plain; charset=utf-8"
    assert response.body.endswith(b".\n") or status == 503
    record = home.server.log.recent[-1]
    assert (record.status, record.method) == (status, method)
    assert record.why == response.body.decode().strip()
    if status == 405:
        assert response.getheader("Allow") == "GET, HEAD, POST"
    assert home.status() is Status.GOOD


def raw(home: House, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", home.server.port), timeout=30) as plain:
        plain.sendall(request)
        plain.shutdown(socket.SHUT_WR)
        received = b""
        while chunk := plain.recv(65536):
            received += chunk
        return received


POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/ocsp-request\r\nConnection: close\r\n"


def test_a_body_that_grows_past_the_limit_is_refused_though_it_announced_no_length(home: House) -> None:
    piece = b"1000\r\n" + bytes(4096) + b"\r\n"
    assert b"413" in raw(home, POST + b"Transfer-Encoding: chunked\r\n\r\n" + piece * 3 + b"0\r\n\r\n")[:20]
    der = ocsp_request(home.link)
    chunked = b"".join(b"1\r\n" + der[i : i + 1] + b"\r\n" for i in range(len(der)))
    assert b"200 OK" in raw(home, POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunked + b"0\r\n\r\n")[:20]


def test_a_client_that_goes_away_in_its_request_is_written_down(home: House) -> None:
    raw(home, POST + b"Content-Length: 100\r\n\r\nhalf")
    assert home.status() is Status.GOOD
    assert any("went away" in str(record.why) for record in home.server.log.recent)


@pytest.mark.requirement("RFC9919-6-2", "RFC9919-7.2-1", "RFC6960-A.2-2")
def test_a_get_may_be_kept_by_caches_until_a_new_answer_is_signed(home: House) -> None:
    path = "/" + quote(base64.b64encode(ocsp_request(home.link)).decode(), safe="")
    response = home.ask("GET", path)
    answer = ocsp.load_der_ocsp_response(response.body)
    assert parsedate_to_datetime(response.headers["Last-Modified"]) == answer.this_update_utc
    assert parsedate_to_datetime(response.headers["Expires"]) == answer.next_update_utc
    assert parsedate_to_datetime(response.headers["Date"]) <= datetime.now(UTC)
    assert response.headers["ETag"] == f'"{hashlib.sha256(response.body).hexdigest()}"'
    age, *rest = response.headers["Cache-Control"].split(", ")
    assert rest == ["public", "no-transform", "must-revalidate"]
    assert 12 * 3600 - 60 < int(age.removeprefix("max-age=")) <= 12 * 3600
    assert response.headers["Content-Length"] == str(len(response.body))

    head = home.ask("HEAD", path)
    assert (head.status, head.body) == (200, b"")
    assert {**head.headers, "Date": ""} == {**response.headers, "Date": ""}


@pytest.mark.requirement("RFC9919-7.2-1")
def test_who_has_the_answer_is_told_so_and_who_has_another_gets_it(home: House) -> None:
    path = "/" + quote(base64.b64encode(ocsp_request(home.link)).decode(), safe="")
    etag = home.ask("GET", path).headers["ETag"]
    for held in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        response = home.ask("GET", path, If_None_Match=held)
        assert (response.status, response.body) == (304, b"")
        assert response.headers["ETag"] == etag
        assert "max-age" in response.headers["Cache-Control"]
        assert home.server.log.recent[-1].status == 304
    assert home.ask("GET", path, If_None_Match='"other"').status == 200
    home.ca.revoke(home.leaf.certificate, None, NOW)
    response = home.ask("GET", path, If_None_Match=etag)
    assert response.status == 200
    assert response.headers["ETag"] != etag


@pytest.mark.requirement("RFC9919-7.2-3")
def test_posts_and_nonces_and_errors_are_kept_by_nobody(home: House) -> None:
    nonce = "/" + quote(base64.b64encode(ocsp_request(home.link, nonce=b"n")).decode(), safe="")
    for response, said in (
        (home.ask("POST", "/", ocsp_request(home.link), Content_Type="application/ocsp-request"), "private, max-age=0"),
        (home.ask("GET", nonce), "private, max-age=0"),
        (home.ask("GET", "/" + base64.b64encode(b"garbage").decode()), "no-store"),
    ):
        assert response.status == 200
        assert response.headers["Cache-Control"] == said
        assert not {"ETag", "Expires", "Last-Modified"} & set(response.headers)


def test_the_crl_lists_what_is_revoked_and_changes_at_once(home: House) -> None:
    url = f"{home.server.root}/crl/{issuer_id(CA.certificate)}.crl"
    first = fetch_crl(url)
    assert fetch_crl(url).body == first.body
    crl = x509.load_der_x509_crl(first.body)
    key: Any = CA.key.public_key()
    assert crl.is_signature_valid(key)
    assert len(crl) == 0
    home.ca.revoke(home.leaf.certificate, x509.ReasonFlags.superseded, NOW)
    later = x509.load_der_x509_crl(fetch_crl(url).body)
    assert later.get_revoked_certificate_by_serial_number(home.link.serial_number) is not None
    numbers = [each.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number for each in (crl, later)]
    assert numbers[0] < numbers[1]
    root = fetch_crl(f"{home.server.root}/crl/{issuer_id(ROOT.certificate)}.crl").body
    assert x509.load_der_x509_crl(root).issuer == ROOT.certificate.subject


def test_a_crl_has_the_headers_of_an_answer(home: House) -> None:
    path = f"/crl/{issuer_id(CA.certificate)}.crl"
    response = home.ask("GET", path)
    assert response.getheader("Content-Type") == "application/pkix-crl"
    assert "max-age=" in response.headers["Cache-Control"]
    assert home.ask("GET", path, If_None_Match=response.headers["ETag"]).status == 304
    assert home.server.log.recent[0].answered == ("CRL 1",)


def test_a_function_answers_whatever_it_likes_and_is_asked_each_time() -> None:
    asked: list[Question] = []

    def lie(question: Question) -> bytes:
        asked.append(question)
        return b"a lie"

    link = Link(CA.certificate, ROOT.certificate)
    with ResponderServer(FunctionAnswers(lie, {"ca": b"no CRL"})) as server:
        for nonce in (None, None, b"n"):
            assert fetch_ocsp(link, url=server.url, nonce=nonce).body == b"a lie"
        assert fetch_crl(f"{server.root}/crl/ca.crl").body == b"no CRL"
        assert server.log.counts == {"as told": 4}
    assert [each.nonce for each in asked] == [None, None, b"n"]
    assert {each.cert_ids[0].serial_number for each in asked} == {link.serial_number}


def test_a_function_may_say_what_its_answer_is() -> None:
    with ResponderServer(lambda _: Reply(b"x", ("stale",))) as server:
        fetch_ocsp(Link(CA.certificate, ROOT.certificate), url=server.url)
        assert server.log.recent[0].answered == ("stale",)


@pytest.mark.requirement("RFC6960-2.3-1")
def test_a_function_that_fails_is_an_internal_error() -> None:
    def fail(_: Question) -> bytes:
        raise RuntimeError("the disk is on fire")

    with ResponderServer(fail) as server:
        body = fetch_ocsp(Link(CA.certificate, ROOT.certificate), url=server.url).body
        assert body == bytes.fromhex("30030a0102")
        assert server.log.recent[0].why == "RuntimeError: the disk is on fire"


def test_each_request_is_a_line_of_json(tmp_path: Path) -> None:
    stream = StringIO()
    seen: list[Any] = []
    with house(tmp_path, log=RequestLog(stream, on_request=seen.append)) as home:
        home.status()
        home.status()
        home.ask("GET", "/" + base64.b64encode(b'"\n\xff').decode())
        assert home.server.log.total == 3
        assert home.server.log.counts == {"good": 2, "malformedRequest": 1}
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert len(lines) == len(seen) == 3
    assert lines[1] == {
        "time": seen[1].time.isoformat(timespec="milliseconds"),
        "client": seen[1].client,
        "method": "GET",
        "serials": [f"{home.link.serial_number:x}"],
        "answered": ["good"],
        "status": 200,
        "size": seen[1].size,
        "nonce": False,
        "why": None,
    }
    assert lines[2]["why"] == "this is no OCSP request in DER"


def test_a_client_cannot_say_who_it_is(home: House) -> None:
    path = "/" + quote(base64.b64encode(ocsp_request(home.link)).decode(), safe="")
    home.ask("GET", path, X_Forwarded_For='192.0.2.1", "')
    assert home.server.log.recent[-1].client.startswith("127.0.0.1:")


def test_the_log_in_text_is_one_line_for_each(tmp_path: Path) -> None:
    stream = StringIO()
    with house(tmp_path, log=RequestLog(stream, text=True)) as home:
        home.status()
        home.ask("GET", "/")
    good, nothing = stream.getvalue().splitlines()
    assert f"GET {home.link.serial_number:x} good HTTP 200" in good
    assert "There is nothing at this path" in nothing


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    stream = StringIO()
    stream.close()
    with house(tmp_path, log=RequestLog(stream)) as home:
        assert home.status() is Status.GOOD
        assert home.server.log.total == 1
        assert home.status() is Status.GOOD


def test_the_log_reaches_its_file_while_the_server_runs(tmp_path: Path) -> None:
    written = threading.Event()

    class Told(StringIO):
        def flush(self) -> None:
            written.set()

    with house(tmp_path, log=RequestLog(Told())) as home:
        home.status()
        assert written.wait(30)


def test_the_port_is_that_of_the_url_in_the_register(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with CaDir.create(tmp_path / "ca", CA, {"ocsp_url": f"http://127.0.0.1:{port}/x"}):
            pass
        with pytest.raises(InputError, match=f"port {port} on 127.0.0.1 is in use"):
            ResponderServer.of_directory(tmp_path)
    with ResponderServer.of_directory(tmp_path) as server:
        assert (server.port, server.url) == (port, f"http://127.0.0.1:{port}/x")


def test_an_address_beyond_loopback_has_to_be_asked_for() -> None:
    with pytest.raises(InputError, match="has to be asked for"):
        ResponderServer(lambda _: b"", host="0.0.0.0")


def test_the_end_frees_the_port_and_may_come_twice(tmp_path: Path) -> None:
    ended = threading.Event()
    with house(tmp_path, on_end=ended.set) as home:
        idle = socket.create_connection(("127.0.0.1", home.server.port), timeout=30)
        home.server.close()
        home.server.close()
        with idle:
            assert idle.recv(1) == b""
        assert ended.is_set()
        assert home.server.ended.is_set()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", home.server.port), timeout=30)


def test_a_server_never_started_frees_its_port_too() -> None:
    server = ResponderServer(lambda _: b"")
    server.close()
    with socket.create_server(("127.0.0.1", server.port)):
        pass


def test_many_clients_at_once_get_their_own_answers(home: House) -> None:
    links = [new_leaf(home) for _ in range(10)]
    found: list[Status] = []
    threads = [threading.Thread(target=lambda link=link: found.append(home.status(link))) for link in links * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [Status.GOOD] * 30


def test_more_questions_than_are_kept_are_still_answered(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mustaple.net.responder.app.MAX_KEPT", 3)
    monkeypatch.setattr("mustaple.net.responder.register.MAX_SIGNED", 2)
    links = [new_leaf(home) for _ in range(6)]
    for link in links * 2:
        assert home.status(link) is Status.GOOD
    assert len(home.server.app._by_path) == 3

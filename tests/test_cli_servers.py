"""`mustaple responder` and `mustaple serve` as processes: in either order, ended by a signal, one line on bad input."""

from __future__ import annotations

import json
import os
import signal
import socket
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from commands import CA, NOW, Folder, run, running
from OpenSSL import SSL

from certtools.authority import Authority
from certtools.chain import Link
from certtools.forge import CertificateStatus, answer, good, sign, single
from mustaple.core.ocsp import judge
from mustaple.core.verdict import Status
from mustaple.net.exchange import ocsp_request
from mustaple.net.fetch import fetch_ocsp

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def staple_of(url: str) -> bytes | None:
    """What the server at this URL staples, over a plain client that takes anything."""
    port = int(url.rsplit(":", 1)[1].rstrip("/"))
    got: list[bytes] = []
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_ocsp_client_callback(lambda _connection, staple, _data: got.append(staple) or True)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as plain:
        plain.settimeout(None)
        tls = SSL.Connection(context, plain)
        tls.set_connect_state()
        tls.request_ocsp()
        tls.do_handshake()
        tls.sendall(b"GET / HTTP/1.1\r\n\r\n")
        try:
            while tls.recv(65536):
                pass
        except SSL.ZeroReturnError:
            pass
    return got[0] or None


def said(folder: Folder, staple: bytes | None) -> Status | None:
    return None if staple is None else judge(staple, folder.link, datetime.now(UTC)).status


# mustaple responder


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_responder_says_where_it_is_and_ends_with_a_signal(folder: Folder, number: int) -> None:
    with running("responder", folder.path) as responder:
        assert folder.url in responder.ready()
        body = fetch_ocsp(folder.link).body
        assert judge(body, folder.link, datetime.now(UTC)).status is Status.GOOD
        assert f"{folder.link.serial_number:x} good" in responder.says("GET")
        assert responder.end(number) == 0
        assert responder.out.get(timeout=30) == "", "one line is all it prints"


def test_the_responder_takes_its_options(folder: Folder, tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    options = ("--port", 0, "--signer", "delegated", "--responder-id", "key", "--valid-for", "300s", "--log", log)
    with running("responder", folder.path, *options) as responder:
        url = responder.ready().split()[2].rstrip(",")
        assert url != folder.url
        fetched = fetch_ocsp(folder.link, url=url)
        judgement = judge(fetched.body, folder.link, datetime.now(UTC))
        assert judgement.status is Status.GOOD
        assert judgement.next_update is not None
        assert judgement.this_update is not None
        assert judgement.next_update - judgement.this_update == timedelta(seconds=300)
        assert responder.end() == 0
        assert responder.err.get(timeout=30) == ""
    (line,) = log.read_text().splitlines()
    assert json.loads(line)["answered"] == ["good"]


# mustaple serve


def test_the_server_waits_for_its_responder_and_staples_the_leaf(folder: Folder) -> None:
    with running("serve", folder.path, "--port", 0) as server, running("responder", folder.path) as responder:
        responder.ready()
        url = server.ready().split()[2]
        assert "stapling good, until" in server.says("stapling good")
        assert said(folder, staple_of(url)) is Status.GOOD
        folder.revoke()
        assert said(folder, staple_of(url)) is Status.GOOD, "nothing was fetched since"
        server.process.send_signal(signal.SIGHUP)
        server.says("stapling revoked, until")
        assert said(folder, staple_of(url)) is Status.REVOKED
        assert server.end() == 0


def test_the_server_listens_without_its_responder_and_says_so(folder: Folder) -> None:
    with running("serve", folder.path, "--port", 0) as server:
        assert f"stapling nothing: {folder.url} cannot be reached" in server.says("stapling nothing")
        url = server.ready().split()[2]
        assert staple_of(url) is None
        with running("responder", folder.path) as responder:
            responder.ready()
            server.process.send_signal(signal.SIGHUP)
            server.says("stapling good")
            assert said(folder, staple_of(url)) is Status.GOOD
        assert server.end(signal.SIGINT) == 0


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_the_server_staples_nothing_where_told_so(folder: Folder, version: str) -> None:
    with running("serve", folder.path, "--port", 0, "--staple", "none", "--tls", version) as server:
        assert staple_of(server.ready().split()[2]) is None
        assert server.end(signal.SIGHUP) == 0, "there is nothing to refresh"


def test_the_server_staples_a_file_whatever_it_says(folder: Folder, tmp_path: Path) -> None:
    revoked = tmp_path / "revoked.der"
    revoked.write_bytes(sign(answer([single(folder.link, NOW, status=CertificateStatus.REVOKED)], CA), CA))
    with running("serve", folder.path, "--port", 0, "--staple", revoked) as server:
        assert said(folder, staple_of(server.ready().split()[2])) is Status.REVOKED
        assert "revoked.der: revoked, until" in server.says("stapling")


def test_a_leaf_right_below_the_root_is_served_too(tmp_path: Path) -> None:
    root = Authority.root("lone root", not_before=NOW - timedelta(days=1), not_after=NOW + timedelta(days=9))
    folder = Folder(tmp_path, root)
    with running("responder", tmp_path) as responder:
        responder.ready()
        with running("serve", tmp_path, "--port", 0) as server:
            assert said(folder, staple_of(server.ready().split()[2])) is Status.GOOD


def test_a_client_that_refuses_is_told_on_stderr(folder: Folder) -> None:
    with running("serve", folder.path, "--port", 0, "--staple", "none") as server:
        port = int(server.ready().split()[2].rsplit(":", 1)[1].rstrip("/"))
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_ocsp_client_callback(lambda *_: False)
        with socket.create_connection(("127.0.0.1", port), timeout=30) as plain:
            plain.settimeout(None)
            tls = SSL.Connection(context, plain)
            tls.set_connect_state()
            tls.request_ocsp()
            with pytest.raises(SSL.Error):
                tls.do_handshake()
            assert "refused: alert 113, bad_certificate_status_response" in server.says("refused")


# bad input


def spoil(folder: Folder, name: str, data: bytes | None) -> None:
    if data is None:
        (folder.path / name).unlink()
    else:
        (folder.path / name).write_bytes(data)


BAD_RESPONDER = {
    "no directory": (("nowhere",), "is not a CA directory"),
    "another machine's reach": ((".", "--host", "0.0.0.0", "--port", "0"), "has to be asked for (--expose)"),
    "no address": ((".", "--host", "no-such-host.invalid", "--port", "0"), "no address to listen on"),
    "no span of time": ((".", "--valid-for", "soon"), "not a span of time"),
    "too short a span": ((".", "--valid-for", "0s"), "a second at least"),
    "a log that cannot be": ((".", "--log", "/nowhere/log"), "cannot write the log"),
    "no port": ((".", "--port", "65536"), "65535"),
    "no such signer": ((".", "--signer", "nobody"), "nobody"),
}


@pytest.mark.parametrize(("arguments", "words"), BAD_RESPONDER.values(), ids=BAD_RESPONDER)
def test_what_the_responder_cannot_use_is_one_line(folder: Folder, arguments: tuple[str, ...], words: str) -> None:
    where, *options = arguments
    one_line(run("responder", folder.path / where, *options), words)


BAD_SERVE = {
    "no chain": ("chain.pem", None, "cannot read the certificate chain"),
    "garbage for a chain": ("chain.pem", b"garbage", "chain.pem"),
    "an empty chain": ("chain.pem", b"", "is empty"),
    "no key": ("key.pem", None, "cannot read the private key"),
    "garbage for a key": ("key.pem", b"garbage", "no readable PEM private key"),
    "another key": ("key.pem", CA.leaf(["other"]).key_pem(), "not that of the certificate"),
}


@pytest.mark.parametrize(("name", "data", "words"), BAD_SERVE.values(), ids=BAD_SERVE)
def test_what_the_server_cannot_use_is_one_line(folder: Folder, name: str, data: bytes | None, words: str) -> None:
    spoil(folder, name, data)
    one_line(run("serve", folder.path, "--port", 0), words)


def test_a_staple_that_is_none_is_one_line(folder: Folder, tmp_path: Path) -> None:
    one_line(run("serve", folder.path, "--port", 0, "--staple", tmp_path / "none.der"), "cannot read the staple")
    (tmp_path / "garbage.der").write_bytes(b"garbage")
    done = run("serve", folder.path, "--port", 0, "--staple", tmp_path / "garbage.der")
    assert done.returncode == 2
    assert "not an OCSP response in DER" in done.stderr.splitlines()[-1]


def test_a_leaf_without_an_ocsp_url_has_nothing_to_fetch(tmp_path: Path) -> None:
    Folder(tmp_path, ocsp=False)
    one_line(run("serve", tmp_path, "--port", 0), "names no OCSP URL")


def test_a_port_in_use_is_one_line(folder: Folder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for command in ("responder", "serve"):
            one_line(run(command, folder.path, "--port", port), f"port {port} on 127.0.0.1 is in use")


def one_line(done: subprocess.CompletedProcess[str], words: str) -> None:
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stdout == ""


@pytest.mark.peer("setpriv")
def test_a_register_that_is_read_only_still_answers(folder: Folder) -> None:
    # Root may write everywhere, unless it gives up that capability; others have none to give up.
    bound = ("setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner") if os.geteuid() == 0 else ()
    for path in (folder.path / "ca").iterdir():
        path.chmod(0o400)
    (folder.path / "ca").chmod(0o500)
    with running("responder", folder.path, under=bound) as responder:
        responder.ready()
        assert judge(fetch_ocsp(folder.link).body, folder.link, datetime.now(UTC)).status is Status.GOOD
    refused = run("revoke", folder.path, folder.path / "chain.pem", under=bound)
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1


def test_the_honest_answer_and_the_forged_one_are_told_apart(folder: Folder) -> None:
    """The negative control of this file: what `said` calls good is not just any response."""
    other = Link(CA.leaf(["other"]).certificate, CA.certificate)
    assert said(folder, good(folder.link, CA, NOW)) is Status.GOOD
    assert said(folder, good(other, CA, NOW)) is Status.UNUSABLE
    assert ocsp_request(folder.link) != ocsp_request(other)

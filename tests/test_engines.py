"""Which TLS library the client uses: OpenSSL, the stapling engine, or the second where only that can tell."""

from __future__ import annotations

import json
import socket
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from typer.testing import CliRunner

from certtools.authority import Authority
from certtools.forge import good
from mustaple.cli.app import app
from mustaple.core.errors import InputError, NetworkError, RefusedError
from mustaple.core.policy import preset
from mustaple.core.verdict import Code, Outcome, Source, Status
from mustaple.net import engines
from mustaple.net.client import check, connect
from mustaple.net.engines import Engine
from mustaple.net.stapling_server import ChainStaplingServer, Ended

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime.now(UTC)
ROOT = Authority.root("engine root", not_before=NOW - timedelta(days=1), not_after=NOW + timedelta(days=1))
CA = ROOT.intermediate("engine CA")
LEAF = CA.leaf(["localhost"])
LINKS = LEAF.as_chain().links
STAPLES = (good(LINKS[0], CA, NOW), good(LINKS[1], ROOT, NOW))


def serve(staples: Any = STAPLES, **options: Any) -> ChainStaplingServer:
    return ChainStaplingServer(LEAF.chain[:-1], LEAF.key, staples, **options)


def carriers(server: ChainStaplingServer, count: int) -> list[str | None]:
    return [server.next_record().carrier for _ in range(count)]


# server's highest version, policy, staples, engine; accepted, the verdict's engine, how each handshake was answered
ENGINES = {
    "1.3": ("1.3", "strict", STAPLES, "auto", True, "openssl", ["entries"]),
    "1.3, the CA's missing": ("1.3", "strict", STAPLES[:1], "auto", False, "openssl", ["entries"]),
    "1.2": ("1.2", "strict", STAPLES, "auto", True, "rfc6961", ["ocsp", "ocsp_multi"]),
    "1.2, the CA's missing": ("1.2", "strict", STAPLES[:1], "auto", False, "rfc6961", ["ocsp", "ocsp_multi"]),
    "1.2, the leaf's missing": (
        "1.2",
        "strict",
        (None, STAPLES[1]),
        "auto",
        False,
        "rfc6961",
        [None, "ocsp_multi"],
    ),
    "1.2, the leaf's wrong": ("1.2", "strict", STAPLES[::-1], "auto", False, "openssl", ["ocsp"]),
    "1.2, the leaf is enough": ("1.2", "must-staple", STAPLES, "auto", True, "openssl", ["ocsp"]),
    "1.2, nothing is wanted": ("1.2", "ignore", STAPLES, "auto", True, "openssl", [None]),
    "1.2 by OpenSSL": ("1.2", "strict", STAPLES, "openssl", False, "openssl", ["ocsp"]),
    "1.2 by the other": ("1.2", "strict", STAPLES, "rfc6961", True, "rfc6961", ["ocsp_multi"]),
    "1.3 by the other": ("1.3", "strict", STAPLES, "rfc6961", True, "rfc6961", ["entries"]),
}


@pytest.mark.parametrize(
    ("maximum", "policy", "staples", "engine", "accepted", "used", "answered"), ENGINES.values(), ids=ENGINES
)
def test_a_second_handshake_where_only_that_can_tell(
    maximum: str,
    policy: str,
    staples: tuple[bytes | None, ...],
    engine: str,
    accepted: bool,
    used: str,
    answered: list[str | None],
) -> None:
    with serve(staples, maximum=maximum) as server:
        verdict = check("localhost", server.port, policy, ca=ROOT.certificate, engine=engine)
        assert carriers(server, len(answered)) == answered
        assert len(server.records) == len(answered)
    assert (verdict.accepted, verdict.engine, verdict.protocol) == (accepted, used, f"TLSv{maximum}")


def test_the_second_verdict_stands_alone() -> None:
    """A good staple in the first handshake is nothing in the second, where the server keeps it back."""
    answers = [STAPLES, (None, STAPLES[1])]
    with serve(lambda: answers.pop(0), maximum="1.2") as server:
        verdict = check("localhost", server.port, ca=ROOT.certificate)
    assert verdict.engine == "rfc6961"
    assert [each.status for each in verdict.certificates] == [Status.MISSING, Status.GOOD]
    assert verdict.outcome is Outcome.REFUSED


def test_what_openssl_saw_stands_where_the_second_handshake_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(maximum="1.2") as server:
        begin = engines.start

        def start(engine: Engine, *arguments: Any, **options: Any) -> Any:
            if engine is Engine.RFC6961:
                server.close()
            return begin(engine, *arguments, **options)

        monkeypatch.setattr("mustaple.net.approach.start", start)
        verdict = check("localhost", server.port, ca=ROOT.certificate)
    assert (verdict.engine, [reason.code for reason in verdict.all_reasons]) == ("openssl", [Code.NO_STAPLE])


def test_a_pending_verdict_is_asked_again_before_anything_is_fetched() -> None:
    plain = CA.leaf(["localhost"], features=None)
    staple = good(plain.as_chain().links[0], CA, NOW)
    policy = replace(preset("strict"), sources=frozenset({Source.STAPLE, Source.OCSP}))
    with ChainStaplingServer(plain.chain[:-1], plain.key, [staple, STAPLES[1]], maximum="1.2") as server:
        verdict = check("localhost", server.port, policy, ca=ROOT.certificate)
        assert carriers(server, 2) == ["ocsp", "ocsp_multi"]
        assert verdict.accepted
        server.staples = [staple, None]
        verdict = check("localhost", server.port, policy, ca=ROOT.certificate)
    assert [reason.code for reason in verdict.all_reasons] == [Code.NO_URL]


def test_an_application_gets_openssl_unless_it_asks_for_the_other() -> None:
    with serve(maximum="1.2") as server:
        with pytest.raises(RefusedError):
            connect("localhost", server.port, ca=ROOT.certificate)
        assert server.next_record().ended is Ended.REFUSED
        for engine in (Engine.RFC6961, "auto"):
            with connect("localhost", server.port, ca=ROOT.certificate, engine=engine) as connection:
                connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
                assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200 OK")


def test_an_engine_that_does_not_exist_is_an_input_error() -> None:
    with pytest.raises(InputError, match="auto, openssl, rfc6961"):
        check("localhost", 1, engine="gnutls")


@pytest.mark.parametrize("engine", ["openssl", "rfc6961"])
@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", bytes.fromhex("15 0303 0002 0228")])
def test_a_peer_that_is_no_server_is_a_network_error_by_either(engine: str, said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.recv(1 << 16)
                sock.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(NetworkError):
            check("127.0.0.1", listener.getsockname()[1], engine=engine, timeout=30)
        thread.join()


# --- the command


def run(server: ChainStaplingServer, folder: Path, *words: str) -> tuple[int, str]:
    (folder / "root.pem").write_bytes(ROOT.certificate.public_bytes(Encoding.PEM))
    done = CliRunner().invoke(
        app, ["check", f"localhost:{server.port}", "--ca", str(folder / "root.pem"), *words], catch_exceptions=False
    )
    return done.exit_code, done.output


def test_check_says_which_engine_which_protocol_and_where_each_staple_came_from(tmp_path: Path) -> None:
    with serve(maximum="1.2") as server:
        code, said = run(server, tmp_path, "--policy", "strict")
        assert code == 0
        assert "(TLSv1.2, engine rfc6961, policy strict)" in said
        for place in (0, 1):
            assert f"TLS 1.2 CertificateStatus (ocsp_multi), response {place}: from" in said
        code, said = run(server, tmp_path, "--json")
        verdict = json.loads(said)["results"][0]["verdict"]
        assert (code, verdict["engine"], verdict["protocol"]) == (0, "rfc6961", "TLSv1.2")


def test_check_refuses_a_server_that_staples_the_leaf_alone_naming_the_intermediate(tmp_path: Path) -> None:
    with serve((STAPLES[0], None), maximum="1.2") as server:
        code, said = run(server, tmp_path, "--policy", "strict")
    assert code == 1
    assert "the server stapled nothing for CN=engine CA" in said


def test_check_with_openssl_alone_cannot_tell(tmp_path: Path) -> None:
    with serve(maximum="1.2") as server:
        assert run(server, tmp_path, "--engine", "openssl")[0] == 1
        assert run(server, tmp_path, "--engine", "rfc6961")[0] == 0
        assert run(server, tmp_path, "--engine", "nss")[0] == 2

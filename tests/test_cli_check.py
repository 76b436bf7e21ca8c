"""`mustaple check`: its exit codes, its words, its JSON, and what it does with arguments of no use."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from certtools.chain import to_pem
from certtools.forge import MUTATIONS
from mustaple.cli.app import run as mustaple
from mustaple.net import dial
from mustaple.net.server import StaplingServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from certtools.authority import Authority, Issued
    from certtools.forge import Scene


@pytest.fixture
def server(leaf: Issued, staple: bytes) -> Iterator[StaplingServer]:
    """A server with a good staple for the leaf."""
    with StaplingServer(leaf.chain[:-1], leaf.key, staple) as running:
        yield running


@pytest.fixture
def trust(root: Authority, tmp_path: Path, at: datetime) -> list[str]:
    """The options that make the fixed moment and the test root count."""
    file = tmp_path / "root.pem"
    file.write_bytes(to_pem([root.certificate]))
    return ["--ca", str(file), "--at", at.isoformat()]


def test_a_kept_promise_is_0(server: StaplingServer, trust: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert mustaple(["check", f"localhost:{server.port}", "--policy", "must-staple", *trust]) == 0
    said = capsys.readouterr()
    assert said.out.startswith(f"accepted: localhost:{server.port} (TLSv1.3, policy must-staple)")
    assert "CN=localhost: good, must-staple" in said.out
    assert said.err == ""


def test_a_broken_promise_is_1_and_says_what_to_do(
    server: StaplingServer, trust: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    server.staple = None
    assert mustaple(["check", f"localhost:{server.port}", "--policy", "must-staple", *trust]) == 1
    said = capsys.readouterr().out
    assert said.startswith("refused: ")
    assert "promise-broken" in said
    assert "RFC 7633 §4.3.3" in said
    assert "to do: " in said
    assert server.next_record().alert == 113


def test_strict_is_the_default_and_asks_for_the_whole_chain(
    server: StaplingServer, trust: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert mustaple(["check", f"localhost:{server.port}", *trust]) == 1
    assert "no-staple" in capsys.readouterr().out


def test_json_tells_all_of_it(
    server: StaplingServer, scene: Scene, trust: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    target = f"localhost:{server.port}"
    for staple, policy, expected in (
        (server.staple, "must-staple", (0, "accepted", True, [])),
        (MUTATIONS["revoked"](scene), "must-staple", (1, "refused", True, ["revoked"])),
        (MUTATIONS["revoked"](scene), "ignore", (0, "accepted", False, [])),
    ):
        server.staple = staple
        code = mustaple(["check", target, "--policy", policy, "--json", *trust])
        run: dict[str, Any] = json.loads(capsys.readouterr().out)
        (result,) = run["results"]
        said = result["verdict"]
        reasons = [reason["code"] for reason in said["reasons"]]
        assert (code, said["outcome"], said["checked"], reasons) == expected
        assert (result["target"], said["policy"], said["engine"]) == (target, policy, "openssl")
        assert run["summary"]["exit_code"] == code


def test_names_and_addresses_may_differ(server: StaplingServer, trust: list[str]) -> None:
    def exit_code(*arguments: str) -> int:
        return mustaple(["check", *arguments, "--policy", "must-staple", *trust])

    where = f"127.0.0.1:{server.port}"
    assert exit_code(where) == 0
    assert exit_code(where, "--sni", "localhost") == 0
    assert exit_code(where, "--sni", "other.example") == 1
    assert exit_code("localhost:1", "--connect", where) == 0
    assert exit_code("localhost", "--connect", where) == 0
    assert exit_code("other.example:1", "--connect", where) == 1


def test_a_path_that_nobody_trusts_is_1(
    server: StaplingServer, rogue: Authority, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rogue.pem"
    file.write_bytes(to_pem([rogue.certificate]))
    assert mustaple(["check", f"localhost:{server.port}", "--policy", "ignore", "--ca", str(file)]) == 1
    assert "path-invalid" in capsys.readouterr().out


def test_a_lower_version_and_a_client_certificate_can_be_asked_for(
    server: StaplingServer,
    intermediate: Authority,
    trust: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    own = intermediate.leaf(["client.example"], features=None)
    (tmp_path / "own.pem").write_bytes(own.chain_pem())
    (tmp_path / "own.key").write_bytes(own.key_pem())
    identity = ["--cert", str(tmp_path / "own.pem"), "--key", str(tmp_path / "own.key")]
    target = f"localhost:{server.port}"
    assert mustaple(["check", target, "--policy", "must-staple", "--tls-max", "1.2", *identity, *trust]) == 0
    assert "TLSv1.2" in capsys.readouterr().out
    assert mustaple(["check", target, "--policy", "must-staple", *identity[2:], *trust]) == 2


@pytest.mark.peer("ML-DSA")
def test_a_client_key_that_the_engine_cannot_use_is_2(
    server: StaplingServer,
    intermediate: Authority,
    trust: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    own = intermediate.leaf(["client.example"], features=None, key="ml-dsa-44")
    (tmp_path / "own.pem").write_bytes(own.key_pem() + own.chain_pem())
    target = f"localhost:{server.port}"
    command = ["check", target, "--policy", "must-staple", "--cert", str(tmp_path / "own.pem"), *trust]
    assert mustaple([*command, "--engine", "openssl"]) == 0
    capsys.readouterr()
    assert mustaple([*command, "--engine", "rfc6961"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("mustaple: The stapling engine cannot use the client's certificate or key")


def test_nobody_there_is_3(trust: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{bound.getsockname()[1]}"
        assert mustaple(["check", target, *trust]) == 3
        assert mustaple(["check", target, "--wait", "0.1s", *trust]) == 3
    said = capsys.readouterr()
    assert said.out.splitlines() == [f"no-answer: {target}", f"  {target}: connection refused"] * 2
    assert said.err == ""


def test_a_peer_that_never_answers_is_3(trust: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert mustaple(["check", f"127.0.0.1:{port}", "--timeout", "0.3", *trust]) == 3
    assert "did not answer within 0.3 s" in capsys.readouterr().out


def test_waiting_ends_when_the_server_comes(
    leaf: Issued, staple: bytes, trust: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as running, socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]

        async def start_server(_seconds: float) -> None:
            if bound.fileno() >= 0:
                bound.close()
                running.enter_context(StaplingServer(leaf.chain[:-1], leaf.key, staple, port=port))

        monkeypatch.setattr(dial.asyncio, "sleep", start_server)
        assert mustaple(["check", f"127.0.0.1:{port}", "--policy", "must-staple", "--wait", "30", *trust]) == 0


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["localhost:0"],
        ["localhost:99999"],
        ["a b:443"],
        ["localhost:443", "--policy", "stern"],
        ["localhost:443", "--timeout", "soon"],
        ["localhost:443", "--at", "yesterday"],
        ["localhost:443", "--ca", "/nowhere/root.pem"],
        ["localhost:443", "--cert", "/nowhere/own.pem"],
        ["localhost:443", "--tls-max", "1.1"],
        ["localhost:443", "--connect", "127.0.0.1:x"],
        ["a..b:443"],
    ],
)
def test_arguments_of_no_use_are_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert mustaple(["check", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err

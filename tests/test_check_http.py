"""`mustaple check --http`: the Expect-Staple header is looked for, told of, remembered, and enforced by policy."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from expect_house import EXPIRED, GOOD, ROOT, speaking, world

from certtools.chain import to_pem
from mustaple.cli.app import run as mustaple

if TYPE_CHECKING:
    from pathlib import Path

Said = pytest.CaptureFixture[str]


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    """Trust in the root of the host, and a memory of hosts."""
    (tmp_path / "root.pem").write_bytes(to_pem([ROOT.certificate]))
    given = ["--ca", tmp_path / "root.pem", "--policy", "must-staple", "--expect-hosts", tmp_path / "hosts"]
    return list(map(str, given))


def test_a_header_is_remembered_and_a_policy_holds_the_host_to_it(
    tmp_path: Path, options: list[str], capsys: Said
) -> None:
    (tmp_path / "enforcing.toml").write_text('base = "must-staple"\nexpect_staple = "enforce"\n')
    enforcing = [*options, "--policy", str(tmp_path / "enforcing.toml")]
    with world(tmp_path, "max-age=86400; includeSubDomains") as here:
        target = f"localhost:{here.server.port}"
        # what has not been asked is not learnt, and binds nobody
        assert mustaple(["check", target, *options]) == 0
        here.server.staple = None
        assert mustaple(["check", target, *enforcing]) == 0
        here.server.staple = GOOD
        capsys.readouterr()
        assert mustaple(["check", target, *options, "--http"]) == 0
        assert "\n  Expect-Staple: localhost is remembered until 20" in capsys.readouterr().out
        here.server.staple = None
        assert mustaple(["check", target, *options]) == 0
        assert mustaple(["check", target, *enforcing]) == 1


@pytest.mark.parametrize(
    ("header", "staple", "said"),
    [
        (None, GOOD, "the server sends no such header"),
        ("max-age=soon", GOOD, "ignored: "),
        ("max-age=0", GOOD, "the host is forgotten, as it asks"),
        ("max-age=86400", EXPIRED, "ignored: it came over a connection without a good staple"),
    ],
)
def test_what_came_of_the_header_is_told(
    header: str | None, staple: bytes, said: str, options: list[str], capsys: Said
) -> None:
    field = b"" if header is None else f"Expect-Staple: {header}\r\n".encode()
    answer = b"HTTP/1.1 200 OK\r\n" + field + b"Content-Length: 0\r\n\r\n"
    with speaking(lambda: [answer], staple) as port:
        assert mustaple(["check", f"localhost:{port}", *options, "--http", "--json"]) == 0
    (remark,) = json.loads(capsys.readouterr().out)["results"][0]["remarks"]
    assert remark.startswith(f"Expect-Staple: {said}")


def test_a_server_that_speaks_no_http_is_accepted_all_the_same(options: list[str], capsys: Said) -> None:
    with speaking(lambda: [b"220 mail.example ESMTP\r\n"]) as port:
        assert mustaple(["check", f"localhost:{port}", *options, "--http"]) == 0
    assert "  Expect-Staple: not looked for: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--http"], "--http needs --expect-hosts"),
        (["--http", "--expect-hosts", "hosts", "--at", "2026-01-01"], "--at asks about another time"),
        (["--http", "--expect-hosts", "hosts", "--report-only", "--every", "1h"], "--http learns once"),
        (["--http", "--expect-hosts", "/"], "Is a directory"),
    ],
)
def test_options_that_do_not_go_together_are_2(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    monkeypatch.chdir(tmp_path)
    assert mustaple(["check", "localhost", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert list(tmp_path.iterdir()) == []

"""The command line's frame: exit codes, times, addresses, files, and one line for every complaint."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from mustaple.cli import app as cli
from mustaple.cli.common import parse_address, parse_duration, parse_time, read_file
from mustaple.core.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-06-01", datetime(2026, 6, 1, tzinfo=UTC)),
        ("2026-06-01T12:30:00Z", datetime(2026, 6, 1, 12, 30, tzinfo=UTC)),
        ("2026-06-01T14:30:00+02:00", datetime(2026, 6, 1, 12, 30, tzinfo=UTC)),
        ("2026-06-01T12:30:00", datetime(2026, 6, 1, 12, 30, tzinfo=UTC)),
    ],
)
def test_times_are_read_as_utc(text: str, moment: datetime) -> None:
    assert parse_time(text) == moment
    assert parse_time(text).tzinfo is UTC


def test_no_time_is_now() -> None:
    assert abs(parse_time(None) - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize("text", ["tomorrow", "2026-13-01", "", "1e9"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="not a time"):
        parse_time(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("300s", 300), ("15m", 900), ("12h", 43200), ("10d", 864000), ("2.5", 2.5), ("0", 0)]
)
def test_spans(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "d", "ten days", "-5s", "1e99d", "nan"])
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("localhost:8443", ("localhost", 8443)),
        ("[::1]:443", ("::1", 443)),
        ("127.0.0.1:65535", ("127.0.0.1", 65535)),
        ("example.test", ("example.test", 443)),
        ("::1", ("::1", 443)),
        ("[::1]", ("::1", 443)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text, 443) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":443",
        "localhost:",
        "localhost:0",
        "localhost:65536",
        "local host:443",
        "https://a:443",
        "a:\uff14\uff14\uff13",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="not HOST:PORT"):
        parse_address(text)


def test_a_file_that_is_missing_empty_or_too_large_is_refused(tmp_path: Path) -> None:
    good, empty, large = tmp_path / "good", tmp_path / "empty", tmp_path / "large"
    good.write_bytes(b"data")
    empty.touch()
    with large.open("wb") as file:
        file.truncate(16 * 1024 * 1024 + 1)
    assert read_file(good, "response") == b"data"
    assert read_file(empty, "response", allow_empty=True) == b""
    for path, message in (
        (tmp_path / "none", "cannot read"),
        (empty, "is empty"),
        (large, "larger"),
        (tmp_path, "read"),
    ):
        with pytest.raises(InputError, match=message):
            read_file(path, "response")


def test_usage_errors_are_one_line_and_exit_2(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["nonsense"], ["--nonsense"], ["judge"], ["judge", "a", "--cert"]):
        assert cli.run(arguments) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("mustaple: ")
        assert captured.err.count("\n") == 1


def test_an_error_of_ours_is_one_line_and_exit_4(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mustaple.cli.common.parse_time", lambda _text: 1 // 0)
    assert cli.run(["judge", "a", "--cert", "b", "--issuer", "c"]) == 4
    error = capsys.readouterr().err
    assert "internal error: ZeroDivisionError" in error
    assert "Traceback" not in error
    assert error.count("\n") == 1


def test_every_command_has_help_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    for name in cli.COMMANDS:
        assert cli.run([name, "--help"]) == 0
        assert "Example: " in " ".join(capsys.readouterr().out.split()), name


def test_the_top_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--help"]) == 0
    listed = capsys.readouterr().out
    for name in cli.COMMANDS:
        assert f" {name} " in listed


def test_the_version_loads_no_heavy_module() -> None:
    code = (
        "import sys; from mustaple.cli.app import run; code = run(['--version']); "
        "heavy = {'cryptography', 'OpenSSL', 'httpx', 'asn1crypto', 'sqlite3', 'uvicorn', 'rich', 'ssl'}; "
        "assert not heavy & set(sys.modules), heavy & set(sys.modules); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("mustaple ")


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_the_help_fills_the_terminal_whatever_the_sources_lines(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.run([name, "--help"]) == 0
    prose, *_ = capsys.readouterr().out.partition("╭")
    lines = [line.strip() for line in prose.splitlines()]
    for line, following in pairwise(lines):
        if line and following:
            assert len(f"{line} {following.split()[0]}") > 78, f"{line!r} had room for more"

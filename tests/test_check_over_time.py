"""`mustaple check --report-only` over time: rounds, a record that is continued, an end by signal, and the sum of it."""

from __future__ import annotations

import json
import re
import signal
import socket
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from commands import CA, ROOT, running
from ten_endpoints import Talker, drip

from certtools.chain import to_pem
from certtools.forge import good
from mustaple.cli.app import run as mustaple
from mustaple.net.server import StaplingServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LEAF = CA.leaf(["localhost"])
STAPLE = good(LEAF.as_chain().links[0], CA, datetime.now(UTC))
BRIEFLY = ("--every", "100ms", "--for", "250ms")  # three rounds, unless the machine is busy


@pytest.fixture
def server() -> Iterator[StaplingServer]:
    """A server with a good staple for the leaf."""
    with StaplingServer(LEAF.chain[:-1], LEAF.key, STAPLE) as started:
        yield started


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    """The readiness for must-staple of servers below the test root, recorded."""
    (tmp_path / "root.pem").write_bytes(to_pem([ROOT.certificate]))
    given = ["--ca", tmp_path / "root.pem", "--policy", "must-staple", "--database", tmp_path / "r.sqlite"]
    return ["--report-only", *map(str, given)]


def test_rounds_are_counted_until_the_span_is_over(
    server: StaplingServer, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    target = f"localhost:{server.port}"
    assert mustaple(["check", target, *options, *BRIEFLY]) == 0
    said = capsys.readouterr().out
    assert re.match(r"readiness for policy must-staple, .* UTC\n  [1-3] connections? to 1 target\n", said)
    assert "  0 would have been lost\n" in said

    server.staple = None
    assert mustaple(["check", target, *options, *BRIEFLY]) == 0
    said = capsys.readouterr().out
    # the change is told once, however many rounds it lasts, and the sum goes back to the beginning
    changes = [line for line in said.splitlines() if "would have been lost: promise-broken" in line]
    assert len(changes) == 1
    assert re.search(r"  [1-3] would have been lost \([\d.]+ %, of 1 target\): promise-broken [1-3]\n", said)
    assert re.search(rf"\n{target}: lost [1-3] of [2-6]\n  [1-3] × promise-broken, last .* UTC: .*RFC 7633", said)
    assert "    to do: make the server staple" in said


def test_a_record_is_summed_up_without_a_check(
    server: StaplingServer, options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.staple = None
    assert mustaple(["check", f"localhost:{server.port}", *options]) == 0
    capsys.readouterr()
    server.next_record()
    asked = len(server.records)
    database = str(tmp_path / "r.sqlite")
    assert mustaple(["check", "--summary", "--database", database, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["policy"]) == ("mustaple-readiness/1", "must-staple")
    assert (document["connections"], document["lost"], document["codes"]) == (1, 1, {"promise-broken": 1})
    (target,) = document["targets"]
    assert (target["target"], target["lost"]) == (f"localhost:{server.port}", 1)
    assert target["causes"][0]["code"] == "promise-broken"
    assert len(server.records) == asked
    output = tmp_path / "sum.txt"
    assert mustaple(["check", "--summary", "--database", database, "--output", str(output)]) == 0
    assert "1 would have been lost" in output.read_text(encoding="utf-8")


def test_a_target_that_never_answers_is_3(
    server: StaplingServer, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as dead:
        dead.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{dead.getsockname()[1]}"
        assert mustaple(["check", f"localhost:{server.port}", target, *options, *BRIEFLY]) == 3
    said = capsys.readouterr().out
    assert f"{target}: not answered: {target}: connection refused" in said
    assert re.search(r"\n  [1-3] were not answered\n", said)
    assert re.search(rf"\n{target}: lost 0 of [1-3]\n  [1-3] × unanswered", said)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_between_rounds_ends_it_with_the_sum(number: int, server: StaplingServer, options: list[str]) -> None:
    server.staple = None
    with running("check", f"localhost:{server.port}", *options, "--every", "1h") as process:
        assert "would have been lost: promise-broken" in process.ready()
        assert process.end(number) == 0
        rest = list(iter(lambda: process.out.get(timeout=30), ""))
    assert rest[0].startswith("readiness for policy must-staple")
    assert "  1 would have been lost (100 %, of 1 target): promise-broken 1" in rest


def test_a_signal_within_a_round_ends_it_with_what_there_is(server: StaplingServer, options: list[str]) -> None:
    server.staple = None
    with Talker(drip) as slow:
        targets = [f"localhost:{server.port}", f"127.0.0.1:{slow.port}"]
        arguments = [*options, "--every", "1h", "--for", "2h", "--timeout", "1h"]
        with running("check", *targets, *arguments) as process:
            assert "would have been lost: promise-broken" in process.ready()
            assert process.end(signal.SIGINT) == 0
            rest = list(iter(lambda: process.out.get(timeout=30), ""))
    assert "  1 connection to 1 target" in rest


def test_what_was_recorded_outlives_a_process_that_is_killed(
    server: StaplingServer, options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.staple = None
    with running("check", f"localhost:{server.port}", *options, "--every", "1h") as process:
        assert "would have been lost" in process.ready()
        assert process.end(signal.SIGKILL) == -signal.SIGKILL
    assert mustaple(["check", f"localhost:{server.port}", *options]) == 0
    capsys.readouterr()
    assert mustaple(["check", "--summary", "--database", str(tmp_path / "r.sqlite")]) == 0
    assert "  2 would have been lost" in capsys.readouterr().out


def test_as_json_there_is_one_document(
    server: StaplingServer, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    server.staple = None
    assert mustaple(["check", f"localhost:{server.port}", *options, *BRIEFLY, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["lost"] == document["connections"] == document["codes"]["promise-broken"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a", "--every", "10m"], "--every needs --report-only"),
        (["a", "--for", "10m"], "--for needs --report-only"),
        (["a", "--database", "r.sqlite"], "--database needs --report-only"),
        (["a", "--report-only", "--for", "1h"], "--for needs --every"),
        (["a", "--report-only", "--every", "0s"], "longer than nothing"),
        (["a", "--report-only", "--every", "soon"], "'soon' is not a span of time"),
        (["a", "--report-only", "--every", "1h", "--at", "2026-01-01"], "--at asks about one moment"),
        (["a", "--report-only", "--every", "1h", "--format", "junit"], "--format text or json, not junit"),
        (["a", "--report-only", "--expect", "refused"], "--expect says what fails"),
        (["a", "--report-only", "--fail-on-warning", "--warn-before", "1h"], "--fail-on-warning says what fails"),
        (["--summary"], "--summary needs --database"),
        (["--summary", "--database", "absent"], "No such file"),
        (["a", "--report-only", "--summary", "--database", "absent"], "--summary checks no targets"),
        (["a", "--report-only", "--database", "/nowhere/r.sqlite"], "No such file"),
        (["a", "--report-only", "--database", "/"], "Is a directory"),
    ],
)
def test_options_that_do_not_go_together_are_2(
    arguments: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert mustaple(["check", *arguments]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    (line,) = told.err.splitlines()
    assert said in line
    assert list(tmp_path.iterdir()) == []

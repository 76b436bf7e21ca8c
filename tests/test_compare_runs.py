"""Runs of the comparison: interrupted ones go on, other people's programs are columns, and the relay counts right."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pytest

from mustaple.cli.app import run as mustaple
from mustaple.core.errors import InputError, NetworkError
from mustaple.lab.compare import CASES, grid
from mustaple.lab.compare.clients import Preset
from mustaple.lab.compare.ledger import Ledger
from mustaple.lab.compare.order import Order, compare
from mustaple.lab.compare.relay import Relay
from mustaple.lab.compare.running import measure
from mustaple.lab.compare.tampering import BreakConnection, CutError, RemoveStaple
from mustaple.lab.compare.world import World
from mustaple.lab.grade_client import Recipe
from mustaple.lab.grade_client.grading import ControlError
from mustaple.report.comparison import Attacker, Comparison, Kind, Outcome, Server, Traffic

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mustaple.lab.compare.stage import Scenery
    from mustaple.report.comparison import Case

IGNORES: Final = ("{python}", "{programs}/visit_ssl.py", "{host}", "{port}", "{ca}")
FEW: Final = tuple(case for case in CASES if case.name in {"good-staple", "stripped-and-blocked"})
LINE: Final = b'{"schema": "mustaple-compare-cells/1"'


def measured(order: Order, path: Path | None = None) -> tuple[Comparison, list[str]]:
    """The comparison, and which cells it measured for it."""
    steps: list[str] = []
    with Ledger.opened(path, order.seed) as ledger:
        return compare(order, ledger, steps.append), steps


# --- interrupted runs


def test_a_run_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    path = tmp_path / "cells"
    half = Order(cases=FEW[:1], presets=("soft-fail", "strict"))
    first, steps = measured(half, path)
    assert len(steps) == 2
    whole = Order(cases=FEW, presets=("soft-fail", "strict"))
    second, steps = measured(whole, path)
    assert steps == ["stripped-and-blocked soft-fail", "stripped-and-blocked strict"]
    assert second.cells[:2] == first.cells
    assert (second.at, len(second.cells)) == (first.at, 4)
    third, steps = measured(whole, path)
    assert steps == []
    assert third == second


def test_a_line_that_was_cut_short_is_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "cells"
    order = Order(cases=FEW[:1], presets=("soft-fail", "strict"))
    first, _ = measured(order, path)
    path.write_bytes(path.read_bytes()[:-40])
    with Ledger.opened(path, 1):
        assert path.read_bytes().endswith(b"}\n"), "half a line is taken away"
    second, steps = measured(order, path)
    assert steps == ["good-staple strict"]
    assert second.cells[0] == first.cells[0]
    assert next(json.loads(line) for line in path.read_text().splitlines())["seed"] == 1


@pytest.mark.parametrize(
    "content",
    [b"mine\n", b"mine", b'{"cells": []}\n', LINE + b"\n", LINE + b', "version": "0", "seed": 1}\n', b"\xff\n"],
)
def test_a_file_that_holds_something_else_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "cells"
    path.write_bytes(content)
    with pytest.raises(InputError, match="does not hold"), Ledger.opened(path, 1):
        pass
    assert path.read_bytes() == content


def test_cells_of_another_seed_or_version_are_not_mixed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cells"
    with Ledger.opened(path, 1):
        pass
    assert mustaple(["compare", "--seed", "2", "--resume", str(path), "--case", "good-staple"]) == 2
    assert "--seed 1" in capsys.readouterr().err
    header = json.loads(path.read_text())
    path.write_text(json.dumps(header | {"version": "0.0.1"}) + "\n")
    with pytest.raises(InputError, match=r"0\.0\.1"), Ledger.opened(path, 1):
        pass
    assert mustaple(["compare", "--resume", str(tmp_path)]) == 2
    assert "cannot write the cells" in capsys.readouterr().err


def test_who_is_interrupted_keeps_what_was_measured(tmp_path: Path) -> None:
    path = tmp_path / "cells"
    command = [sys.executable, "-m", "mustaple", "compare", "--full", "--resume", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        while process.poll() is None and (not path.exists() or path.read_bytes().count(b"\n") < 4):
            pass
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, b"")
    assert b"the same command goes on" in err
    with Ledger.opened(path, 1) as ledger:
        assert 3 <= len(ledger.cells) < len(grid())


# --- other people's programs


def test_a_program_is_a_column_beside_the_presets() -> None:
    recipe = Recipe(name="ignoring", command=IGNORES)
    found, _ = measured(Order(cases=FEW, presets=("strict",), recipes=(recipe,)))
    assert [(each.name, each.program) for each in found.clients] == [("strict", False), ("ignoring", True)]
    cells = {(cell.preset, cell.case): cell for cell in found.cells}
    accepted = cells["ignoring", "good-staple"]
    assert (accepted.outcome, accepted.program, accepted.verdict) == (Outcome.ACCEPTED, True, None)
    assert accepted.to_server.connections == 1
    assert cells["ignoring", "stripped-and-blocked"].kind is Kind.ATTACK_SUCCEEDED
    assert cells["strict", "stripped-and-blocked"].kind is Kind.RIGHT


def test_nothing_is_said_of_a_program_that_refuses_an_honest_server() -> None:
    recipe = Recipe(name="failing", command=("false", "{port}"))
    with pytest.raises(ControlError, match="failing does not accept the honest server"):
        measured(Order(cases=FEW, recipes=(recipe,)))


def test_a_program_whose_connection_is_cut_has_not_accepted() -> None:
    cut = tuple(case for case in grid() if case.key == ("all-good", Attacker.BREAKS_CONNECTION, Server.LEAF))
    found, _ = measured(Order(cases=cut, recipes=(Recipe(name="ignoring", command=IGNORES),)))
    (cell,) = found.cells
    assert (cell.outcome, cell.kind, cell.connection_failed) == (Outcome.REFUSED, Kind.RIGHT, True)


def test_a_program_that_there_is_not_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert mustaple(["compare", "--client", "nope"]) == 2
    assert "no recipe is called 'nope'" in capsys.readouterr().err


@pytest.mark.peer("gnutls-cli")
def test_gnutls_cli_meets_the_same_servers(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--json", "--preset", "must-staple", "--client", "gnutls-cli", "--case", "good-staple"]
    assert mustaple(["compare", *arguments, "--case", "old-good-staple"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["clients"][1]["version"].startswith("gnutls-cli")
    outcomes = {(cell["preset"], cell["case"]): cell["outcome"] for cell in data["cells"]}
    assert outcomes["gnutls-cli", "good-staple"] == "accepted"
    assert outcomes["gnutls-cli", "old-good-staple"] == "refused"


# --- the relay


def test_the_relay_counts_what_goes_through_and_forgets_it_when_it_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as there, Relay("test") as relay:
        relay.aim(there.getsockname()[:2])
        with socket.create_connection((relay.host, relay.port)) as client:
            client.sendall(b"question")
            with there.accept()[0] as served:
                assert served.recv(100) == b"question"
                served.sendall(b"the answer")
                assert client.recv(100) == b"the answer"
        assert relay.take() == (Traffic(connections=1, sent=8, received=10), False)
        assert relay.take() == (Traffic(), False)


def test_a_relay_that_leads_nowhere_cuts_whoever_comes_and_counts_them() -> None:
    with Relay("test") as relay:
        with socket.create_connection((relay.host, relay.port)) as client, pytest.raises(ConnectionResetError):
            client.recv(1)
        assert relay.take() == (Traffic(connections=1), False)


def test_a_connection_that_never_ends_does_not_hold_up_the_next() -> None:
    with socket.create_server(("127.0.0.1", 0)) as there, Relay("test") as relay:
        relay.aim(there.getsockname()[:2])
        with socket.create_connection((relay.host, relay.port)) as client, there.accept()[0]:
            assert relay.take()[0].connections == 1
            assert relay.take()[0].connections == 0
            assert client.recv(1) == b"", "it was cut"


# --- tampering, without sockets


def record(kind: int, body: bytes) -> bytes:
    return bytes([kind, 3, 3]) + len(body).to_bytes(2, "big") + body


def message(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


FLIGHT: Final = (message(2, b"hello"), message(11, b"c" * 700), message(22, b"staple"), message(14, b""))


@pytest.mark.parametrize("step", [1, 7, 5000])
@pytest.mark.parametrize("size", [3, 100, 5000], ids=lambda size: f"records of {size}")
def test_the_staple_is_taken_out_however_the_flight_is_cut(step: int, size: int) -> None:
    whole = b"".join(FLIGHT)
    sent = b"".join(record(22, whole[start : start + size]) for start in range(0, len(whole), size))
    after = record(20, b"\1") + record(22, b"\x16 encrypted")
    tampering, told = RemoveStaple(), b""
    for start in range(0, len(sent + after), step):
        told += tampering.feed((sent + after)[start : start + step])
    assert told == b"".join(record(22, each) for each in FLIGHT if each[0] != 22) + after
    assert tampering.changed


def test_a_flight_without_a_staple_is_left_as_it_is() -> None:
    sent = b"".join(record(22, each) for each in FLIGHT if each[0] != 22)
    tampering = RemoveStaple()
    assert tampering.feed(sent) == sent
    assert not tampering.changed


def test_in_an_encrypted_flight_the_record_that_must_hold_certificates_is_broken_and_no_other() -> None:
    small, large, last = record(23, b"e" * 40), record(23, b"c" * 900), record(23, b"f" * 900)
    start = record(22, FLIGHT[0]) + record(20, b"\1")
    tampering = RemoveStaple()
    told = tampering.feed(start + small + large + last)
    assert told.startswith(start + small)
    assert told.endswith(last)
    assert len(told) < len(start + small + large + last)
    assert tampering.changed


def test_whoever_cuts_cuts_at_the_servers_first_word() -> None:
    tampering = BreakConnection()
    with pytest.raises(CutError):
        tampering.feed(b"anything")
    assert tampering.changed


# --- faults of the bench


class Nowhere(World):
    """Leads its clients to a port behind which nobody is, though nobody on the path did that."""

    @contextmanager
    def scenery(self, case: Case) -> Iterator[Scenery]:
        """The usual server, which nobody reaches."""
        with super().scenery(case) as scenery:
            self.server.aim(None)
            yield scenery


def test_a_connection_that_fails_by_itself_says_nothing_of_a_policy() -> None:
    with Nowhere(1) as stage, pytest.raises(NetworkError, match="strict in the case good-staple"):
        next(measure(stage, FEW, [Preset("strict")]))


# --- many columns


def test_columns_that_do_not_fit_come_again_below(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert mustaple(["compare", "--full", "--case", "all-good-tls12"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 70 and "…" not in line for line in lines[:12]), "the sums alone are wider"
    assert [line.split() for line in lines if line.startswith("path removes staple")] == [
        ["path", "removes", "staple", "..", "xx", "xx"],
        ["path", "removes", "staple", "xx", "xx"],
    ]

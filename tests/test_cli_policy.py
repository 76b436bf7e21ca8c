"""`mustaple policy`: what it shows, what it says of files, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import commands
import pytest
from commands import run as run_process

from mustaple.core.axes import AXES
from mustaple.core.policy import PRESETS
from mustaple.net.policy_file import SHIPPED

if TYPE_CHECKING:
    from collections.abc import Sequence

SCHEMA = Path(__file__).parent.parent / "docs" / "schemas" / "policy.json"


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def said(capsys: pytest.CaptureFixture[str], arguments: Sequence[object], code: int = 0) -> str:
    return commands.said(capsys, "policy", *arguments, code=code)


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    return commands.refused(capsys, "policy", *arguments)


def test_a_policy_is_shown_axis_by_axis_with_what_it_means(capsys: pytest.CaptureFixture[str]) -> None:
    shown = said(capsys, ["show", "hard-fail"])
    assert shown.startswith("hard-fail: A client that demands good evidence for the leaf")
    rows = {line.split()[0]: line for line in shown.splitlines() if line and not line.startswith(" ")}
    assert set(AXES) <= set(rows)
    assert rows["missing"].split(maxsplit=2)[1] == "refuse"
    assert rows["missing"].rstrip().endswith("in any source? refuse the connection")
    assert rows["max_age"].split()[1] == "10d"
    sources = shown[shown.index("\nsources") : shown.index("\nreading")]
    assert [line.split()[0] for line in sources.strip().splitlines()] == ["sources", "ocsp", "crl"]
    assert "learns who is visited" in sources


def test_a_shipped_policy_is_shown_with_what_it_rests_on(capsys: pytest.CaptureFixture[str]) -> None:
    for name in SHIPPED:
        shown = said(capsys, ["show", name])
        assert "measured on: " in shown
        assert "rests on: https://" in shown


def test_without_a_name_all_are_shown_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    head, *rows = said(capsys, ["show"]).splitlines()
    assert head.split() == [*PRESETS, *SHIPPED]
    found = {row.split()[0]: row.split()[1:] for row in rows}
    assert found["must_staple"] == ["ignore", "ignore", "enforce", "enforce", "enforce", "ignore", "enforce"]
    assert found["depth"] == ["leaf", "leaf", "leaf", "leaf", "every", "leaf", "leaf"]


def test_json_has_the_keys_and_the_spelling_of_a_policy_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    shown = json.loads(said(capsys, ["show", "firefox", "--json"]))
    assert list(shown) == ["name", "about", "rests_on", "measured_on", "axes"]
    assert list(shown["axes"]) == list(AXES)
    file = tmp_path / "same.toml"
    file.write_text("\n".join(f"{key} = {json.dumps(value)}" for key, value in shown["axes"].items()))
    again = json.loads(said(capsys, ["show", file, "--json"]))
    assert again["axes"] == shown["axes"]
    assert again["name"] == "same.toml"
    everything = json.loads(said(capsys, ["show", "--json"]))
    assert [each["name"] for each in everything["policies"]] == [*PRESETS, *SHIPPED]
    assert everything["policies"][-1] == shown


def test_a_good_file_passes_the_check(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "ours.toml"
    file.write_text('base = "hard-fail"\nname = "ours"\nmax_age = "3d"\n')
    assert said(capsys, ["check", file]) == f"{file}: a policy, called ours\n"
    shown = said(capsys, ["show", file])
    assert shown.startswith("ours\n")
    assert "3d" in shown


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'depth = "leafy"', "depth: 'leafy' is not one of leaf, every"),
        (b'dept = "leaf"', "no key is called 'dept'; did you mean depth?"),
        (b'base = "lax"', "base: 'lax' is not one of ignore, soft-fail, must-staple, hard-fail, strict"),
        (b"depth leaf", "not TOML"),
        (b"\x7fELF\x02\xff", "UTF-8 text in TOML, and this is not"),
        (bytes(10 * 1024 * 1024), "larger than 16,384 bytes"),
        (None, "No such file or directory"),
    ],
    ids=["wrong value", "unknown key", "unknown preset", "wrong TOML", "binary", "10 MB", "not there"],
)
def test_a_bad_file_is_one_line_and_2(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes | None, words: str
) -> None:
    file = tmp_path / "bad.toml"
    if content is not None:
        file.write_bytes(content)
    for command in ("check", "show"):
        line = refused(capsys, command, file)
        assert words in line
        assert "bad.toml" in line


def test_what_a_file_says_does_nothing_to_a_terminal(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "e\x1b[31mvil.toml"
    file.write_text('about = "\\u001b[2Jred"\nrests_on = ["\\u009b31m", "[bold]x[/bold]"]')
    for arguments in (["show", file], ["check", file]):
        shown = said(capsys, arguments)
        assert "\x1b" not in shown
        assert "\x9b" not in shown
    assert "[bold]x[/bold]" in said(capsys, ["show", file]), "and no markup is read in it"


def test_an_unknown_name_lists_the_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert "ignore, soft-fail, must-staple, hard-fail, strict, chromium, firefox" in refused(capsys, "show", "lax")


def test_the_schema_is_printed_as_it_is_published(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, ["schema"]) == SCHEMA.read_text(encoding="utf-8")


def test_without_a_command_it_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    shown = said(capsys, [], code=2)
    assert all(name in shown for name in ("show", "check", "schema"))
    assert "Example: mustaple policy show strict" in " ".join(said(capsys, ["show", "--help"]).split())


def test_as_a_process(tmp_path: Path) -> None:
    file = tmp_path / "ours.toml"
    file.write_text("colour = 1")
    done = run_process("policy", "check", file)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"mustaple: {file}: no key is called 'colour'; there are base, ")
    file.write_text("")
    assert run_process("policy", "check", file).returncode == 0

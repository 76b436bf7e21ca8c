"""`mustaple compare --cost`: what it prints, writes and draws, and one clear line for what does not go with it."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

from mustaple.cli.app import run
from mustaple.lab.cost import METHODS

if TYPE_CHECKING:
    from pathlib import Path


def test_the_small_grid_is_printed_and_drawn(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    picture = tmp_path / "cost.svg"
    assert run(["compare", "--cost", "--quick", "--svg", str(picture)]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    assert "Time in ms over the round trip, EC P-256" in output.out
    for way in METHODS:
        assert f"\n{way.method.title}  " in output.out
    assert ET.parse(picture).getroot().tag.endswith("svg")  # noqa: S314 - our own


def test_json_and_csv_and_markdown(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["compare", "--cost", "--quick", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {each["method"] for each in told["series"]} == {way.method.name for way in METHODS}
    file = tmp_path / "cost.csv"
    assert run(["compare", "--cost", "--quick", "--format", "csv", "-o", str(file)]) == 0
    assert capsys.readouterr().out == ""
    with file.open() as lines:
        assert {row["method"] for row in csv.DictReader(lines)} == {way.method.name for way in METHODS}
    assert run(["compare", "--cost", "--quick", "--format", "md"]) == 0
    assert capsys.readouterr().out.startswith("# What checking costs\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--cost", "--full"],
        ["--cost", "--preset", "strict"],
        ["--cost", "--case", "good"],
        ["--quick"],
        ["--svg", "cost.svg"],
        ["--cost", "--quick", "--svg", "/nowhere/at/all/cost.svg"],
    ],
)
def test_what_does_not_go_together_is_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert run(["compare", *arguments]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1

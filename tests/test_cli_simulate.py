"""`mustaple simulate`: what it prints, writes and draws, and one clear line for what it cannot use."""

from __future__ import annotations

import csv
import io
import json
import signal
import xml.etree.ElementTree as ET
from collections import Counter
from typing import TYPE_CHECKING

import commands
import pytest
from commands import running

from mustaple.cli.app import run
from mustaple.lab.simulate.outcomes import CLIENTS
from mustaple.lab.simulate.parameters import RANGES, shipped, with_values
from mustaple.lab.simulate.running import simulate
from mustaple.report.simulate_data import simulation_csv, simulation_json
from mustaple.report.simulate_svg import simulation_svg
from mustaple.report.simulate_text import simulation_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mustaple.report.simulation import Simulation

SMALL = ("--connections", "2000", "--worlds", "5", "--set", "sites.count=20", "--set", "time.days=10")


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    return commands.said(capsys, "simulate", *SMALL, *arguments)


def refused(capsys: pytest.CaptureFixture[str], arguments: Sequence[object]) -> str:
    return commands.refused(capsys, "simulate", *arguments)


def test_the_text_has_every_client(capsys: pytest.CaptureFixture[str]) -> None:
    shown = said(capsys)
    for client in CLIENTS:
        assert f"\n{client}" in shown
    assert "2,000 connections in 5 worlds, seed 1" in shown
    assert "set here: sites.count=20, time.days=10" in shown
    assert "11 are quoted" in shown


def test_the_same_seed_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    first = said(capsys, "--json")
    assert said(capsys, "--format", "json") == first
    assert said(capsys, "--json", "--seed", "2") != first


def test_json_has_everything_and_the_sources(capsys: pytest.CaptureFixture[str]) -> None:
    shown = json.loads(said(capsys, "--json", "--set", "outages.hours=12"))
    assert (shown["connections"], shown["worlds"], shown["seed"]) == (2000, 5, 1)
    given = {each["key"]: each for each in shown["parameters"]}
    assert set(given) == set(RANGES)
    assert (given["outages.hours"]["value"], given["outages.hours"]["status"]) == (12, "given")
    assert given["outages.share"]["status"] == "quoted"
    assert all(each["source"] for each in given.values() if each["status"] == "quoted")
    assert {each["client"] for each in shown["clients"]} == set(CLIENTS)
    assert shown["curve"] == []
    for each in shown["clients"]:
        for measure in shown["units"]:
            assert each[measure]["low"] <= each[measure]["value"] <= each[measure]["high"], measure


def test_csv_has_one_number_a_line_and_agrees_with_json(capsys: pytest.CaptureFixture[str]) -> None:
    lines = list(csv.DictReader(io.StringIO(said(capsys, "--format", "csv"))))
    data = json.loads(said(capsys, "--json"))
    assert len(lines) == len(data["clients"]) * len(data["units"])
    found = {(line["client"], line["staples"], line["measure"]): float(line["value"]) for line in lines}
    for each in data["clients"]:
        for measure in data["units"]:
            assert found[each["client"], each["staples"] or "", measure] == each[measure]["value"]


def test_markdown_names_every_parameter_with_its_source(capsys: pytest.CaptureFixture[str]) -> None:
    shown = said(capsys, "--format", "md")
    assert all(f"| {key} |" in shown for key in RANGES)
    assert "IMC 2018" in shown
    assert "PAM 2016" in shown
    assert "IMC 2015" in shown
    tables = [line for line in shown.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in tables} == {8, 5}


@pytest.fixture(scope="module")
def whole() -> Simulation:
    """A simulation with curve and sensitivities."""
    few = with_values(shipped(), {"sites.count": 20, "time.days": 10})
    return simulate(few, connections=2000, seed=1, replications=5, curve=True, sensitivity=True)


def test_sensitivity_names_what_moves_a_client(whole: Simulation) -> None:
    shown = simulation_text(whole, "crl")
    table = shown[shown.index("What moves crl") :]
    assert "crl.life_days" in table
    assert "client.fetch_failure" in table
    assert "all others" in table
    assert "short.life_days" not in table
    ends = {each["parameter"]: each for each in simulation_json(whole)["sensitivity"]}
    assert (ends["outages.hours"]["low"]["value"], ends["outages.hours"]["high"]["value"]) == (1, 12)
    assert ends["staple.response_days"]["low"]["value"] == 3.5, "not shorter than the responder signs again"


def test_the_text_fits_a_terminal(whole: Simulation) -> None:
    assert max(map(len, simulation_text(whole, "must-staple").splitlines())) <= 80


def test_csv_tells_clients_curve_and_sensitivity_apart(whole: Simulation) -> None:
    lines = list(csv.DictReader(io.StringIO(simulation_csv(whole))))
    each = len(whole.rows) * 6
    counted = Counter(line["part"] for line in lines)
    assert counted == {"clients": each, "curve": 6 * each, "sensitivity": 2 * len(whole.effects) * each}


def test_the_picture_is_svg_and_the_same_each_time(whole: Simulation) -> None:
    first = simulation_svg(whole)
    assert first == simulation_svg(whole)
    root = ET.fromstring(first)  # noqa: S314 - our own picture
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "<script" not in first
    assert "<dc:date>" not in first
    links = [value for each in root.iter() for key, value in each.attrib.items() if key.endswith("href")]
    assert all(link.startswith("#") for link in links), "it asks nobody for anything"


def test_a_file_of_parameters_stands_over_the_shipped_ones_and_below_a_setting(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "ours.toml"
    file.write_text(
        "[outages]\nhours = 6\nshare = { value = 0.5, status = 'quoted', source = 'our monitoring' }\n[ca]\ncount = 3\n"
    )
    given = {
        each["key"]: each
        for each in json.loads(said(capsys, "--json", "--parameters", file, "--set", "ca.count=4"))["parameters"]
    }
    assert (given["outages.hours"]["value"], given["outages.hours"]["status"]) == (6, "given")
    assert (given["outages.share"]["source"], given["outages.share"]["unit"]) == ("our monitoring", "share")
    assert given["ca.count"]["value"] == 4


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[outages]\nhours = -1", "outages.hours: -1 is not between"),
        (b"[outages]\nhours = nan", "outages.hours: nan is not a finite number"),
        (b"[outages]\nhours = inf", "outages.hours: inf is not a finite number"),
        (b"[sites]\ncount = 1" + b"0" * 400, "sites.count: inf is not a finite number"),
        (b"[sites]\ncount = 2.5", "sites.count: 2.5 is not a whole number"),
        (b"[outages]\nhour = 1", "no parameter is called 'outages.hour'; did you mean outages.hours?"),
        (b"[outages]\nhours = '4'", "outages.hours value: '4' is not a number"),
        (b"[outages]\nhours = true", "outages.hours value: True is not a number"),
        (b"[outages]\nhours = [4]", "outages.hours value: [4] is not a number"),
        (b"[outages]\nhours = { low = 1 }", "outages.hours: it has no value"),
        (b"[outages]\nhours = { value = 1, colour = 1 }", "outages.hours: no word is called 'colour'"),
        (b"[outages]\nhours = { value = 1, status = 'sure' }", "'sure' is not one of quoted, assumed, given"),
        (b"[outages]\nhours = { value = 1, status = 'quoted' }", "what is quoted names its source"),
        (b"[outages]\nhours = { value = 1, low = 9, high = 3 }", "its low end 9 lies above its high end 3"),
        (b"[staple]\nresign_days = 9", "staple.resign_days: 9 days are more than the 7 of staple.response_days"),
        (b"outages = 1", "outages: parameters stand in tables"),
        (b"outages 1", "not TOML"),
        (b"\x7fELF\xff", "UTF-8 text in TOML, and this is not"),
        (bytes(300_000), "larger than 262,144 bytes"),
        (None, "No such file or directory"),
    ],
)
def test_a_bad_file_is_one_line_and_2(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes | None, words: str
) -> None:
    file = tmp_path / "bad.toml"
    if content is not None:
        file.write_bytes(content)
    line = refused(capsys, [*SMALL[:4], "--parameters", file])
    assert words in line
    assert "bad.toml" in line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--set", "outages.hours=-3"], "outages.hours: -3 is not between 0.01 and 8784 hours"),
        (["--set", "outages.hours=nan"], "outages.hours: nan is not a finite number"),
        (["--set", "outages.hours=1e999"], "outages.hours: inf is not a finite number"),
        (["--set", "outages.hours=long"], "--set outages.hours: 'long' is not a number"),
        (["--set", "outages.hours"], "write it as key=value"),
        (["--set", "=4"], "no parameter is called ''"),
        (["--set", "nonsense=4"], "there are sites.count, "),
        (["--set", "attacker.blocks=1.5"], "attacker.blocks: 1.5 is not between 0 and 1 share"),
        (["--set", "outages.share=0.999", "--set", "outages.watched_days=1", "--set", "outages.hours=0.01",
          "--set", "time.days=1100", "--set", "ca.count=2000", "--set", "sites.count=1"],
         "more outages than there is room for"),
        (["--set", "sites.count=20000", "--set", "time.days=1100", "--set", "naive.restarts_per_month=120"],
         "so many sites for so long"),
        (["--connections", "many"], "write a whole number"),
        (["--connections", "1.5"], "write a whole number"),
        (["--connections", "nan"], "write a whole number"),
        (["--connections", "inf"], "write a whole number"),
        (["--connections", "-5"], "-5 connections"),
        (["--connections", "3"], "from one for each of the 32 worlds"),
        (["--worlds", "2"], "2 worlds: an interval takes at least 5"),
        (["--seed", "-1"], "the seed -1 is negative"),
        (["--about", "nobody"], "no client is called 'nobody'; there are ignore"),
        (["--format", "yaml"], "yaml"),
        (["--output", "/nowhere/report.txt"], "cannot write the report /nowhere/report.txt"),
        (["--svg", "/nowhere/picture.svg"], "cannot write the report /nowhere/picture.svg"),
    ],
)  # fmt: skip
def test_what_it_cannot_use_is_one_line_and_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert words in refused(capsys, arguments)


def test_a_file_is_whole_or_not_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    report, picture = tmp_path / "report.md", tmp_path / "picture.svg"
    report.write_text("what was there before")
    assert said(capsys, "--format", "md", "--output", report, "--svg", picture) == ""
    assert report.read_text(encoding="utf-8").startswith("# Exposure against false outage\n")
    assert picture.read_text(encoding="utf-8").endswith("</svg>\n")


def test_who_is_interrupted_leaves_no_half_file(tmp_path: Path) -> None:
    report, picture = tmp_path / "report.txt", tmp_path / "picture.svg"
    report.write_text("what was there before")
    arguments = ("simulate", "--connections", "1e11", "--output", report, "--svg", picture)
    # Under xdist workers ignore the signal, and what they start does so too.
    with running(*arguments, under=("env", "--default-signal=INT")) as process:
        # The files that are being written say that the work has begun.
        while not list(tmp_path.glob(".picture.svg.*")):
            assert process.process.poll() is None
        assert process.end(signal.SIGINT) == 130
    assert report.read_text() == "what was there before"
    assert [path.name for path in tmp_path.iterdir()] == ["report.txt"]


def test_without_the_libraries_it_says_what_to_install() -> None:
    """In an interpreter that has no numpy, the command is one line and 2, and all others are as before."""
    import subprocess
    import sys

    code = (
        "import sys; sys.modules['numpy'] = None\n"
        "from mustaple.cli.app import run\n"
        "assert run(['policy', 'show', 'strict']) == 0\n"
        "sys.exit(run(['simulate']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr == "mustaple: mustaple simulate takes numpy: pip install 'mustaple[study]'\n"


def test_the_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", "--help"]) == 0
    assert "Example: mustaple simulate" in " ".join(capsys.readouterr().out.split())

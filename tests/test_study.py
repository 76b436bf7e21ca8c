"""The study on one page: it is made of its numbers, needs nothing else, can be read, and goes on where it stopped."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from chromium import Chromium

from mustaple.cli.app import run as mustaple
from mustaple.lab.compare.choosing import Choice, order_of
from mustaple.lab.compare.ledger import Ledger
from mustaple.lab.study import steps, study
from mustaple.report.compare_findings import findings
from mustaple.report.comparison import Attacker, Kind, Outcome
from mustaple.report.study import Study, answers, proposals
from mustaple.report.study_html import study_html

if TYPE_CHECKING:
    from pathlib import Path

    from mustaple.lab.compare.order import Order

COMMAND = "mustaple compare --full --case outage-lost-staple --case outage-kept-staple --case revoked-leaf --seed 7"


@pytest.fixture(scope="module")
def order() -> Order:
    cases = ("outage-lost-staple", "outage-kept-staple", "revoked-leaf")
    return order_of(Choice(full=True, cases=cases, seed=7))


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("study") / "cells.jsonl"
    return path


@pytest.fixture(scope="module")
def found(order: Order, kept: Path) -> Study:
    told: list[str] = []
    with Ledger.opened(kept, order.seed) as ledger:
        expected = steps(order, ledger, full=False)
        done = study(order, ledger, told.append, full=False)
    assert len(told) == expected
    return done


@pytest.fixture(scope="module")
def page(found: Study) -> str:
    return study_html(found)


def test_it_goes_on_where_it_was_interrupted(found: Study, order: Order, kept: Path) -> None:
    told: list[str] = []
    with Ledger.opened(kept, order.seed) as ledger:
        again = study(order, ledger, told.append, full=False)
    assert again == found
    assert not any(step.startswith(("revoked-leaf", "no check")) for step in told), "only the simulation is worked out"
    with Ledger.opened(None, order.seed) as ledger:
        assert steps(order, ledger, full=False) > len(told)


def test_the_page_says_the_question_the_answer_and_the_command(page: str) -> None:
    for words in (
        "<h1>Soft fail against hard fail</h1>",
        "The question",
        "The set-up",
        "Under soft-fail, all 3 on a leaf that promises a staple",
        "What each proposal buys",
        "What checking costs in time",
        "The long view",
        "Limits",
        COMMAND,
    ):
        assert words in page
    assert page.count("<figure>") == 3


def test_the_page_asks_for_nothing_from_anywhere(page: str) -> None:
    assert "default-src 'none'" in page
    assert not re.search(r"<script|<link|<img|<iframe|@import|\bsrc=|url\((?!#)", page)
    assert set(re.findall(r'href="([^"#]*)', page)) <= {""}


def test_the_answers_are_counted_from_the_cells(found: Study) -> None:
    """One cell is turned over, and the table and the sentence follow, with a mark that this was not expected."""
    cells = list(found.comparison.cells)
    place = next(
        place
        for place, cell in enumerate(cells)
        if cell.preset == "strict" and cell.attacker is Attacker.STAPLES_NOTHING_BLOCKS and cell.must_staple
    )
    cells[place] = cells[place].model_copy(update={"outcome": Outcome.ACCEPTED, "kind": Kind.ATTACK_SUCCEEDED})
    turned = found.comparison.model_copy(update={"cells": cells, "findings": findings(cells)})
    (before, *_), (after, *_) = answers(found.comparison).rows, answers(turned).rows
    assert (before[-1], after[-1]) == ("0 of 3", "1 of 3 !")
    assert before[:-1] == after[:-1]
    assert "This is not what was expected." in study_html(replace(found, comparison=turned))
    assert "This is not what was expected." not in study_html(found)


def test_the_proposals_are_told_in_this_runs_numbers(found: Study) -> None:
    rows = {row[0]: row[1:] for row in proposals(found).rows}
    protects, costs = rows["multi-staple, and a client that demands it"]
    assert protects == "Of thieves who block OCSP and have no fresh staple succeed none of the 9 with a revoked leaf."
    assert costs.endswith("it shuts out all 3 good servers without the agent, and 1 of 2 with it.")
    assert rows["must-staple"][1].endswith("all 3 good servers without the agent, and none of the 2 with it.")
    staple = next(each for each in found.cost.sweep if each.method.name == "staple-leaf").traffic.stapled
    assert rows["leaf stapling"][1].startswith(f"{staple:,} bytes more from the server")
    nothing = replace(found, cost=replace(found.cost, series=()), simulation=replace(found.simulation, rows=()))
    bare = {row[0]: row[1:] for row in proposals(nothing).rows}
    assert bare["leaf stapling"][1] == "Not measured in this run."
    assert bare["short-lived certificates"] == ("Not simulated in this run.", "Not simulated in this run.")


@pytest.mark.peer("chromium", "certutil")
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_shows_it_without_errors_and_outside_requests(
    page: str, tmp_path: Path, width: int, *, dark: bool
) -> None:
    file = tmp_path / "report.html"
    file.write_text(page, encoding="utf-8")
    with Chromium(tmp_path / "home") as browser:
        shown = browser.open(file.as_uri(), width, dark=dark)
        assert shown.evaluate("document.documentElement.scrollWidth") <= width, "nothing sticks out at the side"
        assert shown.pale == []
        assert shown.requests == [file.as_uri()]
        assert shown.complaints == []


@pytest.mark.peer("chromium", "certutil")
def test_a_page_that_asks_is_caught(page: str, tmp_path: Path) -> None:
    """The twin: one picture from elsewhere is seen, and refused by the page's own policy."""
    file = tmp_path / "report.html"
    file.write_text(page.replace("</main>", '<img src="http://127.0.0.1:9/x.png" alt=""></main>'), encoding="utf-8")
    with Chromium(tmp_path / "home") as browser:
        shown = browser.open(file.as_uri())
        assert shown.requests != [file.as_uri()] or shown.complaints != []


def test_the_command_writes_the_page(
    found: Study, kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "report.html"
    arguments = ["compare", "--case", "good-staple", "--preset", "strict", "--seed", "7", "--html", str(file)]
    assert mustaple([*arguments, "--resume", str(kept)]) == 0
    assert "good-staple" in capsys.readouterr().out
    said = file.read_text(encoding="utf-8")
    assert f"<pre><code>mustaple {' '.join(arguments)}</code></pre>" in said
    assert mustaple(["compare", "--html", str(tmp_path / "no" / "report.html")]) == 2
    assert mustaple(["compare", "--cost", "--html", str(file)]) == 2
    assert file.read_text(encoding="utf-8") == said


@pytest.mark.parametrize("library", ["numpy", "matplotlib"])
def test_without_the_libraries_it_says_what_to_install(library: str, tmp_path: Path) -> None:
    code = (
        f"import sys; sys.modules[{library!r}] = None\n"
        "from mustaple.cli.app import run\n"
        f"sys.exit(run(['compare', '--html', {str(tmp_path / 'report.html')!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr == f"mustaple: mustaple compare --html takes {library}: pip install 'mustaple[study]'\n"
    assert not list(tmp_path.iterdir())

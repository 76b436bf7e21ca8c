"""Chromium looks at the playground: it tries the cases, fills its table, and the page says what the browser is like."""

from __future__ import annotations

import subprocess
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from playground_clients import over_tls, trusting

from mustaple.lab.cases import find
from mustaple.lab.live import host_of
from mustaple.lab.playground import Playground

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.peer("chromium", "certutil")

WIDTHS = {"phone": 390, "desktop": 1280}
REFUSED = ("control/other-name", "control/expired-leaf", "control/untrusted-root")
LOADED = ("control/all-well", "presence/every-staple", "presence/no-staple", "algorithms/p384")
UNTRIED = ("depth/trusted-leaf", "wire12/long-list")


@pytest.fixture(scope="module")
def playground() -> Iterator[Playground]:
    with Playground([find(name) for name in (*REFUSED, *LOADED, *UNTRIED, "freshness/expired")]) as served:
        yield served


class Chromium:
    """A headless browser with a home of its own, whose NSS database trusts these roots."""

    def __init__(self, home: Path, *roots: bytes) -> None:
        self.home = home
        database = home / ".pki" / "nssdb"
        database.mkdir(parents=True)
        subprocess.run(["certutil", "-N", "-d", f"sql:{database}", "--empty-password"], check=True, timeout=60)
        for place, pem in enumerate(roots):
            name = f"root {place}"
            subprocess.run(
                ["certutil", "-A", "-d", f"sql:{database}", "-n", name, "-t", "C,,"], input=pem, check=True, timeout=60
            )

    def look(self, url: str, *options: str) -> str:
        """The page as it is when its script has done its work: a document, as HTML."""
        return subprocess.run(
            [
                *("chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"),
                *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
                # Virtual time stands still while an answer is awaited, so this is no wait for a fixed time.
                *("--virtual-time-budget=60000", *options, "--dump-dom", url),
            ],
            env={"HOME": str(self.home), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
            capture_output=True,
            check=True,
            timeout=100,
        ).stdout.decode()


class Table(HTMLParser):
    """What the browser's page says: the state of its script, each element's text by id, and its own column by case."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.state: str | None = None
        self.said: dict[str, str] = {}
        self.browser: dict[str, str] = {}
        self.differs: set[str] = set()
        self.trust_is_open = False
        self._case = ""
        self._id = ""
        self._in_cell = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        classes = (said.get("class") or "").split()
        if tag == "body":
            self.state = said.get("data-state")
        if tag == "details" and said.get("id") == "trust":
            self.trust_is_open = "open" in said
        if said.get("data-case"):
            self._case = said["data-case"] or ""
            if "differs" in classes:
                self.differs.add(self._case)
        self._id = said.get("id") or self._id
        self._in_cell = (tag == "td" and "browser" in classes) or (self._in_cell and tag != "td")

    def handle_data(self, data: str) -> None:
        self.said[self._id] = self.said.get(self._id, "") + data
        if self._in_cell:
            self.browser[self._case] = self.browser.get(self._case, "") + data


@pytest.fixture(scope="module")
def table(playground: Playground, tmp_path_factory: pytest.TempPathFactory) -> Table:
    """The page over plain HTTP, in a browser that trusts the root."""
    return Table(Chromium(tmp_path_factory.mktemp("home"), playground.root_pem).look(playground.page_url))


def test_the_browser_tries_every_case_and_the_table_fills(table: Table) -> None:
    assert table.state == "done"
    assert {name: said.split()[0] for name, said in table.browser.items() if name in LOADED} == dict.fromkeys(
        LOADED, "loaded"
    )
    assert {name: said for name, said in table.browser.items() if name in REFUSED} == dict.fromkeys(REFUSED, "refused")
    assert len(table.browser) == len(LOADED) + len(REFUSED) + len(UNTRIED) + 1


def test_what_a_browser_cannot_meet_is_not_tried_and_says_why(table: Table) -> None:
    assert table.browser["depth/trusted-leaf"] == "not tried needs a root of its own"
    assert table.browser["wire12/long-list"] == "not tried asks status_request_v2"


def test_the_page_says_what_the_browser_is_like(table: Table) -> None:
    summary = table.said["summary"].strip()
    assert summary == "Looks like ignore or soft-fail: as expected in all 8 cases."
    assert "asks servers for a staple" in table.said["facts"], "Chromium does, and looks at what it gets"
    assert "8 of 8 alike" in table.said["nearest"]
    assert table.differs == set()


def test_the_server_saw_the_browser_come_for_every_case(playground: Playground, table: Table) -> None:
    came = {visit.case.id for visit in playground.server.records if visit.case is not None and visit.completed}
    assert came >= set(LOADED)
    assert not came & set(UNTRIED)


def test_a_browser_that_does_not_trust_the_root_is_told_how_to(playground: Playground, tmp_path: Path) -> None:
    table = Table(Chromium(tmp_path).look(playground.page_url))
    assert table.state == "untrusted"
    assert table.said["summary"].startswith("Even the honest server did not load")
    assert table.trust_is_open
    assert set(table.browser.values()) == {"not tried"}


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_works_over_tls_too_and_fits(playground: Playground, tmp_path: Path, width: str) -> None:
    browser = Chromium(tmp_path, playground.root_pem)
    picture = tmp_path / "page.png"
    options = (f"--window-size={WIDTHS[width]},900", f"--screenshot={picture}")
    assert Table(browser.look(playground.url, *options)).state == "done"
    assert int.from_bytes(picture.read_bytes()[16:20], "big") == WIDTHS[width]


def test_where_the_browser_differs_from_the_nearest_is_marked(tmp_path: Path) -> None:
    # A corpus in which Chromium is like no preset: the expectations of one case are those of its opposite.
    wrong = find("control/all-well")
    chosen = [find(name) for name in ("presence/every-staple", "control/expired-leaf")]
    from dataclasses import replace

    with Playground([*chosen, replace(wrong, expected=find("control/expired-leaf").expected)]) as served:
        assert over_tls(trusting(served.root_pem), served.server.port, host_of(wrong)).status == 200
        table = Table(Chromium(tmp_path, served.root_pem).look(served.page_url))
    assert table.differs == {wrong.id}
    assert table.said["summary"].strip().endswith("do not tell apart: differs in 1 of 3 cases.")

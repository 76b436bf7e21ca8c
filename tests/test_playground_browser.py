"""Chromium looks at the playground: it tries the cases, fills its table, and the page says what the browser is like."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from chromium import Chromium, Page

from mustaple.lab.cases import find
from mustaple.lab.playground import Playground

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.peer("chromium", "certutil")

# Settles when the page's script has come to an end.
ENDED = """new Promise(settle => {
  const look = () => document.body.dataset.state && document.body.dataset.state !== "trying" && settle(true);
  new MutationObserver(look).observe(document.body, {attributes: true});
  look();
})"""
REFUSED = ("control/other-name", "control/expired-leaf", "control/untrusted-root")
LOADED = ("control/all-well", "presence/every-staple", "presence/no-staple", "algorithms/p384")
UNTRIED = ("depth/trusted-leaf", "wire12/long-list")


@pytest.fixture(scope="module")
def playground() -> Iterator[Playground]:
    with Playground([find(name) for name in (*REFUSED, *LOADED, *UNTRIED, "freshness/expired")]) as served:
        yield served


def browser_column(page: Page) -> dict[str, str]:
    """What the page says of its browser, by case."""
    said = "[...document.querySelectorAll('tr[data-case]')].map(r => [r.dataset.case, r.cells[1].innerText])"
    return {case: " ".join(words.split()) for case, words in page.evaluate(said)}


def differing(page: Page) -> set[str]:
    """The cases that are marked."""
    return set(page.evaluate("[...document.querySelectorAll('tr.differs')].map(r => r.dataset.case)"))


@pytest.fixture(scope="module")
def chromium(playground: Playground, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """A browser that trusts the playground's root."""
    with Chromium(tmp_path_factory.mktemp("home"), playground.root_pem) as browser:
        yield browser


@pytest.fixture(scope="module")
def page(playground: Playground, chromium: Chromium) -> Page:
    """The page over plain HTTP, in that browser."""
    return chromium.open(playground.page_url, until=ENDED)


def test_the_browser_tries_every_case_and_the_table_fills(page: Page) -> None:
    assert page.evaluate("document.body.dataset.state") == "done"
    column = browser_column(page)
    assert {column[name] for name in LOADED} == {"loaded TLSv1.3"}
    assert {column[name] for name in REFUSED} == {"refused"}
    assert len(column) == len(LOADED) + len(REFUSED) + len(UNTRIED) + 1


def test_what_a_browser_cannot_meet_is_not_tried_and_says_why(page: Page) -> None:
    assert browser_column(page)["depth/trusted-leaf"] == "not tried needs a root of its own"
    assert browser_column(page)["wire12/long-list"] == "not tried asks status_request_v2"


def test_the_page_says_what_the_browser_is_like(page: Page) -> None:
    assert page.text("#summary") == "Looks like ignore or soft-fail: as expected in all 8 cases."
    assert "asks servers for a staple" in page.text("#facts"), "Chromium does, and looks at what it gets"
    assert page.text("#nearest tr:first-child").split("\t") == ["ignore", "8 of 8 alike"]
    assert differing(page) == set()


def test_the_server_saw_the_browser_come_for_every_case(playground: Playground, page: Page) -> None:
    came = {visit.case.id for visit in playground.server.records if visit.case is not None and visit.completed}
    assert came >= set(LOADED)
    assert not came & set(UNTRIED)


def test_a_browser_that_does_not_trust_the_root_is_told_how_to(playground: Playground, tmp_path: Path) -> None:
    with Chromium(tmp_path) as browser:
        page = browser.open(playground.page_url, until=ENDED)
        assert page.evaluate("document.body.dataset.state") == "untrusted"
        assert page.text("#summary").startswith("Even the honest server did not load")
        assert page.evaluate("document.querySelector('#trust').open")
        assert set(browser_column(page).values()) == {"not tried"}


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_over_tls_fits_phones_and_desktops(
    playground: Playground, chromium: Chromium, width: int, dark: bool
) -> None:
    page = chromium.open(playground.url, width, dark=dark, until=ENDED)
    assert page.evaluate("document.body.dataset.state") == "done"
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert page.evaluate("innerWidth") == width
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing sticks out to the side"
    words = page.evaluate("document.querySelector('tr[data-case] th').offsetWidth")
    assert words > 300, "what a case is has room, on a phone by standing above its verdicts"
    assert page.pale == [], "every text can be read, by day and by night"


def test_where_the_browser_differs_from_the_nearest_is_marked(tmp_path: Path) -> None:
    # A corpus in which Chromium is like no preset: the expectations of one case are those of its opposite.
    wrong = replace(find("control/all-well"), expected=find("control/expired-leaf").expected)
    chosen = [wrong, *map(find, ("presence/every-staple", "presence/no-staple", "control/expired-leaf"))]
    with Playground(chosen) as served, Chromium(tmp_path, served.root_pem) as browser:
        page = browser.open(served.page_url, until=ENDED)
        assert differing(page) == {wrong.id}
        assert page.text("#summary") == "Looks like ignore or soft-fail: differs in 1 of 4 cases."
        visible = "[...document.querySelectorAll('tr[data-case]')].filter(r => r.offsetHeight).length"
        assert page.evaluate(visible) == 4
        page.evaluate("document.querySelector('#only').click()")
        assert page.evaluate(visible) == 1


def test_a_page_says_it_where_the_playground_is_gone(tmp_path: Path) -> None:
    with Chromium(tmp_path) as browser:
        with Playground([find("control/all-well")]) as served:
            page = browser.open(served.page_url, until=ENDED)
        page.evaluate("document.querySelector('#again').click()")
        page.evaluate(ENDED)
        assert page.text("#summary").startswith("The playground did not answer")

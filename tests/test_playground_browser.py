"""Chromium looks at the playground: it tries the cases, fills its table, and the page says what the browser is like."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any, Self

import pytest

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
# The texts whose colour is too near to that of what is behind them: below 4.5 to 1 (WCAG 2.2, 1.4.3).
CONTRASTS = """(() => {
  const parts = (colour) => colour.match(/[0-9.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(each => each / 255)
    .map(each => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4)
    .reduce((sum, each, place) => sum + each * [0.2126, 0.7152, 0.0722][place], 0);
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = parts(getComputedStyle(each).backgroundColor);
      if (colour.length === 3) return colour;
    }
    return [255, 255, 255];
  };
  const shown = [...document.body.querySelectorAll("*")]
    .filter(each => each.offsetHeight && [...each.childNodes].some(child => child.nodeType === 3 && child.data.trim()));
  return shown.filter(each => {
    const pair = [light(parts(getComputedStyle(each).color)), light(behind(each))].sort((one, other) => other - one);
    return (pair[0] + 0.05) / (pair[1] + 0.05) < 4.5;
  }).map(each => each.outerHTML.slice(0, 80));
})()"""
REFUSED = ("control/other-name", "control/expired-leaf", "control/untrusted-root")
LOADED = ("control/all-well", "presence/every-staple", "presence/no-staple", "algorithms/p384")
UNTRIED = ("depth/trusted-leaf", "wire12/long-list")


@pytest.fixture(scope="module")
def playground() -> Iterator[Playground]:
    with Playground([find(name) for name in (*REFUSED, *LOADED, *UNTRIED, "freshness/expired")]) as served:
        yield served


class Chromium:
    """A headless browser with a home of its own, whose NSS database trusts these roots; a context manager.

    It is driven over the pipe of its DevTools protocol: a JSON document each way, ended by a zero byte.
    """

    def __init__(self, home: Path, *roots: bytes) -> None:
        database = home / ".pki" / "nssdb"
        database.mkdir(parents=True)
        subprocess.run(["certutil", "-N", "-d", f"sql:{database}", "--empty-password"], check=True, timeout=60)
        for place, pem in enumerate(roots):
            command = ["certutil", "-A", "-d", f"sql:{database}", "-n", f"root {place}", "-t", "C,,"]
            subprocess.run(command, input=pem, check=True, timeout=60)
        self._home = home
        self._numbers = count(1)

    def __enter__(self) -> Self:
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        # The protocol's ends are the descriptors 3 and 4, so a shell puts them there.
        script = f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}'
        self._process = subprocess.Popen(
            [
                *("bash", "-c", script, "chromium", "--headless=new", "--no-sandbox", "--disable-gpu"),
                *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
                *("--disable-sync", "--remote-debugging-pipe", f"--user-data-dir={self._home}/profile", "about:blank"),
            ],
            env={"HOME": str(self._home), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(theirs_in, theirs_out),
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._out, self._in = os.fdopen(ours_out, "wb", 0), os.fdopen(ours_in, "rb")
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._ask("Browser.close")
        self._process.wait(60)
        self._out.close()
        self._in.close()

    def open(self, url: str, width: int = 1280, *, dark: bool = False) -> Page:
        """The page of this URL in a window so many pixels wide, when its script has come to an end."""
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session)
        page.ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 800)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        page.ask("Emulation.setEmulatedMedia", features=[scheme])
        page.ask("Page.enable")
        page.ask("Page.navigate", url=url)
        self._until("Page.loadEventFired", session)
        page.evaluate(ENDED)
        return page

    def _ask(self, method: str, session: str | None = None, **arguments: Any) -> Any:
        number = next(self._numbers)
        asked = {"id": number, "method": method, "params": arguments} | ({"sessionId": session} if session else {})
        self._out.write(json.dumps(asked).encode() + b"\0")
        while (said := self._hear()).get("id") != number:
            pass
        assert "error" not in said, said
        return said["result"]

    def _until(self, event: str, session: str) -> None:
        while (said := self._hear()).get("method") != event or said.get("sessionId") != session:
            pass

    def _hear(self) -> dict[str, Any]:
        document = bytearray()
        while (byte := self._in.read(1)) != b"\0":
            assert byte, "the browser has ended"
            document += byte
        found: dict[str, Any] = json.loads(document)
        return found


class Page:
    """A page that is open in a browser."""

    def __init__(self, browser: Chromium, session: str) -> None:
        self._browser = browser
        self._session = session

    def ask(self, method: str, **arguments: Any) -> Any:
        """What the page's DevTools answer."""
        return self._browser._ask(method, self._session, **arguments)

    def evaluate(self, expression: str) -> Any:
        """The value of this JavaScript in the page, awaited where it is a promise."""
        said = self.ask("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in said, said
        return said["result"].get("value")

    def text(self, selector: str) -> str:
        """What the first such element shows."""
        return str(self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText")).strip()

    @property
    def browser_column(self) -> dict[str, str]:
        """What the page says of its browser, by case."""
        said = "[...document.querySelectorAll('tr[data-case]')].map(r => [r.dataset.case, r.cells[1].innerText])"
        return {case: " ".join(words.split()) for case, words in self.evaluate(said)}

    @property
    def differing(self) -> set[str]:
        """The cases that are marked."""
        return set(self.evaluate("[...document.querySelectorAll('tr.differs')].map(r => r.dataset.case)"))


@pytest.fixture(scope="module")
def chromium(playground: Playground, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """A browser that trusts the playground's root."""
    with Chromium(tmp_path_factory.mktemp("home"), playground.root_pem) as browser:
        yield browser


@pytest.fixture(scope="module")
def page(playground: Playground, chromium: Chromium) -> Page:
    """The page over plain HTTP, in that browser."""
    return chromium.open(playground.page_url)


def test_the_browser_tries_every_case_and_the_table_fills(page: Page) -> None:
    assert page.evaluate("document.body.dataset.state") == "done"
    column = page.browser_column
    assert {column[name] for name in LOADED} == {"loaded TLSv1.3"}
    assert {column[name] for name in REFUSED} == {"refused"}
    assert len(column) == len(LOADED) + len(REFUSED) + len(UNTRIED) + 1


def test_what_a_browser_cannot_meet_is_not_tried_and_says_why(page: Page) -> None:
    assert page.browser_column["depth/trusted-leaf"] == "not tried needs a root of its own"
    assert page.browser_column["wire12/long-list"] == "not tried asks status_request_v2"


def test_the_page_says_what_the_browser_is_like(page: Page) -> None:
    assert page.text("#summary") == "Looks like ignore or soft-fail: as expected in all 8 cases."
    assert "asks servers for a staple" in page.text("#facts"), "Chromium does, and looks at what it gets"
    assert page.text("#nearest tr:first-child").split("\t") == ["ignore", "8 of 8 alike"]
    assert page.differing == set()


def test_the_server_saw_the_browser_come_for_every_case(playground: Playground, page: Page) -> None:
    came = {visit.case.id for visit in playground.server.records if visit.case is not None and visit.completed}
    assert came >= set(LOADED)
    assert not came & set(UNTRIED)


def test_a_browser_that_does_not_trust_the_root_is_told_how_to(playground: Playground, tmp_path: Path) -> None:
    with Chromium(tmp_path) as browser:
        page = browser.open(playground.page_url)
        assert page.evaluate("document.body.dataset.state") == "untrusted"
        assert page.text("#summary").startswith("Even the honest server did not load")
        assert page.evaluate("document.querySelector('#trust').open")
        assert set(page.browser_column.values()) == {"not tried"}


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_over_tls_fits_phones_and_desktops(
    playground: Playground, chromium: Chromium, width: int, dark: bool
) -> None:
    page = chromium.open(playground.url, width, dark=dark)
    assert page.evaluate("document.body.dataset.state") == "done"
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert page.evaluate("innerWidth") == width
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing sticks out to the side"
    words = page.evaluate("document.querySelector('tr[data-case] th').offsetWidth")
    assert words > 300, "what a case is has room, on a phone by standing above its verdicts"
    assert page.evaluate(CONTRASTS) == [], "every text can be read, by day and by night"


def test_where_the_browser_differs_from_the_nearest_is_marked(tmp_path: Path) -> None:
    # A corpus in which Chromium is like no preset: the expectations of one case are those of its opposite.
    wrong = replace(find("control/all-well"), expected=find("control/expired-leaf").expected)
    chosen = [wrong, *map(find, ("presence/every-staple", "presence/no-staple", "control/expired-leaf"))]
    with Playground(chosen) as served, Chromium(tmp_path, served.root_pem) as browser:
        page = browser.open(served.page_url)
        assert page.differing == {wrong.id}
        assert page.text("#summary") == "Looks like ignore or soft-fail: differs in 1 of 4 cases."
        visible = "[...document.querySelectorAll('tr[data-case]')].filter(r => r.offsetHeight).length"
        assert page.evaluate(visible) == 4
        page.evaluate("document.querySelector('#only').click()")
        assert page.evaluate(visible) == 1


def test_a_page_says_it_where_the_playground_is_gone(tmp_path: Path) -> None:
    with Chromium(tmp_path) as browser:
        with Playground([find("control/all-well")]) as served:
            page = browser.open(served.page_url)
        page.evaluate("document.querySelector('#again').click()")
        page.evaluate(ENDED)
        assert page.text("#summary").startswith("The playground did not answer")

"""Chromium for tests: headless, with a home of its own, driven by its DevTools, which tell what it asked for."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from itertools import count
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from pathlib import Path

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
        self._events: list[dict[str, Any]] = []

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

    def open(self, url: str, width: int = 1280, *, dark: bool = False, until: str | None = None) -> Page:
        """The page of this URL in a window so many pixels wide, when it is loaded and `until`, JavaScript, settles."""
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session)
        page.ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 800)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        page.ask("Emulation.setEmulatedMedia", features=[scheme])
        for domain in ("Page", "Network", "Log", "Runtime"):
            page.ask(f"{domain}.enable")
        page.ask("Page.navigate", url=url)
        self._until("Page.loadEventFired", session)
        if until is not None:
            page.evaluate(until)
        return page

    def told(self, session: str) -> list[dict[str, Any]]:
        """Every event that this page's DevTools told of so far."""
        return [event for event in self._events if event.get("sessionId") == session]

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
        if "method" in found:
            self._events.append(found)
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
    def requests(self) -> list[str]:
        """The URLs that were asked for, this page's own first."""
        told = self._browser.told(self._session)
        return [event["params"]["request"]["url"] for event in told if event["method"] == "Network.requestWillBeSent"]

    @property
    def complaints(self) -> list[str]:
        """What the browser wrote to the console, and exceptions."""
        told = self._browser.told(self._session)
        logs = [event["params"]["entry"]["text"] for event in told if event["method"] == "Log.entryAdded"]
        return logs + [str(event["params"]) for event in told if event["method"] == "Runtime.exceptionThrown"]

    @property
    def pale(self) -> list[str]:
        """The beginnings of elements whose text stands out too little."""
        return list(self.evaluate(CONTRASTS))

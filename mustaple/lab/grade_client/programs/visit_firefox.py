"""Headless Firefox as a client, with a fresh profile: python visit_firefox.py PROGRAM URL CA FOLDER.

It is driven over Marionette, which says by which error a page failed. Ends with 1 where it did.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PATIENCE = 60.0  # seconds for the browser to start, and again for the page
PREFERENCES = {
    "app.normandy.enabled": False,
    "app.update.auto": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.search.update": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.proxy.type": 0,
    "services.settings.server": "data:,",
    "toolkit.telemetry.enabled": False,
}


class Marionette:
    """The browser's remote protocol: a length, a colon, JSON; the first message is its greeting."""

    def __init__(self, connected: socket.socket) -> None:
        self._file = connected.makefile("rwb")
        self._number = 0
        self._read()

    def close(self) -> None:
        """Let go of the connection."""
        self._file.close()

    def ask(self, what: str, **said: Any) -> Any:
        """What it answers. Raises OSError with the browser's words where that is an error."""
        self._number += 1
        text = json.dumps([0, self._number, what, said]).encode()
        self._file.write(b"%d:%b" % (len(text), text))
        self._file.flush()
        _, _, error, value = self._read()
        if error is not None:
            raise OSError(error.get("message") or error.get("error"))
        return value

    def _read(self) -> Any:
        length = b""
        while not length.endswith(b":"):
            letter = self._file.read(1)
            if not letter:
                raise OSError("the browser has gone")
            length += letter
        return json.loads(self._file.read(int(length[:-1])))


def make_profile(folder: Path, ca: str) -> None:
    """A profile that trusts the CA, and talks to nobody by itself. Raises CalledProcessError where it cannot be."""
    folder.mkdir()
    preferences = PREFERENCES | {"marionette.port": 0}
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in preferences.items()]
    (folder / "user.js").write_text("\n".join(lines) + "\n")
    subprocess.run(["certutil", "-N", "--empty-password", "-d", f"sql:{folder}"], check=True, capture_output=True)
    added = ["certutil", "-A", "-d", f"sql:{folder}", "-n", "mustaple test root", "-t", "CT,,", "-i", ca]
    subprocess.run(added, check=True, capture_output=True)


def wait_for_port(profile: Path, browser: subprocess.Popen[bytes]) -> int:
    """The port on which Marionette listens, which the browser writes into its profile. OSError if not."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and browser.poll() is None:
        with contextlib.suppress(FileNotFoundError, ValueError):
            return int((profile / "MarionetteActivePort").read_text())
        time.sleep(0.02)
    raise OSError("the browser did not start")


def load(port: int, url: str) -> None:
    """Load the page. Raises OSError, with the browser's words, where it is an error page."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connected:
        marionette = Marionette(connected)
        try:
            marionette.ask("WebDriver:NewSession", capabilities={"alwaysMatch": {"acceptInsecureCerts": False}})
            marionette.ask("WebDriver:Navigate", url=url)
        finally:
            marionette.close()


def visit(program: str, url: str, ca: str, folder: Path) -> None:
    """Start the browser, load the page, end it. Raises OSError where the page is refused."""
    profile = folder / "profile"
    make_profile(profile, ca)
    browser = subprocess.Popen(
        [program, "--marionette", "--headless", "--no-remote", "--profile", str(profile), "about:blank"],
        env={**os.environ, "HOME": str(folder), "MOZ_HEADLESS": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        load(wait_for_port(profile, browser), url)
    finally:
        browser.kill()
        browser.wait()


if __name__ == "__main__":
    try:
        visit(sys.argv[1], sys.argv[2], sys.argv[3], Path(sys.argv[4]))
    except OSError as error:
        sys.exit(f"refused: {error}")

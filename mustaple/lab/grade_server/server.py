"""Somebody else's server, started from a recipe in a folder of its own, watched until it listens, ended by its id."""

from __future__ import annotations

import contextlib
import grp
import http.client
import os
import pwd
import shutil
import signal
import socket
import ssl
import subprocess
import time
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from mustaple.core.errors import InputError, NetworkError
from mustaple.lab.grade_server.ground import PASSWORD
from mustaple.lab.grade_server.recipe import PROGRAMS, fill, which

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from mustaple.lab.grade_server.recipe import Recipe

_KNOCK: Final = 0.02  # seconds between two tries at its port
_ENDING: Final = 5.0  # seconds that it has to end by itself
_LOG_LIMIT: Final = 1 << 16
_NOBODY: Final = "nobody"


def free_port() -> int:
    """A port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def server_date(port: int) -> datetime | None:
    """The time that a server on loopback tells by HTTP (RFC 9110 §6.6.1), aware UTC; None where it tells none."""
    # Nobody relies on who answers.
    context = ssl._create_unverified_context()  # noqa: S323, SLF001  there is no public name for it
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=_ENDING, context=context)
    try:
        connection.request("GET", "/", headers={"Host": f"localhost:{port}"})
        told = connection.getresponse().getheader("Date")
        return None if told is None else parsedate_to_datetime(told).astimezone(UTC)
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


class GradedServer:
    """One server on loopback. `folder` has its files, and keeps what it remembers from start to start.

    Raises InputError where what it needs is not here, and NetworkError where it does not start.
    """

    def __init__(self, recipe: Recipe, folder: Path, responder_url: str, environment: Mapping[str, str]) -> None:
        if recipe.missing:
            raise InputError(
                f"{recipe.name} cannot be graded here: there is no {', no '.join(recipe.missing)} "
                f"(on Debian: apt-get install {recipe.package})"
            )
        root = os.geteuid() == 0
        self.recipe = recipe
        self.folder = folder
        self.port = free_port()
        self._values = {
            "folder": str(folder),
            "port": str(self.port),
            "other_port": str(free_port()),
            "responder": responder_url,
            "password": PASSWORD,
            "shared": str(folder.parent),
            "user": _NOBODY if root else pwd.getpwuid(os.geteuid()).pw_name,
            "group": grp.getgrgid(pwd.getpwnam(_NOBODY).pw_gid if root else os.getegid()).gr_name,
        }
        self._clock = dict(environment)
        self._log = folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """Write its files."""
        for name in self.recipe.folders:
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        for name, text in self.recipe.files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(fill(text, self._values), encoding="utf-8")
        if self.recipe.gives_up_root and os.geteuid() == 0:
            for path in (self.folder, *self.folder.rglob("*")):
                shutil.chown(path, _NOBODY)

    def build(self) -> None:
        """Run what has to run once before any start. Raises NetworkError where it fails."""
        if not self.recipe.prepare:
            return
        done = subprocess.run(  # noqa: S603  the recipe's command, which the user has chosen
            self._words(self.recipe.prepare), env=self._environment(), capture_output=True, timeout=120, check=False
        )
        if done.returncode != 0:
            said = (done.stdout + done.stderr).decode("utf-8", "replace").strip()
            raise NetworkError(f"{self.recipe.name} could not be prepared: {said[-500:]}")

    def given(self) -> list[Path]:
        """The files in which it looks for staples, the leaf's first."""
        return [self.folder / fill(name, self._values) for name in self.recipe.given]

    def start(self) -> None:
        """Start it; `wait` says when it listens."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  likewise
                self._words(self.recipe.command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={**self._environment(), **self._clock},
                start_new_session=True,
            )

    def wait(self, seconds: float) -> bool:
        """Whether it listens within so many seconds. Raises NetworkError where it has ended instead."""
        until = time.monotonic() + seconds
        while True:
            if self._process is None or self._process.poll() is not None:
                raise NetworkError(f"{self.recipe.name} has ended: {self.said()[-1000:].strip() or 'it said nothing'}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
            if time.monotonic() >= until:
                return False
            time.sleep(_KNOCK)

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """End it, and what it started."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_ENDING)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self._await_silence()

    def _await_silence(self) -> None:
        """Its workers may hold the port for a moment after it."""
        until = time.monotonic() + _ENDING
        while time.monotonic() < until:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                    time.sleep(_KNOCK)
            except OSError:
                return

    def said(self) -> str:
        """What it has written: its output, and the logs in its folder."""
        # Its folder is named in what it writes, and says nothing.
        logs = sorted({self._log, *self.folder.glob("*.log"), *self.folder.glob("logs/*")})
        shown = []
        for path in logs:
            if path.is_file():
                with path.open("rb") as file:
                    shown.append(file.read(_LOG_LIMIT).decode("utf-8", "replace"))
        return "\n".join(shown).replace(str(self.folder), "")

    def _words(self, words: tuple[str, ...]) -> list[str]:
        filled = [fill(word, self._values) for word in words]
        return [which(filled[0]) or filled[0], *filled[1:]]

    def _environment(self) -> dict[str, str]:
        """Without what would send it to a proxy, and with its words in English."""
        kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        more = {name: fill(value, self._values) for name, value in self.recipe.environment.items()}
        return kept | {"LC_ALL": "C.UTF-8", "PATH": f"{os.environ.get('PATH', '')}:{PROGRAMS}"} | more

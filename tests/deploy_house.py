"""Servers of other people's that a deployment is tried on: each by its own configuration, on loopback, ended by id."""

from __future__ import annotations

import contextlib
import os
import pwd
import socket
import subprocess
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from certtools.authority import Authority
from certtools.forge import good
from mustaple.agent.deploy.contract import Site
from mustaple.agent.desire import Desired
from mustaple.agent.handover import Target, hand_over
from mustaple.lab.grade_server.recipe import which

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from certtools.authority import Issued
    from mustaple.agent.deploy.contract import Deployment
    from mustaple.agent.events import Event

NOW: Final = datetime.now(UTC)
ROOT: Final = Authority.root("deploy root", not_before=NOW - timedelta(days=1), not_after=NOW + timedelta(days=9))
# Nobody listens there: hitch asks that address by itself, and what it is told must not be what a test sees.
NOBODY: Final = "http://127.0.0.1:9/"
CA: Final = ROOT.intermediate("deploy CA", ocsp_urls=[NOBODY])
_STARTING: Final = 20.0  # seconds


class Certificate:
    """A certificate for localhost with its key, and staples for it and for its CA; `staples(1)` are later ones."""

    def __init__(self, folder: Path, name: str) -> None:
        self.issued: Issued = CA.leaf(["localhost", "127.0.0.1"], ocsp_urls=[NOBODY])
        self.key = folder / f"{name}.key"
        self.key.write_bytes(self.issued.key_pem())
        self.site = Site("site", self.issued.as_chain(), self.issued.chain_pem(), self.key)
        self.without_key = replace(self.site, key=None)
        self.pem = self.issued.key_pem() + self.issued.chain_pem()
        leaf, ca = self.issued.as_chain().links
        times = (NOW - timedelta(minutes=minutes) for minutes in (9, 8))
        self._staples = [(good(leaf, CA, at), good(ca, ROOT, at)) for at in times]

    def staples(self, later: int = 0) -> tuple[bytes, bytes]:
        """One for the leaf and one for its CA."""
        return self._staples[later]


def free_port() -> int:
    """A port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def running(command: Sequence[str], folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A server, once it listens; its output goes to `server.log` in the folder."""
    words = [which(command[0]) or command[0], *command[1:]]
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder, start_new_session=True
        )
    try:
        until = time.monotonic() + _STARTING
        while True:
            assert process.poll() is None, (folder / "server.log").read_text(errors="replace")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            assert time.monotonic() < until, "it does not listen"
            time.sleep(0.02)
        yield process
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()


def wait_for_answer(path: Path, question: bytes) -> None:
    """Until somebody at this socket answers."""
    until = time.monotonic() + _STARTING
    while True:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(1)
            asking.connect(str(path))
            asking.sendall(question)
            if asking.recv(1):
                return
        assert time.monotonic() < until, f"nobody answers at {path.name}"
        time.sleep(0.02)


def wait_for_file(path: Path) -> None:
    """Until there is something in it, as in the pid file of a server that listens already."""
    until = time.monotonic() + _STARTING
    while not (path.exists() and path.stat().st_size):
        assert time.monotonic() < until, f"{path.name} is not written"
        time.sleep(0.02)


def unprivileged() -> str:
    """A user that servers may become."""
    return "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name


def target(settings: Deployment) -> Target:
    """A target that the agent has never given anything."""
    return Target(settings, settings.deployer("site"), first=True)


def give(to: Target, site: Site, staples: Sequence[bytes | None], **options: Any) -> Event:
    """Hand over, with the handshake that `verify` asks for, and say what came of it."""
    return hand_over(to, Desired(site, tuple(staples), settled=True), datetime.now(UTC), **options)

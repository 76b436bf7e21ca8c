"""Commands of mustaple as processes for tests, and a folder for them as `mustaple issue` leaves it."""

from __future__ import annotations

import contextlib
import os
import queue
import secrets
import signal
import socket
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from certtools.authority import Authority, Issued
from certtools.ca_dir import CaDir
from certtools.chain import Link, to_pem
from mustaple.cli.app import run as mustaple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import pytest

NOW = datetime.now(UTC)
ROOT = Authority.root("cli root", not_before=NOW - timedelta(days=1), not_after=NOW + timedelta(days=9))
CA = ROOT.intermediate("cli CA")
MUSTAPLE = (sys.executable, "-c", "from mustaple.cli import main; main()")


def said(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> str:
    """What a command in this process says on stdout, with nothing on stderr, when it ends with this code."""
    assert mustaple([*map(str, arguments)]) == code
    output = capsys.readouterr()
    assert output.err == ""
    return output.out


def refused(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 2) -> str:
    """The one line on stderr with which a command in this process ends, stdout being empty."""
    assert mustaple([*map(str, arguments)]) == code
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1
    assert output.err.startswith("mustaple: ")
    return output.err


def free_port() -> int:
    """A port that is free, and below those the system gives out by itself: nobody takes it by chance meanwhile."""
    while True:
        port = 20000 + secrets.randbelow(12000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Folder:
    """What `mustaple issue --out` leaves: root.pem, chain.pem, key.pem and the CA directory.

    The leaf names an OCSP URL if `ocsp`, the CA above it if `above`.
    """

    def __init__(self, path: Path, issuer: Authority | None = None, *, ocsp: bool = True, above: bool = False) -> None:
        self.path = path
        self.url = f"http://127.0.0.1:{free_port()}/"
        if issuer is None:
            issuer = ROOT.intermediate("cli CA", ocsp_urls=[self.url]) if above else CA
        self.leaf: Issued = issuer.leaf(["localhost"], ocsp_urls=[self.url] if ocsp else [])
        self.link = Link(self.leaf.certificate, issuer.certificate)
        with CaDir.create(path / "ca", issuer, {"ocsp_url": self.url}) as ca:
            ca.record(self.leaf.certificate)
        (path / "root.pem").write_bytes(to_pem([self.leaf.as_chain().top]))
        (path / "chain.pem").write_bytes(self.leaf.chain_pem())
        (path / "key.pem").write_bytes(self.leaf.key_pem())

    def revoke(self) -> None:
        with CaDir.open(self.path) as ca:
            ca.revoke(self.leaf.certificate, None, datetime.now(UTC))


class Running:
    """A command that runs, its two streams read line by line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.out: queue.Queue[str] = queue.Queue()
        self.err: queue.Queue[str] = queue.Queue()
        self.threads = [
            threading.Thread(target=self._read, args=(stream, lines))
            for stream, lines in ((process.stdout, self.out), (process.stderr, self.err))
        ]
        for thread in self.threads:
            thread.start()

    @staticmethod
    def _read(stream: Iterable[str], lines: queue.Queue[str]) -> None:
        for line in stream:
            lines.put(line.rstrip("\n"))
        lines.put("")  # it has ended

    def ready(self) -> str:
        """The line that says it is ready."""
        line = self.out.get(timeout=30)
        assert line, self.err.get(timeout=30)
        return line

    def says(self, words: str) -> str:
        """The next line on stderr that has these words."""
        while True:
            line = self.err.get(timeout=30)
            assert line, f"it ended without saying {words}"
            if words in line:
                return line

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@contextlib.contextmanager
def running(*arguments: object, under: tuple[str, ...] = ()) -> Iterator[Running]:
    environment = {**os.environ, "no_proxy": "*", "NO_PROXY": "*"}
    with subprocess.Popen(
        [*under, *MUSTAPLE, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        run = Running(process)
        try:
            yield run
        finally:
            process.kill()
            process.wait(30)
            for thread in run.threads:
                thread.join(30)


def run(*arguments: object, under: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [*under, *MUSTAPLE, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

"""The README is true: its console examples run in order, in one shell, and say what it says they say."""

from __future__ import annotations

import queue
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

README = Path(__file__).parent.parent / "README.md"
# The commands listen on their default ports, so they run where nobody else is: a network namespace with only loopback.
ALONE = ("unshare", "--net", "--map-root-user", "bash", "-c", "ip link set lo up; exec bash --norc -m")
PATIENCE = 60.0  # seconds until a line must have come
END = "=== the end of a command ==="


class Shell:
    """A bash with job control in an empty folder, whose output can be waited for line by line."""

    def __init__(self, folder: Path) -> None:
        tools = Path(sys.executable).parent
        self.process = subprocess.Popen(
            ALONE,
            cwd=folder,
            env={
                "PATH": f"{tools}:/usr/sbin:/usr/bin:/sbin:/bin",
                "HOME": str(folder),
                "COLUMNS": "80",
                "LC_ALL": "C.UTF-8",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.seen: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.rstrip())

    def run(self, command: str, expected: list[str]) -> None:
        """Run a command, and wait until it has ended and every expected line has been said, in any order."""
        assert self.process.stdin is not None
        self.seen = []
        self.process.stdin.write(f"{command}\necho '{END}'\n")
        self.process.stdin.flush()
        deadline = time.monotonic() + PATIENCE
        while END not in self.seen or missing(expected, self.seen):
            try:
                self.seen.append(self._lines.get(timeout=max(0.0, deadline - time.monotonic())))
            except queue.Empty:
                said = "\n".join(self.seen)
                pytest.fail(f"$ {command}\ndid not say {missing(expected, self.seen)}, but\n{said}", pytrace=False)

    def close(self) -> None:
        """End the shell and what it started."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("kill $(jobs -p); wait\n")
        self.process.stdin.close()
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        self.process.stdout.close()


def missing(expected: list[str], seen: list[str]) -> list[str]:
    """The expected lines that no line said; `…` stands for anything."""
    patterns = {line: ".*".join(map(re.escape, line.strip().split("…"))) for line in expected}
    return [line for line, pattern in patterns.items() if not any(re.fullmatch(pattern, said.strip()) for said in seen)]


def blocks() -> Iterator[tuple[str, list[str]]]:
    """Each command with the lines that the README shows under it, and the Python example as a command."""
    for kind, text in re.findall(r"^```(console|python)\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL):
        if kind == "python":
            yield f"python - <<'EOF'\n{text}EOF", ["accepted"]
            continue
        for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, *said = part.rstrip().splitlines()
            yield command, said


def test_there_is_an_example_for_each_command() -> None:
    from mustaple.cli.app import COMMANDS

    commands = " ".join(command for command, _ in blocks())
    assert all(f"mustaple {name}" in commands for name in COMMANDS)


@pytest.mark.peer("unshare", "ip", "bash")
@pytest.mark.timeout(300)
def test_every_example_says_what_the_readme_says(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    try:
        for command, expected in blocks():
            if command == "make test":
                continue  # this is it
            shell.run("mustaple compare" if command == "make demo" else command, expected)
    finally:
        shell.close()


@pytest.mark.peer("unshare", "ip", "bash")
def test_a_line_that_is_not_said_is_missed(tmp_path: Path) -> None:
    assert missing(["a … c"], ["a b c"]) == []
    assert missing(["a … c", "d"], ["a b"]) == ["a … c", "d"]
    shell = Shell(tmp_path)
    try:
        shell.run("echo one; echo two", ["one", "two"])
    finally:
        shell.close()

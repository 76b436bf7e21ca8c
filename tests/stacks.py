"""Runs other people's TLS stacks: compiles the programs in peer_programs/, talks to them by lines, ends them."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import threading
from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from peers import JARS, namespace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SOURCES: Final = Path(__file__).parent / "peer_programs"
PATIENCE: Final = 60.0  # seconds for a line from a peer; a JVM on a busy machine takes its time
_END: Final = 10.0  # seconds
_KEPT: Final = 50  # lines of standard error, to be shown where something goes wrong


@dataclass
class Served:
    """A peer's server for one client: where it listens, and once the client has gone what the server said of it."""

    port: int
    said: str = ""


class Program:
    """A running program that answers lines with lines; a context manager, after which it has ended.

        with Program(["cat"]) as cat:
            assert cat.ask("hello") == "hello"

    Every wait is bounded. AssertionError says what the program wrote last where it says nothing, or has ended.
    `patience` is how long it may take to end, in seconds, once its input has.
    """

    def __init__(self, command: Sequence[str | os.PathLike[str]]) -> None:
        self.command = [os.fspath(word) for word in command]
        self.patience = _END
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._errors: deque[str] = deque(maxlen=_KEPT)

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=quiet_environment(),
            start_new_session=True,
        )
        self._threads = [threading.Thread(target=read, daemon=True) for read in (self._read_lines, self._read_errors)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        process = self._process
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended already
            process.stdin.close()
        try:
            process.wait(self.patience)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # with what it started itself
            process.wait()
        for thread in self._threads:
            thread.join()
        for pipe in (process.stdout, process.stderr):
            assert pipe is not None
            pipe.close()

    def say(self, line: str) -> None:
        """Write one line to it."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._ended() from None

    def hear(self, timeout: float = PATIENCE) -> str:
        """The next line that it writes."""
        try:
            line = self._lines.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError(f"{self.command} said nothing for {timeout:g} s; {self._told()}") from None
        if line is None:
            raise self._ended()
        return line

    def ask(self, line: str) -> str:
        """Write one line, and take the next that it writes for the answer."""
        self.say(line)
        return self.hear()

    @contextmanager
    def serving(self, order: str) -> Iterator[Served]:
        """Have it serve one client: it answers the order with a port, and says a line about the client afterwards."""
        served = Served(int(self.ask(order)))
        try:
            yield served
        finally:
            served.said = self.hear()

    def _read_lines(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        self._errors.extend(line.rstrip("\n") for line in self._process.stderr)

    def _ended(self) -> AssertionError:
        self._lines.put(None)  # whoever listens again hears the same
        self._threads[1].join(self.patience)  # its last words are worth waiting for
        return AssertionError(f"{self.command} has ended; {self._told()}")

    def _told(self) -> str:
        return "standard error: " + ("\n".join(self._errors) or "nothing")


def run(
    *command: str | os.PathLike[str], send: str = "", timeout: float = PATIENCE
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, whatever its exit code. Raises TimeoutExpired, and ends it, where it takes too long."""
    return subprocess.run(
        command,
        input=send,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout,
        check=False,
        env=quiet_environment(),
    )


def alone(*command: str | os.PathLike[str]) -> list[str | os.PathLike[str]]:
    """The same command in a network of its own that has nothing but loopback, for what listens on every address."""
    found = namespace()
    assert found is not None, "no network namespace can be had here"
    return [*found, "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *command]


def quiet_environment() -> dict[str, str]:
    """The environment without what would send a peer to a proxy, and with its words in English."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return kept | {"NO_PROXY": "*", "no_proxy": "*", "LC_ALL": "C.UTF-8"}


def compile_java(source: str, folder: Path, *jars: str) -> list[str]:
    """Compile a program of peer_programs/ with these jars; the command that starts it, for arguments to be added."""
    classpath = os.pathsep.join([os.fspath(folder), *(os.fspath(JARS / jar) for jar in jars)])
    built = run("javac", "-Xlint:all,-path", "-Werror", "-cp", classpath, "-d", folder, SOURCES / source)
    assert built.returncode == 0, built.stdout + built.stderr
    # One program, seconds long: no second compiler, no threads for a heap that stays small.
    return ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-cp", classpath, Path(source).stem]


def compile_c(source: str, folder: Path, *libraries: str) -> list[str]:
    """Compile a program of peer_programs/ with these libraries; the command that starts it."""
    program = folder / Path(source).stem
    linked = [f"-l{library}" for library in libraries]
    built = run("gcc", "-Wall", "-Wextra", "-Werror", "-O1", "-o", program, SOURCES / source, *linked)
    assert built.returncode == 0, built.stdout + built.stderr
    return [os.fspath(program)]

"""One run of a client's program: in a process group of its own, for so long and no longer, and how it ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mustaple.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_TAIL: Final = 4096  # bytes of a program's last words that are kept
# A shell that ran the program says so of a signal: 128 and its number. These are faults; SIGTERM or SIGPIPE are not.
_FAULTS: Final = frozenset({signal.SIGILL, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGSEGV, signal.SIGSYS})
_BY_SHELL: Final = 128


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended: by itself with an exit code, by a signal, or because its time was over (neither).

    `seconds` is how long it took, `said` its last words, on stdout and stderr.
    """

    exit_code: int | None
    signal: int | None
    seconds: float
    said: str

    @property
    def timed_out(self) -> bool:
        """Whether it was still there when its time was over."""
        return self.exit_code is None and self.signal is None

    def __str__(self) -> str:
        if self.timed_out:
            return f"still running after {self.seconds:.0f} s"
        if self.signal is not None:
            return f"killed by {_signal_name(self.signal)}"
        return f"exit {self.exit_code}"


def _signal_name(number: int) -> str:
    with contextlib.suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"


class Attempts:
    """Runs programs, from any thread; `close` ends those that still run."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._closed = False

    def run(self, command: Sequence[str], *, timeout: float, environment: Mapping[str, str], folder: Path) -> Ending:
        """Run this in that folder, for at most `timeout` seconds; then it and what it started are killed.

        Raises InputError where there is no such program.
        """
        with tempfile.TemporaryFile() as output:
            begun = time.monotonic()
            process = self._start(command, environment, folder, output.fileno())
            try:
                code: int | None = process.wait(timeout)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                _kill_group(process)
                process.wait()
                with self._lock:
                    self._running.discard(process)
            seconds = time.monotonic() - begun
            return _ending(code, seconds, _tail(output.fileno()))

    def close(self) -> None:
        """Kill what still runs, and start nothing more."""
        with self._lock:
            self._closed = True
            running = tuple(self._running)
        for process in running:
            _kill_group(process)

    def _start(
        self, command: Sequence[str], environment: Mapping[str, str], folder: Path, output: int
    ) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._closed:
                raise InputError("the grading has ended")
            try:
                process = subprocess.Popen(  # noqa: S603 - it is what the user asked to run
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=environment,
                    cwd=folder,
                    start_new_session=True,
                )
            except OSError as error:
                raise InputError(f"cannot run {command[0]}: {error.strerror or error}") from error
            self._running.add(process)
            return process


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """What the program started stays in its group, and ends with it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _tail(output: int) -> str:
    size = os.lseek(output, 0, os.SEEK_END)
    return os.pread(output, _TAIL, max(size - _TAIL, 0)).decode("utf-8", "replace").strip()


def _ending(code: int | None, seconds: float, said: str) -> Ending:
    if code is None:
        return Ending(None, None, seconds, said)
    if code < 0:
        return Ending(None, -code, seconds, said)
    if code - _BY_SHELL in _FAULTS:
        return Ending(None, code - _BY_SHELL, seconds, said)
    return Ending(code, None, seconds, said)

"""Runs an operator's command: no shell, a bounded time, a bounded answer, and an error in one sentence."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from mustaple.agent.deploy.contract import DeployError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_SAID: Final = 200  # characters of what a command said that errors repeat


def run(command: Sequence[str], timeout: float, environment: Mapping[str, str] | None = None) -> None:
    """Run this command with these variables added to the environment, for at most `timeout` seconds.

    Raises DeployError where it cannot be started, does not end in time (it and its children are then killed), or ends
    with another code than 0; the last line that it wrote is repeated.
    """
    name = command[0]
    try:
        process = subprocess.Popen(  # noqa: S603 - the operator's own command, as a list: no shell reads it
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    except OSError as error:
        raise DeployError(f"{name} cannot be run: {error.strerror or error}") from error
    with process:
        try:
            said, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            _kill(process)
            raise DeployError(f"{name} did not end within {timeout:g} s") from None
        except BaseException:
            _kill(process)
            raise
    if process.returncode:
        lines = said.decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        shown = "".join(each if each.isprintable() else "?" for each in last[:MAX_SAID])
        raise DeployError(f"{name} ended with {process.returncode}" + (f": {shown}" if shown else ""))


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()

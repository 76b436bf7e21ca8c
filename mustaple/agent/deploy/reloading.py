"""Has a server read its files again: by a signal to the process in its pid file, or by a command."""

from __future__ import annotations

import os
from abc import ABC
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, Self

from pydantic import Field, model_validator

from mustaple.agent.deploy.contract import Command, DeployError, Deployment, Seconds
from mustaple.agent.deploy.running import run

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Mapping

    # Takes the variables that a command finds in its environment.
    Reload = Callable[[Mapping[str, str]], None]

_LONGEST_PID_FILE: Final = 64  # bytes


class NotRunningError(DeployError):
    """There is no server to tell: what was written is read when it starts."""


class ReloadingDeployment(Deployment, ABC):
    """What the tables of servers say that have to be told of new files. One of `WAYS` is named."""

    WAYS: ClassVar[tuple[str, ...]] = ("pid_file", "reload")

    pid_file: Path | None = Field(default=None, description="The server's pid file: it is sent the signal to reload.")
    reload: Command | None = Field(default=None, description="A command that reloads it instead, as a list; no shell.")
    may_be_down: bool = Field(
        default=False, description="That the server does not run is no failure: it reads its files when it starts."
    )
    timeout: Seconds = Field(default=30.0, description="Seconds that the command or the server may take.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if sum(getattr(self, way) is not None for way in self.WAYS) != 1:
            raise ValueError(f"one of {', '.join(self.WAYS)} says how the server takes note of a change, and only one")
        return self

    def reloader(self, number: signal.Signals, program: str) -> Reload:
        """What has the server take note; `number` is sent to no process but one that is called like `program`."""
        if self.reload is not None:
            return partial(run, self.reload, self.timeout)
        if self.pid_file is None:
            raise AssertionError("the model has seen to it that there is a way")
        return partial(_signal, self.pid_file, number, program, self.may_be_down)


def _signal(pid_file: Path, number: signal.Signals, program: str, may_be_down: bool, _: Mapping[str, str]) -> None:  # noqa: FBT001 - bound by partial
    try:
        signal_server(pid_file, number, program)
    except NotRunningError:
        if not may_be_down:
            raise


def signal_server(pid_file: Path, number: signal.Signals, program: str) -> None:
    """Send this signal to the process whose number is in the file.

    Raises NotRunningError where there is none, which includes that its number belongs to another program by now: what a
    signal to reload does to that is to end it. Raises DeployError where the file is none, or the signal is not allowed.
    """
    try:
        process = _read_number(pid_file)
        name = _name_of(process)
        if name in (program, None):
            os.kill(process, number)
            return
    except (FileNotFoundError, ProcessLookupError):
        raise NotRunningError(f"{program} does not run: there is no process of {pid_file}") from None
    except OSError as error:
        reason = error.strerror or error
        raise DeployError(f"{program} cannot be told, by {pid_file}: {reason}; or name a command, `reload`") from error
    raise NotRunningError(f"{program} does not run: process {process}, of {pid_file}, is {name}")


def _read_number(pid_file: Path) -> int:
    with pid_file.open("rb") as file:
        # HAProxy writes the number of a worker on each further line.
        first = file.read(_LONGEST_PID_FILE).partition(b"\n")[0].strip()
    if not first.isdigit() or int(first) < 1:
        raise DeployError(f"{pid_file} holds no process number")
    return int(first)


def _name_of(process: int) -> str | None:
    """What a process is called; None where it is gone, or the system does not say (as systemd's ProtectProc has it)."""
    try:
        return (Path("/proc") / str(process) / "comm").read_text().strip()
    except OSError:
        return None

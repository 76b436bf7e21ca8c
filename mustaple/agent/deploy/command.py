"""The `exec` deployer: any command, which finds chain and staples in a folder that is there as long as it runs."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from certtools.ca_dir.files import write_new
from mustaple.agent.deploy.contract import Command, DeployError, Deployment, Seconds
from mustaple.agent.deploy.files import site_files
from mustaple.agent.deploy.running import run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mustaple.agent.deploy.contract import Site


class ExecDeployment(Deployment):
    """A command of the operator's; variables say what to do, and where the files for it are."""

    kind: Literal["exec"]
    command: Command = Field(
        description="As a list; no shell. MUSTAPLE_ACTION is deploy, withdraw or rollback, MUSTAPLE_NAME the chain, "
        "MUSTAPLE_DIRECTORY a folder with chain.pem, leaf.der, staple-0.der and so on, there while the command runs."
    )
    timeout: Seconds = Field(default=30.0, description="Seconds that the command may take.")

    def deployer(self, name: str) -> ExecDeployer:  # noqa: ARG002 - a command is told the name each time
        """The deployer of this table."""
        return ExecDeployer(self.command, self.timeout)


class ExecDeployer:
    """Runs one command for all three; for `rollback` it is given what was deployed before, as far as that is known."""

    def __init__(self, command: Sequence[str], timeout: float = 30.0) -> None:
        self._command = command
        self._timeout = timeout
        self._now: tuple[Site, tuple[bytes | None, ...]] | None = None
        self._before: tuple[Site, tuple[bytes | None, ...]] | None = None

    def __str__(self) -> str:
        return f"exec {self._command[0]}"

    def deploy(self, site: Site, staples: Sequence[bytes | None]) -> None:
        """Run it with the action `deploy`."""
        self._run("deploy", site, staples)
        self._before, self._now = self._now, (site, tuple(staples))

    def withdraw(self, site: Site) -> None:
        """Run it with the action `withdraw`; the folder holds no staple."""
        self._run("withdraw", site, [None] * len(site.chain.links))
        self._before, self._now = self._now, None

    def rollback(self, site: Site) -> None:
        """Run it with the action `rollback` and what was there before the last `deploy`; no staple where none was."""
        before, self._before = self._before, None
        self._now = before
        self._run("rollback", *(before or (site, (None,) * len(site.chain.links))))

    def _run(self, action: str, site: Site, staples: Sequence[bytes | None]) -> None:
        try:
            with tempfile.TemporaryDirectory(prefix="mustaple-") as folder:
                for name, (data, mode) in site_files(site, staples).items():
                    write_new(Path(folder) / name, data, mode)
                variables = {
                    "MUSTAPLE_ACTION": action,
                    "MUSTAPLE_NAME": site.name,
                    "MUSTAPLE_DIRECTORY": folder,
                }
                run(self._command, self._timeout, variables)
        except OSError as error:
            raise DeployError(f"{error.filename or self._command[0]}: {error.strerror or error}") from error

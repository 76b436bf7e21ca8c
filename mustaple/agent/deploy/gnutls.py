"""The deployer for servers on GnuTLS: a folder with a DER file for each certificate, leaf first, and a command."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from mustaple.agent.deploy.contract import Command, Deployment, Seconds
from mustaple.agent.deploy.files import FolderDeployer, chain_files, for_chain, staple_files
from mustaple.agent.deploy.running import run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mustaple.agent.deploy.contract import Site


class GnutlsDeployment(Deployment):
    """A folder for one chain. How a server on GnuTLS reads it again is its own business, so a command does it."""

    kind: Literal["gnutls"]
    directory: Path = Field(
        description="The folder, made as a symbolic link; {name} stands for the chain's name. In it are staple-0.der, "
        "the leaf's, staple-1.der and so on, chain.pem, and key.pem where the chain's key is named."
    )
    reload: Command = Field(
        description="A command that has the server read the files again, restarting it if need be, as a list; no shell."
    )
    timeout: Seconds = Field(default=30.0, description="Seconds that the command may take.")

    def deployer(self, name: str) -> FolderDeployer:
        """The deployer of this table."""
        after = partial(run, self.reload, self.timeout)
        return FolderDeployer("gnutls", for_chain(self.directory, name), gnutls_files, after)


def gnutls_files(site: Site, staples: Sequence[bytes | None]) -> dict[str, tuple[bytes, int]]:
    """The chain, and the staples of all its certificates."""
    return chain_files(site) | staple_files(staples)

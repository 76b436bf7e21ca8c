"""The lighttpd deployer: a folder with chain and staple, and a graceful restart."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Literal

from pydantic import Field

from mustaple.agent.deploy.files import FolderDeployer, for_chain, leaf_files
from mustaple.agent.deploy.reloading import ReloadingDeployment


class LighttpdDeployment(ReloadingDeployment):
    """A folder for one chain. lighttpd reads a staple again about every 64 s; restarted, it does so at once.

    That is what a withdrawal needs: a file that is gone leaves the staple before it in use until that expires.
    """

    kind: Literal["lighttpd"]
    directory: Path = Field(
        description="The folder, made as a symbolic link; {name} stands for the chain's name. lighttpd.conf has "
        "ssl.stapling-file = DIRECTORY/leaf.der, and where the chain's key is named ssl.pemfile = DIRECTORY/chain.pem "
        "and ssl.privkey = DIRECTORY/key.pem."
    )

    def deployer(self, name: str) -> FolderDeployer:
        """The deployer of this table."""
        after = self.reloader(signal.SIGUSR1, "lighttpd")
        return FolderDeployer("lighttpd", for_chain(self.directory, name), leaf_files, after)

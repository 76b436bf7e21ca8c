"""The nginx deployer: a folder with the staple and a snippet that names it, and a reload."""

from __future__ import annotations

import re
import signal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from pydantic import Field

from certtools.ca_dir.files import PUBLIC
from mustaple.agent.deploy.files import CHAIN_FILE, KEY_FILE, FolderDeployer, for_chain, leaf_files
from mustaple.agent.deploy.reloading import ReloadingDeployment
from mustaple.core.errors import InputError
from mustaple.net.server_files import LEAF_FILE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mustaple.agent.deploy.contract import Site

SNIPPET: Final = "site.conf"
_READ_OTHERWISE: Final = re.compile(r"""["\\${}\x00-\x1f]""")  # in a quoted word of nginx's configuration


class NginxDeployment(ReloadingDeployment):
    """A folder for one chain, whose `site.conf` the site's `server` block includes."""

    kind: Literal["nginx"]
    directory: Path = Field(
        description="The folder, made as a symbolic link; {name} stands for the chain's name. The server block says "
        "`include DIRECTORY/*.conf;`: ssl_stapling_file is among it while there is a good staple, and the certificate "
        "where the chain's key is named."
    )

    def deployer(self, name: str) -> FolderDeployer:
        """The deployer of this table. Raises InputError for a folder whose name nginx would not read as it is."""
        directory = for_chain(self.directory, name)
        if _READ_OTHERWISE.search(str(directory)):
            raise InputError(
                f"directory: nginx cannot be told of {str(directory)!r}; it reads some characters otherwise"
            )
        layout = partial(nginx_files, directory)
        return FolderDeployer("nginx", directory, layout, self.reloader(signal.SIGHUP, "nginx"))


def nginx_files(directory: Path, site: Site, staples: Sequence[bytes | None]) -> dict[str, tuple[bytes, int]]:
    """`leaf_files`, and the snippet.

    nginx does not start where a file that it is told of is missing, so that it is told only of what is there.
    """
    files = leaf_files(site, staples)
    lines = ["# Written by the staple agent."]
    if KEY_FILE in files:
        lines += [f'ssl_certificate "{directory / CHAIN_FILE}";', f'ssl_certificate_key "{directory / KEY_FILE}";']
    if LEAF_FILE in files:
        lines += ["ssl_stapling on;", f'ssl_stapling_file "{directory / LEAF_FILE}";']
    return files | {SNIPPET: ("\n".join([*lines, ""]).encode(), PUBLIC)}

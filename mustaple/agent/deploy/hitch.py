"""The hitch deployer: the staple under the name that hitch looks for in its `ocsp-dir`, where its workers watch it."""

from __future__ import annotations

import hashlib
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from pydantic import Field

from certtools.ca_dir.files import PRIVATE, PUBLIC
from mustaple.agent.deploy.contract import DeployError
from mustaple.agent.deploy.files import for_chain
from mustaple.agent.deploy.keys import read_key
from mustaple.agent.deploy.placed import PlacedFiles
from mustaple.agent.deploy.reloading import ReloadingDeployment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mustaple.agent.deploy.contract import Site
    from mustaple.agent.deploy.placed import File
    from mustaple.agent.deploy.reloading import Reload

_WITHDRAWN: Final = "withdrawn"


class HitchDeployment(ReloadingDeployment):
    """A pem-file of hitch's, and its staple in the folder that hitch has for that."""

    kind: Literal["hitch"]
    pem: Path = Field(
        description="The PEM file, just as hitch's configuration names it; {name} stands for the chain's name. Where "
        "the chain's key is named, the agent writes it."
    )
    ocsp_dir: Path = Field(
        description="The folder that hitch's configuration calls ocsp-dir; hitch need not write to it."
    )

    def deployer(self, name: str) -> HitchDeployer:
        """The deployer of this table."""
        return HitchDeployer(for_chain(self.pem, name), self.ocsp_dir, self.reloader(signal.SIGHUP, "hitch"))


class HitchDeployer:
    """Puts the files in place. A staple that follows another is seen by the workers; all else takes a reload."""

    def __init__(self, pem: Path, ocsp_dir: Path, reload: Reload) -> None:
        # The name is MD5 of the path; nothing is kept safe by it.
        name = hashlib.md5(str(pem).encode(), usedforsecurity=False).hexdigest()
        self._pem = pem
        self._staple = ocsp_dir / name
        self._files = PlacedFiles(ocsp_dir / f".{name}.done")
        self._reload = reload
        self._asked: dict[Path, File | None] | None = None

    def __str__(self) -> str:
        return f"hitch {self._pem}"

    def deploy(self, site: Site, staples: Sequence[bytes | None]) -> None:
        """Have it serve this chain with the leaf's staple; hitch ignores that of one it has not loaded yet."""
        self._give(site, staples[0])

    def withdraw(self, site: Site) -> None:
        """Take the file away, and have the workers forget it."""
        self._give(site, None)

    def rollback(self, site: Site) -> None:
        """Bring back the files that were there."""
        self._asked = None
        try:
            if not self._files.back():
                return
        except OSError as error:
            raise self._failed(error) from error
        self._reload(_variables(site))

    def _give(self, site: Site, staple: bytes | None) -> None:
        files: dict[Path, File | None] = {self._staple: (staple, PUBLIC) if staple is not None else None}
        loaded = site.fingerprint.hex() if staple is not None else _WITHDRAWN
        try:
            if site.key is not None:
                files[self._pem] = (read_key(site.key, site.chain.leaf) + site.pem, PRIVATE)
            changed = self._files.put(files)
            # Asked for the same again, hitch did not take it the first time: it may have missed a signal.
            again, self._asked = self._asked == files, files
            if self._files.noted() == loaded and not again and not (changed and staple is None):
                return
            self._files.note("")  # should the reload fail, it is to be tried again
            self._reload(_variables(site))
            self._files.note(loaded)
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> DeployError:
        return DeployError(f"{error.filename or self._pem}: {error.strerror or error}")


def _variables(site: Site) -> dict[str, str]:
    return {"MUSTAPLE_NAME": site.name}

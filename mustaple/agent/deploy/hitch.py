"""The hitch deployer: the staple under the name that hitch looks for in its `ocsp-dir`, where its workers watch it."""

from __future__ import annotations

import hashlib
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from pydantic import Field

from mustaple.agent.deploy.files import for_chain
from mustaple.agent.deploy.placed import PlacedDeployer
from mustaple.agent.deploy.reloading import ReloadingDeployment

if TYPE_CHECKING:
    from mustaple.agent.deploy.contract import Site
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


class HitchDeployer(PlacedDeployer):
    """Puts the files in place. A staple that follows another is seen by the workers; all else takes a reload."""

    def __init__(self, pem: Path, ocsp_dir: Path, reload: Reload) -> None:
        # The name is MD5 of the path; nothing is kept safe by it.
        name = hashlib.md5(str(pem).encode(), usedforsecurity=False).hexdigest()
        super().__init__(pem, ocsp_dir / name, ocsp_dir / f".{name}.done")
        self._reload = reload

    def __str__(self) -> str:
        return f"hitch {self._pem}"

    def _take_back(self, site: Site) -> None:
        self._reload(_variables(site))

    def _give(self, site: Site, staple: bytes | None) -> None:
        loaded = site.fingerprint.hex() if staple is not None else _WITHDRAWN
        try:
            changed, again = self._put(site, staple)
            # What the workers have not loaded yet has its staple ignored; what is gone they do not let go of.
            if self._files.noted() == loaded and not again and not (changed and staple is None):
                return
            self._files.note("")  # should the reload fail, it is to be tried again
            self._reload(_variables(site))
            self._files.note(loaded)
        except OSError as error:
            raise self._failed(error) from error


def _variables(site: Site) -> dict[str, str]:
    return {"MUSTAPLE_NAME": site.name}

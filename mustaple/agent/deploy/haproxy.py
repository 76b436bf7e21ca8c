"""The HAProxy deployer: the files that it reads when it starts, and its runtime socket, so that no reload is needed."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, Literal

from pydantic import Field

from certtools.chain import ChainError, load_certificates
from mustaple.agent.deploy.contract import DeployError
from mustaple.agent.deploy.files import for_chain
from mustaple.agent.deploy.haproxy_socket import HaproxySocket
from mustaple.agent.deploy.placed import PlacedDeployer
from mustaple.agent.deploy.reloading import NotRunningError, ReloadingDeployment
from mustaple.core.errors import InputError

if TYPE_CHECKING:
    from mustaple.agent.deploy.contract import Site
    from mustaple.agent.deploy.reloading import Reload

_NO_WORD: Final = re.compile(r"[\s;<\\\x00-\x1f]")  # in a command on the runtime socket


class HaproxyDeployment(ReloadingDeployment):
    """A PEM file of HAProxy's, and its staple: in files for its next start, and at once in the one that runs."""

    WAYS: ClassVar[tuple[str, ...]] = ("socket", "pid_file", "reload")

    kind: Literal["haproxy"]
    crt: Path = Field(
        description="The PEM file, just as HAProxy's configuration names it; {name} stands for the chain's name. The "
        "staple is in a file of that name and .ocsp. Where the chain's key is named, the agent writes the PEM file too."
    )
    socket: Path | None = Field(
        default=None,
        description="The runtime socket, one with `level admin`: staples and certificates without a reload.",
    )

    def deployer(self, name: str) -> HaproxyDeployer:
        """The deployer of this table. Raises InputError for a PEM file that commands on the socket cannot name."""
        crt = for_chain(self.crt, name)
        if self.socket is None:
            return HaproxyDeployer(crt, self.reloader(signal.SIGUSR2, "haproxy"))
        if _NO_WORD.search(str(crt)):
            raise InputError(f"crt: {str(crt)!r} cannot be named on HAProxy's socket: it is not one word")
        return HaproxyDeployer(crt, HaproxySocket(self.socket, str(crt), self.timeout), may_be_down=self.may_be_down)


class HaproxyDeployer(PlacedDeployer):
    """Puts the files in place, and then tells the running HAProxy by its socket, or has it reload."""

    def __init__(self, crt: Path, tell: HaproxySocket | Reload, *, may_be_down: bool = False) -> None:
        super().__init__(crt, crt.with_name(f"{crt.name}.ocsp"), crt.with_name(f".{crt.name}.done"))
        self._tell = tell
        self._may_be_down = may_be_down

    def __str__(self) -> str:
        return f"haproxy {self._pem}"

    def _take_back(self, site: Site) -> None:
        if not isinstance(self._tell, HaproxySocket):
            self._reload(site, self._tell)
        elif self._pem.exists():
            self._tell.take_all(self._pem.read_bytes(), self._staple.read_bytes() if self._staple.exists() else None)

    def _give(self, site: Site, staple: bytes | None) -> None:
        try:
            changed, again = self._put(site, staple)
            taken_up = not again and self._files.noted() == site.fingerprint.hex()
        except OSError as error:
            raise self._failed(error) from error
        if isinstance(self._tell, HaproxySocket):
            try:
                self._serve(site, staple, self._tell)
            except NotRunningError:
                if not self._may_be_down:
                    raise
        elif changed or not taken_up:
            self._reload(site, self._tell)

    def _serve(self, site: Site, staple: bytes | None, running: HaproxySocket) -> None:
        if staple is not None and running.serves(site.chain.leaf) and running.take_staple(staple):
            return
        try:
            pem = self._pem.read_bytes()
            leaf, *_ = load_certificates(pem)
        except OSError as error:
            raise self._failed(error) from error
        except (ChainError, ValueError) as error:
            raise DeployError(f"{self._pem} has no certificate to serve: {error}") from error
        if leaf != site.chain.leaf:
            raise DeployError(f"{self._pem} holds another certificate; with `key` in the chain's table it is replaced")
        running.take_all(pem, staple)

    def _reload(self, site: Site, reload: Reload) -> None:
        try:
            self._files.note("")  # should the reload fail, it is to be tried again
            reload({"MUSTAPLE_NAME": site.name, "MUSTAPLE_DIRECTORY": str(self._pem.parent)})
            self._files.note(site.fingerprint.hex())
        except OSError as error:
            raise self._failed(error) from error

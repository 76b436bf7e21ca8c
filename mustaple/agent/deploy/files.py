"""The plain-file deployer: chain, key and staples in one folder that changes all at once, then a command."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from pydantic import Field

from certtools.ca_dir.files import PRIVATE, PUBLIC
from mustaple.agent.deploy.contract import Command, DeployError, Deployment, Seconds
from mustaple.agent.deploy.keys import read_key
from mustaple.agent.deploy.running import run
from mustaple.agent.deploy.versions import VersionedFolder
from mustaple.net.server_files import LEAF_FILE, ServerFormat, server_files

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mustaple.agent.deploy.contract import Site
    from mustaple.agent.deploy.reloading import Reload

    Layout = Callable[[Site, Sequence[bytes | None]], Mapping[str, tuple[bytes, int]]]

CHAIN_FILE: Final = "chain.pem"
KEY_FILE: Final = "key.pem"
_FORMATS: Final = dict.fromkeys((ServerFormat.NGINX, ServerFormat.HAPROXY, ServerFormat.RFC6961), CHAIN_FILE)


class FilesDeployment(Deployment):
    """A folder for one chain: chain.pem, key.pem if a key is named, and the staples of every certificate."""

    kind: Literal["files"]
    directory: Path = Field(description="The folder, made as a symbolic link; {name} stands for the chain's name.")
    after: Command | None = Field(default=None, description="A command to run after each change, as a list; no shell.")
    timeout: Seconds = Field(default=30.0, description="Seconds that the command may take.")

    def deployer(self, name: str) -> FilesDeployer:
        """The deployer of this table."""
        return FilesDeployer(for_chain(self.directory, name), self.after, self.timeout)


def for_chain(path: Path, name: str) -> Path:
    """A path of a table for the chain of this name, which `{name}` in it stands for."""
    return Path(str(path).replace("{name}", name))


def site_files(site: Site, staples: Sequence[bytes | None]) -> dict[str, tuple[bytes, int]]:
    """All files for a server: `chain.pem`, `key.pem`, and staples under the names that servers know them by.

    `leaf.der` for nginx, lighttpd and hitch, `chain.pem.ocsp` for HAProxy, `staple-0.der`, `staple-1.der` … for those
    that take one for each certificate, `ocsp_multi.bin` for RFC 6961. A staple that is None has no file. Raises as
    `read_key` does.
    """
    named = {name: (data, PUBLIC) for name, data in server_files(_FORMATS, staples).items() if data is not None}
    return chain_files(site) | named | staple_files(staples)


def chain_files(site: Site) -> dict[str, tuple[bytes, int]]:
    """`chain.pem`, and `key.pem` where the configuration names a key. Raises as `read_key` does."""
    files: dict[str, tuple[bytes, int]] = {CHAIN_FILE: (site.pem, PUBLIC)}
    if site.key is not None:
        files[KEY_FILE] = (read_key(site.key, site.chain.leaf), PRIVATE)
    return files


def leaf_files(site: Site, staples: Sequence[bytes | None]) -> dict[str, tuple[bytes, int]]:
    """`chain_files`, and `leaf.der` where the leaf has a staple."""
    return chain_files(site) | ({LEAF_FILE: (staples[0], PUBLIC)} if staples[0] is not None else {})


def staple_files(staples: Sequence[bytes | None]) -> dict[str, tuple[bytes, int]]:
    """`staple-0.der`, the leaf's, `staple-1.der` and so on; none for a certificate without one."""
    return {f"staple-{place}.der": (each, PUBLIC) for place, each in enumerate(staples) if each is not None}


class FolderDeployer:
    """Writes what `layout` says into a versioned folder, and then runs `after`. `kind` is for messages."""

    def __init__(self, kind: str, directory: Path, layout: Layout, after: Reload | None) -> None:
        self._kind = kind
        self._folder = VersionedFolder(directory)
        self._layout = layout
        self._after = after
        self._before: tuple[Path | None] | None = None
        self._asked: Mapping[str, tuple[bytes, int]] | None = None

    def __str__(self) -> str:
        return f"{self._kind} {self._folder.path}"

    def deploy(self, site: Site, staples: Sequence[bytes | None]) -> None:
        """Put chain and staples in place in one step."""
        self._replace(site, staples)

    def withdraw(self, site: Site) -> None:
        """Leave the chain, and no staple."""
        self._replace(site, [None] * len(site.chain.links))

    def rollback(self, site: Site) -> None:
        """Go back to the version before the last."""
        if self._before is None:
            return
        try:
            self._folder.point_to(*self._before)
        except OSError as error:
            raise DeployError(f"{self._folder.path}: {error.strerror or error}") from error
        self._before = self._asked = None
        self._run(site)

    def _replace(self, site: Site, staples: Sequence[bytes | None]) -> None:
        try:
            files = self._layout(site, staples)
            # Asked for the same again, a server did not take it the first time: it may have missed a signal.
            again, self._asked = self._asked == files, files
            if self._is_there(files):
                if again:
                    self._run(site)
                return
            before = self._folder.current
            self._folder.replace(files)
        except OSError as error:
            raise DeployError(f"{error.filename or self._folder.path}: {error.strerror or error}") from error
        self._before = (before,)
        self._run(site)

    def _is_there(self, files: Mapping[str, tuple[bytes, int]]) -> bool:
        """Whether just this is in place, and the command has run since."""
        same = self._folder.names() == tuple(sorted(files)) and all(
            self._folder.read(name) == data for name, (data, _) in files.items()
        )
        return same and (self._after is None or self._folder.is_marked())

    def _run(self, site: Site) -> None:
        if self._after is not None:
            self._after({"MUSTAPLE_NAME": site.name, "MUSTAPLE_DIRECTORY": str(self._folder.path)})
            try:
                self._folder.mark()
            except OSError as error:
                raise DeployError(f"{self._folder.path}: {error.strerror or error}") from error


class FilesDeployer(FolderDeployer):
    """Writes `site_files`, and then runs a command."""

    def __init__(self, directory: Path, after: Sequence[str] | None = None, timeout: float = 30.0) -> None:
        super().__init__("files", directory, site_files, None if after is None else partial(run, after, timeout))

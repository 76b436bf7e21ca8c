"""Files at the places that a server's own configuration names: replaced, put back, and the deployers of such."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING

from certtools.ca_dir.files import PRIVATE, PUBLIC, sync_folder, write_atomic, write_together
from mustaple.agent.deploy.contract import DeployError
from mustaple.agent.deploy.keys import read_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mustaple.agent.deploy.contract import Site

    File = tuple[bytes, int]  # content and mode


class PlacedFiles:
    """The files of one chain, some of which may not be there. Every method raises OSError.

    `mark` is the name of a file in which `note` keeps, over a crash too, what the server has taken up.
    """

    def __init__(self, mark: Path) -> None:
        self._mark = mark
        self._before: dict[Path, File | None] | None = None

    def put(self, files: Mapping[Path, File | None]) -> bool:
        """Have just this there, None for no file; whether that is a change."""
        present = {path: _read(path) for path in files}
        if all(_content(present[path]) == _content(file) for path, file in files.items()):
            return False
        _write(files)
        self._before = present
        return True

    def back(self) -> bool:
        """Have there what was before the last `put` that was a change; whether there was one."""
        if self._before is None:
            return False
        before, self._before = self._before, None
        _write(before)
        self._mark.unlink(missing_ok=True)
        return True

    def note(self, said: str) -> None:
        """Keep this for `noted`."""
        write_atomic(self._mark, said.encode(), PUBLIC)

    def noted(self) -> str:
        """What was noted last; nothing where that is not known."""
        try:
            return self._mark.read_text()
        except FileNotFoundError:
            return ""


class PlacedDeployer(ABC):
    """A deployer to a server that reads a PEM file at a place of its own, and beside it the leaf's staple."""

    def __init__(self, pem: Path, staple: Path, mark: Path) -> None:
        self._pem = pem
        self._staple = staple
        self._files = PlacedFiles(mark)
        self._asked: Mapping[Path, File | None] | None = None

    def deploy(self, site: Site, staples: Sequence[bytes | None]) -> None:
        """Have it serve this chain with the leaf's staple."""
        self._give(site, staples[0])

    def withdraw(self, site: Site) -> None:
        """Take the staple away, and have the server forget it."""
        self._give(site, None)

    def rollback(self, site: Site) -> None:
        """Bring back the files that were there, and have the server take those."""
        self._asked = None
        try:
            if self._files.back():
                self._take_back(site)
        except OSError as error:
            raise self._failed(error) from error

    def _put(self, site: Site, staple: bytes | None) -> tuple[bool, bool]:
        """Have the files there; whether that is a change, and whether just this was asked for the last time too.

        Then the server did not take it: it may have missed a signal. Raises OSError.
        """
        files: dict[Path, File | None] = {self._staple: (staple, PUBLIC) if staple is not None else None}
        if site.key is not None:
            files[self._pem] = (read_key(site.key, site.chain.leaf) + site.pem, PRIVATE)
        changed = self._files.put(files)
        again, self._asked = self._asked == files, files
        return changed, again

    @abstractmethod
    def _give(self, site: Site, staple: bytes | None) -> None:
        """Have it serve this chain, with this staple for the leaf or with none. Raises DeployError."""

    @abstractmethod
    def _take_back(self, site: Site) -> None:
        """Have it serve what is in the files again. Raises DeployError or OSError."""

    def _failed(self, error: OSError) -> DeployError:
        return DeployError(f"{error.filename or self._pem}: {error.strerror or error}")


def _read(path: Path) -> File | None:
    try:
        return path.read_bytes(), path.stat().st_mode & 0o777
    except FileNotFoundError:
        return None


def _content(file: File | None) -> bytes | None:
    return None if file is None else file[0]


def _write(files: Mapping[Path, File | None]) -> None:
    write_together({path: file for path, file in files.items() if file is not None}, replace=True)
    for path in [path for path, file in files.items() if file is None]:
        with suppress(FileNotFoundError):
            path.unlink()
            sync_folder(path.parent)

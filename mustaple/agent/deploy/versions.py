"""A folder whose files change all at once: a symbolic link to one of several versions, replaced by a rename."""

from __future__ import annotations

import secrets
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from certtools.ca_dir.files import PUBLIC, sync_folder, write_atomic, write_new

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class VersionedFolder:
    """`path` is the link, its versions lie beside it as `.NAME.xxxxxxxx`. Readers see one version or another, whole.

    Every method raises OSError. What a process that died in the middle left behind goes with the next `replace`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, name: str) -> bytes | None:
        """A file of the present version; None where there is none."""
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return None

    def names(self) -> tuple[str, ...]:
        """The files of the present version, sorted; none where there is no version."""
        return tuple(sorted(each.name for each in self.path.iterdir())) if self.path.is_dir() else ()

    @property
    def current(self) -> Path | None:
        """The folder of the present version. Raises FileExistsError where somebody else's file or folder stands."""
        if self.path.is_symlink():
            return self.path.parent / self.path.readlink()
        if self.path.exists():
            raise FileExistsError(17, "it is there, and not as a link that this agent made", str(self.path))
        return None

    def replace(self, files: Mapping[str, tuple[bytes, int]]) -> None:
        """A new version with exactly these files (content and mode); the one before it is kept for `back`."""
        before = self.current
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._prune(before)
        version = self.path.parent / f"{self._prefix}{secrets.token_hex(4)}"
        try:
            version.mkdir(mode=0o755)
            for name, (data, mode) in files.items():
                write_new(version / name, data, mode)
            sync_folder(version)
            self._point_to(version)
        except BaseException:
            shutil.rmtree(version, ignore_errors=True)
            raise

    def point_to(self, version: Path | None) -> None:
        """Go back to this version, or to none at all, and forget the present one."""
        present = self.current
        if version is None:
            self.path.unlink(missing_ok=True)
        elif version != present:
            self._point_to(version)
        if present is not None and present != version:
            shutil.rmtree(present, ignore_errors=True)

    def mark(self) -> None:
        """Note beside it that all that is to follow a change has been done for the present version."""
        current = self.current
        if current is not None:
            write_atomic(self._mark, current.name.encode(), PUBLIC)

    def is_marked(self) -> bool:
        """Whether `mark` was called since the last change, by this process or another."""
        current = self.current
        try:
            return current is not None and self._mark.read_bytes() == current.name.encode()
        except FileNotFoundError:
            return False

    @property
    def _mark(self) -> Path:
        return self.path.with_name(f"{self._prefix}done")

    @property
    def _prefix(self) -> str:
        return f".{self.path.name}."

    def _point_to(self, version: Path) -> None:
        link = self.path.with_name(f"{self._prefix}link")
        with suppress(FileNotFoundError):
            link.unlink()
        link.symlink_to(version.name)
        link.replace(self.path)
        sync_folder(self.path.parent)

    def _prune(self, keep: Path | None) -> None:
        """Take away all versions but the present one."""
        for each in self.path.parent.glob(f"{self._prefix}*"):
            if each.is_dir() and not each.is_symlink() and each != keep:
                shutil.rmtree(each, ignore_errors=True)

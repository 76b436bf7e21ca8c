"""Files of a CA are whole or not there, and private ones are private from their first byte."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

import pytest

from certtools.ca_dir.files import write_new, write_together

if TYPE_CHECKING:
    from pathlib import Path


def tree(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_files_are_written_together_or_not_at_all(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    write_together({one: (b"1", 0o600), two: (b"2", 0o644)}, replace=False)
    assert (one.read_bytes(), two.read_bytes()) == (b"1", b"2")
    assert (mode(one), mode(two) & 0o700) == (0o600, 0o600)
    one.unlink()
    with pytest.raises(FileExistsError):
        write_together({one: (b"3", 0o600), two: (b"4", 0o600)}, replace=False)
    assert not one.exists()
    assert two.read_bytes() == b"2"
    write_together({one: (b"3", 0o600), two: (b"4", 0o600)}, replace=True)
    assert (one.read_bytes(), two.read_bytes()) == (b"3", b"4")
    assert {path.name for path in tmp_path.iterdir()} == {"one", "two"}


def test_a_folder_that_is_not_there_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_together({tmp_path / "one": (b"1", 0o600), tmp_path / "no" / "two": (b"2", 0o600)}, replace=True)
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_hard_links_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    one = tmp_path / "one"
    write_together({one: (b"1", 0o600)}, replace=False)
    with pytest.raises(FileExistsError):
        write_together({one: (b"2", 0o600)}, replace=False)
    assert tree(tmp_path) == {"one": b"1"}


def test_a_new_file_is_never_an_old_one(tmp_path: Path) -> None:
    write_new(tmp_path / "key", b"secret")
    with pytest.raises(FileExistsError):
        write_new(tmp_path / "key", b"other")
    assert (tmp_path / "key").read_bytes() == b"secret"
    assert mode(tmp_path / "key") == 0o600

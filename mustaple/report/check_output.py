"""Where a report goes: to stdout as it is made, or into a file that is whole or not there."""

from __future__ import annotations

import os
import secrets
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from certtools.ca_dir.files import sync_folder
from mustaple.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Write = Callable[[str], None]


@contextmanager
def report_output(path: Path | None) -> Iterator[Write]:
    """What writes a report, piece by piece, in UTF-8: to this file, or to stdout where the path is None or `-`.

    The file gets its name when the block ends well. Until then, and for good where the block fails, what had this name
    before stays as it was. What is no regular file (a pipe, a device) is written to as it is.

    Raises InputError, on entering, where the file cannot be written; nothing has been done in vain then.
    """
    if path is None or str(path) == "-":
        yield _to_stdout
    elif path.exists() and not path.is_file() and not path.is_dir():
        with _said_plainly(path), path.open("w", encoding="utf-8", newline="\n") as file:
            yield _writer(file.write)
    else:
        with _replaced(path) as write:
            yield write


def _to_stdout(text: str) -> None:
    """Shown at once: who waits for the last target wants to read of the first."""
    sys.stdout.write(text)
    sys.stdout.flush()


@contextmanager
def _replaced(path: Path) -> Iterator[Write]:
    with _said_plainly(path):
        if path.is_dir():
            raise InputError(f"cannot write the report {path}: it is a folder")
        target = path.resolve()  # a link stays a link
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}")
    # Whoever interrupts may do so the moment the file is there.
    try:
        with _said_plainly(path):
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)  # less what umask takes
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            yield _writer(file.write)
            file.flush()
            os.fsync(file.fileno())
        with _said_plainly(path):
            temporary.replace(target)
            sync_folder(target.parent)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def _writer(write: Callable[[str], int]) -> Write:
    def write_text(text: str) -> None:
        write(text)

    return write_text


@contextmanager
def _said_plainly(path: Path) -> Iterator[None]:
    """The file system's complaint as one line about this file."""
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot write the report {path}: {error.strerror or error}") from error

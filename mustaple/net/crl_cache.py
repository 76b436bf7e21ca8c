"""CRLs kept until their nextUpdate, in memory and on disk, bounded in bytes and number, judged again on each use."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from certtools.ca_dir.files import PRIVATE, write_atomic
from mustaple.core.crl_case import MAX_CRL_BYTES, Crl, open_crl
from mustaple.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

MAX_BYTES: Final = 256 * 1024 * 1024
MAX_ENTRIES: Final = 64


class CrlCache:
    """CRLs by the address that they came from. Any number of threads may use one, and processes one folder.

    What it holds is no more than bytes that somebody signed: whoever takes a CRL out judges it again. On disk a CRL is
    one file, whole or not there, named after the address. Where there is no room the least lately used goes first.

    Raises InputError for a folder that cannot be made or written in.
    """

    def __init__(
        self, folder: Path | None = None, *, max_bytes: int = MAX_BYTES, max_entries: int = MAX_ENTRIES
    ) -> None:
        self.folder = folder
        self._max_bytes = max_bytes
        self._max_entries = max_entries
        self._memory: OrderedDict[str, Crl] = OrderedDict()
        self._lock = threading.Lock()
        self._fetching: dict[str, threading.Lock] = {}
        if folder is not None:
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                probe = folder / ".probe"
                write_atomic(probe, b"")
                probe.unlink(missing_ok=True)
            except OSError as error:
                raise InputError(f"cannot keep CRLs in {folder}: {error.strerror or error}") from error

    @contextmanager
    def turn(self, url: str) -> Iterator[None]:
        """Hold back others who want the same CRL, so that it is fetched once and not by all of them at once."""
        with self._lock:
            lock = self._fetching.setdefault(url, threading.Lock())
        with lock:
            yield

    def get(self, url: str, at: datetime) -> Crl | None:
        """The CRL that came from this address, if its nextUpdate is not before `at` (aware UTC); else None."""
        with self._lock:
            crl = self._memory.get(url)
            if crl is not None:
                self._memory.move_to_end(url)
        if crl is None or not _lives(crl, at):
            crl = self._load(url)
            if crl is not None:
                self._remember(url, crl)
        return crl if crl is not None and _lives(crl, at) else None

    def put(self, url: str, crl: Crl) -> None:
        """Keep this CRL, unless it names no nextUpdate or is larger than all that may be kept.

        A folder that has become full or read-only costs the next user a download, and nobody a verdict.
        """
        if crl.next_update is None or len(crl.der) > self._max_bytes:
            return
        self._remember(url, crl)
        if self.folder is not None:
            with suppress(OSError):
                write_atomic(self.folder / _file_name(url), crl.der, PRIVATE)
                self._make_room(self.folder)

    def _remember(self, url: str, crl: Crl) -> None:
        with self._lock:
            self._memory[url] = crl
            self._memory.move_to_end(url)
            while self._memory and self._too_much([len(each.der) for each in self._memory.values()]):
                self._memory.popitem(last=False)

    def _too_much(self, sizes: list[int]) -> bool:
        return len(sizes) > self._max_entries or sum(sizes) > self._max_bytes

    def _load(self, url: str) -> Crl | None:
        if self.folder is None:
            return None
        try:
            with (self.folder / _file_name(url)).open("rb") as file:
                data = file.read(MAX_CRL_BYTES + 1)
        except OSError:
            return None  # nobody has put it there, or somebody has taken it away
        found = open_crl(data)
        return found if isinstance(found, Crl) else None

    def _make_room(self, folder: Path) -> None:
        """Take the oldest files away until the rest is within bounds."""
        files = sorted(((path.stat(), path) for path in folder.glob("*.crl")), key=lambda each: each[0].st_mtime_ns)
        while files and self._too_much([status.st_size for status, _ in files]):
            files.pop(0)[1].unlink(missing_ok=True)


def _lives(crl: Crl, at: datetime) -> bool:
    return crl.next_update is not None and at <= crl.next_update


def _file_name(url: str) -> str:
    # A hash: an address may be long, or hold what no file name should.
    return f"{hashlib.sha256(url.encode()).hexdigest()}.crl"

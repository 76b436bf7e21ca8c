"""Finds certificate chains in files, globs and folders, takes renewals in, and leaves alone what is half-written."""

from __future__ import annotations

import glob
import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from certtools.chain import ChainError, build_chain, is_authority, load_certificates, name_of, to_pem
from mustaple.agent.deploy.contract import Site

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime, timedelta

    from cryptography.x509 import Certificate

    from mustaple.agent.config_model import ChainTable

MAX_FILE_BYTES: Final = 1024 * 1024
MAX_FILES: Final = 100_000  # a glob that is a mistake must not take all memory
GRACE: Final = 600.0  # seconds for which a chain whose file is gone is still kept
_SUFFIXES: Final = frozenset({".pem", ".crt", ".cer", ".der"})
_COMMON: Final = frozenset({"fullchain", "chain", "cert", "certificate", "tls", "bundle", "server", "site"})

Stamp = tuple[int, int, int, int]  # inode, size, mtime and ctime: what a change of a file changes


@dataclass(frozen=True, slots=True)
class Found:
    """A chain that was found whole, and the table of the configuration that asked for it."""

    path: Path
    table: ChainTable
    site: Site


@dataclass(frozen=True, slots=True)
class Scan:
    """What one look at all files gave: chains by name, and what is wrong with other files, by path.

    `unsettled` says that files have changed and are waited for.
    """

    found: Mapping[str, Found] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    unsettled: bool = False


@dataclass(slots=True)
class _File:
    """What is known of one file: as it was last seen, since when, and what was last read from it."""

    stamp: Stamp
    since: float
    read: Stamp | None = None
    found: Found | None = None
    problem: str | None = None
    gone: float | None = None


class Discovery:
    """Looks at files by their metadata, and reads those that have changed and then stayed as they are for a while.

    Metadata are asked for anew each time, rather than awaited: that also sees files on network file systems, and those
    that change by a symbolic link above them. A file that cannot be read, or holds no whole chain, leaves what was
    found there before as it is. One thread at a time.
    """

    def __init__(self, tables: Sequence[ChainTable], settle: timedelta) -> None:
        self._tables = tables
        self._settle = settle.total_seconds()
        self._files: dict[tuple[int, Path], _File] = {}
        self._issuers: dict[tuple[Path, Stamp], list[Certificate]] = {}

    def scan(self, at: datetime, elapsed: float) -> Scan:
        """Look once.

        `at` is the wall clock's time, by which a file's age is told when it is first seen; `elapsed` are the seconds of
        a clock that is never set.
        """
        problems: dict[str, str] = {}
        unsettled = False
        kept: dict[tuple[int, Path], _File] = {}
        used: set[tuple[Path, Stamp]] = set()
        for number, table in enumerate(self._tables):
            issuers, keys = self._read_issuers(table, problems)
            used |= keys
            for path, named in _matches(table, problems):
                file = self._look(number, path, at, elapsed)
                if file is None:
                    problems[str(path)] = "it cannot be looked at"
                    file = self._files.get((number, path))
                elif file.read != file.stamp:
                    if elapsed - file.since < self._settle:
                        unsettled = True
                    else:
                        self._read(file, path, table, issuers, named=named)
                if file is not None:
                    file.gone = None
                    kept[number, path] = file
                    if file.problem is not None:
                        problems[str(path)] = file.problem
        for key, file in self._only_just_gone(kept, elapsed):
            kept[key] = file
            problems[str(key[1])] = "it is gone"
        self._files = kept
        self._issuers = {key: value for key, value in self._issuers.items() if key in used}
        found = [file.found for file in kept.values() if file.found is not None]
        return Scan(_named(found), problems, unsettled)

    def _only_just_gone(
        self, seen: Mapping[tuple[int, Path], _File], elapsed: float
    ) -> list[tuple[tuple[int, Path], _File]]:
        """Chains whose files are gone, but not for long: a renewal may take one away before it puts the next there."""
        found = []
        for key, file in self._files.items():
            if key not in seen and file.found is not None:
                file.gone = elapsed if file.gone is None else file.gone
                if elapsed - file.gone < GRACE:
                    found.append((key, file))
        return found

    def _look(self, number: int, path: Path, at: datetime, elapsed: float) -> _File | None:
        stamp = _stamp(path)
        if stamp is None:
            return None
        file = self._files.get((number, path))
        if file is None:
            # The first look cannot tell how long a file has been as it is, but for its time.
            age = at.timestamp() - max(stamp[2], stamp[3]) / 1e9
            return _File(stamp, elapsed - max(age, 0.0))
        if file.stamp != stamp:
            file.stamp, file.since = stamp, elapsed
        return file

    def _read(self, file: _File, path: Path, table: ChainTable, issuers: list[Certificate], *, named: bool) -> None:
        """Read a file anew; where it holds no whole chain, say so and keep what was found before."""
        file.read, file.problem = file.stamp, None
        try:
            certificates = _certificates(path)
            chain = build_chain(certificates, anchors=[each for each in issuers if each not in certificates])
        except OSError as error:
            file.problem = error.strerror or str(error)
            return
        except ChainError as error:
            file.problem = str(error).rstrip(".")
            return
        if is_authority(chain.leaf) and not named:
            file.found = None  # a CA's certificate that lies in the same folder
            return
        if not chain.links:
            file.problem = f"the issuer of {name_of(chain.leaf)} is not with it; name a file in `issuers`"
            return
        if _stamp(path) != file.stamp:
            file.read = None  # it changed while it was read
            return
        sent = [each for each in chain.certificates if each in certificates]
        name = table.name if table.name is not None and named else _name(path)
        file.found = Found(path, table, Site(name, chain, to_pem(sent), table.key))

    def _read_issuers(
        self, table: ChainTable, problems: dict[str, str]
    ) -> tuple[list[Certificate], set[tuple[Path, Stamp]]]:
        """The certificates that may end a chain; a file is read again when it has changed."""
        found: list[Certificate] = []
        keys: set[tuple[Path, Stamp]] = set()
        for path in (each for pattern in table.issuers for each in _expand(pattern)):
            stamp = _stamp(path)
            if stamp is None:
                problems[str(path)] = "it cannot be looked at"
                continue
            try:
                if (path, stamp) not in self._issuers:
                    self._issuers[path, stamp] = load_certificates(path.read_bytes()[:MAX_FILE_BYTES])
                found += self._issuers[path, stamp]
                keys.add((path, stamp))
            except (OSError, ChainError) as error:
                problems[str(path)] = str(error).rstrip(".")
        return found, keys


def _certificates(path: Path) -> list[Certificate]:
    """The certificates of a file that is whole: one that ends within a PEM block is still being written."""
    with path.open("rb") as opened:
        data = opened.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise ChainError(f"it is larger than {MAX_FILE_BYTES:,} bytes")
    cut = data.count(b"-----BEGIN ") != data.count(b"-----END ")
    if cut or (b"-----BEGIN" in data and not data.rstrip().endswith(b"-----")):
        raise ChainError("it ends within a PEM block: it is half-written")
    return load_certificates(data)


def _stamp(path: Path) -> Stamp | None:
    try:
        seen = path.stat()
    except OSError:
        return None
    return seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns


def _matches(table: ChainTable, problems: dict[str, str]) -> Iterator[tuple[Path, bool]]:
    """Every file of a table once, and whether it was named itself."""
    seen: set[Path] = set()
    for pattern in table.certificates:
        named = not glob.has_magic(pattern) and not Path(pattern).is_dir()
        matches = _expand(pattern)
        if not matches:
            problems[pattern] = "there is no such file" if named else "no file is there"
        for path in matches:
            if path not in seen and len(seen) < MAX_FILES:
                seen.add(path)
                yield path, named


def _expand(pattern: str) -> list[Path]:
    """The files that a pattern stands for: itself, those in a folder, or those that a glob matches, sorted."""
    path = Path(pattern)
    if glob.has_magic(pattern):
        matches = [Path(each) for each in glob.glob(pattern, recursive=True)]  # noqa: PTH207 - absolute patterns
        return sorted(each for each in matches if each.is_file())
    if path.is_dir():
        entries = [Path(each.path) for each in os.scandir(path)]
        return sorted(each for each in entries if each.suffix in _SUFFIXES and each.is_file())
    return [path] if path.exists() else []


def _name(path: Path) -> str:
    """What a chain is called: like its file, or like the folder where files are all called the same."""
    stem = path.parent.name if path.stem.lower() in _COMMON and path.parent.name else path.stem
    plain = "".join(each if each.isascii() and (each.isalnum() or each in "._-") else "-" for each in stem)
    return plain.lstrip("._-")[:80] or "chain"


def _named(found: Sequence[Found]) -> dict[str, Found]:
    """Chains by name; where two have the same, each gets a piece of its path's hash."""
    count: dict[str, int] = {}
    for each in found:
        count[each.site.name] = count.get(each.site.name, 0) + 1
    named: dict[str, Found] = {}
    for each in found:
        site = each.site
        if count[site.name] > 1:
            unique = f"{site.name}-{hashlib.sha256(str(each.path).encode()).hexdigest()[:8]}"
            site = Site(unique, site.chain, site.pem, site.key)
        named[site.name] = Found(each.path, each.table, site)
    return named

"""Staples on disk: raw DER under their certificates' fingerprints, a manifest, and judged again on every load."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from certtools.ca_dir.files import PUBLIC, write_together
from certtools.chain import name_of
from mustaple.core.errors import InputError
from mustaple.core.ocsp import judge
from mustaple.core.policy import Rules
from mustaple.core.refresh import due
from mustaple.core.verdict import Judgement, Source, Status
from mustaple.net.caching import LONGEST_WAIT
from mustaple.net.exchange import MAX_OCSP_BYTES
from mustaple.net.manifest import MANIFEST, Manifest, read_manifest
from mustaple.net.server_files import server_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from certtools.chain import Chain, Link
    from mustaple.net.server_files import ServerFormat

_DEFAULT_RULES: Final = Rules()


@dataclass(frozen=True, slots=True)
class Staple:
    """A response that the judge found good, and what is known of where it came from.

    `url` is where it was fetched at `fetched_at`; `kept_until` is what HTTP said about asking again, `etag` how to ask
    only for another one. Times are aware UTC. Raises ValueError for a judgement that is not good.
    """

    response: bytes
    judgement: Judgement
    url: str
    fetched_at: datetime
    kept_until: datetime | None = None
    etag: str | None = None

    def __post_init__(self) -> None:
        if self.judgement.status is not Status.GOOD:
            raise ValueError(f"A staple is good; this response is {self.judgement.status}.")

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the certificate that it speaks of (32 bytes)."""
        return self.judgement.fingerprint

    @property
    def file_name(self) -> str:
        """The name of its file in a store."""
        return _file_name(self.fingerprint)

    @property
    def due(self) -> datetime:
        """When a newer one is wanted."""
        this_update, dies_at = self.judgement.this_update, self.judgement.dies_at
        # What the judge found good has both, whatever their types allow.
        return self.fetched_at if this_update is None or dies_at is None else due(this_update, dies_at, self.kept_until)


@dataclass(frozen=True, slots=True)
class Wrong:
    """A staple in the store that cannot serve: for which certificate, why, and what it was judged if it was."""

    link: Link
    said: str
    judgement: Judgement | None = None


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a store holds for a chain: good staples by fingerprint, and what is wrong with others.

    `waits` are URLs and until when they have asked not to be asked again.
    """

    staples: Mapping[bytes, Staple] = field(default_factory=dict)
    wrong: tuple[Wrong, ...] = ()
    waits: Mapping[str, datetime] = field(default_factory=dict)


class Store:
    """A folder of staples. Files are whole or not there, and the manifest is replaced last: readers need no lock.

    Every method raises InputError, in one sentence, for a folder that cannot be used or holds somebody else's
    manifest. Of two who save at once the later one's manifest stands.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def probe(self) -> None:
        """See that the folder can be written in, or made, and leave nothing behind."""
        with self._explained():
            existing = next((each for each in (self.folder, *self.folder.parents) if each.exists()), self.folder)
            with tempfile.TemporaryFile(dir=existing):
                pass

    def load(self, at: datetime, chain: Chain, rules: Rules = _DEFAULT_RULES) -> Loaded:
        """The staples for the certificates of this chain that are good at the time `at`, judged anew.

        What the manifest says of a staple is not believed: only the judge builds a good one.
        """
        manifest = read_manifest(self.folder)
        staples: dict[bytes, Staple] = {}
        wrong: list[Wrong] = []
        for link in chain.links:
            entry = manifest.entries.get(link.fingerprint)
            if entry is not None:
                found = self._load_one(link, entry, at, rules)
                if isinstance(found, Staple):
                    staples[link.fingerprint] = found
                else:
                    wrong.append(found)
        return Loaded(staples, tuple(wrong), _alive(manifest.waits, at))

    def _load_one(self, link: Link, entry: Mapping[str, Any], at: datetime, rules: Rules) -> Staple | Wrong:
        name = _file_name(link.fingerprint)
        # Nothing but this name: a manifest that was tampered with must not lead elsewhere.
        if entry.get("file") != name:
            return Wrong(link, f"the manifest names another file than {name}")
        try:
            with (self.folder / name).open("rb") as file:
                response = file.read(MAX_OCSP_BYTES + 1)
        except OSError as error:
            return Wrong(link, f"{name} cannot be read: {error.strerror or error}")
        judgement = judge(response, link, at, rules, source=Source.OCSP, origin=str(self.folder / name))
        if judgement.status is not Status.GOOD:
            said = "; ".join(f"{reason.code.value}: {reason.detail}" for reason in judgement.reasons)
            return Wrong(link, said, judgement)
        url, etag = entry.get("url"), entry.get("etag")
        return Staple(
            response,
            judgement,
            url if isinstance(url, str) else "",
            entry["fetched_at"] or at,
            entry["kept_until"],
            etag if isinstance(etag, str) else None,
        )

    def save(
        self,
        chain: Chain,
        staples: Iterable[Staple],
        at: datetime,
        *,
        waits: Mapping[str, datetime] | None = None,
        formats: Mapping[ServerFormat, str] | None = None,
    ) -> tuple[Path, ...]:
        """Keep these staples and no others for the certificates of this chain; the files written.

        Those of other chains stay until their time is over. `formats` are servers to write files for, with the name
        of their chain's file; they are remembered, so that no later save leaves a file behind that is no longer good.
        All is written under other names first: a failure leaves the folder as it was.
        """
        before = read_manifest(self.folder)
        kept = {staple.fingerprint: staple for staple in staples}
        own = [link.fingerprint for link in chain.links]
        others = {
            fingerprint: entry
            for fingerprint, entry in before.entries.items()
            if fingerprint not in own and entry["dies_at"] is not None and entry["dies_at"] > at
        }
        entries = {
            link.fingerprint: _entry(link, kept[link.fingerprint]) for link in chain.links if link.fingerprint in kept
        }
        after = Manifest(entries | others, _alive(waits or {}, at), before.formats | dict(formats or {}))
        files: dict[str, bytes | None] = dict.fromkeys(map(_file_name, before.entries.keys() - others.keys()))
        files |= {_file_name(each): staple.response for each, staple in kept.items()}
        files |= server_files(after.formats, [kept[each].response if each in kept else None for each in own])
        return self._write(files | {MANIFEST: after.encode()})

    def _write(self, files: Mapping[str, bytes | None]) -> tuple[Path, ...]:
        """Write these files and take away those without content; the files written."""
        contents = {self.folder / name: (data, PUBLIC) for name, data in files.items() if data is not None}
        with self._explained():
            self.folder.mkdir(parents=True, exist_ok=True)
            write_together(contents, replace=True)
            for name, data in files.items():
                if data is None:
                    (self.folder / name).unlink(missing_ok=True)
        return tuple(contents)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise InputError(f"cannot write in {self.folder}: {error.strerror or error}") from error


def _alive(waits: Mapping[str, datetime], at: datetime) -> dict[str, datetime]:
    """The waits that are not over. One longer than any that is noted comes from a clock that was set back since."""
    return {url: until for url, until in waits.items() if at < until <= at + LONGEST_WAIT}


def _file_name(fingerprint: bytes) -> str:
    return f"{fingerprint.hex()}.der"


def _entry(link: Link, staple: Staple) -> dict[str, Any]:
    judgement = staple.judgement
    return {
        "subject": name_of(link.subject),
        "file": staple.file_name,
        "url": staple.url,
        "etag": staple.etag,
        "this_update": judgement.this_update,
        "next_update": judgement.next_update,
        "dies_at": judgement.dies_at,
        "fetched_at": staple.fetched_at,
        "kept_until": staple.kept_until,
    }

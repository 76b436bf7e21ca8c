"""The manifest of a folder of staples: one JSON document, with a version, that leads nowhere but into that folder."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Any, Final

from mustaple.core.errors import InputError
from mustaple.net.server_files import ServerFormat

MANIFEST: Final = "manifest.json"
FORMAT: Final = "mustaple staples"
VERSION: Final = 1
MAX_BYTES: Final = 4 * 1024 * 1024
_TIMES: Final = ("this_update", "next_update", "dies_at", "fetched_at", "kept_until")


@dataclass(slots=True)
class Manifest:
    """What stands in a manifest.

    `entries` are facts about staples by the certificates' fingerprints (SHA-256, 32 bytes); their times are aware UTC
    or None, the rest is as it was written. `waits` are URLs and until when they asked to be left alone. `formats` are
    the servers to write files for, with the name of their chain's file.
    """

    entries: dict[bytes, dict[str, Any]] = field(default_factory=dict)
    waits: dict[str, datetime] = field(default_factory=dict)
    formats: dict[ServerFormat, str] = field(default_factory=dict)

    def encode(self) -> bytes:
        """The document."""
        document = {
            "format": FORMAT,
            "version": VERSION,
            "staples": [{"fingerprint": each.hex(), **entry} for each, entry in self.entries.items()],
            "retry_after": self.waits,
            "servers": self.formats,
        }
        return json.dumps(document, indent=2, default=_written).encode() + b"\n"

    @classmethod
    def decode(cls, document: dict[str, Any]) -> Manifest:
        """What can be read of a document; an entry or a time that cannot is as good as not there."""
        manifest = cls()
        for entry in _list(document.get("staples")):
            fingerprint = _fingerprint(entry.get("fingerprint")) if isinstance(entry, dict) else None
            if fingerprint is not None:
                manifest.entries[fingerprint] = entry | {name: _time(entry.get(name)) for name in _TIMES}
        for url, text in _dict(document.get("retry_after")).items():
            until = _time(text)
            if until is not None:
                manifest.waits[url] = until
        for name, chain_name in _dict(document.get("servers")).items():
            if name in set(ServerFormat) and _is_plain(chain_name):
                manifest.formats[ServerFormat(name)] = chain_name
        return manifest


def read_manifest(folder: Path) -> Manifest:
    """The manifest in this folder, an empty one where there is none.

    Raises InputError for one that cannot be read, is of a later version, or is somebody else's: it is never replaced.
    """
    path = folder / MANIFEST
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return Manifest()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise InputError(f"{path} is not a manifest of staples; name another folder, or remove it")
    if document.get("version") != VERSION:
        raise InputError(f"{path} is of version {document.get('version')!r}, and this mustaple knows {VERSION}")
    return Manifest.decode(document)


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _is_plain(name: object) -> bool:
    """Whether this is the name of a file and nothing else, so that nothing is written elsewhere."""
    return isinstance(name, str) and bool(name) and name.isprintable() and PurePath(name).name == name


def _fingerprint(text: object) -> bytes | None:
    if not isinstance(text, str) or len(text) != 64 or text.strip("0123456789abcdef"):
        return None
    return bytes.fromhex(text)


def _written(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _time(text: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
        return None if moment is None or moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None

"""Remembers which chain was deployed last under each name, for a renewal that waits for its staple over a restart."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from certtools.ca_dir.files import PUBLIC, write_atomic
from certtools.chain import Chain, ChainError, load_certificates, to_pem
from mustaple.agent.deploy.contract import Site
from mustaple.core.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


class ServingRecord:
    """A folder with a file for each chain by its name; no key is among what it holds."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, name: str, key: Path | None) -> Site | None:
        """What was deployed last under this name; None where nothing was, or it cannot be read."""
        try:
            document = json.loads((self._folder / f"{name}.json").read_bytes())
            chain = Chain(tuple(load_certificates(document["chain"].encode())))
            return Site(name, chain, document["pem"].encode(), key) if chain.links else None
        except (OSError, ValueError, TypeError, KeyError, AttributeError, ChainError):
            return None

    def save(self, site: Site) -> None:
        """Remember this. Raises InputError where that fails."""
        document = {"chain": to_pem(site.chain.certificates).decode(), "pem": site.pem.decode()}
        path = self._folder / f"{site.name}.json"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomic(path, json.dumps(document).encode(), PUBLIC)
        except OSError as error:
            raise InputError(f"cannot write {path}: {error.strerror or error}") from error

"""Where staples are kept between runs: the contract, and the directory that is the default."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from certtools.chain import Chain
from mustaple.net.store import Store

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from certtools.chain import Link
    from mustaple.core.policy import Rules
    from mustaple.net.store import Staple, Wrong


class Shelf(Protocol):
    """Keeps one staple for each certificate. What is kept is judged again on each load, whatever the shelf says of it.

    Every method raises InputError, in one sentence, for a shelf that cannot be used now; nothing kept is lost by that.
    """

    def load(self, link: Link, at: datetime, rules: Rules) -> Staple | Wrong | None:
        """The staple for this certificate if it is good at the time `at`, what is wrong with it, or None."""

    def save(self, link: Link, staple: Staple | None, at: datetime) -> None:
        """Keep this staple for the certificate instead of the one before, whole or not at all; None keeps none."""


class DirectoryShelf:
    """A folder with a small store for each certificate, under its fingerprint: a save touches no other's files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self, link: Link, at: datetime, rules: Rules) -> Staple | Wrong | None:
        """See `Shelf.load`. What a process that was killed had begun to write is swept up: nobody else writes here."""
        for begun in (self.folder / link.fingerprint.hex()).glob(".*"):
            begun.unlink(missing_ok=True)
        found = self._store(link).load(at, _alone(link), rules)
        if found.wrong:
            return found.wrong[0]
        return found.staples.get(link.fingerprint)

    def save(self, link: Link, staple: Staple | None, at: datetime) -> None:
        """See `Shelf.save`."""
        self._store(link).save(_alone(link), [] if staple is None else [staple], at)

    def _store(self, link: Link) -> Store:
        return Store(self.folder / link.fingerprint.hex())


def _alone(link: Link) -> Chain:
    return Chain((link.subject, link.issuer))

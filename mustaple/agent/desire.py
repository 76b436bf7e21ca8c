"""What a server should serve now, as a pure function of chains and staples: RFC 7633 §4.3.2 lives here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mustaple.agent.entry import is_obliged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mustaple.agent.deploy.contract import Site
    from mustaple.agent.entry import Entry


@dataclass(frozen=True, slots=True)
class Desired:
    """A chain and its staples, leaf first. `settled` says that whatever is None will not come in a moment."""

    site: Site
    staples: tuple[bytes | None, ...]
    settled: bool

    @property
    def key(self) -> tuple[bytes, tuple[bytes | None, ...]]:
        """What makes two of them the same."""
        return self.site.pem, self.staples


def desired(wanted: Site, serving: Site | None, entries: Mapping[bytes, Entry]) -> Desired | None:
    """What to serve: `wanted` is the chain in the files, `serving` the one served until now.

    A must-staple certificate that is new is served only together with its staple (RFC 7633 §4.3.2); until it has one
    the chain before it is served on, or where there was none, nothing is deployed: None. What is served already stays,
    and loses what died.
    """
    new = _of(wanted, entries)
    if serving is not None and serving.fingerprint == wanted.fingerprint:
        return new
    if _may_begin(new, entries):
        return new
    return _of(serving, entries) if serving is not None else None


def _of(site: Site, entries: Mapping[bytes, Entry]) -> Desired:
    found = [entries.get(link.fingerprint) for link in site.chain.links]
    staples = tuple(each.staple.response if each is not None and each.staple is not None else None for each in found)
    return Desired(site, staples, all(each is not None and each.settled and not each.early for each in found))


def _may_begin(new: Desired, entries: Mapping[bytes, Entry]) -> bool:
    """Whether a certificate that was not served before may be served now."""
    leaf = new.site.chain.links[0]
    if not is_obliged(leaf):
        return new.settled
    # By extension 17 the whole chain is promised; an unreadable list promises no more than the leaf.
    features = new.site.chain.features[0]
    whole = isinstance(features, tuple) and 17 in features
    entry = entries.get(leaf.fingerprint)
    if entry is not None and entry.revoked is not None:
        return False
    return all(new.staples) if whole else new.staples[0] is not None

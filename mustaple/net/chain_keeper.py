"""Keeps the staples of a whole chain fresh, each certificate's on its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from certtools.chain import name_of
from mustaple.net.dial import Deadline
from mustaple.net.fetch import fetch_ocsp, ocsp_urls
from mustaple.net.keeper import FIRST_PATIENCE, StapleKeeper

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from certtools.chain import Link
    from mustaple.net.fetch import Fetched


class ChainKeeper:
    """A `StapleKeeper` for each of these links, leaf first; `staples()` is what to send now, in their order.

    One certificate whose responder fails leaves the others' staples as they are. A certificate that names no OCSP URL
    has no staple. `on_change` gets a sentence that begins with the certificate's name, in any thread. `fetch` is
    `fetch_ocsp` unless told otherwise. A context manager.
    """

    def __init__(
        self,
        links: Sequence[Link],
        *,
        fetch: Callable[..., Fetched] = fetch_ocsp,
        on_change: Callable[[str], None] | None = None,
    ) -> None:
        self._places: dict[int, StapleKeeper] = {}
        self._silent: list[str] = []
        self._length = len(links)
        self._on_change = on_change
        for place, link in enumerate(links):
            if ocsp_urls(link.subject):
                self._places[place] = StapleKeeper(link, fetch=fetch, on_change=self._telling(link))
            else:
                self._silent.append(name_of(link.subject))

    def staples(self) -> tuple[bytes | None, ...]:
        """One for each link; None where there is none whose time has not passed."""
        keepers = map(self._places.get, range(self._length))
        return tuple(keeper.staple() if keeper is not None else None for keeper in keepers)

    def start(self, patience: float = FIRST_PATIENCE) -> bool:
        """Begin, and wait at most `patience` seconds for the first staple of each. Whether every link has one."""
        for name in self._silent:
            self._tell(f"{name}: stapling nothing: the certificate names no OCSP URL")
        deadline = Deadline(patience)
        for keeper in self._places.values():
            keeper.begin()
        found = [keeper.wait(deadline.left()) for keeper in self._places.values()]
        return len(found) == self._length and all(found)

    def refresh(self) -> None:
        """Fetch all of them at once."""
        for keeper in self._places.values():
            keeper.refresh()

    def close(self) -> None:
        """Stop; fetches under way are left to their timeout."""
        for keeper in self._places.values():
            keeper.stop()
        for keeper in self._places.values():
            keeper.close()

    def _telling(self, link: Link) -> Callable[[str], None]:
        name = name_of(link.subject)
        return lambda sentence: self._tell(f"{name}: {sentence}")

    def _tell(self, sentence: str) -> None:
        if self._on_change is not None:
            self._on_change(sentence)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

"""What live cases stand on: a root of their own that no two servers share, and worlds under it whose time is now."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Final, overload

from cryptography.hazmat.primitives.asymmetric import rsa

from certtools.authority import Authority
from certtools.drawing import drawn_from
from mustaple.lab.cases.world import DAY, World

if TYPE_CHECKING:
    from datetime import datetime

_LIFE: Final = 90 * DAY
_SIZES: Final = (1024, 2048)


class Ground:
    """The root that clients of live cases trust, a stranger, and where chance comes from: made anew, never kept.

    The corpus has a seed that everybody knows. A browser that trusts the root of a live server must not thereby trust
    whoever read our sources, so everything here, the RSA keys too, is made when it is needed. `at` is aware UTC: both
    roots are valid for 90 days on either side of it. `root` and `rogue` may be given.
    """

    def __init__(self, at: datetime, root: Authority | None = None, rogue: Authority | None = None) -> None:
        begin, end = at - _LIFE, at + _LIFE
        mark = secrets.token_hex(4)  # so that a browser that trusts two of them can tell them apart
        self.root = root or Authority.root(f"mustaple test root {mark}", not_before=begin, not_after=end)
        self.rogue = rogue or Authority.root(f"mustaple stranger {mark}", not_before=begin, not_after=end)
        self.secret = secrets.token_hex(32)
        self.rsa_keys = {bits: _RsaKeys(bits) for bits in _SIZES}


class LiveWorld(World):
    """The world of one case for a little while: under the ground's root, with certificates that no other world has.

    `mark` tells it from the ground's other worlds; a world of the same mark and the same time is the same to the byte.
    """

    def __init__(self, ground: Ground, mark: str, at: datetime, *, name: str, url: str) -> None:
        super().__init__(f"{ground.secret}\0{mark}", at, name=name, url=url)
        self._ground = ground

    @cached_property
    def root(self) -> Authority:
        """The ground's root."""
        return self._ground.root

    @cached_property
    def rogue(self) -> Authority:
        """The ground's stranger."""
        return self._ground.rogue

    @contextmanager
    def drawing(self, what: str) -> Iterator[None]:
        """Draw from the ground's secret."""
        with drawn_from(f"{self.seed}\0{what}", self._ground.rsa_keys):
            yield


class _RsaKeys(Sequence[rsa.RSAPrivateKey]):
    """As many RSA keys of one size as are asked for, each made when somebody comes to it."""

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._made: list[rsa.RSAPrivateKey] = []

    def __len__(self) -> int:
        return len(self._made)

    @overload
    def __getitem__(self, place: int) -> rsa.RSAPrivateKey: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[rsa.RSAPrivateKey]: ...
    def __getitem__(self, place: int | slice) -> rsa.RSAPrivateKey | Sequence[rsa.RSAPrivateKey]:
        return self._made[place]

    def __iter__(self) -> Iterator[rsa.RSAPrivateKey]:
        place = 0
        while True:
            if place == len(self._made):
                self._made.append(rsa.generate_private_key(65537, self._bits))
            yield self._made[place]
            place += 1

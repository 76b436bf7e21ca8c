"""The situations that a live server has at hand, made when somebody asks, and anew before time has changed them."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Final

from cryptography import x509

from mustaple.core.errors import InputError
from mustaple.lab.live.ground import LiveWorld
from mustaple.net.tlslite_ng import Credentials

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from mustaple.lab.cases import Case, Setup
    from mustaple.lab.live.ground import Ground

LIFE: Final = timedelta(seconds=15)  # some cases are about a window of forty seconds
LONG_LIFE: Final = timedelta(hours=12)  # half of the day that lies between most cases and their opposite
REMEMBERED: Final = timedelta(minutes=2)  # for clients that ask the responder after their handshake
MOST_REMEMBERED: Final = 2048
ELSEWHERE: Final = "elsewhere.mustaple.test"
_LABEL: Final = 63  # bytes, RFC 1035 §2.3.4

# These pass up to the very second at hand, or are refused for lying just beyond one that is yet to come. Time passes
# on the way, so they are made for a time a little ahead; the other edges only grow clearer as it passes.
AHEAD: Final = timedelta(seconds=5)
_AHEAD: Final = frozenset(
    f"clock/{name}"
    for name in (
        "next-update-within-the-skew",
        "this-update-beyond-the-skew",
        "just-young-enough",
        "no-next-update-just-young-enough",
        "delegate-expires-now",
        "delegate-begins-beyond-the-skew",
    )
)
_TO_THE_SECOND: Final = "clock"


def host_of(case: Case) -> str:
    """The host name of a case, as `freshness-expired.localhost`; browsers and curl find such names on loopback."""
    label = f"{case.family}-{case.name}"
    if len(label) > _LABEL:
        raise InputError(f"the case {case.id} has too long a name for a host")
    return f"{label}.localhost"


@dataclass(frozen=True)
class Served:
    """One case as it is served to a client that asks for `name`. `number` stands in the path of its CA's URLs.

    `remake` gives the same situation for a client whose OCSP request carries this nonce.
    """

    case: Case
    name: str
    number: int
    setup: Setup
    made: datetime
    fresh_until: datetime
    remake: Callable[[bytes], Setup]

    @cached_property
    def credentials(self) -> Credentials:
        """The certificates sent, with the leaf's key. Raises InputError where tlslite-ng has no such key."""
        sent = [x509.load_der_x509_certificate(each) for each in self.setup.sent]
        return Credentials(sent, self.setup.key)


class Stock:
    """Makes situations on one thread of its own, and remembers the recent ones for the CA's responder.

    `url` is where that responder is, with a slash at its end. `clock` says what time it is, in aware UTC.
    """

    def __init__(self, ground: Ground, url: str, clock: Callable[[], datetime]) -> None:
        self._ground = ground
        self._url = url
        self._clock = clock
        self._latest: dict[tuple[str, str], Served] = {}
        self._by_number: dict[int, Served] = {}
        self._numbers = itertools.count(1)
        # One thread: nothing is made twice, and whoever serves meanwhile goes on serving.
        self._maker = ThreadPoolExecutor(1, thread_name_prefix="mustaple-cases")

    def close(self) -> None:
        """Make no more."""
        self._maker.shutdown(wait=True, cancel_futures=True)

    def order(self, case: Case, name: str) -> Future[Served]:
        """The situation of this case for clients that ask for `name`, soon."""
        return self._maker.submit(self._get, case, name)

    def order_remade(self, served: Served, nonce: bytes) -> Future[Setup]:
        """The same situation for a client that sends this nonce, soon."""
        return self._maker.submit(served.remake, nonce)

    def numbered(self, number: int) -> Served | None:
        """The situation of this number, if it is remembered."""
        return self._by_number.get(number)

    def _get(self, case: Case, name: str) -> Served:
        now = self._clock()
        found = self._latest.get((case.id, name))
        if found is None or not found.made <= now < found.fresh_until:
            found = self._make(case, name, now)
            self._forget(now)
            self._latest[case.id, name] = self._by_number[found.number] = found
        return found

    def _make(self, case: Case, name: str, now: datetime) -> Served:
        number = next(self._numbers)
        at = now.astimezone(UTC).replace(microsecond=0) + (AHEAD if case.id in _AHEAD else timedelta())

        def make(asked: str, nonce: bytes | None = None) -> tuple[LiveWorld, Setup]:
            url = f"{self._url}{case.family}-{case.name}/{number}/"
            world = LiveWorld(self._ground, f"{case.id}\0{number}", at, name=asked, url=url)
            if nonce is not None:
                world.nonce = nonce
            return world, case.setup(world)

        asked = name
        world, setup = make(asked)
        if setup.name != name:
            # The client is to meet a certificate for another name than the one it asks for.
            asked = ELSEWHERE
            world, setup = make(asked)
        life = LIFE
        if case.family == _TO_THE_SECOND:
            life = timedelta()
        elif setup.trusted != world.root.certificate:
            life = LONG_LIFE  # what to trust is told to clients beforehand
        return Served(case, name, number, setup, now, now + life, lambda nonce: make(asked, nonce)[1])

    def _forget(self, now: datetime) -> None:
        kept = list(self._by_number.values())
        crowd = kept[: max(len(kept) - MOST_REMEMBERED + 1, 0)]
        over = [each for each in kept[len(crowd) :] if max(each.made + REMEMBERED, each.fresh_until) < now]
        for served in crowd + over:
            del self._by_number[served.number]
            if self._latest.get((served.case.id, served.name)) is served:
                del self._latest[served.case.id, served.name]

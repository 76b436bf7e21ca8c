"""What a comparison plays on: a relay before the server and one before the CA, through which everything is counted."""

from __future__ import annotations

import threading
from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from mustaple.lab.compare.relay import Relay
from mustaple.net.lifespan import Assembly

if TYPE_CHECKING:
    from contextlib import AbstractContextManager, ExitStack

    from cryptography import x509

    from mustaple.net.stapling_session import ChainConnectionRecord
    from mustaple.report.comparison import Case, Told, Traffic

HOST: Final = "localhost"
_SETTLING: Final = 2.0  # seconds for a server to see that a connection is over


class Seen:
    """What a server saw of the connections that have ended; `add` is called in its threads."""

    def __init__(self) -> None:
        self._records: list[ChainConnectionRecord] = []
        self._news = threading.Condition()

    def add(self, record: ChainConnectionRecord) -> None:
        """One more connection has ended."""
        with self._news:
            self._records.append(record)
            self._news.notify_all()

    def forget(self) -> None:
        """The next client is another."""
        with self._news:
            self._records.clear()

    def wait_for(self, count: int) -> list[ChainConnectionRecord]:
        """The records, when there are so many, or those that there are after a while."""
        with self._news:
            self._news.wait_for(lambda: len(self._records) >= count, _SETTLING)
            return list(self._records)


@dataclass(frozen=True, slots=True)
class Scenery:
    """What a client meets: the case's name, where to connect, what to trust, and what the server saw.

    `staples_signed` is how many responses the CA had signed for the server's staples.
    """

    case: str
    stage: Stage
    trusted: x509.Certificate
    seen: Seen
    staples_signed: int

    @property
    def port(self) -> int:
        """Where to connect to, on loopback."""
        return self.stage.server.port

    def records(self) -> list[ChainConnectionRecord]:
        """What the server saw of the client, when all its connections are over."""
        self.stage.server.settle()
        return self.seen.wait_for(self.stage.server.connections)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the CA was asked, what it signed for it, and what it learned."""

    requests: int
    signatures: int
    told: tuple[Told, ...]


@dataclass(frozen=True, slots=True)
class Counts:
    """What one client cost. `tampered` says whether somebody on the path changed or cut its connection."""

    to_server: Traffic
    to_ca: Traffic
    asked: Asked
    tampered: bool


class Stage(Assembly):
    """Makes situations, one at a time, and counts what clients do in them; a context manager.

    Where it is `odd`, what servers send may end a handshake by itself, and that is a refusal like any other.
    """

    odd: ClassVar[bool] = False

    def __init__(self) -> None:
        self.server = Relay("server")
        self.ca = Relay("ca")

    def _assemble(self, stack: ExitStack) -> None:
        """The two relays; what stands behind them is the subclass's."""
        stack.enter_context(self.server)
        stack.enter_context(self.ca)

    @abstractmethod
    def scenery(self, case: Case) -> AbstractContextManager[Scenery]:
        """Put this situation behind the two relays."""

    def counts(self) -> Counts:
        """What was counted since the last time, when every connection is over."""
        to_server, tampered = self.server.take()
        to_ca, _ = self.ca.take()
        return Counts(to_server, to_ca, self._asked(), tampered)

    @property
    def in_clear(self) -> bool:
        """Whether others can read on the way what the CA is asked."""
        return not self.ca.url.startswith("https:")

    @abstractmethod
    def _asked(self) -> Asked:
        """What the CA was asked since the last time."""

"""A TCP relay that puts a round-trip time between two ends on loopback, and counts what they say to each other."""

from __future__ import annotations

import asyncio
import selectors
from collections import deque
from contextlib import suppress
from itertools import groupby
from typing import TYPE_CHECKING, cast

from mustaple.net.lifespan import LoopServer
from mustaple.net.listen import listen, url_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Passage:
    """One connection through the relay: how many bytes went which way, in which order.

    Bytes are those of TCP's payload; the headers of TCP and IP come on top.
    """

    def __init__(self) -> None:
        self.pieces: list[tuple[bool, int]] = []

    @property
    def sent(self) -> int:
        """Bytes from the client."""
        return sum(size for by_client, size in self.pieces if by_client)

    @property
    def received(self) -> int:
        """Bytes to the client."""
        return sum(size for by_client, size in self.pieces if not by_client)

    @property
    def first_flight(self) -> int:
        """Bytes that the server sent in one go after the client's first: what its initial congestion window meets."""
        flights = [
            sum(size for _, size in pieces)
            for by_client, pieces in groupby(self.pieces, key=lambda piece: piece[0])
            if not by_client
        ]
        return flights[0] if flights else 0


class Relay(LoopServer):
    """Whoever connects to `port` reaches `target` on loopback, `round_trip` seconds away; a context manager.

        with Relay(server.port, round_trip=0.1) as relay:
            connect_to(relay.port)
        relay.passages[0].received

    Each direction is delayed by half of it. The system accepts a connection at once, so TCP's own round trip, SYN and
    SYN-ACK, is put in here: what the client says before it would be over sets out when it is, and what the server says
    before the SYN would have reached it sets out when that has. To the client this is the same as a connection made a
    round trip later. Nothing is lost, no bandwidth is limited, and there is no congestion window.

    `round_trip` may be changed, for connections to come.
    """

    def __init__(self, target: int, *, round_trip: float = 0.0) -> None:
        super().__init__("mustaple-relay")
        self.target = target
        self.round_trip = round_trip
        self.passages: list[Passage] = []
        self._transports: set[asyncio.Transport] = set()
        self._idle = asyncio.Event()
        self._listener = listen()
        self.host, self.port = self._listener.getsockname()[:2]
        self.url = url_of(self._listener, "http")

    def close(self) -> None:
        """End every connection and free the port. Safe to call twice."""
        super().close()
        self._listener.close()

    def settle(self) -> None:
        """Wait until every connection is over. Only while the relay runs."""
        if self._loop is not None:
            asyncio.run_coroutine_threadsafe(self._settled(), self._loop).result()

    async def _settled(self) -> None:
        while self._transports:
            self._idle.clear()
            await self._idle.wait()

    def _run(self) -> None:
        # epoll rounds every wait up to the millisecond, which at a short round trip is a good part of it.
        with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
            runner.run(self._serve())

    async def _listen(self) -> Sequence[asyncio.Server]:
        loop = asyncio.get_running_loop()
        return [await loop.create_server(self._pair, sock=self._listener.dup())]

    async def _hang_up(self) -> None:
        for transport in tuple(self._transports):
            transport.abort()
        await self._settled()

    def _pair(self) -> _Side:
        passage = Passage()
        self.passages.append(passage)
        return _Side(self, passage, None, asyncio.get_running_loop().time(), self.round_trip)

    def opened(self, transport: asyncio.Transport) -> None:
        """A connection's side is there."""
        self._transports.add(transport)

    def closed(self, transport: asyncio.Transport) -> None:
        """A connection's side is gone."""
        self._transports.discard(transport)
        if not self._transports:
            self._idle.set()


class _Side(asyncio.Protocol):
    """One side of a connection: what comes in here goes out at the other side, later.

    `other` is None for the client's side, which connects to the target and has its other side then.
    """

    def __init__(self, relay: Relay, passage: Passage, other: _Side | None, began: float, round_trip: float) -> None:
        self._relay = relay
        self._passage = passage
        self._by_client = other is None
        self._other = other
        self._began = began
        self._round_trip = round_trip
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._heard_all = self._said_all = False
        self._under_way: deque[Callable[[_Side], None]] = deque()
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._relay.opened(self._transport)
        if self._by_client:
            self._transport.pause_reading()  # nothing is read before both sides are there
            self._connecting = self._loop.create_task(self._connect())

    async def _connect(self) -> None:
        other = _Side(self._relay, self._passage, self, self._began, self._round_trip)
        try:
            await self._loop.create_connection(lambda: other, "127.0.0.1", self._relay.target)
        except OSError:
            self._transport.abort()  # as the target refuses, so does the relay
            return
        self._other = other
        self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        self._passage.pieces.append((self._by_client, len(data)))
        self._later(lambda other: other.say(data))

    def eof_received(self) -> bool:
        self._heard_all = True
        self._later(_Side.end)
        return not self._said_all  # the other direction may still have something to say

    def connection_lost(self, exc: Exception | None) -> None:
        self._relay.closed(self._transport)
        self._later(_Side.leave if exc is None else _Side.break_off)

    def say(self, data: bytes) -> None:
        """Pass on what the other side heard."""
        self._transport.write(data)

    def end(self) -> None:
        """Pass on that the other side will hear no more."""
        self._said_all = True
        if self._heard_all:
            self._transport.close()
        elif not self._transport.is_closing():
            with suppress(OSError):  # gone meanwhile, as it will be told
                self._transport.write_eof()

    def leave(self) -> None:
        """The other side is gone; so is this, when all is sent."""
        self._transport.close()

    def break_off(self) -> None:
        """The other side was reset; so is this."""
        self._transport.abort()

    def _later(self, act: Callable[[_Side], None]) -> None:
        """Let the other side do it, in the order asked, when it would have come there."""
        until = self._began + self._round_trip * (1 if self._by_client else 0.5)  # of TCP's own round trip
        self._under_way.append(act)
        self._loop.call_at(max(self._loop.time(), until) + self._round_trip / 2, self._next)

    def _next(self) -> None:
        act = self._under_way.popleft()
        if self._other is not None:
            act(self._other)

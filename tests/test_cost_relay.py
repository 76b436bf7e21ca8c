"""The relay that puts in round trips: nothing comes sooner than it should, and all that is said is passed on."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import TYPE_CHECKING

import pytest
from slopes import shown_slope

from mustaple.lab.cost import Relay
from mustaple.net.lifespan import LoopServer
from mustaple.net.listen import listen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

DELAYS = (0.02, 0.07, 0.12)
TRIES = 3


class Parrot(LoopServer):
    """Repeats what it hears, after a greeting if it has one, and says goodbye when it will hear no more."""

    def __init__(self, greeting: bytes = b"") -> None:
        super().__init__("parrot")
        self._greeting = greeting
        self._listener = listen()
        self.port: int = self._listener.getsockname()[1]
        self.url = f"port {self.port}"
        self._tasks: set[asyncio.Task[None]] = set()

    def close(self) -> None:
        super().close()
        self._listener.close()

    async def _listen(self) -> Sequence[asyncio.Server]:
        return [await asyncio.start_server(self._begin, sock=self._listener.dup())]

    async def _hang_up(self) -> None:
        await asyncio.gather(*self._tasks)

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._talk(reader, writer))
        self._tasks.add(task)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self._greeting)
        while data := await reader.read(65536):
            writer.write(data)
        writer.write(b"goodbye")
        writer.close()
        await writer.wait_closed()


@pytest.fixture
def parrot() -> Iterator[Parrot]:
    with Parrot() as server:
        yield server


def dial(relay: Relay) -> socket.socket:
    sock = socket.create_connection((relay.host, relay.port), timeout=30)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def ended(sock: socket.socket) -> bool:
    try:
        return sock.recv(100) == b""
    except ConnectionResetError:
        return True


def talk(relay: Relay, turns: int) -> float:
    """Seconds from the connection's beginning until so many questions are answered one after the other."""
    began = time.perf_counter()
    with dial(relay) as sock:
        for _ in range(turns):
            sock.sendall(b"hello")
            assert sock.recv(100) == b"hello"
        return time.perf_counter() - began


def greeted(relay: Relay) -> float:
    """Seconds until a server that speaks first is heard."""
    began = time.perf_counter()
    with dial(relay) as sock:
        assert sock.recv(100) == b"220 welcome"
        return time.perf_counter() - began


def times(
    relay: Relay, visit: Callable[[], float], round_trips: int, *, put_in: bool = True
) -> Iterator[tuple[float, float]]:
    """The fastest of some visits at each delay, none faster than it may be."""
    for delay in DELAYS:
        relay.round_trip = delay if put_in else 0.0
        seconds = min(visit() for _ in range(TRIES))
        assert seconds >= round_trips * relay.round_trip
        yield delay, seconds


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_connection_and_each_turn_cost_a_round_trip(parrot: Parrot, turns: int) -> None:
    with Relay(parrot.port) as relay:
        found = shown_slope(lambda: times(relay, lambda: talk(relay, turns), turns + 1), turns + 1, 0.4)
    assert abs(found - (turns + 1)) < 0.4


def test_without_a_delay_nothing_grows(parrot: Parrot) -> None:
    with Relay(parrot.port) as relay:
        found = shown_slope(lambda: times(relay, lambda: talk(relay, 3), 4, put_in=False), 0, 0.4)
    assert abs(found) < 0.4


def test_a_server_that_speaks_first_is_heard_after_the_connections_own_round_trip() -> None:
    with Parrot(b"220 welcome") as server, Relay(server.port) as relay:
        found = shown_slope(lambda: times(relay, lambda: greeted(relay), 1), 1, 0.4)
    assert abs(found - 1) < 0.4


@pytest.mark.parametrize("round_trip", [0.0, 0.02])
def test_everything_arrives_in_order_and_is_counted(parrot: Parrot, round_trip: float) -> None:
    said = bytes(range(256)) * 4096  # a megabyte, in many pieces
    with Relay(parrot.port, round_trip=round_trip) as relay:
        with dial(relay) as sock:
            sock.sendall(b"first")
            assert sock.recv(100) == b"first"
            sock.sendall(said)
            sock.shutdown(socket.SHUT_WR)
            heard = b"".join(iter(lambda: sock.recv(65536), b""))
        relay.settle()
        (passage,) = relay.passages
    assert heard == said + b"goodbye"
    assert (passage.sent, passage.received) == (5 + len(said), 5 + len(said) + 7)
    assert passage.first_flight == 5


def test_a_target_that_refuses_is_passed_on() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and does not listen
        with Relay(closed.getsockname()[1]) as relay, dial(relay) as sock:
            assert ended(sock)
            relay.settle()
            assert relay.passages[0].first_flight == 0


def test_the_relay_ends_with_connections_open(parrot: Parrot) -> None:
    with Relay(parrot.port) as relay:
        sock = dial(relay)
        sock.sendall(b"hello")
        assert sock.recv(100) == b"hello"
    with sock:
        assert ended(sock)
    relay.close()

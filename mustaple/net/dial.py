"""A TCP connection under one deadline: the name looked up, every address of it tried, errors in one sentence."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mustaple.core.errors import InputError, NetworkError
from mustaple.net.deadline_loop import look_up

if TYPE_CHECKING:
    from collections.abc import Iterator

    Address = tuple[Any, ...]

_KNOCK: Final = 0.05  # seconds between two tries at a port that nobody listens on yet


class Deadline:
    """A span of seconds that began when this was made, or restarted."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.restart()

    def restart(self) -> None:
        """Begin the span anew."""
        self._end = time.monotonic() + self.seconds

    def left(self) -> float:
        """The seconds left, never negative."""
        return max(0.0, self._end - time.monotonic())

    def bound(self, sock: socket.socket) -> None:
        """Let the next operation on this socket take what is left. Raises TimeoutError where nothing is."""
        left = self.left()
        if not left:
            raise TimeoutError
        sock.settimeout(left)


@contextmanager
def network_errors(peer: str, deadline: Deadline | None = None) -> Iterator[None]:
    """Turn what a socket raises into a NetworkError that names the peer."""
    try:
        yield
    except TimeoutError as error:
        within = f" within {deadline.seconds:g} s" if deadline is not None else " in time"
        raise NetworkError(f"{peer} did not answer{within}") from error
    except OSError as error:
        raise unreachable(peer, error) from error


def unreachable(peer: str, error: OSError) -> NetworkError:
    """What to raise for an error of the system's about this peer."""
    # asyncio has a text of its own for what the system calls, say, "Connection refused".
    number = error.errno or 0
    said = os.strerror(number) if number > 0 else error.strerror or str(error) or type(error).__name__
    return NetworkError(f"{peer}: {said.lower()}")


def written(host: str, port: int) -> str:
    """`HOST:PORT`, or `[IPv6]:PORT`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def dial(host: str, port: int, deadline: Deadline, *, wait: float = 0.0, peer: str | None = None) -> socket.socket:
    """Connect to the first address of the host that answers, each tried for its share of the time left.

    With `wait`, a port that refuses is tried again for so many seconds; the deadline begins with the last try. `peer`
    is what errors call it, host and port unless given.
    Raises NetworkError, whose `__cause__` is the OSError of the last address, and InputError for an impossible name.
    """
    peer = written(host, port) if peer is None else peer
    patience = Deadline(wait)
    while True:
        addresses = _resolve(host, port, peer, deadline)
        with network_errors(peer, deadline):
            try:
                return _try_each(addresses, deadline)
            except ConnectionRefusedError:
                if not patience.left():
                    raise
        time.sleep(min(_KNOCK, patience.left()))
        deadline.restart()


def _try_each(addresses: list[Address], deadline: Deadline) -> socket.socket:
    failure: OSError = TimeoutError()
    for position, (family, kind, protocol, _, address) in enumerate(addresses):
        share = deadline.left() / (len(addresses) - position)
        if not share:
            raise TimeoutError
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(share)
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure


def _resolve(host: str, port: int, peer: str, deadline: Deadline) -> list[Address]:
    """The host's addresses. The system's resolver knows no deadline: it works in a thread that may be left behind."""
    address = _numeric(host, port)
    if address:
        return address
    found: list[Address] = []
    failed: list[Exception] = []

    def ask() -> None:
        try:
            found.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            failed.append(error)

    thread = threading.Thread(target=ask, name="mustaple-resolve", daemon=True)
    thread.start()
    thread.join(deadline.left())
    for error in failed:
        raise _unresolved(host, peer, error) from error
    if not found:
        raise NetworkError(f"{peer}: the name did not resolve within {deadline.seconds:g} s")
    return found


def _numeric(host: str, port: int) -> list[Address]:
    """The address that `host` is; nothing where it is a name."""
    try:
        return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST))
    except (OSError, UnicodeError):
        return []


def _unresolved(host: str, peer: str, error: Exception) -> InputError | NetworkError:
    if isinstance(error, UnicodeError):
        return InputError(f"{host!r} is not a host name.")
    return NetworkError(f"{peer}: the name does not resolve")


class Dialled(NamedTuple):
    """A connected socket that does not block, and the time of the event loop at which its deadline ends."""

    sock: socket.socket
    until: float


async def adial(host: str, port: int, seconds: float, *, wait: float = 0.0, peer: str | None = None) -> Dialled:
    """`dial` for asyncio, with a deadline of so many seconds."""
    loop, peer = asyncio.get_running_loop(), written(host, port) if peer is None else peer
    patience = loop.time() + wait
    while True:
        until = loop.time() + seconds
        addresses = _numeric(host, port) or await _aresolve(host, port, peer, seconds)
        try:
            return Dialled(await _atry_each(loop, addresses, until), until)
        except TimeoutError as error:
            raise NetworkError(f"{peer} did not answer within {seconds:g} s") from error
        except OSError as error:
            left = patience - loop.time()
            if left <= 0 or not isinstance(error, ConnectionRefusedError):
                raise unreachable(peer, error) from error
        await asyncio.sleep(min(_KNOCK, left))


async def _aresolve(host: str, port: int, peer: str, seconds: float) -> list[Address]:
    try:
        async with asyncio.timeout(seconds):
            return list(await look_up(host, port, type=socket.SOCK_STREAM))
    except TimeoutError:
        raise NetworkError(f"{peer}: the name did not resolve within {seconds:g} s") from None
    except (OSError, UnicodeError) as error:
        raise _unresolved(host, peer, error) from error


async def _atry_each(loop: asyncio.AbstractEventLoop, addresses: list[Address], until: float) -> socket.socket:
    failure: OSError = TimeoutError()
    for position, (family, kind, protocol, _, address) in enumerate(addresses):
        left = max(until - loop.time(), 0.0)
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(0)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            async with asyncio.timeout(left / (len(addresses) - position)):
                await loop.sock_connect(sock, address)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure

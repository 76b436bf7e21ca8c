"""A TCP connection under one deadline: the name looked up, every address of it tried, errors in one sentence."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from mustaple.core.errors import InputError, NetworkError

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
        raise NetworkError(f"{peer}: {(error.strerror or str(error) or type(error).__name__).lower()}") from error


def dial(host: str, port: int, deadline: Deadline, *, wait: float = 0.0) -> socket.socket:
    """Connect to the first address of the host that answers, each tried for its share of the time left.

    With `wait`, a port that refuses is tried again for so many seconds; the deadline begins with the last try.
    Raises NetworkError, whose `__cause__` is the OSError of the last address, and InputError for an impossible name.
    """
    patience = Deadline(wait)
    while True:
        peer = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
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
    try:
        return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST))
    except (OSError, UnicodeError):
        pass  # not an address, so a name
    found: list[Address] = []
    failed: list[Exception] = []

    def look_up() -> None:
        try:
            found.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            failed.append(error)

    thread = threading.Thread(target=look_up, name="mustaple-resolve", daemon=True)
    thread.start()
    thread.join(deadline.left())
    for error in failed:
        if isinstance(error, UnicodeError):
            raise InputError(f"{host!r} is not a host name.") from error
        raise NetworkError(f"{peer}: the name does not resolve") from error
    if not found:
        raise NetworkError(f"{peer}: the name did not resolve within {deadline.seconds:g} s")
    return found

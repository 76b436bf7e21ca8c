"""Live endpoints on loopback, each with a fault of its own, and what the strict client has to say of each."""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from certtools.forge import MUTATIONS
from mustaple.net.stapling_server import ChainStaplingServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from certtools.authority import Authority, Issued
    from certtools.forge import Scene

NO_ANSWER: Final = "no-answer"
ACCEPTED: Final = "accepted"


@dataclass(frozen=True)
class Endpoint:
    """A live server. `line` is its line in a list of targets, `codes` are all reasons, the most telling first."""

    fault: str
    line: str
    ending: str
    codes: tuple[str, ...] = ()

    @property
    def code(self) -> str | None:
        return self.codes[0] if self.codes else None


class Talker:
    """Says something to whoever connects, one client at a time, in a thread of its own."""

    def __init__(self, say: Callable[[socket.socket, threading.Event], None]) -> None:
        self._say = say
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        with socket.create_connection(("127.0.0.1", self.port)):  # wakes it where it waits for a client
            pass
        self._thread.join(30)
        self._listener.close()

    def _serve(self) -> None:
        while not self._over.is_set():
            client, _ = self._listener.accept()
            with client:
                try:
                    self._say(client, self._over)
                except OSError:
                    continue  # the client went away, as it should


def drip(client: socket.socket, over: threading.Event) -> None:
    """A byte at a time, each in time and all of them never: the head of a ServerHello that takes an hour."""
    for byte in bytes.fromhex("160303400002003ffc0303") + bytes(16384):
        client.sendall(bytes([byte]))
        if over.wait(0.1):
            return


def web_page(client: socket.socket, _over: threading.Event) -> None:
    """An answer in clear to a ClientHello."""
    client.recv(1 << 16)
    client.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


@contextmanager
def endpoints(
    leaf: Issued, honest: tuple[bytes, bytes], scene: Scene, rogue: Authority
) -> Iterator[dict[str, Endpoint]]:
    """All of them by their faults. `leaf` is for localhost, `honest` holds a good staple for it and for its CA."""
    good, above = honest
    found: dict[str, Endpoint] = {}
    with ExitStack() as running, socket.socket() as dead:

        def serve(
            fault: str,
            staples: tuple[bytes | None, bytes | None],
            *codes: str,
            issued: Issued = leaf,
            options: str = "",
        ) -> None:
            server = running.enter_context(ChainStaplingServer(issued.chain[:-1], issued.key, staples))
            ending = "refused" if codes else ACCEPTED
            found[fault] = Endpoint(fault, f"localhost:{server.port}{options}", ending, codes)

        serve("good", honest)
        serve("promise broken", (None, above), "promise-broken")
        serve("nothing stapled", (None, None), "promise-broken", "no-staple")
        for fault in ("revoked", "expired", "other-certificate", "unknown", "bad-signature"):
            serve(fault, (MUTATIONS[fault](scene), above), fault)
        serve("intermediate without staple", (good, None), "no-staple")
        serve("wrong name", honest, "name-mismatch", options=" sni=other.example")
        stranger = rogue.leaf(["localhost"], features=None)
        serve("path invalid", (None, None), "path-invalid", issued=stranger)

        dead.bind(("127.0.0.1", 0))
        for fault, port in (
            ("dead port", dead.getsockname()[1]),
            ("not TLS", running.enter_context(Talker(web_page)).port),
            ("drip", running.enter_context(Talker(drip)).port),
        ):
            found[fault] = Endpoint(fault, f"127.0.0.1:{port}", NO_ANSWER)
        yield found

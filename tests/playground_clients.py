"""Clients of a playground: one page over TLS or plain HTTP, many that keep it busy, and many that say nothing."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import ssl
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PATIENCE: Final = 90.0  # seconds
MIB: Final = 1 << 20


@dataclass(frozen=True)
class Got:
    """An HTTP response: its status, headers by lower-case names, body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @classmethod
    def read(cls, data: bytes) -> Got:
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(": ") for line in lines)
        return cls(int(first.split()[1]), {name.lower(): value for name, _, value in pairs}, body)

    @property
    def text(self) -> str:
        return self.body.decode()


def trusting(pem: bytes) -> ssl.SSLContext:
    """What takes servers under this root, and no others."""
    return ssl.create_default_context(cadata=pem.decode())


def over_tls(
    context: ssl.SSLContext, port: int, name: str, path: str = "/", method: str = "GET", headers: Sequence[str] = ()
) -> Got:
    """Ask the server of this name for a page."""
    with (
        socket.create_connection(("127.0.0.1", port), PATIENCE) as plain,
        context.wrap_socket(plain, server_hostname=name) as tls,
    ):
        tls.sendall(_request(name, path, method, headers))
        return Got.read(_all_of(tls))


def over_http(port: int, path: str = "/", method: str = "GET", headers: Sequence[str] = ()) -> Got:
    """Ask the plain server for a page."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as plain:
        plain.sendall(_request("localhost", path, method, [*headers, "Connection: close"]))
        return Got.read(_all_of(plain))


def _request(name: str, path: str, method: str, headers: Sequence[str]) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {name}", *headers, "", ""]).encode()


def _all_of(connection: socket.socket) -> bytes:
    pieces = []
    while piece := connection.recv(1 << 16):
        pieces.append(piece)
    return b"".join(pieces)


@contextlib.contextmanager
def silent(number: int, port: int) -> Iterator[list[socket.socket]]:
    """So many connections that say nothing. Raises the process's limit of descriptors as far as they need it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 2 * number + 512), hard), hard))
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE)) for _ in range(number)]


@dataclass
class Busy:
    """What many clients at once came to: handshakes that were completed, by case; what went wrong; the slowest."""

    served: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    slowest: float = 0.0

    @property
    def per_second(self) -> float:
        """Handshakes, each with a page."""
        return self.served.total() / self.seconds


async def keep_busy(context: ssl.SSLContext, port: int, names: Sequence[str], clients: int, seconds: float) -> Busy:
    """So many clients at once, to one name after the other; each comes once, and again as soon as it was served."""
    busy, turn = Busy(), count()
    began = time.monotonic()

    async def client() -> None:
        await visit()
        while time.monotonic() - began < seconds:
            await visit()

    async def visit() -> None:
        name = names[next(turn) % len(names)]
        start = time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE):
                body = await _seen(context, port, name)
        except (OSError, TimeoutError) as error:
            busy.failed[f"{name}: {type(error).__name__} {error}"] += 1
            return
        busy.slowest = max(busy.slowest, time.monotonic() - start)
        if f'"server_name": "{name}"'.encode() in body:
            busy.served[name] += 1
        else:
            busy.failed[f"{name}: {body[:200]!r}"] += 1

    await asyncio.gather(*(client() for _ in range(clients)))
    busy.seconds = time.monotonic() - began
    return busy


async def _seen(context: ssl.SSLContext, port: int, name: str) -> bytes:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname=name, ssl_handshake_timeout=PATIENCE
    )
    try:
        writer.write(_request(name, "/seen.json", "GET", ()))
        return await reader.read()
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@dataclass(frozen=True)
class Held:
    """What a process holds: resident memory in MiB, descriptors, threads."""

    resident: float
    descriptors: int
    threads: int

    def __str__(self) -> str:
        return f"{self.resident:.1f} MiB, {self.descriptors} descriptors, {self.threads} threads"

    @classmethod
    def by(cls, pid: int) -> Held:
        """Read it from /proc."""
        process = Path("/proc") / str(pid)
        pages = int((process / "statm").read_text(encoding="ascii").split()[1])
        return cls(
            pages * resource.getpagesize() / MIB,
            len(list((process / "fd").iterdir())),
            len(list((process / "task").iterdir())),
        )

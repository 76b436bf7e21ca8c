"""Servers that begin in clear, for tests: a dialogue as a list, and then real TLS, or whatever the test puts there."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Sequence

_CHUNK: Final = 1 << 16
_START: Final = 30.0


@dataclass(frozen=True)
class Hear:
    """Wait for this from the client, up to `end`; anything else ends the connection."""

    start: bytes
    end: bytes = b"\r\n"


@dataclass(frozen=True)
class Dialogue:
    """What a server says and hears, step by step, and whether TLS follows."""

    steps: tuple[bytes | Hear, ...]
    tls: bool = True

    def instead(self, place: int, *steps: bytes | Hear, tls: bool = False) -> Dialogue:
        """The same, but that at this step it goes another way and no further."""
        return replace(self, steps=(*self.steps[: place if place >= 0 else len(self.steps) + place], *steps), tls=tls)


LDAP_OID: Final = b"1.3.6.1.4.1.1466.20037"
LDAP_ASKED: Final = Hear(b"\x30\x1d\x02\x01\x01\x77\x18\x80\x16" + LDAP_OID, end=LDAP_OID)
XMPP_HEAD: Final = (
    b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
    b"id='1' from='localhost' version='1.0'>"
)
XMPP_TLS: Final = b"xmlns='urn:ietf:params:xml:ns:xmpp-tls'"
XMPP_FEATURES: Final = b"<stream:features><starttls " + XMPP_TLS + b"><required/></starttls></stream:features>"

HONEST: Final = {
    "smtp": Dialogue(
        (
            b"220-mail.example ESMTP\r\n220 at your service\r\n",
            Hear(b"EHLO "),
            b"250-mail.example\r\n250-PIPELINING\r\n250-StartTLS\r\n250 8BITMIME\r\n",
            Hear(b"STARTTLS"),
            b"220 go ahead\r\n",
        )
    ),
    "imap": Dialogue(
        (
            b"* OK [CAPABILITY IMAP4rev2 STARTTLS LOGINDISABLED] hello\r\n",
            Hear(b"a1 STARTTLS"),
            b"* CAPABILITY IMAP4rev2\r\na1 OK begin TLS now\r\n",
        )
    ),
    "pop3": Dialogue((b"+OK hello\r\n", Hear(b"STLS"), b"+OK begin TLS now\r\n")),
    "ldap": Dialogue((LDAP_ASKED, bytes.fromhex("300c 020101 7807 0a0100 0400 0400"))),
    "xmpp": Dialogue(
        (
            Hear(b"<?xml version='1.0'?><stream:stream to=\"localhost\" ", end=b"streams'>"),
            XMPP_HEAD + XMPP_FEATURES,
            Hear(b"<starttls " + XMPP_TLS, end=b"/>"),
            b"<proceed " + XMPP_TLS + b"/>",
        )
    ),
    "postgresql": Dialogue((Hear(b"\x00\x00\x00\x08\x04\xd2\x16\x2f", end=b"\x2f"), b"S")),
}


class AsyncServer:
    """A port on loopback, in a thread of its own, where `play(reader, writer)` is called for each connection."""

    def __init__(
        self,
        play: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._play = play
        self._tls = tls
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._ready = threading.Event()
        self._tasks: set[asyncio.Task[Any]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(_START)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(_START)

    async def _serve(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=1 << 20, ssl=self._tls)
        self.port: int = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stopping.wait()
        server.close()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._play(reader, writer)
        finally:
            self._tasks.discard(task)
            await _closed(writer)


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def clear_server(dialogue: Dialogue, tls_port: int | None = None, *, piece: int = 1 << 16) -> AsyncServer:
    """A server that holds this dialogue and hands the connection on to the TLS server at `tls_port`.

    It sends at most `piece` bytes at a time.
    """

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for step in dialogue.steps:
            if isinstance(step, Hear):
                heard = await reader.readuntil(step.end)
                if not heard.startswith(step.start):
                    return
            else:
                for start in range(0, len(step), piece):
                    writer.write(step[start : start + piece])
                    await writer.drain()
                    await asyncio.sleep(0)
        if dialogue.tls:
            assert tls_port is not None
            await tunnel(reader, writer, "127.0.0.1", tls_port)
        else:
            await reader.read()  # until the client has had enough

    return AsyncServer(play)


async def tunnel(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    host: str,
    port: int,
    carried: Callable[[bytes], object] = len,
) -> None:
    """Copy bytes both ways between this connection and a new one, until both have ended.

    `carried` gets what the client sends.
    """
    inner_reader, inner_writer = await asyncio.open_connection(host, port)
    try:
        await asyncio.gather(_copy(reader, inner_writer, carried), _copy(inner_reader, writer, len))
    finally:
        await _closed(inner_writer)


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter, carried: Callable[[bytes], object]) -> None:
    with contextlib.suppress(OSError):
        while piece := await source.read(_CHUNK):
            carried(piece)
            target.write(piece)
            await target.drain()
        if target.can_write_eof():
            target.write_eof()
        else:
            target.close()  # TLS cannot be ended by half


def lies(protocol: str, lie: Sequence[bytes | Hear], place: int) -> Dialogue:
    """The honest dialogue of a protocol up to a step, and then this."""
    return HONEST[protocol].instead(place, *lie)

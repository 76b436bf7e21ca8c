"""A real HTTP proxy for tests: it opens tunnels (CONNECT), asks for a password if told to, keeps what it was asked."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from clear_servers import AsyncServer, tunnel

if TYPE_CHECKING:
    import asyncio


class TunnelProxy(AsyncServer):
    """`asked` are the heads of the requests; `credentials`, as `user:password`, are demanded where they are given."""

    def __init__(self, *, credentials: str | None = None, ahead: bytes = b"") -> None:
        super().__init__(self._tunnel)
        self.asked: list[bytes] = []
        self._credentials = credentials
        self._ahead = ahead

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.asked.append(head)
        if self._credentials is not None:
            wanted = b"Proxy-Authorization: Basic " + base64.b64encode(self._credentials.encode())
            if wanted.lower() not in head.lower():
                writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n")
                return
        method, authority, _ = head.split(b"\r\n")[0].decode().split(" ")
        host, _, port = authority.rpartition(":")
        assert method == "CONNECT"
        writer.write(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 Established\r\nContent-Length: 9\r\n\r\n" + self._ahead
        )
        await tunnel(reader, writer, host.strip("[]"), int(port))

"""A real HTTP proxy for tests: it opens tunnels (CONNECT), asks for a password if told to, keeps what it was asked."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from clear_servers import AsyncServer, tunnel

if TYPE_CHECKING:
    import asyncio
    import ssl

NOTHING = b"Content-Length: 0\r\n\r\n"


class TunnelProxy(AsyncServer):
    """`asked` are the heads of the requests, `carried` is every byte that went to servers.

    `credentials`, as `user:password`, are demanded where they are given. With `tls` it is spoken to over TLS itself.
    `ahead` is sent before the server's first byte.
    """

    def __init__(
        self, *, credentials: str | None = None, ahead: bytes = b"", tls: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(self._tunnel, tls)
        self.asked: list[bytes] = []
        self.carried = bytearray()
        self._credentials = credentials
        self._ahead = ahead
        self._scheme = "http" if tls is None else "https"

    @property
    def url(self) -> str:
        host = "127.0.0.1" if self._scheme == "http" else "localhost"  # a certificate has a name
        return f"{self._scheme}://{host}:{self.port}"

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.asked.append(head)
        if self._credentials is not None:
            wanted = b"Proxy-Authorization: Basic " + base64.b64encode(self._credentials.encode())
            if wanted.lower() not in head.lower():
                refused = b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n"
                writer.write(refused + NOTHING)
                return
        method, authority, _ = head.split(b"\r\n")[0].decode().split(" ")
        if method != "CONNECT":
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\n" + NOTHING)
            return
        host, _, port = authority.rpartition(":")
        writer.write(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 Established\r\nContent-Length: 9\r\n\r\n" + self._ahead
        )
        await tunnel(reader, writer, host.strip("[]"), int(port), self.carried.extend)

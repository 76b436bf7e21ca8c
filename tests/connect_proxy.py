"""A proxy on loopback that opens tunnels (CONNECT) and nothing else, and notes what it was asked."""

from __future__ import annotations

import base64
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    import ssl

PATIENCE: Final = 30.0  # seconds
_CHUNK: Final = 1 << 16


class ConnectProxy:
    """A context manager. `asked` are the request lines it got; `carried` is every byte that went to servers.

    With `tls` it is spoken to over TLS itself.
    """

    def __init__(self, user: tuple[str, str] | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.asked: list[bytes] = []
        self.carried = b""
        self._wanted = None if user is None else b"Basic " + base64.b64encode(":".join(user).encode())
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._port: int = self._listener.getsockname()[1]
        self._tls = tls
        self.url = f"http{'s' if tls else ''}://localhost:{self._port}"
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", self._port), timeout=PATIENCE).close()  # wakes the one who accepts
        self._thread.join(PATIENCE)
        for sock in list(self._open):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            if self._closing.is_set():
                sock.close()
                return
            thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        if self._tls is not None:
            client = self._tls.wrap_socket(client, server_side=True)
        with client:
            self._open.add(client)
            head = b""
            while b"\r\n\r\n" not in head:
                piece = client.recv(_CHUNK)
                if not piece:
                    return
                head += piece
            line, *headers = head.split(b"\r\n")
            self.asked.append(line)
            said = dict(header.split(b": ", 1) for header in headers if header)
            if self._wanted is not None and said.get(b"Proxy-Authorization") != self._wanted:
                client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                return
            if not line.startswith(b"CONNECT "):
                client.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
                return
            host, _, port = line.split(b" ")[1].decode().rpartition(":")
            try:
                server = socket.create_connection((host, int(port)), timeout=PATIENCE)
            except OSError:
                client.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
                return
            with server:
                self._open.add(server)
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                back = threading.Thread(target=_copy, args=(server, client), daemon=True)
                back.start()
                with suppress(OSError):
                    while piece := client.recv(_CHUNK):
                        self.carried += piece
                        server.sendall(piece)
                with suppress(OSError):
                    server.shutdown(socket.SHUT_WR)
                back.join(PATIENCE)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(_CHUNK):
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)

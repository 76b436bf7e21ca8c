"""An HTTPS server that keeps connections open, over HTTP/1.1 and HTTP/2, staples what it is told, and notes it all."""

from __future__ import annotations

import queue
import re
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import h2.config
import h2.connection
import h2.events
from OpenSSL import SSL
from tls_server import server_context

if TYPE_CHECKING:
    from certtools.authority import Issued

PATIENCE: Final = 30.0  # seconds
_CHUNK: Final = 1 << 16
_READ_ALERT: Final = 0x4004  # SSL_CB_READ_ALERT


@dataclass
class Connected:
    """One connection: the client's alert, what it sent inside TLS, how many requests, which protocol was chosen."""

    alert: int | None = None
    data: bytes = b""
    requests: int = 0
    protocol: bytes = b""
    server_name: bytes | None = None
    asked: int = 0
    error: Exception | None = None


class HttpsServer:
    """A context manager. `/wait` is never answered, `/cut` ends half-way without a word, all else gets `hello`.

    `staple` may be replaced while the server runs; `headers` are added to each answer. `connections` are in the order
    in which they came; `ended` gives each once it is over.
    """

    def __init__(
        self, issued: Issued, staple: bytes | None, *, http2: bool = False, version: str | None = None, **how: Any
    ) -> None:
        self.staple = staple
        self.headers: dict[str, str] = {}
        self.connections: list[Connected] = []
        self.ended: queue.SimpleQueue[Connected] = queue.SimpleQueue()
        self._context = server_context(issued, None, version=version, **how)
        self._context.set_ocsp_server_callback(self._give)
        self._context.set_info_callback(_remember_alert)
        self._context.set_alpn_select_callback(lambda _, offered: b"h2" if http2 and b"h2" in offered else b"http/1.1")
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"https://localhost:{self.port}/"
        self._closing = threading.Event()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE).close()  # wakes the one who accepts
        self._thread.join(PATIENCE)
        for sock in list(self._open):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)
        self._listener.close()

    def next_ended(self) -> Connected:
        """The next connection that is over."""
        return self.ended.get(timeout=PATIENCE)

    def _give(self, connection: SSL.Connection, _data: Any) -> bytes:
        connection.get_app_data().asked += 1
        return self.staple or b""

    def _accept(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            if self._closing.is_set():
                sock.close()
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open.add(sock)
            thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        seen = Connected()
        self.connections.append(seen)
        tls = SSL.Connection(self._context, sock)
        tls.set_app_data(seen)
        tls.set_accept_state()
        try:
            tls.do_handshake()
            seen.protocol = tls.get_alpn_proto_negotiated()
            seen.server_name = tls.get_servername()
            self._http2(tls, seen) if seen.protocol == b"h2" else self._http1(tls, seen)
        except (SSL.Error, OSError) as error:
            seen.error = error
        finally:
            self._open.discard(sock)
            sock.close()
            self.ended.put(seen)

    def _receive(self, tls: SSL.Connection, seen: Connected) -> bytes:
        data = tls.recv(_CHUNK)
        seen.data += data
        return data

    def _http1(self, tls: SSL.Connection, seen: Connected) -> None:
        waiting = b""
        while True:
            while b"\r\n\r\n" not in waiting:
                waiting += self._receive(tls, seen)
            head, _, waiting = waiting.partition(b"\r\n\r\n")
            told = re.search(rb"\r\ncontent-length: (\d+)", head, re.IGNORECASE)
            length = int(told[1]) if told is not None else 0
            while len(waiting) < length:
                waiting += self._receive(tls, seen)
            body, waiting = waiting[:length], waiting[length:]
            seen.requests += 1
            path = head.split(b" ")[1]
            if path == b"/wait":
                continue
            page = b"hello" + body
            more = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items()).encode()
            tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%b\r\n" % (len(page), more))
            if path == b"/cut":
                tls.sendall(page[:2])
                return
            tls.sendall(page)

    def _http2(self, tls: SSL.Connection, seen: Connected) -> None:
        state = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        state.initiate_connection()
        tls.sendall(state.data_to_send())
        paths = {}
        while True:
            for event in state.receive_data(self._receive(tls, seen)):
                if isinstance(event, h2.events.RequestReceived):
                    paths[event.stream_id] = dict(event.headers)[b":path"]
                elif isinstance(event, h2.events.DataReceived):
                    state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded) and paths[event.stream_id] != b"/wait":
                    seen.requests += 1
                    answer = [(":status", "200"), *((name.lower(), value) for name, value in self.headers.items())]
                    state.send_headers(event.stream_id, answer)
                    state.send_data(event.stream_id, b"hello", end_stream=True)
            if waiting := state.data_to_send():
                tls.sendall(waiting)


def _remember_alert(connection: SSL.Connection, where: int, value: int) -> None:
    if where == _READ_ALERT and value & 0xFF:  # close_notify is none
        connection.get_app_data().alert = value & 0xFF

"""Stands between a client and a server, keeps what both said, and writes it as a capture file that tshark reads."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from pathlib import Path

_TIMEOUT: Final = 30.0  # seconds without a byte from either side
_CHUNK: Final = 1 << 14  # bytes; with its headers it fits into an IPv4 packet
_LOOPBACK: Final = socket.inet_aton("127.0.0.1")
_RAW_IPV4: Final = 228  # LINKTYPE_IPV4: each packet starts with its IPv4 header
_PUSH_ACK: Final = 0x18


class Relay:
    """A port that takes one client to `port` on loopback; a context manager, which waits for both to end.

    `port` is where to connect; `said` are the pieces in their order, each with whether the client sent it.
    """

    def __init__(self, port: int) -> None:
        self.said: list[tuple[bool, bytes]] = []
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(_TIMEOUT)
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)  # nobody may have come, and nobody will
        self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:
            return  # what was said stays empty
        with client, socket.create_connection(("127.0.0.1", self._to), timeout=_TIMEOUT) as server:
            client.settimeout(_TIMEOUT)
            back = threading.Thread(target=self._copy, args=(server, client, False), daemon=True)
            back.start()
            self._copy(client, server, True)
            back.join()

    def _copy(self, source: socket.socket, target: socket.socket, from_client: bool) -> None:
        with suppress(OSError):
            while piece := source.recv(_CHUNK):
                with self._lock:
                    self.said.append((from_client, piece))
                target.sendall(piece)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


def write_capture(path: Path, said: list[tuple[bool, bytes]], port: int) -> None:
    """These pieces as a capture (pcap) of one TCP connection to `port`, the server's."""
    heard = {True: 0, False: 0}  # how many bytes each side has sent so far
    with path.open("wb") as file:
        file.write(struct.pack("!IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 16, _RAW_IPV4))
        for place, (from_client, piece) in enumerate(said):
            ports = (port + 1, port) if from_client else (port, port + 1)
            sequence, acknowledged = heard[from_client] + 1, heard[not from_client] + 1
            segment = struct.pack("!HHIIBBHHH", *ports, sequence, acknowledged, 5 << 4, _PUSH_ACK, 1 << 15, 0, 0)
            total = 20 + len(segment) + len(piece)
            header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, total, place, 0, 64, 6, 0, _LOOPBACK, _LOOPBACK)
            file.write(struct.pack("!IIII", 0, place, total, total) + header + segment + piece)
            heard[from_client] += len(piece)

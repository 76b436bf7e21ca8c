# ruff: noqa: INP001 - a program by itself, in no package
"""Run a server that listens on every address in a network of its own, and let loopback clients in: behind.py PORT CMD….

The listening socket here is made before this process leaves the network that it is in; what comes there is carried to
the same port on the loopback of the new one, where the server is alone.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
PATIENCE = 2.0  # seconds


def leave_network() -> None:
    """Be in a new network that has nothing but loopback, and that up."""
    libc = ctypes.CDLL(None, use_errno=True)
    alone = CLONE_NEWNET | (CLONE_NEWUSER if os.geteuid() != 0 else 0)
    if libc.unshare(alone) != 0:
        raise OSError(ctypes.get_errno(), "no network of its own can be had")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def carry(client: socket.socket, port: int) -> None:
    """Take bytes both ways until both sides have ended."""
    with client:
        server = reach(port)
        if server is None:
            return
        server.settimeout(None)
        with server:
            back = threading.Thread(target=pour, args=(server, client), daemon=True)
            back.start()
            pour(client, server)
            back.join()


def reach(port: int) -> socket.socket | None:
    """A connection to the server, which may be just about to be started again."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=5)
        except OSError:
            if time.monotonic() > until:
                return None
            time.sleep(0.02)


def pour(source: socket.socket, target: socket.socket) -> None:
    """Take bytes one way, and the end too."""
    try:
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return


def end(server: subprocess.Popen[bytes]) -> None:
    """End the server, and this process with it."""
    server.kill()
    os._exit(0)


def main() -> None:
    """Listen once the server does, and carry until it or this process ends."""
    port, command = int(sys.argv[1]), sys.argv[2:]
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    leave_network()
    server = subprocess.Popen(command)  # noqa: S603  the command is the recipe's
    signal.signal(signal.SIGTERM, lambda *_: end(server))
    while server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            break
    listener.listen()
    threading.Thread(target=lambda: os._exit(server.wait()), daemon=True).start()
    while True:
        client, _ = listener.accept()
        threading.Thread(target=carry, args=(client, port), daemon=True).start()


if __name__ == "__main__":
    main()

"""Python's ssl as a client: python visit_ssl.py HOST PORT CA."""

from __future__ import annotations

import platform
import socket
import ssl
import sys

TIMEOUT = 20.0  # seconds


def visit(host: str, port: int, ca: str) -> None:
    """Send one request. Raises OSError, of which SSLError is one, where the server is refused."""
    context = ssl.create_default_context(cafile=ca)
    with (
        socket.create_connection((host, port), TIMEOUT) as plain,
        context.wrap_socket(plain, server_hostname=host) as tls,
    ):
        tls.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        tls.recv(1)


if __name__ == "__main__":
    if sys.argv[1] == "--version":
        print(f"Python {platform.python_version()} with {ssl.OPENSSL_VERSION}")
    else:
        try:
            visit(sys.argv[1], int(sys.argv[2]), sys.argv[3])
        except OSError as error:
            sys.exit(f"refused: {error}")

"""A listening socket for our servers: on loopback unless the caller says otherwise, on a port that is known at once."""

from __future__ import annotations

import errno
import ipaddress
import socket

from mustaple.core.errors import InputError

BACKLOG = 1024  # connections that may wait to be accepted


def listen(host: str = "127.0.0.1", port: int = 0, *, expose: bool = False, option: str = "--port") -> socket.socket:
    """A TCP socket that listens on `host` and `port` (0: a free one, which `getsockname()` names).

    Test keys and a responder that says what it is told belong on no network, so an address beyond loopback takes
    `expose`. `option` is what the error names for choosing another port. Raises InputError for such an address without
    it, a name that does not resolve, and a port in use.
    """
    family, address = _address(host, port)
    if not expose and not _loops_back(address):
        raise InputError(f"{host} is reachable from other machines; listening there has to be asked for (--expose)")
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise InputError(_refusal(host, port, option, error)) from error
    return listener


def is_loopback(host: str) -> bool:
    """Whether what listens on `host` is reached from this machine alone. Raises InputError where it is no address."""
    return _loops_back(_address(host, 0)[1])


def _loops_back(address: tuple[str, int]) -> bool:
    return ipaddress.ip_address(address[0].partition("%")[0]).is_loopback


def _address(host: str, port: int) -> tuple[int, tuple[str, int]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError, OverflowError) as error:
        raise InputError(f"{host!r} is no address to listen on: {error}") from error
    # `localhost` may be ::1 first, where few clients look.
    found.sort(key=lambda each: each[0] is not socket.AF_INET)
    family, _, _, _, address = found[0]
    return family, (str(address[0]), port)


def _refusal(host: str, port: int, option: str, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use; choose another with {option}"
    if error.errno == errno.EACCES:
        return f"port {port} on {host} is not for this user to listen on; choose one above 1023 with {option}"
    return f"cannot listen on port {port} of {host}: {error.strerror or error}"


def url_of(listener: socket.socket, scheme: str) -> str:
    """The URL at which a listening socket is reached."""
    host, port = listener.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

"""Reads where a server listens: `HOST:PORT`, and IPv6 in brackets."""

from __future__ import annotations

from mustaple.core.errors import InputError


def parse_address(text: str, default_port: int | None = None) -> tuple[str, int]:
    """`HOST:PORT`, `[IPv6]:PORT`, or `HOST` where there is a default port.

    Raises InputError for anything else, a port outside 1–65535 included.
    """
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]") or (host.count(":") and not host.startswith("[")):
        host, port = text, ""
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not host or any(character.isspace() or character in "/?#@" for character in host):
        raise InputError(f"{text!r} is not HOST:PORT")
    if not port and default_port is not None:
        return host, default_port
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise InputError(f"{text!r} is not HOST:PORT, with a port from 1 to 65535")
    return host, int(port)

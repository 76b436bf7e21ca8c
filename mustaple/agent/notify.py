"""Tells systemd how the agent is doing, by a datagram to NOTIFY_SOCKET (sd_notify(3)); does nothing elsewhere."""

from __future__ import annotations

import os
import socket
from contextlib import suppress

READY = "READY=1"
STOPPING = "STOPPING=1"
ALIVE = "WATCHDOG=1"


def notify(*words: str) -> None:
    """Send these assignments. That nobody listens changes nothing."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    where = "\0" + address[1:] if address.startswith("@") else address
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.settimeout(0)
        sock.sendto("\n".join(words).encode(), where)


def watchdog_interval() -> float | None:
    """Seconds after which systemd takes a silent agent for dead (WATCHDOG_USEC); None where it does not watch."""
    text = os.environ.get("WATCHDOG_USEC", "")
    return int(text) / 1e6 if text.isascii() and text.isdigit() and int(text) > 0 else None

"""How many connections a server can have at once: a descriptor each, of which the system allows a process so many."""

from __future__ import annotations

from typing import Final

WANTED: Final = 2048  # connections at once
LEAST: Final = 16
_OTHERS: Final = 128  # descriptors for everything else that a process has open


def room_for_connections(listeners: int) -> int:
    """How many connections fit beside this many listening sockets; the soft limit is raised where it may be."""
    try:
        import resource
    except ImportError:  # no such limit
        return WANTED
    needed = WANTED + listeners + _OTHERS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(hard, needed)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return WANTED
    return min(max(soft - listeners - _OTHERS, LEAST), WANTED)

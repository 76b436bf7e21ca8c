"""Checks one OpenSSL server many times, and does what it is compared with; prints JSON; run as a script.

`bare PORT… ROOT` does verified handshakes by asyncio's own `ssl` and our checks by turns, in one process.
`alone PORT… ROOT` does the checks alone.
`memory PORT… ROOT NUMBER` checks so many targets and says how much memory that took.
"""

from __future__ import annotations

import asyncio
import json
import resource
import ssl
import sys
import time
from typing import TYPE_CHECKING

from mustaple import Settings, Target, check_many

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

CHECKS = 1000
AT_ONCE = 16
ROUNDS = 4  # the order alternates


def targets(ports: list[int], number: int) -> Iterator[Target]:
    """The same server again and again."""
    return (Target("127.0.0.1", ports[place % len(ports)], server_name="localhost") for place in range(number))


async def strict_checks(ports: list[int], root: str, number: int) -> None:
    """As an application would: every result is read."""
    async for found in check_many(targets(ports, number), Settings("strict", ca=root), at_once=AT_ONCE):
        if not getattr(found.result, "accepted", False):
            raise RuntimeError(str(found.result))


async def bare_handshakes(ports: list[int], root: str, number: int) -> None:
    """The least that verifies a server by asyncio alone, with as many at once."""
    context = ssl.create_default_context(cafile=root)
    left = targets(ports, number)

    async def work() -> None:
        for target in left:
            _, writer = await asyncio.open_connection(
                target.host, target.port, ssl=context, server_hostname=target.server_name
            )
            writer.close()

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))


def rate(make: Callable[[list[int], str, int], Coroutine[None, None, None]], ports: list[int], root: str) -> float:
    """Connections per second."""
    started = time.perf_counter()
    asyncio.run(make(ports, root, CHECKS))
    return CHECKS / (time.perf_counter() - started)


def main(mode: str, *arguments: str) -> None:
    """Run one of them."""
    if mode == "memory":
        *ports, root, number = arguments
        asyncio.run(strict_checks([*map(int, ports)], root, int(number)))
        print(json.dumps({"kilobytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))
        return
    *ports, root = arguments
    if mode == "alone":
        print(json.dumps({"rate": max(rate(strict_checks, [*map(int, ports)], root) for _ in range(2))}))
        return
    best = {strict_checks: 0.0, bare_handshakes: 0.0}
    for number in range(ROUNDS):
        for make in (strict_checks, bare_handshakes) if number % 2 else (bare_handshakes, strict_checks):
            best[make] = max(best[make], rate(make, [*map(int, ports)], root))
    ours, peer = best[strict_checks], best[bare_handshakes]
    print(json.dumps({"ours": ours, "peer": peer, "ratio": ours / peer}))


if __name__ == "__main__":
    main(*sys.argv[1:])

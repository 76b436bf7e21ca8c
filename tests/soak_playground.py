"""Keeps a playground busy with many clients at once, and says what that left behind: `--seconds N --clients N`.

The playground is a process of its own. Its memory, descriptors and threads are read when it has been warmed up, and
again when every client is gone. It fails where a client was not served, or where something stayed.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from commands import Running, free_port, running
from playground_clients import Busy, Held, keep_busy, silent, trusting

from mustaple.core.verdict import Outcome
from mustaple.lab.cases import cases
from mustaple.lab.live import host_of

GROWTH_LIMIT: Final = 8.0  # MiB: what it remembers on purpose has filled up to its limits in the warm-up
SILENT: Final = 100
SETTLING: Final = 30.0  # seconds for what clients left to be let go


class Soak(NamedTuple):
    """What a soak came to."""

    busy: Busy
    before: Held
    after: Held

    @property
    def faults(self) -> list[str]:
        """What should not have happened."""
        found = [f"{number} times {what}" for what, number in self.busy.failed.most_common(10)]
        if not self.busy.served:
            found.append("nobody was served")
        if self.after.descriptors > self.before.descriptors:
            found.append(f"{self.after.descriptors - self.before.descriptors} descriptors stayed open")
        if self.after.threads > self.before.threads:
            found.append(f"{self.after.threads - self.before.threads} threads stayed")
        if self.after.resident - self.before.resident > GROWTH_LIMIT:
            found.append(f"memory grew by {self.after.resident - self.before.resident:.1f} MiB")
        return found

    def __str__(self) -> str:
        busy = self.busy
        rows = [
            f"{busy.served.total()} handshakes with a page in {busy.seconds:.0f} s, {busy.per_second:.0f} a second",
            f"{len(busy.served)} cases, the slowest answer after {busy.slowest:.1f} s, {busy.failed.total()} failed",
            f"before: {self.before}",
            f"after:  {self.after}",
        ]
        return "\n".join([*rows, *self.faults])


def soak(seconds: float, clients: int, warm_up: float, number_of_cases: int | None = None) -> Soak:
    """Warm a playground up, keep it busy with `clients` at once while others say nothing, and see what stays.

    The cases are those that a client without an opinion on revocation accepts, the first so many of them.
    """
    chosen = [case for case in cases() if case.expected["strict"].outcome is Outcome.ACCEPTED]
    chosen = [case for case in chosen if case.id not in _OTHER_ROOTS][:number_of_cases]
    port = free_port()
    with TemporaryDirectory() as folder:
        root = Path(folder) / "root.pem"
        only = [argument for case in chosen for argument in ("--case", case.id)]
        options = ("--port", port, "--page-port", 0, "--root-out", root, *only)
        with running("playground", *options) as playground:
            playground.ready()
            return asyncio.run(
                _soak(
                    playground, port, root.read_bytes(), [host_of(case) for case in chosen], (seconds, clients, warm_up)
                )
            )


_OTHER_ROOTS: Final = {"depth/trusted-intermediate", "depth/trusted-leaf"}


async def _soak(playground: Running, port: int, root: bytes, names: list[str], how: tuple[float, int, float]) -> Soak:
    seconds, clients, warm_up = how
    context, pid = trusting(root), playground.process.pid
    await keep_busy(context, port, names, clients, warm_up)
    before = await _settled(pid, None)
    with silent(SILENT, port):
        busy = await keep_busy(context, port, names, clients, seconds)
    return Soak(busy, before, await _settled(pid, before))


async def _settled(pid: int, before: Held | None) -> Held:
    """What it holds once the clients' connections are let go, or after a while all the same."""
    deadline = time.monotonic() + SETTLING
    last = Held.by(pid)
    while time.monotonic() < deadline:
        await asyncio.sleep(0.5)
        held = Held.by(pid)
        if held.descriptors == last.descriptors and (before is None or held.descriptors <= before.descriptors):
            return held
        last = held
    return last


def main(arguments: list[str]) -> int:
    """Soak as asked, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--warm-up", type=float, default=150.0)
    asked = parser.parse_args(arguments)
    found = soak(asked.seconds, asked.clients, asked.warm_up)
    sys.stdout.write(f"{asked.clients} clients at once, and {SILENT} that say nothing\n{found}\n")
    return 1 if found.faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

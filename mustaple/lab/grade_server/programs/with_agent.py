# ruff: noqa: INP001 - a program by itself, in no package
"""Run a server with the staple agent in front, until SIGTERM: with_agent.py CONFIG COMMAND….

The agent runs once before the server starts, and then until it says that it is ready, as a unit that the server comes
after does; then both run.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

READY = 30.0  # seconds until the server starts in any case
AGENT = (sys.executable, "-m", "mustaple")


def main() -> None:
    """Start both, and end both."""
    config, command = sys.argv[1], sys.argv[2:]
    subprocess.run([*AGENT, "run-once", config], check=False)  # noqa: S603  without a staple the server starts, too
    agent = ready_agent(config)
    server = subprocess.Popen(command)  # noqa: S603  the recipe's
    signal.signal(signal.SIGTERM, lambda *_: server.terminate())
    code = server.wait()
    agent.terminate()
    agent.wait()
    sys.exit(max(code, 0))


def ready_agent(config: str) -> subprocess.Popen[bytes]:
    """The agent, once it has said so as systemd's units do, or has ended, or takes too long."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        where = str(Path(folder) / "notify")
        listener.bind(where)
        listener.settimeout(READY)
        agent = subprocess.Popen([*AGENT, "agent", config], env={**os.environ, "NOTIFY_SOCKET": where})  # noqa: S603
        with contextlib.suppress(TimeoutError):
            listener.recv(4096)
        return agent


if __name__ == "__main__":
    main()

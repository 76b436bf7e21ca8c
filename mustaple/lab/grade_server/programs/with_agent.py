# ruff: noqa: INP001 - a program by itself, in no package
"""Run a server with the staple agent in front, until SIGTERM: with_agent.py CONFIG COMMAND….

The agent runs once before the server starts, as a unit that the server comes after would; then both run.
"""

from __future__ import annotations

import signal
import subprocess
import sys

AGENT = (sys.executable, "-m", "mustaple")


def main() -> None:
    """Start both, and end both."""
    config, command = sys.argv[1], sys.argv[2:]
    subprocess.run([*AGENT, "run-once", config], check=False)  # noqa: S603  without a staple the server starts, too
    agent = subprocess.Popen([*AGENT, "agent", config])  # noqa: S603
    server = subprocess.Popen(command)  # noqa: S603  the recipe's
    signal.signal(signal.SIGTERM, lambda *_: server.terminate())
    code = server.wait()
    agent.terminate()
    agent.wait()
    sys.exit(max(code, 0))


if __name__ == "__main__":
    main()

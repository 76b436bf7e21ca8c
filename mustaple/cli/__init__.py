"""The command line: parse, call, print, exit, and no decisions."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """The `mustaple` command: runs it and exits with its code (DESIGN §4)."""
    import sys

    from mustaple.cli.app import run

    sys.exit(run(sys.argv[1:]))

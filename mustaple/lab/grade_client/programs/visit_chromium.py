"""Headless Chromium as a client, in a home of its own: python visit_chromium.py PROGRAM URL CA FOLDER.

It ends with 0 on an error page too, so that the server has to say whether its request came.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

NAME = "mustaple test root"


def trust(home: Path, ca: str) -> None:
    """Make a certificate database in this home that trusts the CA. Raises CalledProcessError where it cannot be."""
    database = home / ".pki" / "nssdb"
    database.mkdir(parents=True)
    subprocess.run(["certutil", "-N", "--empty-password", "-d", f"sql:{database}"], check=True, capture_output=True)
    added = ["certutil", "-A", "-d", f"sql:{database}", "-n", NAME, "-t", "C,,", "-i", ca]
    subprocess.run(added, check=True, capture_output=True)


def command(program: str, home: Path, url: str) -> list[str]:
    """What opens the page and prints it; nothing but the page is asked for."""
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
    return [
        *(program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", *quiet),
        *(f"--user-data-dir={home / 'profile'}", "--enable-logging=stderr", "--timeout=30000", "--dump-dom", url),
    ]


def visit(program: str, url: str, ca: str, home: Path) -> int:
    """Its exit code; what it said of its network errors is said again, last."""
    trust(home, ca)
    run = subprocess.run(
        command(program, home, url),
        env={**os.environ, "HOME": str(home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    errors = re.findall(r"net::ERR_\w+", run.stderr)
    print("".join(errors[-1:]) or f"{len(run.stdout)} characters of a page")
    return run.returncode


if __name__ == "__main__":
    sys.exit(visit(sys.argv[1], sys.argv[2], sys.argv[3], Path(sys.argv[4])))

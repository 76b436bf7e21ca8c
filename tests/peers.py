"""What to do about a test that needs somebody else's program or library where that is missing: skip it, or fail in CI.

Used from conftest.py: `from peers import pytest_runtest_setup`.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from certtools.keys import available_kinds

if TYPE_CHECKING:
    from collections.abc import Callable

# Set by .ci/run, which installs the programs: a peer that is not there is then a failure and never a silent skip.
REQUIRE = "MUSTAPLE_REQUIRE_PEERS"

JARS: Final = Path("/usr/share/java")  # where Debian puts the jars of its Java libraries
SSLYZE: Final = Path(sys.prefix) / "peers" / "sslyze" / "bin" / "python"  # an environment of its own: `make bench`
HEADERS: Final = Path("/usr/include")


@cache
def namespace() -> tuple[str, ...] | None:
    """The command before a command that is to have a network of its own with nothing in it; None where it may not.

    Root may have one; others may where the system lets them be root in a user namespace.
    """
    for command in (("unshare", "--net"), ("unshare", "--map-root-user", "--net")):
        try:
            subprocess.run([*command, "true"], check=True, capture_output=True, timeout=30)
        except (OSError, subprocess.SubprocessError):
            continue
        return command
    return None


@cache
def mount_namespace() -> bool:
    """Whether a process may have mounts of its own, as for a folder that nobody can write to."""
    try:
        subprocess.run(["unshare", "--map-root-user", "--mount", "true"], check=True, capture_output=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return False
    return True


@cache
def ipv6_loopback() -> bool:
    """Whether one can listen on ::1."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


# What is no program on the PATH, by the name that markers use, and how to see that it is there.
OTHERS: Final[dict[str, Callable[[], object]]] = {
    "libwolfssl": (HEADERS / "wolfssl" / "ssl.h").exists,
    "sslyze": SSLYZE.exists,
    "postgresql": lambda: list(Path("/usr/lib/postgresql").glob("*/bin/postgres")),
    "bctls.jar": (JARS / "bctls.jar").exists,
    "bcutil.jar": (JARS / "bcutil.jar").exists,
    "bcprov.jar": (JARS / "bcprov.jar").exists,
    "network namespace": namespace,
    "mount namespace": mount_namespace,
    "IPv6 loopback": ipv6_loopback,
    "ML-DSA": lambda: "ml-dsa-44" in available_kinds(),  # in the OpenSSL of cryptography
    "root": lambda: os.geteuid() == 0,
    "libfaketime": lambda: list(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")),
    "golang.org/x/crypto": Path("/usr/share/gocode/src/golang.org/x/crypto/ocsp").exists,
}


def missing_peers(item: pytest.Item) -> list[str]:
    """The programs and libraries that the test's `peer` markers name and that are not here."""
    named = [peer for marker in item.iter_markers("peer") for peer in marker.args]
    return [peer for peer in named if not OTHERS.get(peer, lambda name=peer: shutil.which(name))()]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose peer is missing, with the reason; fail it where peers are required."""
    missing = missing_peers(item)
    if not missing:
        return
    said = f"not to be had here: {', '.join(missing)}"
    if os.environ.get(REQUIRE) == "1":
        pytest.fail(f"{said}, and {REQUIRE}=1 asks for it", pytrace=False)
    pytest.skip(said)

"""Many checks at once: against bare handshakes and against sslyze on the same server, and the memory they take."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from peers import SSLYZE

from certtools.chain import to_pem
from certtools.forge.ocsp import good

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Stapled

LOAD = Path(__file__).with_name("many_load.py")
SCAN = Path(__file__).with_name("sslyze_scan.py")
SERVERS = 8  # `openssl s_server` serves one connection at a time, so there are several
SCANS = 64
AT_ONCE = 16
TRIES = 3  # a neighbour on the machine can only make a run worse


class Served(NamedTuple):
    """The ports of one server, and the file with the root of its certificate."""

    ports: tuple[str, ...]
    root: Path


@pytest.fixture(scope="module")
def served(stapled: Stapled, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """OpenSSL's own server: the chain is root and leaf, so that a staple for the leaf satisfies `strict`.

    The root is sent too, or sslyze does not find who signed the staple.
    """
    folder = tmp_path_factory.mktemp("s_server")
    leaf = stapled.root.leaf(["localhost"])
    (folder / "leaf.pem").write_bytes(to_pem([leaf.certificate]))
    (folder / "key.pem").write_bytes(leaf.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / "staple.der").write_bytes(good(leaf.as_chain().links[0], stapled.root, stapled.at))
    (folder / "root.pem").write_bytes(to_pem([stapled.root.certificate]))
    with ExitStack() as stack:
        ports = tuple(stack.enter_context(_s_server(folder)) for _ in range(SERVERS))
        yield Served(ports, folder / "root.pem")


@contextmanager
def _s_server(folder: Path) -> Iterator[str]:
    files = "-cert leaf.pem -key key.pem -cert_chain root.pem -status_file staple.der"
    command = ["openssl", "s_server", "-accept", "127.0.0.1:0", *files.split(), "-www"]
    with subprocess.Popen(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield next(line for line in process.stdout if line.startswith("ACCEPT")).strip().rpartition(":")[2]
        finally:
            process.kill()


def _measured(*command: object) -> dict[str, Any]:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    print({name: round(value, 2) for name, value in found.items()})
    return found


@pytest.mark.peer("openssl")
@pytest.mark.timeout(600)
def test_many_checks_against_bare_handshakes(served: Served, record: Callable[[str, float, str], None]) -> None:
    ratio = 0.0
    for _ in range(TRIES):
        ratio = max(ratio, _measured(sys.executable, LOAD, "bare", *served.ports, served.root)["ratio"])
        if ratio >= 0.8:
            break
    record("1,000 checks / as many verified handshakes by asyncio's ssl, rate", ratio, "≥ 0.8 ×")
    assert ratio >= 0.8


@pytest.mark.peer("openssl", "sslyze")
@pytest.mark.timeout(600)
def test_many_checks_against_sslyze(served: Served, record: Callable[[str, float, str], None]) -> None:
    ratio = 0.0
    for _ in range(TRIES):
        ours = _measured(sys.executable, LOAD, "alone", *served.ports, served.root)["rate"]
        scans = _measured(SSLYZE, "-W", "ignore", SCAN, *served.ports, served.root, SCANS, AT_ONCE)["rate"]
        ratio = max(ratio, ours / scans)
        if ratio >= 15:
            break
    record("1,000 checks / sslyze's certificate scan, rate", ratio, "≥ 15 ×")
    assert ratio >= 15


@pytest.mark.peer("openssl")
@pytest.mark.timeout(600)
def test_memory_does_not_grow_with_the_targets(served: Served, record: Callable[[str, float, str], None]) -> None:
    few, many = (
        _measured(sys.executable, LOAD, "memory", *served.ports, served.root, number)["kilobytes"]
        for number in (1_000, 20_000)
    )
    record("the memory of 20,000 checks / that of 1,000", many / few, "≤ 1.05 ×")
    assert many <= few * 1.05

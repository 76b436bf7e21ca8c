"""The responder with answers signed ahead: against a bare ASGI application, and against `openssl ocsp`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from certtools.ca_dir import CaDir
from mustaple.net.exchange import ocsp_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Stapled

LOAD = Path(__file__).with_name("responder_load.py")
ALONE = ("unshare", "--net", "bash", "-c", 'ip link set lo up && exec "$@"', "_")
TRIES = 3  # a neighbour on the machine can only make a run worse


@pytest.fixture(scope="module")
def folder(stapled: Stapled, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One CA that both responders answer for, each in its own form, and one request."""
    path: Path = tmp_path_factory.mktemp("responder")
    with CaDir.create(path / "ca", stapled.ca) as ca:
        ca.record(stapled.leaf.certificate)
    (path / "request.der").write_bytes(ocsp_request(stapled.chain.links[0]))
    (path / "ca.pem").write_bytes(stapled.ca.certificate.public_bytes(Encoding.PEM))
    (path / "ca.key.pem").write_bytes(stapled.ca.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    leaf = stapled.leaf.certificate
    end = leaf.not_valid_after_utc.strftime("%y%m%d%H%M%SZ")
    serial = leaf.serial_number.to_bytes((leaf.serial_number.bit_length() + 7) // 8, "big").hex().upper()
    (path / "index.txt").write_text(f"V\t{end}\t\t{serial}\tunknown\t/CN=localhost\n")
    return path


def measured(*command: str) -> dict[str, float]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, float] = json.loads(done.stdout)
    print({name: round(value, 2) for name, value in found.items()})
    return found


def best_of(*command: str, enough: float) -> float:
    ratio = 0.0
    for _ in range(TRIES):
        ratio = max(ratio, measured(*command)["ratio"])
        if ratio >= enough:
            break
    return ratio


def test_keep_alive_against_a_bare_application(folder: Path, record: Callable[[str, float, str], None]) -> None:
    ratio = best_of(sys.executable, str(LOAD), "keep-alive", str(folder), enough=0.7)
    record("responder / a bare ASGI hello on the same server, keep-alive", ratio, "≥ 0.7 ×")
    assert ratio >= 0.7


# `openssl ocsp` listens on every address, so it gets a network of its own.
@pytest.mark.peer("openssl", "ip", "network namespace")
@pytest.mark.parametrize("how", ["post", "get"])
def test_a_connection_per_request_against_openssl(
    folder: Path, how: str, record: Callable[[str, float, str], None]
) -> None:
    ratio = best_of(*ALONE, sys.executable, str(LOAD), how, str(folder), enough=0.7)
    record(f"responder / `openssl ocsp`, a connection per request, {how.upper()}", ratio, "≥ 0.7 ×")
    assert ratio >= 0.7

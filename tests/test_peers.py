"""A test whose peer is missing is skipped with the reason, and fails where peers are required."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ABSENT = "no-such-program-anywhere"
LIBRARY, ABSENT_LIBRARY = "a library that is here", "a library that is not"


def run(folder: Path, program: str, *, required: str) -> str:
    """The last line that pytest prints for one test marked with this peer."""
    (folder / "conftest.py").write_text(
        "from peers import OTHERS, pytest_runtest_setup\n"
        f"OTHERS.update({{{LIBRARY!r}: lambda: True, {ABSENT_LIBRARY!r}: lambda: None}})\n"
    )
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = peer\n")
    (folder / "test_it.py").write_text(
        f"import pytest\n@pytest.mark.peer('sh', {program!r})\ndef test_it():\n    assert True\n"
    )
    path = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import pytest; sys.exit(pytest.main())"
    done = subprocess.run(
        [sys.executable, "-c", path],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "MUSTAPLE_REQUIRE_PEERS": required, "PYTEST_ADDOPTS": "-rsf -p no:cacheprovider"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


@pytest.mark.parametrize("required", ["", "1"])
@pytest.mark.parametrize("peer", ["sh", LIBRARY])
def test_a_peer_that_is_there_is_used(tmp_path: Path, peer: str, required: str) -> None:
    assert "1 passed" in run(tmp_path, peer, required=required)


@pytest.mark.parametrize("peer", [ABSENT, ABSENT_LIBRARY])
def test_a_missing_peer_skips_with_its_name(tmp_path: Path, peer: str) -> None:
    said = run(tmp_path, peer, required="")
    assert "1 skipped" in said
    assert f"not to be had here: {peer}" in said


@pytest.mark.parametrize("peer", [ABSENT, ABSENT_LIBRARY])
def test_a_missing_peer_fails_where_peers_are_required(tmp_path: Path, peer: str) -> None:
    said = run(tmp_path, peer, required="1")
    assert "1 skipped" not in said
    assert f"not to be had here: {peer}" in said

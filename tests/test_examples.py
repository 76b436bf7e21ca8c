"""Every file in examples/ runs, and says what its reader expects."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
SAYS = {
    "httpx_client.py": ["200 after accepted", "refused: revoked: revoked", "alert 113 and 0 bytes of the request"],
    "judge_a_response.py": ["an honest response: good", "revoked: revoked: revoked (RFC 6960"],
    "requests_client.py": ["200 This is the stapling server", "refused: revoked: revoked", "alert 113 and 0 bytes"],
    "strict_client.py": ["kept its promise: HTTP/1.1 200", "broke its promise: CN=localhost promises", "alert 113"],
}


@pytest.mark.parametrize(
    "name", sorted(path.name for path in EXAMPLES.glob("*.py") if not path.name.startswith("test_"))
)
def test_it_runs(name: str) -> None:
    command = [sys.executable, "-W", "error", str(EXAMPLES / name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for line in SAYS[name]:
        assert line in done.stdout


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("test_*.py")))
def test_its_tests_pass(name: str) -> None:
    # In a process of its own and without our configuration, as its reader runs it.
    command = [sys.executable, "-W", "error", "-m", "pytest", "-c", "/dev/null", "-p", "no:cacheprovider", "-q"]
    done = subprocess.run([*command, str(EXAMPLES / name)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
    assert "13 passed" in done.stdout

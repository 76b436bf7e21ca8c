"""Every file in examples/ runs, and says what its reader expects."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
SAYS = {
    "judge_a_response.py": ["an honest response: good", "revoked: revoked: revoked (RFC 6960"],
    "strict_client.py": ["kept its promise: HTTP/1.1 200", "broke its promise: CN=localhost promises", "alert 113"],
}


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_it_runs(name: str) -> None:
    command = [sys.executable, "-W", "error", str(EXAMPLES / name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for line in SAYS[name]:
        assert line in done.stdout

"""What to do about a test that runs somebody else's program where that program is missing: skip it, or fail in CI.

Used from conftest.py: `from peers import pytest_runtest_setup`.
"""

from __future__ import annotations

import os
import shutil

import pytest

# Set by .ci/run, which installs the programs: a peer that is not there is then a failure and never a silent skip.
REQUIRE = "MUSTAPLE_REQUIRE_PEERS"


def missing_peers(item: pytest.Item) -> list[str]:
    """The programs that the test's `peer` markers name and that are not on the PATH."""
    named = [program for marker in item.iter_markers("peer") for program in marker.args]
    return [program for program in named if shutil.which(program) is None]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose peer is missing, with the reason; fail it where peers are required."""
    missing = missing_peers(item)
    if not missing:
        return
    said = f"not installed here: {', '.join(missing)}"
    if os.environ.get(REQUIRE) == "1":
        pytest.fail(f"{said}, and {REQUIRE}=1 asks for it", pytrace=False)
    pytest.skip(said)

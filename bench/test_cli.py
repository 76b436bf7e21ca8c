"""The command line starts as fast as its framework does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ratios import ratio

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_benchmark.fixture import BenchmarkFixture


def test_version(benchmark: BenchmarkFixture, record: Callable[[str, float, str], None]) -> None:
    """At most 1.5 times what importing typer takes, interpreter included in both."""
    mustaple = str(Path(sys.executable).with_name("mustaple"))

    def version() -> None:
        subprocess.run([mustaple, "--version"], check=True, capture_output=True)

    def import_typer() -> None:
        subprocess.run([sys.executable, "-c", "import typer"], check=True, capture_output=True)

    found = ratio(version, import_typer, rounds=30, calls=1, at_most=1.5).value
    record('mustaple --version / python -c "import typer"', found, "≤ 1.5")
    benchmark.pedantic(version, rounds=5)
    assert found <= 1.5

"""A hundred million simulated connections take less than a minute of one core, and no more memory than ten million."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parent.parent
FEW, MANY = 10**7, 10**8


class Run(NamedTuple):
    """What one simulation took: seconds that went by, seconds of one core that it spent, the most memory it held."""

    seconds: float
    spent: float
    bytes: int


def _run(connections: int) -> Run:
    command = [sys.executable, str(ROOT / "bench" / "simulate_run.py"), str(connections)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=600)
    found = json.loads(done.stdout)
    return Run(found["seconds"], found["spent"], found["bytes"])


def test_a_hundred_million_connections(record: Callable[[str, float, str], None]) -> None:
    """Ten times the connections take at most twelve times as long, and at most a tenth more memory.

    It is the time of the one core it runs on that counts: what others do on this machine is none of its business.
    """
    few, many = _run(FEW), _run(MANY)
    time_ratio = (many.spent / MANY) / (few.spent / FEW)
    memory = many.bytes / few.bytes
    print(f"\n{MANY:,} connections: {many.seconds:.1f} s, {MANY / many.spent / 1e6:.1f} million a second of one core")
    record(f"one core's time for {MANY:,} simulated connections / a minute", many.spent / 60, "≤ 1")
    record("time for each of 10⁸ simulated connections / each of 10⁷", time_ratio, "≤ 1.2")
    record(f"memory for 10⁸ simulated connections ({many.bytes >> 20} MiB) / for 10⁷", memory, "≤ 1.1")
    assert many.spent <= 60
    assert time_ratio <= 1.2
    assert memory <= 1.1

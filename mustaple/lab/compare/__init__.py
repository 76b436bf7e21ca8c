"""Soft fail against hard fail: clients against every situation, over real sockets, and whether each was right."""

from __future__ import annotations

from mustaple.lab.compare.cases import CASES
from mustaple.lab.compare.grid import grid
from mustaple.lab.compare.running import measure, run

__all__ = ["CASES", "grid", "measure", "run"]

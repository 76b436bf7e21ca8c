"""What each way of checking costs in time and bytes, measured over round trips that a relay of our own puts in."""

from __future__ import annotations

from mustaple.lab.cost.grid import FULL, QUICK, Combination, Grid
from mustaple.lab.cost.measure import measure_cost, steps
from mustaple.lab.cost.methods import METHODS
from mustaple.lab.cost.relay import Passage, Relay

__all__ = ["FULL", "METHODS", "QUICK", "Combination", "Grid", "Passage", "Relay", "measure_cost", "steps"]

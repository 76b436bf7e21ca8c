"""A small simulated month in CI: the same engine, judge and store as `make soak-agent` runs at full size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mustaple.lab.agent_soak.__main__ import holds
from mustaple.lab.agent_soak.month import Simulation
from mustaple.lab.agent_soak.world import Month

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SMALL = Month(certificates=200, responders=10, misbehaving=2, days=20, seed=3)


def test_a_month_goes_as_promised(tmp_path: Path) -> None:
    figures = Simulation(SMALL, tmp_path).run()
    assert figures.wrong == 0
    assert figures.savable == 0
    # Of few certificates on a dead responder each one's share of asking in vain is larger than of many.
    assert figures.ratio <= 1.6
    assert figures.growth <= 1.2
    assert figures.requests >= figures.minimum * 0.9


def test_a_planner_that_asks_too_late_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mustaple.core.refresh.half_life", lambda _, dies_at: dies_at)
    figures = Simulation(SMALL, tmp_path).run()
    assert figures.deaths
    assert not holds(figures)

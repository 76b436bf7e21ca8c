"""Three agents as processes and a real redis-server: one asks for all, whoever dies, is paused or is cut off."""

from __future__ import annotations

import os
import random
import signal
import time
from typing import TYPE_CHECKING

import pytest
from fleet_house import NAMES, kill_leaders, run_of, until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.peer("redis-server"), pytest.mark.usefixtures("no_proxy")]
KILLS = 3


def test_whoever_leads_is_killed_and_each_certificate_asked_for_once_in_an_interval(tmp_path: Path) -> None:
    said: list[str] = []
    draw = random.Random(7).random  # noqa: S311 - the same moments each time
    figures = kill_leaders(tmp_path, KILLS, draw, said.append)
    assert not figures.doubles, (figures.asked, figures.handovers)
    assert not figures.gaps
    assert len(figures.handovers) == KILLS, said
    assert figures.staples >= 3 * len(NAMES) * 2, "renewed at least once in each place"


def test_without_a_shared_store_each_of_them_asks_which_is_found_out(tmp_path: Path) -> None:
    with run_of(tmp_path, shared=False) as run:
        figures = run.figures()
    assert not figures.gaps
    assert all(len(times) == len(NAMES) for times in figures.asked.values())
    assert len(figures.doubles) == 2 * len(figures.asked)


def test_a_leader_that_is_paused_follows_when_it_wakes_up(tmp_path: Path) -> None:
    with run_of(tmp_path) as run:
        old = until(run.redis.leader)
        os.kill(run.fleet.agents[old].process.pid, signal.SIGSTOP)
        new = until(lambda: run.redis.leader() not in {"", old} and run.redis.leader())
        os.kill(run.fleet.agents[old].process.pid, signal.SIGCONT)
        run.fleet.agents[old].says(f"follows {new} in the fleet")
        until(lambda: run.everywhere(2))
        assert not run.watching.faults


def test_cut_off_for_good_nothing_dies(tmp_path: Path) -> None:
    with run_of(tmp_path, life=10) as run:
        alone = time.time()
        run.redis.kill()

        def asked_for_themselves() -> bool:
            asked = run.figures().asked.values()
            return all(sum(at > alone for at in times) >= len(NAMES) for times in asked)

        until(asked_for_themselves)
        assert not run.figures().gaps

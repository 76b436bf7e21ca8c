"""Agents whose real redis-server is killed: meanwhile they deploy what they have and say so, and nothing is lost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from fleet_house import NAMES, run_of, until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.peer("redis-server"), pytest.mark.usefixtures("no_proxy")]


@pytest.mark.parametrize("lasting", [True, False], ids=["with what was on disk", "empty"])
def test_a_redis_that_is_killed_and_comes_back_costs_no_request(tmp_path: Path, lasting: bool) -> None:
    with run_of(tmp_path, life=10, lasting=lasting) as run:
        run.redis.kill()
        run.redis.start()
        until(lambda: run.everywhere(2))
        with run.redis.client() as client:
            assert len(client.keys("mustaple:1:staple:*")) == len(run.links), "all is told anew where it was lost"
        figures = run.figures()
    assert not figures.doubles, figures.asked
    assert not figures.gaps


def test_cut_off_they_deploy_what_they_have_say_so_and_come_back_by_themselves(tmp_path: Path) -> None:
    with run_of(tmp_path, life=120) as run:
        run.redis.kill()
        for name in NAMES:
            event = json.loads(run.fleet.agents[name].says("cut off from the fleet"))
            assert (event["event"], event["severity"], event["standing"]) == ("fleet", "error", "partitioned")
        until(lambda: run.fleet.standings() == ["partitioned"] * 3)
        late = run.fleet.folder / "one/live/late"
        toml = run.fleet.folder / "one/agent.toml"
        toml.write_text(toml.read_text().replace("live/other", "live/late"))
        run.fleet.kill("one")
        run.fleet.start("one")
        until((late / "leaf.der").exists)  # from its own copy, since nobody else has any word for it
        before = run.figures()
        assert all(len(times) == 1 for times in before.asked.values()), "nothing is about to die"
        run.redis.start()
        until(lambda: run.fleet.standings() == ["following", "following", "leading"])
        with run.redis.client() as client:
            until(lambda: len(client.keys("mustaple:1:staple:*")) == len(run.links))
        assert run.figures().asked == before.asked
        assert not run.watching.faults

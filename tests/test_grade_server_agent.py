"""The same nginx with the staple agent in front: a staple on the first handshake, over a restart, through an outage."""

from __future__ import annotations

import pytest

from mustaple.lab.grade_server.grading import Order, grade
from mustaple.lab.grade_server.recipe import load


@pytest.mark.peer("nginx")
@pytest.mark.timeout(240)
def test_with_the_agent_nginx_does_what_it_does_not_by_itself() -> None:
    recipe = load("nginx-agent").model_copy(update={"life": 16})
    report = grade(Order(recipe=recipe, scenes=("first", "outage", "wrong"), wrongs=("revoked",)))
    assert report.agent
    assert (report.staples_first_handshake, report.keeps_over_restart, report.prefetches) == (True, True, True)
    assert (report.refreshes_before_death, report.retains_on_error, report.respects_next_update) == (True, True, True)
    assert report.serves_revoked is False
    assert report.requests.methods == ["GET"]


@pytest.mark.peer("apache2", "caddy")
@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", ["apache-mod-ssl-agent", "caddy-agent"])
def test_servers_that_fetch_by_themselves_get_it_from_the_agent(name: str) -> None:
    report = grade(Order(recipe=load(name), scenes=("first", "wrong"), wrongs=("try-later",)))
    assert report.agent
    assert (report.staples_first_handshake, report.keeps_over_restart, report.prefetches) == (True, True, True)
    assert report.serves_errors is False
    assert report.requests.methods == ["GET"], "the agent has asked, and nobody else"

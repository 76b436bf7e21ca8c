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

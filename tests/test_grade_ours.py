"""Our own client, graded like any other, is by each policy what that policy is called."""

from __future__ import annotations

import pytest
from grade_dozen import OURS, each_of, show_it_is_what_it_was


@pytest.mark.timeout(600)
@each_of(OURS)
def test_the_client_is_what_it_was(name: str) -> None:
    show_it_is_what_it_was(name)

"""Programs and libraries of others behave on a dozen telling cases as they did when docs/clients.md was made."""

from __future__ import annotations

import pytest
from grade_dozen import PROGRAMS, REFUSES, each_of, show_it_is_what_it_was

from mustaple.lab.grade_client import recipe_names


@pytest.mark.timeout(600)
@each_of(PROGRAMS)
def test_the_client_is_what_it_was(name: str) -> None:
    show_it_is_what_it_was(name)


def test_every_recipe_has_its_row() -> None:
    assert {*REFUSES} == {*recipe_names()}

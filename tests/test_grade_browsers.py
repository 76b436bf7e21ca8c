"""Firefox and Chromium behave on a dozen telling cases as they did when docs/clients.md was made."""

from __future__ import annotations

import pytest
from grade_dozen import BROWSERS, each_of, show_it_is_what_it_was


@pytest.mark.timeout(600)
@each_of(BROWSERS)
def test_the_client_is_what_it_was(name: str) -> None:
    show_it_is_what_it_was(name)

"""How tests talk to other people's programs: every wait is bounded, and a program that ends or is silent says so."""

from __future__ import annotations

import pytest
from stacks import Program, run

ECHO = ["sh", "-c", 'while read -r line; do echo "$line"; done']


def test_a_line_is_answered_with_a_line() -> None:
    with Program(ECHO) as echo:
        assert [echo.ask("one"), echo.ask("two")] == ["one", "two"]


def test_a_server_names_its_port_and_then_says_what_became_of_its_client() -> None:
    with Program(["sh", "-c", "read -r line; echo 4433; echo SERVED $line"]) as server:
        with server.serving("TLSv1.3") as served:
            assert (served.port, served.said) == (4433, "")
        assert served.said == "SERVED TLSv1.3"


def test_a_program_that_has_ended_tells_why() -> None:
    with Program(["sh", "-c", "echo no such key >&2; exit 3"]) as broken:
        with pytest.raises(AssertionError, match="has ended; standard error: no such key"):
            broken.hear()
        with pytest.raises(AssertionError, match="has ended"):
            broken.ask("and now?")


def test_a_silent_program_is_not_waited_for_without_end() -> None:
    with Program(["cat"]) as silent, pytest.raises(AssertionError, match=r"said nothing for 0\.1 s"):
        silent.hear(timeout=0.1)


def test_a_program_that_ignores_the_end_of_its_input_is_ended() -> None:
    with Program(["sh", "-c", "trap '' TERM; echo $$; exec sleep 600"]) as stubborn:
        stubborn.patience = 0.1
        number = stubborn.hear()
    assert run("kill", "-0", number).returncode != 0

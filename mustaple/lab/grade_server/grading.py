"""The grade of one server: every scene in turn, and what they say together."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import mustaple
from mustaple.lab.grade_server.bench import Bench
from mustaple.lab.grade_server.findings import Findings
from mustaple.lab.grade_server.outage import outage
from mustaple.lab.grade_server.points import imc_2018, sleevi
from mustaple.lab.grade_server.recipe import PROGRAMS, which
from mustaple.lab.grade_server.scenes import first_clients, slow_responder
from mustaple.lab.grade_server.wrongs import WRONGS, Wrongs, must_staple
from mustaple.report.grade_server import NOT_TRIED, QUESTIONS, SCHEMA, Evidence, Requests, ServerReport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mustaple.lab.grade_server.recipe import Recipe

SCENES: Final = ("first", "slow", "outage", "wrong", "promise")


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is asked for: this server in these scenes, offered these wrong answers."""

    recipe: Recipe
    scenes: tuple[str, ...] = SCENES
    wrongs: tuple[str, ...] = WRONGS

    @property
    def steps(self) -> int:
        """How many there are, for a bar."""
        return len(self.scenes) + (len(self.wrongs) - 1 if "wrong" in self.scenes else 0)


def grade(
    order: Order, step: Callable[[str], None] = lambda _: None, waiting: Callable[[float], None] = lambda _: None
) -> ServerReport:
    """Grade the server; `step` is told of each scene that is over, `waiting` the seconds of each wait for its time.

    Raises InputError where what the recipe needs is not here, and NetworkError where the server does not start.
    """
    at, begun, found = datetime.now(UTC), time.monotonic(), Findings()
    with Bench(order.recipe, waiting) as bench:
        plain = {"first": first_clients, "slow": slow_responder, "outage": outage, "promise": must_staple}
        for name in order.scenes:
            if name in plain:
                plain[name](bench, found)
                step(name)
                continue
            wrongs = Wrongs(bench, found)
            for wrong in order.wrongs:
                wrongs.offer(wrong)
                step(wrong)
            wrongs.conclude()
        return _report(order, bench, found, at, time.monotonic() - begun)


def version_of(recipe: Recipe) -> str | None:
    """What a server says of its version: its first line that has a digit in it."""
    words = [which(recipe.version[0]) or recipe.version[0], *recipe.version[1:]]
    try:
        # The recipe's command, which the user has chosen.
        done = subprocess.run(words, capture_output=True, timeout=30, check=False, env={"PATH": PROGRAMS})  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    lines = (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()
    return next((line.strip() for line in lines if any(each.isdigit() for each in line)), None)


def _report(order: Order, bench: Bench, found: Findings, at: datetime, seconds: float) -> ServerReport:
    responder = bench.responder
    requests = Requests(
        methods=sorted(responder.methods),
        nonces=responder.nonces,
        conditional=responder.conditional,
        well=found.well,
        well_handshakes=found.well_handshakes,
        failing=found.failing,
        failing_handshakes=found.failing_handshakes,
        refresh_at=found.refresh_at,
    )
    fill_in(found, [*QUESTIONS, "must_staple_without_staple"])
    return ServerReport(
        schema=SCHEMA,
        version=mustaple.__version__,
        server=order.recipe.name,
        server_version=version_of(order.recipe),
        about=order.recipe.about,
        agent=order.recipe.agent,
        fetches=order.recipe.fetches,
        at=at,
        seconds=round(seconds, 1),
        clock="set-forward" if bench.clock.leaps else "waited-for",
        **{name: found.answers.get(name) for name in QUESTIONS},
        must_staple_without_staple=found.reaction,
        requests=requests,
        evidence=found.evidence,
        sleevi=sleevi(found, requests),
        imc_2018=imc_2018(found),
        timeline=list(bench.timeline.events),
    )


def fill_in(found: Findings, names: Iterable[str], said: str = NOT_TRIED) -> None:
    """Evidence for what has none."""
    for name in names:
        found.evidence.setdefault(name, Evidence(said=said, events=[]))

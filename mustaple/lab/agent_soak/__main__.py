"""`python -m mustaple.lab.agent_soak`: the month and the rounds of kill -9, with their result as a dated page."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from mustaple.lab.agent_soak.crash import Damage, kill_again_and_again
from mustaple.lab.agent_soak.month import Figures, Simulation
from mustaple.lab.agent_soak.world import Month

MOST_REQUESTS = 1.2
MOST_GROWTH = 1.1


def main() -> int:
    """Run both; 0 where both hold what is promised."""
    parser = argparse.ArgumentParser(prog="python -m mustaple.lab.agent_soak", description=__doc__)
    parser.add_argument("--certificates", type=int, default=10_000)
    parser.add_argument("--responders", type=int, default=100)
    parser.add_argument("--misbehaving", type=int, default=20)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--page", type=Path, help="write the result here, as Markdown")
    arguments = parser.parse_args()
    month = Month(arguments.certificates, arguments.responders, arguments.misbehaving, arguments.days, arguments.seed)
    with tempfile.TemporaryDirectory(prefix="mustaple-soak-") as folder:
        damage = kill_again_and_again(Path(folder), arguments.kills, arguments.seed)
    _say(f"{damage.rounds} rounds of kill -9: {len(damage.faults)} faults {damage.faults[:3] or ''}")
    # Where there is memory to write to, the disk's own pace is left out of it.
    memory = Path("/dev/shm")  # noqa: S108 - a folder with a random name is made in it
    with tempfile.TemporaryDirectory(prefix="mustaple-soak-", dir=memory if memory.is_dir() else None) as folder:
        cpu = time.process_time()
        figures = Simulation(month, Path(folder), _progress).run()
        cpu = time.process_time() - cpu
    page = _page(month, figures, damage, cpu)
    _say(page)
    if arguments.page is not None:
        arguments.page.write_text(page, encoding="utf-8")
    return 0 if holds(figures) and not damage.faults else 1


def holds(figures: Figures) -> bool:
    """Whether the month went as promised."""
    well = figures.wrong == 0 and figures.savable == 0
    return well and figures.ratio <= MOST_REQUESTS and figures.growth <= MOST_GROWTH


def _progress(day: int, figures: Figures) -> None:
    sys.stderr.write(f"day {day}: {figures.fetched} fetches, {figures.memory[-1]:.0f} MiB\n")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _page(month: Month, figures: Figures, damage: Damage, cpu: float) -> str:
    fifth = len(figures.memory) // 5
    requests = f"{figures.requests:,} of {figures.minimum:,}: {figures.ratio:.3f}"
    memory = f"{figures.memory[-1]:.1f} of {figures.memory[fifth]:.1f} MiB: {figures.growth:.3f}"
    return f"""# The agent's soak

Made by `make soak-agent` on {datetime.now(UTC):%Y-%m-%d}: the agent's own planner, judge and store under a
simulated clock; only the network is played. Seed {month.seed}.

{month.certificates:,} certificates on {month.responders} responders, of which {month.misbehaving} misbehave: dead from
some day on, out for days, out for hours, honest for three hours in twelve, or another lie each day. They refuse, hang,
ask to be left alone for a year, send garbage, another certificate's answer, expired, future or forged ones, `unknown`,
or more than anybody reads. Answers are signed once a day for a week. {month.days} days.

| what | found | promised |
|---|---|---|
| staples served that were not good, or dead | {figures.wrong} | 0 |
| staples that died though a fetch could have saved them [1] | {figures.savable} | 0 |
| staples that died, in all | {figures.deaths:,} | |
| requests, of the fewest possible [2] | {requests} | ≤ {MOST_REQUESTS} |
| memory at the end, of that on day {fifth} | {memory} | ≤ {MOST_GROWTH} |
| rounds of kill -9 at a random moment; in how many of them the agent got on | {damage.rounds}; {damage.progress} | |
| rounds after which something was broken or lost | {len(damage.faults)} | 0 |
| seconds for the month, and of them on the processor | {figures.seconds:.0f}, {cpu:.0f} | |

[1] The responder was honest for at least an hour in one piece, which is the longest wait between two requests, after
the staple was due: half-life, and the fortieth of a life over which renewals are spread. With any honest moment after
half-life, however short: {figures.savable_at_all}.

[2] By somebody who knows when each responder is honest, never asks in vain, and renews at half-life.
"""


if __name__ == "__main__":
    sys.exit(main())

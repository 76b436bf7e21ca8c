"""`make soak-fleet`: three agents share a real redis-server, and whoever leads is killed, again and again."""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from fleet_house import NAMES, kill_leaders

if TYPE_CHECKING:
    from fleet_house import Figures


def main() -> int:
    """Run it; 0 where it went as promised."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--page", type=Path, help="write the result here, as Markdown")
    arguments = parser.parse_args()
    os.environ["no_proxy"] = "*"
    draw = random.Random(arguments.seed).random  # noqa: S311 - to be had again
    with tempfile.TemporaryDirectory(prefix="mustaple-fleet-") as folder:
        figures = kill_leaders(Path(folder), arguments.kills, draw, lambda line: print(line, file=sys.stderr))  # noqa: T201
    page = _page(figures, arguments.seed)
    print(page)  # noqa: T201 - that is what it is for
    if arguments.page is not None:
        arguments.page.write_text(page, encoding="utf-8")
    return 1 if figures.doubles or figures.gaps or len(figures.handovers) < arguments.kills else 0


def _page(figures: Figures, seed: int) -> str:
    certificates, interval = len(figures.asked), f"{figures.interval:g}"
    places = len(NAMES) * certificates
    counts = " + ".join(str(len(times)) for times in figures.asked.values())
    middle = sorted(after - before for before, after in figures.handovers)[len(figures.handovers) // 2]
    return f"""# A fleet whose leader is killed

Made by `make soak-fleet` on {datetime.now(UTC):%Y-%m-%d}. Seed {seed}.

Three `mustaple agent` processes share a real redis-server, with a lease of 2 s. Each deploys the staples of two chains
({certificates} certificates) to a folder of its own. The responder signs an answer for 14 s on each request, and
notes it: each certificate is to be asked for once in an interval of {interval} s. Whoever leads is killed (SIGKILL)
at a random moment, and started anew when another one leads. What is deployed is looked at every 20 ms: from the first
staple on there must be a good one that has not died, in all {places} places.

| what | found | promised |
|---|---|---|
| leaders killed | {len(figures.handovers)} | |
| seconds from the shot until another one led: median, longest | {middle:.2f}, {figures.slowest:.2f} | ≤ 2, the lease |
| changes of the leader, the first one included | {len(figures.changes)} | |
| requests in {figures.seconds:.0f} s, certificate by certificate | {counts} | |
| requests before their time, with no hand-over since the one before | {len(figures.doubles)} | 0 |
| requests before their time in a hand-over [1] | {figures.in_handovers} | |
| looks at what was deployed, the longest pause between two | {figures.looks:,}, {figures.widest:.2f} s | |
| staples seen, one after the other, in all places | {figures.staples} | |
| looks that found none, a dead one, or one that is not good | {len(figures.gaps)} | 0 |

[1] A leader that dies between asking and telling the others leaves its successor to ask again.
"""


if __name__ == "__main__":
    sys.exit(main())

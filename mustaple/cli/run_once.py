"""`mustaple run-once`: what the agent would do now, done once, for cron."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False)


@app.command()
def run_once(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="The agent's configuration (TOML).")],
) -> None:
    """Fetch what is due for every certificate, hand it to every target, and end. Back-offs hold from run to run.

    Exit codes: 0 all is well, 1 an answer was bad or a target did not take it, 3 somebody was only not reached.

    Example: mustaple run-once agent.toml
    """
    from mustaple.cli.agent import run

    raise typer.Exit(run(config, once=True))

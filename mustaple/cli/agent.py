"""`mustaple agent`: keep staples fresh for servers that cannot, and show how they are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False)

_WORDS = ("status", "schema")


@app.command()
def agent(
    what: Annotated[
        str,
        typer.Argument(
            metavar="CONFIG | status CONFIG | schema",
            help="A configuration (TOML) to run; or its status; or the JSON schema of configurations.",
        ),
    ],
    config: Annotated[Path | None, typer.Argument(metavar="[CONFIG]", help="With status: the configuration.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Do what is due, and end: as `mustaple run-once`.")] = False,
    json: Annotated[bool, typer.Option("--json", help="With status: print JSON.")] = False,
) -> None:
    """Keep a good staple for every certificate of many chains, and hand them to servers, until SIGINT or SIGTERM.

    SIGHUP looks at all files at once and forgets back-offs. Only what is judged good is ever deployed; what dies or is
    revoked is withdrawn. Events are written on stderr, as JSON lines with `log = "json"`. (A file that is itself
    called status or schema: ./status.)

    Example: mustaple agent agent.toml; mustaple agent status agent.toml
    """
    from mustaple.cli.common import print_json
    from mustaple.core.errors import InputError

    if what == "schema":
        from mustaple.agent.config_model import schema

        print_json(schema())
        return
    if what == "status":
        if config is None:
            raise InputError("name the configuration: mustaple agent status CONFIG")
        _status(config, json=json)
        return
    if config is not None or json:
        raise InputError(f"{what!r} is none of {', '.join(_WORDS)}; a configuration alone runs the agent")
    raise typer.Exit(run(Path(what), once=once))


def run(config: Path, *, once: bool) -> int:
    """Run the agent of this configuration; the exit code."""
    from mustaple.agent.config import read_config
    from mustaple.agent.launch import launch
    from mustaple.cli.common import complain_raw

    return launch(read_config(config), complain_raw, once=once)


def _status(config: Path, *, json: bool) -> None:
    from datetime import UTC, datetime

    from mustaple.agent.config import read_config
    from mustaple.agent.state import read_state
    from mustaple.cli.common import print_json
    from mustaple.core.errors import InputError
    from mustaple.report.agent_status import status_text

    file = read_config(config).state_file
    state = read_state(file)
    if state is None:
        raise InputError(f"there is no state at {file}: the agent has not run yet")
    if json:
        print_json(state.document())
    else:
        typer.echo(status_text(state.document(), datetime.now(UTC)))

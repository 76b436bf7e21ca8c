"""`mustaple compare`: soft fail against hard fail, measured over real sockets."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(add_completion=False)


@app.command()
def compare(
    preset: Annotated[
        list[str] | None, typer.Option("--preset", help="Only this preset; may be given several times.")
    ] = None,
    case: Annotated[
        list[str] | None, typer.Option("--case", help="Only this case; may be given several times.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print every cell as JSON.")] = False,
) -> None:
    """Try every preset of the strict client in every case, and say who was right.

    It issues its own certificates and starts its own responder and servers on loopback. ATTACK is a
    certificate accepted while revoked: it succeeded. OUTAGE is one refused while good: a false outage.

    Example: mustaple compare --preset soft-fail --preset must-staple
    """
    from rich.console import Console
    from rich.progress import track

    from mustaple.cli.common import print_json
    from mustaple.core.errors import InputError
    from mustaple.core.policy import PRESETS
    from mustaple.lab.compare import CASES, run

    presets = tuple(dict.fromkeys(preset or PRESETS))
    for name in presets:
        if name not in PRESETS:
            raise InputError(f"no preset is called {name!r}; there are {', '.join(PRESETS)}")
    known = {each.name: each for each in CASES}
    for name in case or ():
        if name not in known:
            raise InputError(f"no case is called {name!r}; there are {', '.join(known)}")
    cases = tuple(known[name] for name in dict.fromkeys(case)) if case else CASES
    progress = Console(stderr=True)
    cells = list(
        track(
            run(cases, presets),
            description="comparing",
            total=len(cases) * len(presets),
            console=progress,
            transient=True,
            disable=not progress.is_terminal,
        )
    )
    if json:
        from mustaple.report.compare_text import compare_json

        print_json(compare_json(cells))
    else:
        from mustaple.report.compare_text import compare_table

        console = Console()
        console.print(compare_table(cells, console.width))

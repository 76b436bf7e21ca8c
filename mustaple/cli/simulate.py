"""`mustaple simulate`: the long view, exposure against false outage over months, in numbers and as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mustaple.cli.forms import Form, Json, Output, StudyForm

if TYPE_CHECKING:
    from mustaple.report.simulation import Simulation

app = typer.Typer(add_completion=False, context_settings={"help_option_names": ["-h", "--help"]})


@app.command()
def simulate(
    connections: Annotated[
        str, typer.Option("--connections", "-n", help="So many connections, as in 100000 or 1e8.")
    ] = "1e6",
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same numbers.")] = 1,
    worlds: Annotated[int, typer.Option("--worlds", help="Independent worlds that share the connections.")] = 32,
    parameters: Annotated[
        Path | None, typer.Option("--parameters", metavar="FILE", help="A TOML file with other parameters.")
    ] = None,
    setting: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One other parameter; may be repeated.")
    ] = None,
    curve: Annotated[bool, typer.Option("--curve", help="Also with evidence that lives shorter.")] = False,
    sensitivity: Annotated[
        bool, typer.Option("--sensitivity", help="Also with each parameter at its low and its high end.")
    ] = False,
    about: Annotated[
        str, typer.Option("--about", metavar="CLIENT", help="Whose sensitivities the tables show.")
    ] = "must-staple",
    form: StudyForm = Form.TEXT,
    json: Json = False,
    output: Output = None,
    svg: Annotated[
        Path | None, typer.Option("--svg", metavar="FILE", help="Draw the trade-off there; brings --curve with it.")
    ] = None,
) -> None:
    """Simulate months of sites, clients, outages and revocations, and say what each policy costs and protects.

    Every connection is drawn by itself and decided by every client, by the rules of the strict client. The parameters
    and their published sources: --format md.

    Example: mustaple simulate --connections 1e7 --set outages.hours=12 --svg trade-off.svg
    """
    from contextlib import ExitStack

    from mustaple.cli.progress import Bar
    from mustaple.core.errors import InputError
    from mustaple.report.check_output import report_output

    try:
        from mustaple.lab.simulate.outcomes import CLIENTS
        from mustaple.lab.simulate.parameters import read_parameters, shipped, with_settings
        from mustaple.lab.simulate.running import simulate as run
        from mustaple.lab.simulate.running import steps
    except ImportError as error:
        library = (error.name or "").partition(".")[0]
        raise InputError(f"mustaple simulate takes {library}: pip install 'mustaple[study]'") from None
    given = with_settings(shipped() if parameters is None else read_parameters(parameters), setting or ())
    count = _count(connections)
    if about not in CLIENTS:
        raise InputError(f"no client is called {about!r}; there are {', '.join(CLIENTS)}")
    curve = curve or svg is not None
    with ExitStack() as stack:
        # Both are opened before the work, so that nothing is worked out in vain.
        write = stack.enter_context(report_output(output))
        draw = stack.enter_context(report_output(svg)) if svg is not None else None
        total = steps(given, worlds, curve=curve, sensitivity=sensitivity)
        with Bar.shown(total, "simulating") as bar:
            found = run(
                given,
                connections=count,
                seed=seed,
                replications=worlds,
                curve=curve,
                sensitivity=sensitivity,
                step=bar.step,
            )
        if draw is not None:
            from mustaple.report.simulate_svg import simulation_svg

            draw(simulation_svg(found))
        write(_written(found, Form.JSON if json else form, about))


def _written(found: Simulation, form: Form, about: str) -> str:
    from mustaple.report.plain import json_text
    from mustaple.report.simulate_data import simulation_csv, simulation_json
    from mustaple.report.simulate_text import simulation_markdown, simulation_text

    if form is Form.JSON:
        return json_text(simulation_json(found)) + "\n"
    if form is Form.CSV:
        return simulation_csv(found)
    return simulation_markdown(found, about) if form is Form.MARKDOWN else simulation_text(found, about)


def _count(text: str) -> int:
    """A number of things, as 100000, 100_000 or 1e5. Raises InputError for what is none."""
    from mustaple.core.errors import InputError

    try:
        number = float(text)
    except ValueError:
        number = 0.5
    if not number.is_integer() or abs(number) > 1e15:
        raise InputError(f"--connections {text!r}: write a whole number, as in 100000 or 1e8")
    return int(number)

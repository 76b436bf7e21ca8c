"""`mustaple grade server`: how somebody else's server staples, found out with a responder that misbehaves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mustaple.cli.forms import REPORT, Json, Output

if TYPE_CHECKING:
    from mustaple.report.grade_server import ServerReport

FormatName = Literal["text", "json", "html"]
_TERMINATED = 143  # as a shell says it of a program that SIGTERM ended


def server(
    recipe: Annotated[
        str | None, typer.Argument(metavar="[RECIPE]", help="A server that we know how to start, or a file NAME.toml.")
    ] = None,
    recipes: Annotated[bool, typer.Option("--recipes", help="List those, and which could run here.")] = False,
    external: Annotated[
        str | None, typer.Option("--external", metavar="HOST:PORT", help="Look at a server that runs already instead.")
    ] = None,
    ca: Annotated[
        Path | None, typer.Option("--ca", help="Certificates above those that the external server sends.")
    ] = None,
    scene: Annotated[
        list[str] | None,
        typer.Option("--scene", help="Only first, slow, outage, wrong or promise; several times likewise."),
    ] = None,
    format_: Annotated[
        FormatName | None, typer.Option("--format", help="Default: text.", rich_help_panel=REPORT, show_default=False)
    ] = None,
    json: Json = False,
    output: Output = None,
    timeline: Annotated[
        bool, typer.Option("--timeline", help="Show every event in the text, too.", rich_help_panel=REPORT)
    ] = False,
) -> None:
    """Start a server before a responder that is honest, slow, silent or wrong, and see what it staples.

    Exit 0: nothing was seen that costs a client its staple; 1: something was; 2: usage; 3: the server
    did not start, or nobody answered.

    Example: mustaple grade server nginx --format json --output nginx.json
    """
    from mustaple.cli.common import EXIT_REFUSED
    from mustaple.core.errors import InputError
    from mustaple.report.check_output import report_output

    if json and format_ not in {None, "json"}:
        raise InputError("--json and --format contradict each other; give one of them")
    if recipes:
        _list_recipes()
        return
    if external is not None and scene:
        raise InputError("--scene is for a server that is started here; one that runs already is only looked at")
    if (recipe is None) == (external is None):
        raise InputError("name a recipe (`mustaple grade server --recipes` lists them), or a server with --external")
    with report_output(output) as write:
        report = _grade(recipe, scene) if recipe is not None else _look(external or "", ca)
        write(_shown(report, "json" if json else format_ or "text", timeline=timeline))
    if not report.passed:
        raise typer.Exit(EXIT_REFUSED)


def _grade(name: str, scenes: list[str] | None) -> ServerReport:
    import signal
    import sys

    from mustaple.cli.progress import Bar
    from mustaple.core.errors import InputError
    from mustaple.lab.grade_server.grading import SCENES, Order, grade
    from mustaple.lab.grade_server.recipe import load

    unknown = sorted(set(scenes or ()) - set(SCENES))
    if unknown:
        raise InputError(f"there is no scene {unknown[0]!r}; there are {', '.join(SCENES)}")
    order = Order(recipe=load(name), scenes=tuple(each for each in SCENES if not scenes or each in scenes))
    # So that the server, which is a process of its own, is ended with this one.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    with Bar.shown(order.steps, f"grading {order.recipe.name}") as bar:
        return grade(order, bar.step, lambda seconds: bar.step(f"{seconds:g} s are waited for", 0))


def _look(address: str, ca: Path | None) -> ServerReport:
    from mustaple.cli.common import parse_address, read_certificates
    from mustaple.cli.progress import Bar
    from mustaple.lab.grade_server.external import ROUNDS, grade_external

    host, port = parse_address(address)
    issuers = tuple(read_certificates(ca)) if ca is not None else ()
    with Bar.shown(ROUNDS, f"looking at {address}") as bar:
        return grade_external(host, port, issuers=issuers, step=bar.step)


def _shown(report: ServerReport, format_: str, *, timeline: bool) -> str:
    if format_ == "json":
        from mustaple.report.grade_server import server_json

        return server_json([report])
    if format_ == "html":
        from mustaple.report.grade_server_html import server_html

        return server_html([report])
    from mustaple.report.grade_server_text import server_text

    return server_text(report, timeline=timeline)


def _list_recipes() -> None:
    from mustaple.lab.grade_server.recipe import load, recipe_names

    for name in recipe_names():
        recipe = load(name)
        here = f"needs {', '.join(recipe.missing)} (Debian: {recipe.package})" if recipe.missing else "can run here"
        typer.echo(f"{name:<16} {here:<40} {recipe.about}")

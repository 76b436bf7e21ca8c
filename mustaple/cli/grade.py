"""`mustaple grade`: how somebody else's client behaves, found out on live cases of the corpus; and their server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mustaple.cli.forms import REPORT, Json, Output
from mustaple.cli.grade_server import server

if TYPE_CHECKING:
    from mustaple.lab.cases import Case
    from mustaple.lab.grade_client.baseline import Baseline
    from mustaple.lab.grade_client.grading import Order
    from mustaple.lab.grade_client.recipe import Recipe
    from mustaple.report.grade_client import GradeReport

app = typer.Typer(add_completion=False, context_settings={"help_option_names": ["-h", "--help"]})

FormatName = Literal["text", "json", "html", "junit"]
PresetName = Literal["ignore", "soft-fail", "must-staple", "hard-fail", "strict"]


@app.callback(invoke_without_command=True)
def top(context: typer.Context) -> None:
    """Find out how your TLS client behaves when evidence of revocation is missing, old, forged or odd.

    Example: mustaple grade client --recipe curl
    """
    from mustaple.cli.common import EXIT_USAGE

    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(EXIT_USAGE)


@app.command()
def client(
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- COMMAND]...", help="The client, with {host} {port} {ca} {url} where they belong."),
    ] = None,
    recipe: Annotated[
        str | None, typer.Option("--recipe", metavar="NAME", help="A client that we know how to drive, instead.")
    ] = None,
    recipes: Annotated[bool, typer.Option("--recipes", help="List those, and which could run here.")] = False,
    case: Annotated[
        list[str] | None, typer.Option("--case", metavar="ID", help="Only this case; may be given several times.")
    ] = None,
    family: Annotated[
        list[str] | None, typer.Option("--family", metavar="NAME", help="Only this family; several times likewise.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", "-j", min=1, max=64, help="So many clients at once; default: the cores.")
    ] = None,
    timeout: Annotated[
        str | None, typer.Option("--timeout", help="A client that still runs then hangs; default: 30s.")
    ] = None,
    accepted_when: Annotated[
        Literal["exit", "request"] | None,
        typer.Option(help="It accepts by ending with 0 (default), or only by sending its request."),
    ] = None,
    expect: Annotated[
        PresetName | None, typer.Option(help="The policy that it should keep at least; default: the nearest.")
    ] = None,
    no_control: Annotated[
        bool, typer.Option("--no-control", help="Grade even a client that checks no name or no path.")
    ] = False,
    format_: Annotated[
        FormatName | None,
        typer.Option("--format", help="Default: text.", rich_help_panel=REPORT, show_default=False),
    ] = None,
    json: Json = False,
    output: Output = None,
    baseline: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Fail only where it is not as in this file.", rich_help_panel=REPORT),
    ] = None,
    write_baseline: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write such a file.", rich_help_panel=REPORT)
    ] = None,
) -> None:
    """Run a client against live cases, and say which policy it keeps and where it deviates.

    It accepts a case if it ends with 0 after a completed handshake or sends its request, and refuses if it ends by
    itself without. Exit 0: as the policy says, or stricter (with --baseline: nothing changed); 1: it deviates, or
    something changed; 2: usage; 3: it does not accept an honest server, or accepts one with another's name.

    Example: mustaple grade client --family presence -- curl -sS --cacert {ca} {url}
    """
    from mustaple.cli.common import EXIT_REFUSED, parse_duration
    from mustaple.core.errors import InputError
    from mustaple.lab.grade_client.baseline import read_baseline
    from mustaple.lab.grade_client.grading import Order

    if recipes:
        _list_recipes(json=json)
        return
    if json and format_ not in {None, "json"}:
        raise InputError(f"--json and --format {format_} ask for two reports")
    seconds = parse_duration(timeout).total_seconds() if timeout is not None else None
    if seconds is not None and seconds <= 0:
        raise InputError("--timeout must be longer than nothing")
    order = Order(
        recipe=_recipe(command, recipe, accepted_when),
        cases=_chosen(case, family),
        jobs=jobs or _cores(),
        timeout=seconds,
        against=expect,
        controls=not no_control,
    )
    before = read_baseline(baseline) if baseline is not None else None
    report = _graded(order, before, output, write_baseline, "json" if json else format_ or "text")
    if not report.passed:
        raise typer.Exit(EXIT_REFUSED)


def _graded(order: Order, before: Baseline | None, output: Path | None, kept: Path | None, form: str) -> GradeReport:
    from contextlib import ExitStack

    from mustaple.cli.progress import Bar
    from mustaple.lab.grade_client.baseline import baseline_text, compared
    from mustaple.lab.grade_client.grading import grade
    from mustaple.report.check_output import report_output

    with ExitStack() as stack:
        write = stack.enter_context(report_output(output))
        keep = stack.enter_context(report_output(kept)) if kept is not None else None
        with Bar.shown(len(order.cases), "grading") as bar:
            report = grade(order, bar.step)
        if before is not None:
            report = compared(report, before)
        write(_rendered(report, form))
        if keep is not None:
            keep(baseline_text(report))
    return report


def _rendered(report: GradeReport, form: str) -> str:
    if form == "json":
        from mustaple.report.grade_client import grade_json

        return grade_json(report)
    if form == "html":
        from mustaple.report.grade_client_html import grade_html

        return grade_html(report)
    if form == "junit":
        from mustaple.report.grade_client_junit import grade_junit

        return grade_junit(report)
    from mustaple.report.grade_client_text import grade_text

    return grade_text(report)


def _recipe(command: list[str] | None, name: str | None, accepted_when: str | None) -> Recipe:
    from mustaple.core.errors import InputError
    from mustaple.lab.grade_client.recipe import Sign, load, of_command

    if bool(command) == (name is not None):
        raise InputError("give a command after --, or --recipe NAME; --recipes lists the recipes")
    found = load(name) if name is not None else of_command(command or ())
    return found if accepted_when is None else found.model_copy(update={"accepted_when": Sign(accepted_when)})


def _chosen(names: list[str] | None, families: list[str] | None) -> tuple[Case, ...]:
    from mustaple.lab.cases import FAMILIES, cases, find

    named = [find(name) for name in names or ()]
    of_families = cases(families or (() if names else FAMILIES))
    return tuple({case.id: case for case in (*named, *of_families)}.values())


def _list_recipes(*, json: bool) -> None:
    from mustaple.cli.common import print_json
    from mustaple.lab.grade_client.recipe import load, recipe_names

    known = [load(name) for name in recipe_names()]
    if json:
        print_json({"recipes": [{"name": each.name, "about": each.about, "missing": each.missing} for each in known]})
        return
    wide = max(len(each.name) for each in known)
    for each in known:
        lacking = f" (not here: {', '.join(each.missing)})" if each.missing else ""
        typer.echo(f"{each.name:<{wide}}  {each.about}{lacking}")


def _cores() -> int:
    import os

    return max(1, os.cpu_count() or 1)


# Each kind of peer has a file of its own.
app.command()(server)

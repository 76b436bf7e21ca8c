"""`mustaple cases`: the corpus of cases, to list, explain, export and run through our own judge."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mustaple.cli.outside import outside

if TYPE_CHECKING:
    from mustaple.lab.cases import Case, World

app = typer.Typer(add_completion=False, context_settings={"help_option_names": ["-h", "--help"]})

Families = Annotated[
    list[str] | None, typer.Option("--family", help="Only this family; may be given several times.", metavar="NAME")
]
Seed = Annotated[str | None, typer.Option("--seed", help="Make keys and serial numbers from this text instead.")]
At = Annotated[
    str | None, typer.Option("--at", help="Make it for this time (ISO 8601, UTC); default 2026-06-01 12:00.")
]


@app.callback(invoke_without_command=True)
def top(context: typer.Context) -> None:
    """The corpus: situations a TLS client meets, each with what every policy should make of it.

    Example: mustaple cases show freshness/expired
    """
    from mustaple.cli.common import EXIT_USAGE

    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(EXIT_USAGE)


@app.command(name="list")
def list_(
    family: Families = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, with the descriptions.")] = False,
) -> None:
    """List the cases, and whether each policy should accept or refuse.

    Example: mustaple cases list --family freshness
    """
    from rich.console import Console

    from mustaple.cli.common import print_json
    from mustaple.lab.cases import FAMILIES, cases
    from mustaple.lab.cases.export import families, listed
    from mustaple.report.cases_text import cases_table

    chosen = tuple(dict.fromkeys(family or FAMILIES))
    facts = [listed(case) for case in cases(chosen)]
    if json:
        print_json({"cases": [each.model_dump(mode="json") for each in facts]})
    else:
        Console(highlight=False, markup=False).print(cases_table(facts, families(chosen)))


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="CASE", help="Its id, as the list has it.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON, every byte included.")] = False,
) -> None:
    """Explain one case: what it is, what the client sees, and what each policy should do.

    Example: mustaple cases show depth/lower-revoked
    """
    from mustaple.cli.common import print_json
    from mustaple.lab.cases import World, find
    from mustaple.lab.cases.export import entry
    from mustaple.report.cases_text import case_text

    case = find(name)
    made = entry(case, case.setup(World()))
    if json:
        print_json(made.model_dump(mode="json"))
    else:
        typer.echo(case_text(made))


@app.command()
def export(
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write it here; default: standard output.")] = None,
    family: Families = None,
    seed: Seed = None,
    at: At = None,
) -> None:
    """Write the corpus as one JSON file, for clients in other languages; see `mustaple cases schema`.

    The same seed and time give the same file, to the byte.

    Example: mustaple cases export --out corpus.json
    """
    from mustaple.lab.cases.export import export as export_cases
    from mustaple.report.check_output import report_output
    from mustaple.report.plain import json_text

    with report_output(out) as write:
        corpus = export_cases(_chosen(family), _world(seed, at))
        write(json_text(corpus.model_dump(mode="json", by_alias=True)) + "\n")


@app.command()
def run(
    case: Annotated[list[str] | None, typer.Argument(metavar="[CASE]...", help="Only these; default: all.")] = None,
    family: Families = None,
    preset: Annotated[
        list[str] | None, typer.Option("--preset", help="Only this preset; may be given several times.")
    ] = None,
    seed: Seed = None,
    at: At = None,
    json: Annotated[bool, typer.Option("--json", help="Print the deviations as JSON.")] = False,
) -> None:
    """Put every case before the strict client's judge. Exit 0: all as expected; 1: a deviation; 2: usage.

    Example: mustaple cases run --family clock --preset strict
    """
    from rich.console import Console
    from rich.progress import track

    from mustaple.cli.common import EXIT_REFUSED, print_json
    from mustaple.core.errors import InputError
    from mustaple.core.policy import PRESETS
    from mustaple.lab.cases import find
    from mustaple.lab.cases.running import run as run_cases
    from mustaple.report.cases_run import run_json
    from mustaple.report.cases_text import run_text

    presets = tuple(dict.fromkeys(preset or PRESETS))
    for name in presets:
        if name not in PRESETS:
            raise InputError(f"no preset is called {name!r}; there are {', '.join(PRESETS)}")
    chosen = tuple(map(find, dict.fromkeys(case))) if case else _chosen(family)
    progress = Console(stderr=True)
    judged = track(
        run_cases(chosen, _world(seed, at), presets),
        description="judging",
        total=len(chosen),
        console=progress,
        transient=True,
        disable=not progress.is_terminal,
    )
    tried = [each for found in judged for each in found]
    if json:
        print_json(run_json(tried))
    else:
        typer.echo(run_text(tried))
    if any(each.deviates for each in tried):
        raise typer.Exit(EXIT_REFUSED)


@app.command()
def schema() -> None:
    """Print the JSON schema of the exported corpus.

    Example: mustaple cases schema > corpus.schema.json
    """
    from mustaple.cli.common import print_json
    from mustaple.report.cases_corpus import corpus_schema

    print_json(corpus_schema())


app.command()(outside)


def _chosen(family: list[str] | None) -> tuple[Case, ...]:
    from mustaple.lab.cases import FAMILIES, cases

    return cases(dict.fromkeys(family or FAMILIES))


def _world(seed: str | None, at: str | None) -> World:
    from mustaple.cli.common import parse_time
    from mustaple.lab.cases import World
    from mustaple.lab.cases.world import AT, SEED

    moment = parse_time(at).replace(microsecond=0) if at is not None else AT
    return World(seed if seed is not None else SEED, moment)

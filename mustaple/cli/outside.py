"""`mustaple cases outside`: the corpus before judges of other making, side by side with ours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def outside(
    case: Annotated[list[str] | None, typer.Argument(metavar="[CASE]...", help="Only these; default: all.")] = None,
    family: Annotated[
        list[str] | None, typer.Option("--family", help="Only this family; may be given several times.", metavar="NAME")
    ] = None,
    judge: Annotated[
        list[str] | None,
        typer.Option("--judge", help="Only this judge; may be given several times. Default: all that are here."),
    ] = None,
    known: Annotated[
        Path | None,
        typer.Option("--known", help="Divergences that are known (docs/divergences.toml): exit 1 where others are."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show the cases too in which all agree.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Write docs/outside.md; needs --known.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, with what each judge said.")] = False,
) -> None:
    """Put the corpus to other people's judges of OCSP responses and CRLs: openssl, ocsptool, jsse, pyhanko, go.

    Exit 0, or 1 where --known is given and the run differs from it; 2: usage; 3: no judge is here.

    Example: mustaple cases outside --judge openssl --family freshness
    """
    from rich.console import Console
    from rich.progress import Progress

    from mustaple.cli.common import EXIT_NO_ANSWER, EXIT_REFUSED, print_json
    from mustaple.core.errors import InputError
    from mustaple.lab.cases import FAMILIES, cases, find
    from mustaple.lab.outside.comparing import compare
    from mustaple.lab.outside.judges import find_judges, judges_here
    from mustaple.report.outside_known import parse_known, surprises
    from mustaple.report.outside_markdown import outside_markdown
    from mustaple.report.outside_run import outside_json, outside_text

    if markdown and known is None:
        raise InputError("--markdown needs --known, which says why")
    file = parse_known(_text(known), str(known)) if known is not None else None
    chosen = tuple(map(find, dict.fromkeys(case))) if case else cases(dict.fromkeys(family or FAMILIES))
    judges = find_judges(judge) if judge else judges_here()
    if not judges:
        typer.echo("None of the judges is here; name one with --judge to see what it needs.", err=True)
        raise typer.Exit(EXIT_NO_ANSWER)
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("asking", total=None)
        run = compare(
            chosen,
            judges,
            start=lambda number: progress.update(task, total=number),
            heard=lambda: progress.advance(task),
        )
    if json:
        print_json(outside_json(run))
    elif markdown and file is not None:
        typer.echo(outside_markdown(run, file), nl=False)
    else:
        typer.echo(outside_text(run, everything=everything))
    found = surprises(run, file) if file is not None else []
    for line in found:
        typer.echo(line, err=True)
    if found:
        raise typer.Exit(EXIT_REFUSED)


def _text(path: Path) -> str:
    from mustaple.core.errors import InputError

    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}") from error

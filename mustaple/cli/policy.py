"""`mustaple policy`: show what a policy demands, check a policy file, and give the schema of such files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False, context_settings={"help_option_names": ["-h", "--help"]})


@app.callback(invoke_without_command=True)
def top(context: typer.Context) -> None:
    """Show what clients demand: presets, shipped policies, and policy files.

    Example: mustaple policy show must-staple
    """
    from mustaple.cli.common import EXIT_USAGE

    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(EXIT_USAGE)


@app.command()
def show(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME|FILE]", help="A preset, chromium, firefox, or a .toml file; default: all."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, with the keys of a policy file.")] = False,
) -> None:
    """Show a policy, axis by axis with what its values mean; without a name, all that have one side by side.

    Example: mustaple policy show strict
    """
    from rich.console import Console

    from mustaple.cli.common import print_json
    from mustaple.core.policy import PRESETS
    from mustaple.net.policy_file import SHIPPED, find_policy
    from mustaple.report.plain import printable
    from mustaple.report.policy_text import policies_table, policy_json, policy_table

    found = [find_policy(each) for each in ([name] if name is not None else [*PRESETS, *SHIPPED])]
    if json:
        values = [policy_json(each.policy, each.about, each.rests_on, each.measured_on) for each in found]
        print_json(values[0] if name is not None else {"policies": values})
        return
    console = Console(highlight=False, soft_wrap=False, markup=False)
    if name is None:
        console.print(policies_table(each.policy for each in found))
        return
    (one,) = found
    console.print(f"{printable(one.policy.name)}: {printable(one.about)}" if one.about else printable(one.policy.name))
    for what, texts in (("rests on", one.rests_on), ("measured on", one.measured_on)):
        for text in texts:
            typer.echo(f"{what}: {printable(text)}")
    console.print()
    console.print(policy_table(one.policy))


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="The policy file to check.")],
) -> None:
    """Check a policy file. Exit 0: it can be used; 2: it cannot, and one line says which key is wrong and why.

    Example: mustaple policy check policy.toml
    """
    from mustaple.net.policy_file import read_policy_file
    from mustaple.report.plain import printable

    policy = read_policy_file(file).policy
    typer.echo(f"{printable(str(file))}: a policy, called {printable(policy.name)}")


@app.command()
def schema() -> None:
    """Print the JSON schema of policy files, for editors and for other programs.

    Example: mustaple policy schema > policy.json
    """
    from mustaple.cli.common import print_json
    from mustaple.net.policy_model import schema as policy_schema

    print_json(policy_schema())

"""`mustaple compare`: soft fail against hard fail, measured over real sockets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mustaple.cli.forms import Form, Json, Output, StudyForm

if TYPE_CHECKING:
    from mustaple.report.comparison import Comparison

app = typer.Typer(add_completion=False, context_settings={"help_option_names": ["-h", "--help"]})


@app.command()
def compare(
    preset: Annotated[
        list[str] | None, typer.Option("--preset", help="Only this preset; may be given several times.")
    ] = None,
    case: Annotated[
        list[str] | None,
        typer.Option("--case", help="Only this case, or one of the corpus by its id; may be given several times."),
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="The whole grid: every world, every attacker, every server.")
    ] = False,
    corpus: Annotated[
        bool, typer.Option("--corpus", help="Every case of `mustaple cases`, live; with --full, too.")
    ] = False,
    family: Annotated[
        list[str] | None, typer.Option("--family", help="The same of this family alone; may be repeated.")
    ] = None,
    client: Annotated[
        list[str] | None,
        typer.Option("--client", help="Also this program, a recipe of `mustaple grade client`; may be repeated."),
    ] = None,
    clients: Annotated[bool, typer.Option("--clients", help="Also every such program that is installed.")] = False,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same verdicts.")] = 1,
    resume: Annotated[
        Path | None,
        typer.Option("--resume", metavar="FILE", help="Keep the cells there, and measure only what it lacks."),
    ] = None,
    cost: Annotated[
        bool,
        typer.Option("--cost", help="Instead: what each way of checking costs over round trips, in time and bytes."),
    ] = False,
    quick: Annotated[bool, typer.Option("--quick", help="With --cost: a small grid, in seconds.")] = False,
    svg: Annotated[
        Path | None, typer.Option("--svg", metavar="FILE", help="With --cost: draw the picture there.")
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Also the costs and the simulation, with all of it on one page."),
    ] = None,
    form: StudyForm = Form.TEXT,
    json: Json = False,
    output: Output = None,
) -> None:
    """Try every preset of the strict client in every case, and say who was right.

    It issues its own certificates and starts its own responder and servers on loopback. ATTACK is a
    certificate accepted while revoked: it succeeded. OUTAGE is one refused while good: a false outage.
    With --full it also says what each visit cost, and what it told the CA. With --cost it measures how long a
    connection takes with no check, a CRL, OCSP and staples, while a relay puts in round trips. With --full --html
    it does both and simulates the long view, in some two minutes, and makes a page of it.

    Example: mustaple compare --preset soft-fail --preset must-staple

    Example: mustaple compare --full --html report.html --resume cells.jsonl
    """
    from contextlib import ExitStack

    from mustaple.cli.common import complain
    from mustaple.cli.progress import Bar
    from mustaple.core.errors import InputError
    from mustaple.lab.compare.choosing import Choice, order_of
    from mustaple.lab.compare.ledger import Ledger
    from mustaple.lab.compare.order import compare as run
    from mustaple.report.check_output import report_output

    form = Form.JSON if json else form
    if cost:
        from mustaple.cli.compare_cost import compare_cost

        chosen = (preset, case, full, corpus, family, client, clients, resume, html)
        if any(chosen):
            raise InputError("--cost has cases and clients of its own: it takes --quick, --svg, --format and --output")
        compare_cost(form, output, svg, quick=quick)
        return
    if quick or svg is not None:
        raise InputError("--quick and --svg are for --cost")
    order = order_of(
        Choice(
            presets=tuple(preset or ()),
            cases=tuple(case or ()),
            full=full,
            corpus=corpus,
            families=tuple(family or ()),
            clients=tuple(client or ()),
            every_client=clients,
            html=str(html) if html is not None else None,
            seed=seed,
        )
    )
    with ExitStack() as stack:
        write = stack.enter_context(report_output(output))
        ledger = stack.enter_context(Ledger.opened(resume, seed))
        try:
            if html is not None:
                from mustaple.cli.compare_study import compare_study

                found = compare_study(order, ledger, html, full=full)
            else:
                left = len(frozenset(order.keys) - ledger.cells.keys())
                with Bar.shown(left, "comparing") as bar:
                    found = run(order, ledger, bar.step)
        except KeyboardInterrupt:
            if resume is not None:
                complain(f"interrupted: {resume} holds what was measured; the same command goes on from there")
            raise
        write(_written(found, form))


def _written(found: Comparison, form: Form) -> str:
    from mustaple.report.compare_data import compare_csv, compare_json, compare_markdown

    if form is Form.TEXT:
        from rich.console import Console

        from mustaple.report.compare_text import compare_text

        console = Console()
        with console.capture() as capture:
            console.print(compare_text(found, console.width))
        # A table is padded to its width, which nobody needs in a file.
        return "".join(f"{line.rstrip()}\n" for line in capture.get().splitlines())
    if form is Form.JSON:
        return compare_json(found)
    return compare_csv(found) if form is Form.CSV else compare_markdown(found)

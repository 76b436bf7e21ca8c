"""`mustaple collect`: receive Expect-Staple reports, and show what came."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False)


@app.command()
def collect(
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: a free one.")] = 8555,
    database: Annotated[
        Path | None, typer.Option("--database", metavar="FILE", help="Keep the reports here, in SQLite.")
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Print what is in --database, and end.")] = False,
    json: Annotated[bool, typer.Option("--json", help="With --show: print it as JSON.")] = False,
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    expose: Annotated[bool, typer.Option("--expose", help="Allow an address that other machines can reach.")] = False,
    per_client: Annotated[
        int | None, typer.Option("--per-client", min=1, help="Requests a minute from one address; default 60.")
    ] = None,
) -> None:
    """Receive the reports of clients that found an Expect-Staple host not stapling, until SIGINT or SIGTERM.

    A host asks for them with its header: Expect-Staple: max-age=86400; report-uri="http://127.0.0.1:8555/"

    Each is shown on stderr as it comes. The last 2000 are kept whole, and of each host and status how many came.

    Example: mustaple collect --database reports.db; mustaple collect --database reports.db --show
    """
    import sys
    from contextlib import ExitStack

    from mustaple.cli.common import EXIT_INTERNAL, complain, print_json
    from mustaple.cli.running import taking_orders
    from mustaple.core.errors import InputError
    from mustaple.net.collector import PER_CLIENT, CollectorServer
    from mustaple.net.report_store import ReportStore
    from mustaple.report.collect_text import subject_line, tallies_json, tallies_text

    if show:
        if database is None:
            raise InputError("there is nothing to show without --database")
        with ReportStore(database, create=False) as store:
            tallies = store.tallies()
        if json:
            print_json(tallies_json(tallies))
        else:
            typer.echo(tallies_text(tallies))
        return
    if json:
        raise InputError("--json is for --show")
    with ExitStack() as stack:
        orders = stack.enter_context(taking_orders())
        store = stack.enter_context(ReportStore(database))
        server = CollectorServer(
            store,
            host=host,
            port=port,
            expose=expose,
            per_client=per_client if per_client is not None else PER_CLIENT,
            on_report=lambda subject: complain(subject_line(subject)),
            on_end=orders.end,
        )
        stack.callback(server.close)
        server.start()
        typer.echo(f"Expect-Staple reports at {server.url} (ends with SIGINT or SIGTERM)")
        sys.stdout.flush()
        orders.wait()
        if server.stopped:
            complain("the HTTP server ended by itself")
            raise typer.Exit(EXIT_INTERNAL)

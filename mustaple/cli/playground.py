"""`mustaple playground`: every case of the corpus as a live endpoint, with a page that lists and tries them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False)


@app.command()
def playground(
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="The TLS port of all cases; 0: a free one.")
    ] = 8443,
    page_port: Annotated[
        int, typer.Option("--page-port", min=0, max=65535, help="The page over plain HTTP; 0: a free port.")
    ] = 8080,
    ports: Annotated[
        int | None,
        typer.Option("--ports", min=1, max=65535, metavar="FIRST", help="Also a port for each case, from this one on."),
    ] = None,
    case: Annotated[
        list[str] | None, typer.Option("--case", help="Only this case; may be given several times.", metavar="ID")
    ] = None,
    family: Annotated[
        list[str] | None, typer.Option("--family", help="Only this family; may be given several times.", metavar="NAME")
    ] = None,
    root_out: Annotated[
        Path | None, typer.Option("--root-out", help="Write the root that clients have to trust here, as PEM.")
    ] = None,
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    expose: Annotated[
        bool, typer.Option("--expose", "--i-know", help="Allow an address that other machines can reach.")
    ] = False,
) -> None:
    """Serve every case of the corpus at a name of its own, until SIGINT or SIGTERM.

    Its page lists them, says how to trust the root and what each kind of client should do, and tries
    what the browser that looks at it does. The root is new at each start, and its key is never written.

    Example: mustaple playground --family freshness --root-out root.pem
    """
    import sys
    from contextlib import ExitStack

    from mustaple.cli.common import EXIT_INTERNAL, complain
    from mustaple.cli.running import taking_orders
    from mustaple.lab.cases import FAMILIES, cases, find
    from mustaple.lab.playground import Playground

    chosen = [*map(find, case or ()), *cases(family or (() if case else FAMILIES))]
    with ExitStack() as stack:
        orders = stack.enter_context(taking_orders())
        served = Playground(
            {each.id: each for each in chosen}.values(),
            host=host,
            port=port,
            page_port=page_port,
            first_port=ports,
            expose=expose,
            on_end=orders.end,
        )
        stack.callback(served.close)
        if root_out is not None:
            _write_root(root_out, served.root_pem)
        served.start()
        typer.echo(f"{len(served.server.cases)} cases: see {served.page_url}, or {served.url} once its root is trusted")
        typer.echo("(ends with SIGINT or SIGTERM)")
        sys.stdout.flush()
        orders.wait()
        if served.ended.is_set():
            complain("the HTTP server ended by itself")
            raise typer.Exit(EXIT_INTERNAL)


def _write_root(path: Path, pem: bytes) -> None:
    from certtools.ca_dir.files import PUBLIC, write_atomic
    from mustaple.core.errors import InputError

    try:
        write_atomic(path, pem, PUBLIC)
    except OSError as error:
        raise InputError(f"cannot write the root {path}: {error.strerror or error}") from error

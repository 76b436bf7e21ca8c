"""`mustaple serve --misbehave`: the server of a directory, with staples and connections that go wrong as told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from pathlib import Path


def serve_misbehaving(directory: Path, misbehave: list[str], **how: Any) -> None:
    """Serve until SIGINT or SIGTERM; `how` are arguments of `MisbehavingStapler`.

    Raises InputError for a misbehaviour that a server does not have, an address beyond loopback that nobody knows of, a
    port in use, and a directory without a chain, its key or its CA.
    """
    import sys
    from contextlib import ExitStack

    from mustaple.cli.common import read_chain
    from mustaple.cli.running import taking_orders
    from mustaple.cli.serve import read_key, up_to_root
    from mustaple.lab.misbehaviour import MisbehavingStapler

    with ExitStack() as stack:
        orders = stack.enter_context(taking_orders())
        chain = up_to_root(directory, read_chain(directory / "chain.pem", "certificate chain"))
        key = read_key(directory / "key.pem")
        server = stack.enter_context(MisbehavingStapler(directory, chain.links, key, misbehave, **how))
        said = f", control at {server.control_url}" if server.control_url is not None else ""
        typer.echo(f"TLS at {server.url}, misbehaving{said} (ends with SIGINT or SIGTERM)")
        sys.stdout.flush()
        orders.wait()

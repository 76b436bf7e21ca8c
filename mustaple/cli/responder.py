"""`mustaple responder`: the OCSP and CRL responder of a CA directory."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mustaple.lab.misbehaviour import MisbehavingResponder
    from mustaple.net.responder import ResponderServer

app = typer.Typer(add_completion=False)


class SignedBy(enum.StrEnum):
    """Who signs the answers."""

    DIRECT = "direct"
    DELEGATED = "delegated"


class NamedBy(enum.StrEnum):
    """How an answer names its signer."""

    NAME = "name"
    KEY = "key"


def _list(wanted: bool) -> None:
    if not wanted:
        return
    from mustaple.lab.misbehaviour import BEHAVIOURS

    for each in BEHAVIOURS.values():
        name = each.name if each.default is None else f"{each.name}={each.default}"
        typer.echo(f"{name:<30} {each.about}")
    raise typer.Exit


@app.command()
def responder(
    directory: Annotated[Path, typer.Argument(help="A CA directory, or the folder that `mustaple issue` made.")],
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65535, help="0: a free one. Default: that of the OCSP URL.")
    ] = None,
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    expose: Annotated[bool, typer.Option("--expose", help="Allow an address that other machines can reach.")] = False,
    signer: Annotated[
        SignedBy, typer.Option("--signer", help="Sign with the CA's key, or with that of an OCSP signer it issued.")
    ] = SignedBy.DIRECT,
    responder_id: Annotated[
        NamedBy, typer.Option("--responder-id", help="Name the signer by its name, or by the hash of its key.")
    ] = NamedBy.NAME,
    valid_for: Annotated[str, typer.Option("--valid-for", help="How long an answer lives, as 300s, 12h, 1d.")] = "1d",
    log: Annotated[
        Path | None, typer.Option("--log", help="Append a line of JSON for each request to this file.")
    ] = None,
    misbehave: Annotated[
        list[str] | None,
        typer.Option(
            "--misbehave",
            metavar="NAME[=VALUE][@WHEN]",
            help="Do this wrong; of several the first that holds. WHEN: after=N, first=N, every=N, 9s..20s, serial=HEX",
        ),
    ] = None,
    control: Annotated[
        int | None,
        typer.Option("--control", min=0, max=65535, help="Show and change the misbehaviour over HTTP, on loopback."),
    ] = None,
    i_know: Annotated[
        bool, typer.Option("--i-know", help="Misbehave at an address that other machines can reach.")
    ] = False,
    list_misbehaviours: Annotated[
        bool,
        typer.Option("--list-misbehaviours", is_eager=True, callback=_list, help="List what --misbehave takes."),
    ] = False,
) -> None:
    """Answer OCSP requests and serve CRLs for the CAs of a directory, until SIGINT or SIGTERM.

    A revocation made by another process is told at once. Without --log, requests are shown on stderr.

    Example: mustaple responder d --misbehave try-later@every=2 --misbehave slow=3s
    """
    import sys
    from contextlib import ExitStack

    from mustaple.cli.common import EXIT_INTERNAL, complain, parse_duration
    from mustaple.cli.running import taking_orders
    from mustaple.core.errors import InputError
    from mustaple.net.responder import RequestLog, ResponderId, ResponderServer

    with ExitStack() as stack:
        orders = stack.enter_context(taking_orders())
        if log is None:
            requests = RequestLog(sys.stderr, text=True)
        else:
            try:
                requests = RequestLog(stack.enter_context(log.open("a", encoding="utf-8")))
            except OSError as error:
                raise InputError(f"cannot write the log {log}: {error.strerror or error}") from error
        asked: dict[str, Any] = {
            "delegated": signer is SignedBy.DELEGATED,
            "responder_id": ResponderId(responder_id.value),
            "valid_for": parse_duration(valid_for),
            "port": port,
            "host": host,
            "log": requests,
            "on_end": orders.end,
        }
        server: ResponderServer | MisbehavingResponder
        if misbehave or control is not None:
            from mustaple.lab.misbehaviour import MisbehavingResponder

            server = MisbehavingResponder(directory, misbehave or (), control=control, i_know=i_know, **asked)
            said = f", control at {server.control_url}" if server.control_url is not None else ""
        else:
            if i_know:
                raise InputError("--i-know is for --misbehave and --control")
            server, said = ResponderServer.of_directory(directory, expose=expose, **asked), ""
        stack.enter_context(server)
        typer.echo(f"OCSP at {server.url}, CRLs under {server.root}/crl/{said} (ends with SIGINT or SIGTERM)")
        sys.stdout.flush()
        orders.wait()
        if server.ended.is_set():
            complain("the HTTP server ended by itself")
            raise typer.Exit(EXIT_INTERNAL)

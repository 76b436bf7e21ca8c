"""`mustaple check`: connect as the strict client does, and say whether the server keeps its promise."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False)


class Preset(enum.StrEnum):
    """The policies that have a name."""

    IGNORE = "ignore"
    SOFT_FAIL = "soft-fail"
    MUST_STAPLE = "must-staple"
    HARD_FAIL = "hard-fail"
    STRICT = "strict"


class Version(enum.StrEnum):
    """A TLS version."""

    TLS_1_2 = "1.2"
    TLS_1_3 = "1.3"


class EngineName(enum.StrEnum):
    """A TLS library; see `mustaple.net.engines`."""

    AUTO = "auto"
    OPENSSL = "openssl"
    RFC6961 = "rfc6961"


@app.command()
def check(
    target: Annotated[str, typer.Argument(help="HOST:PORT; without a port, 443.", metavar="HOST:PORT")],
    ca: Annotated[
        list[Path] | None,
        typer.Option("--ca", help="Trust this file or folder of CA certificates; default the system's."),
    ] = None,
    policy: Annotated[Preset, typer.Option("--policy", help="What to demand.")] = Preset.STRICT,
    sni: Annotated[
        str | None, typer.Option("--sni", metavar="NAME", help="Ask for this name and find it in the certificate.")
    ] = None,
    connect: Annotated[
        str | None, typer.Option("--connect", metavar="ADDR:PORT", help="Connect there, whatever HOST resolves to.")
    ] = None,
    timeout: Annotated[
        str, typer.Option("--timeout", help="For the handshake, and again for what is fetched.")
    ] = "10s",
    wait: Annotated[str, typer.Option("--wait", help="How long to try again while the port refuses.")] = "0s",
    at: Annotated[
        str | None, typer.Option("--at", help="Judge path and evidence at this time (ISO 8601, UTC); default now.")
    ] = None,
    cert: Annotated[
        Path | None, typer.Option("--cert", help="The client's own certificate, for servers that ask.")
    ] = None,
    key: Annotated[Path | None, typer.Option("--key", help="Its key; default in the same file.")] = None,
    tls_max: Annotated[Version | None, typer.Option("--tls-max", help="Offer no TLS version above this one.")] = None,
    engine: Annotated[
        EngineName,
        typer.Option("--engine", help="rfc6961 asks for every staple in TLS 1.2 too; auto tries it where it can tell."),
    ] = EngineName.AUTO,
    json: Annotated[bool, typer.Option("--json", help="Print the verdict as JSON.")] = False,
) -> None:
    """Connect to a TLS server and judge every certificate's revocation evidence.

    Exit 0: accepted; 1: refused, also for the path or the name; 2: usage; 3: nobody answered, or not in TLS.

    The verdict is reached inside the handshake: a server that is refused for its staples gets alert 113 and no data.

    Example: mustaple check localhost:8443 --ca d/root.pem --policy must-staple
    """
    from mustaple.cli.common import EXIT_REFUSED, parse_address, parse_duration, parse_time, print_json
    from mustaple.net.client import check as check_server

    host, port = parse_address(target, 443)
    verdict = check_server(
        host,
        port,
        policy.value,
        ca=ca or None,
        server_name=sni,
        address=parse_address(connect, port) if connect is not None else None,
        timeout=parse_duration(timeout).total_seconds(),
        wait=parse_duration(wait).total_seconds(),
        at=parse_time(at) if at is not None else None,
        certificate=cert,
        key=key,
        maximum=f"TLSv{tls_max.value}" if tls_max is not None else None,
        engine=engine.value,
    )
    if json:
        from mustaple.report.verdict_json import verdict_json

        print_json({"target": target, **verdict_json(verdict)})
    else:
        from mustaple.report.verdict_text import verdict_text

        typer.echo(verdict_text(verdict, target))
    if not verdict.accepted:
        raise typer.Exit(EXIT_REFUSED)

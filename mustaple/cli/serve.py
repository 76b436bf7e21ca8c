"""`mustaple serve`: a TLS server that staples the leaf."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from certtools.chain import Chain, Link
    from certtools.keys import PrivateKey
    from mustaple.net.keeper import StapleKeeper
    from mustaple.net.server import ConnectionRecord

app = typer.Typer(add_completion=False)

_WORDS = ("leaf", "none")


class Version(enum.StrEnum):
    """A TLS version."""

    TLS_1_2 = "1.2"
    TLS_1_3 = "1.3"


@app.command()
def serve(
    directory: Annotated[Path, typer.Argument(help="The folder that `mustaple issue` made: chain.pem and key.pem.")],
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: a free one.")] = 8443,
    staple: Annotated[
        str, typer.Option("--staple", help="leaf: fetched from the URL in the leaf; none; or a file of DER.")
    ] = "leaf",
    tls: Annotated[Version | None, typer.Option("--tls", help="Only this version; default both.")] = None,
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    expose: Annotated[bool, typer.Option("--expose", help="Allow an address that other machines can reach.")] = False,
) -> None:
    """Serve a small page over TLS with a staple for the leaf, until SIGINT or SIGTERM.

    The staple is fetched anew at half of its life, and at once on SIGHUP. What is stapled is said on stderr, and so
    is every client that ends the handshake.

    Example: mustaple serve d --port 8443
    """
    import sys
    from contextlib import ExitStack

    from mustaple.cli.common import complain, read_chain
    from mustaple.cli.running import taking_orders
    from mustaple.net.server import Ended, StaplingServer

    def seen(record: ConnectionRecord) -> None:
        if record.ended in {Ended.REFUSED, Ended.FAILED}:
            complain(str(record))

    with ExitStack() as stack:
        orders = stack.enter_context(taking_orders())
        chain = read_chain(directory / "chain.pem", "certificate chain")
        key = _read_key(directory / "key.pem")
        # The port is taken here; who connects while the first staple is still being fetched waits for it.
        server = StaplingServer(
            chain.certificates[:-1] if chain.complete and chain.links else chain.certificates,
            key,
            None if staple in _WORDS else _read_staple(Path(staple), directory, chain),
            host=host,
            port=port,
            expose=expose,
            minimum=(tls or Version.TLS_1_2).value,
            maximum=(tls or Version.TLS_1_3).value,
            on_event=seen,
        )
        stack.callback(server.close)
        keeper = None
        if staple == "leaf":
            keeper = stack.enter_context(_keeper(directory, chain))
            keeper.start()
            server.staple = keeper.staple
        server.start()
        typer.echo(f"TLS at {server.url} (ends with SIGINT or SIGTERM)")
        sys.stdout.flush()
        orders.wait(keeper.refresh if keeper is not None else None)


def _keeper(directory: Path, chain: Chain) -> StapleKeeper:
    from mustaple.cli.common import complain
    from mustaple.core.errors import InputError
    from mustaple.net.fetch import ocsp_urls
    from mustaple.net.keeper import StapleKeeper

    if not ocsp_urls(chain.leaf):
        raise InputError("the leaf names no OCSP URL to fetch a staple from; use --staple none, or a file")
    return StapleKeeper(_leaf_link(directory, chain), on_change=complain)


def _leaf_link(directory: Path, chain: Chain) -> Link:
    """The leaf and its issuer, which is the root where chain.pem holds the leaf alone."""
    from certtools.chain import build_chain
    from mustaple.cli.common import read_chain

    if not chain.links:
        root = read_chain(directory / "root.pem", "root certificate")
        chain = build_chain([chain.leaf, *root.certificates], leaf=chain.leaf)
    return chain.links[0]


def _read_staple(path: Path, directory: Path, chain: Chain) -> bytes:
    """The bytes to staple whatever they say; what they say is told."""
    from datetime import UTC, datetime

    from mustaple.cli.common import complain, read_file
    from mustaple.core.ocsp import judge
    from mustaple.core.verdict import Source

    data = read_file(path, "staple")
    said = judge(data, _leaf_link(directory, chain), datetime.now(UTC), source=Source.STAPLE, origin=str(path))
    why = "".join(f"; {reason.detail}" for reason in said.reasons)
    until = "" if said.dies_at is None else f", until {said.dies_at:%Y-%m-%d %H:%M:%S} UTC"
    complain(f"stapling {path}: {said.status}{until}{why}")
    return data


def _read_key(path: Path) -> PrivateKey:
    from certtools.keys import KeyKindError, load_key
    from mustaple.cli.common import read_file
    from mustaple.core.errors import InputError

    try:
        return load_key(read_file(path, "private key"))
    except KeyKindError as error:
        raise InputError(f"{path}: {error}") from error

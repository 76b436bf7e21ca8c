"""`mustaple serve`: a TLS server that staples for the leaf, or for every certificate of its chain."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography import x509

    from certtools.chain import Chain, Link
    from certtools.keys import PrivateKey
    from mustaple.net.chain_keeper import ChainKeeper
    from mustaple.net.keeper import StapleKeeper
    from mustaple.net.server import ConnectionRecord, StaplingServer
    from mustaple.net.stapling_server import ChainStaplingServer

app = typer.Typer(add_completion=False)

_FETCHED: Final = ("leaf", "chain")
_WORDS: Final = (*_FETCHED, "none")


class Version(enum.StrEnum):
    """A TLS version."""

    TLS_1_2 = "1.2"
    TLS_1_3 = "1.3"


@app.command()
def serve(
    directory: Annotated[
        Path | None, typer.Argument(help="The folder that `mustaple issue` made: chain.pem and key.pem.")
    ] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: a free one.")] = 8443,
    staple: Annotated[
        str,
        typer.Option(
            "--staple",
            metavar="leaf|chain|none|FILE",
            help="The leaf's, or one for every certificate below the root, fetched; none; or a file of DER.",
        ),
    ] = "leaf",
    tls: Annotated[Version | None, typer.Option("--tls", help="Only this version; default both.")] = None,
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    expose: Annotated[bool, typer.Option("--expose", help="Allow an address that other machines can reach.")] = False,
    expect_staple: Annotated[
        str | None,
        typer.Option("--expect-staple", metavar="VALUE", help="Send this Expect-Staple header, as 'max-age=86400'."),
    ] = None,
    case: Annotated[
        str | None,
        typer.Option(
            "--case", metavar="ID", help="Serve this case of the corpus, from no directory (`mustaple cases`)."
        ),
    ] = None,
    misbehave: Annotated[
        list[str] | None,
        typer.Option(
            "--misbehave",
            metavar="NAME[=VALUE][@WHEN]",
            help="Staple this wrong, or treat connections so; as `mustaple responder --list-misbehaviours` has it.",
        ),
    ] = None,
    control: Annotated[
        int | None,
        typer.Option(
            "--control", min=0, max=65535, help="Show and change the misbehaviour or case over HTTP, on loopback."
        ),
    ] = None,
    ca_out: Annotated[
        Path | None, typer.Option("--ca-out", help="With --case: write the root that clients have to trust here.")
    ] = None,
    i_know: Annotated[
        bool, typer.Option("--i-know", help="Serve that at an address that other machines can reach.")
    ] = False,
) -> None:
    """Serve a small page over TLS with a staple for the leaf, or for every certificate, until SIGINT or SIGTERM.

    A staple is fetched anew at half of its life, and at once on SIGHUP. What is stapled is said on stderr, and so
    is every client that ends the handshake. With `--staple chain` the TLS is tlslite-ng's, for tests and probes:
    ocsp_multi in TLS 1.2 (RFC 6961), and in TLS 1.3 a staple with each certificate. So is it with `--case`, which
    has a root, a server's certificate and a responder of its own, all new at each start.

    Example: mustaple serve d --staple chain --tls 1.2

    Example: mustaple serve d --misbehave revoked@every=2

    Example: mustaple serve --case freshness/expired --ca-out root.pem
    """
    import sys
    from contextlib import ExitStack

    from mustaple.cli.common import complain, read_chain
    from mustaple.cli.running import taking_orders
    from mustaple.core.errors import InputError
    from mustaple.net.tls_session import Ended

    def seen(record: ConnectionRecord) -> None:
        if record.ended in {Ended.REFUSED, Ended.FAILED}:
            complain(str(record))

    if case is not None:
        said = {"directory": directory, "expose": expose, "tls": tls, "expect_staple": expect_staple}
        _refuse_beside_case(said | {"misbehave": misbehave, "staple": staple != "leaf"})
        from mustaple.cli.serve_case import serve_case

        serve_case(case, host, port, ca_out=ca_out, i_know=i_know, control=control)
        return
    if directory is None:
        raise InputError("name a directory, or a --case")
    misbehaving = bool(misbehave) or control is not None
    if ca_out is not None or (i_know and not misbehaving):
        raise InputError("--ca-out is for --case, and --i-know for that, --misbehave and --control")
    listening: dict[str, Any] = {
        "host": host,
        "port": port,
        "minimum": (tls or Version.TLS_1_2).value,
        "maximum": (tls or Version.TLS_1_3).value,
        "on_event": seen,
        "expect_staple": expect_staple,
    }
    if misbehaving:
        if staple not in _FETCHED:
            raise InputError("with --misbehave the staple is leaf or chain, signed by the keys of the CA directory")
        from mustaple.cli.serve_misbehaving import serve_misbehaving

        told: dict[str, Any] = {"leaf_only": staple == "leaf", "i_know": i_know, "control": control}
        serve_misbehaving(directory, misbehave or [], **told, **listening)
        return
    with ExitStack() as stack:
        orders = stack.enter_context(taking_orders())
        chain = read_chain(directory / "chain.pem", "certificate chain")
        key = read_key(directory / "key.pem")
        if staple == "chain":
            chain = up_to_root(directory, chain)
        given = None if staple in _WORDS else _read_staple(Path(staple), directory, chain)
        keeper = _keeper(directory, chain, whole=staple == "chain") if staple in _FETCHED else None
        # The port is taken here; who connects while the first staple is still being fetched waits for it.
        server = _server(
            [link.subject for link in chain.links] if staple == "chain" else _below_root(chain),
            key,
            given if keeper is None else keeper,
            expose=expose,
            **listening,
        )
        stack.callback(server.close)
        if keeper is not None:
            stack.callback(keeper.close)
            keeper.start()
        server.start()
        typer.echo(f"TLS at {server.url} (ends with SIGINT or SIGTERM)")
        sys.stdout.flush()
        orders.wait(keeper.refresh if keeper is not None else None)


def _refuse_beside_case(said: dict[str, object]) -> None:
    """A case brings its own certificates, staples and versions."""
    from mustaple.core.errors import InputError

    for name, value in said.items():
        if value:
            what = "a directory" if name == "directory" else f"--{name.replace('_', '-')}"
            raise InputError(f"a case brings everything with it, so --case takes no {what.removeprefix('a ')}")


def _server(
    certificates: Sequence[x509.Certificate],
    key: PrivateKey,
    staple: ChainKeeper | StapleKeeper | bytes | None,
    **options: Any,
) -> ChainStaplingServer | StaplingServer:
    """OpenSSL's server staples for the leaf alone; the stapling engine's for every certificate."""
    from mustaple.net.chain_keeper import ChainKeeper
    from mustaple.net.keeper import StapleKeeper

    if isinstance(staple, ChainKeeper):
        from mustaple.net.stapling_server import ChainStaplingServer

        return ChainStaplingServer(certificates, key, staple.staples, **options)
    from mustaple.net.server import StaplingServer

    return StaplingServer(certificates, key, staple.staple if isinstance(staple, StapleKeeper) else staple, **options)


def _keeper(directory: Path, chain: Chain, *, whole: bool) -> ChainKeeper | StapleKeeper:
    from mustaple.cli.common import complain
    from mustaple.core.errors import InputError
    from mustaple.net.chain_keeper import ChainKeeper
    from mustaple.net.fetch import ocsp_urls
    from mustaple.net.keeper import StapleKeeper

    links = chain.links if whole else (_leaf_link(directory, chain),)
    if not any(ocsp_urls(link.subject) for link in links):
        who = "no certificate of the chain names an" if whole else "the leaf names no"
        raise InputError(f"{who} OCSP URL to fetch a staple from; use --staple none, or a file")
    return ChainKeeper(links, on_change=complain) if whole else StapleKeeper(links[0], on_change=complain)


def _below_root(chain: Chain) -> tuple[x509.Certificate, ...]:
    """What is sent: a root that is there is not, by custom, unless there is nothing else."""
    return chain.certificates[:-1] if chain.complete and chain.links else chain.certificates


def _leaf_link(directory: Path, chain: Chain) -> Link:
    """The leaf and its issuer, which is the root where chain.pem holds the leaf alone."""
    return (chain if chain.links else up_to_root(directory, chain)).links[0]


def up_to_root(directory: Path, chain: Chain) -> Chain:
    """The chain with the root above it, which is not sent: only with it can anybody ask for the status of its top."""
    from certtools.chain import ChainError, build_chain
    from mustaple.core.errors import InputError

    if chain.complete and chain.links:
        return chain
    roots = [each for each in _roots(directory) if each not in chain.certificates]
    try:
        return build_chain(chain.certificates, leaf=chain.leaf, anchors=roots, complete=True)
    except ChainError as error:
        raise InputError(f"{directory}: {error}") from error


def _roots(directory: Path) -> list[x509.Certificate]:
    """The certificates of root.pem, or where there is none those of the CA directory."""
    from mustaple.cli.common import read_certificates

    file = directory / "root.pem"
    if file.exists() or not (directory / "ca").is_dir():
        return read_certificates(file, "root certificate")
    from certtools.ca_dir import CaDir

    with CaDir.open(directory) as ca:
        return [authority.certificate for authority in ca.issuers()]


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


def read_key(path: Path) -> PrivateKey:
    """The private key in a file. Raises InputError, with the file's name, where there is none."""
    from certtools.keys import KeyKindError, load_key
    from mustaple.cli.common import read_file
    from mustaple.core.errors import InputError

    try:
        return load_key(read_file(path, "private key"))
    except KeyKindError as error:
        raise InputError(f"{path}: {error}") from error

"""`mustaple fetch`: OCSP for every certificate of a chain, judged, written as a staple set."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mustaple.net.server_files import ServerFormat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cryptography.x509 import Certificate

    from certtools.chain import Chain
    from mustaple.net.multistaple import Gathered, Gathering, StapleSet

app = typer.Typer(add_completion=False)


@app.command()
def fetch(
    chain: Annotated[
        Path,
        typer.Argument(metavar="CHAIN", help="The certificate with those above it (PEM, DER, PKCS#12); - for stdin."),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder for the staples; made if missing.")],
    issuer: Annotated[
        list[Path] | None,
        typer.Option("--issuer", "--ca", help="Certificates that end the chain; default: root.pem beside CHAIN."),
    ] = None,
    responder: Annotated[
        str | None, typer.Option("--responder", help="Ask this URL, not those in the certificates.")
    ] = None,
    server_format: Annotated[
        list[ServerFormat] | None,
        typer.Option(
            "--format", help="Write the files of this server, too, now and later; may be given several times."
        ),
    ] = None,
    timeout: Annotated[str, typer.Option("--timeout", help="The deadline for everything together.")] = "10s",
    force: Annotated[
        bool, typer.Option("--force", help="Ask for what is still fresh, and whoever wants to be left alone.")
    ] = False,
    nonce: Annotated[
        bool, typer.Option("--nonce", help="Send a nonce with each request, and ask for all anew.")
    ] = False,
    proxy: Annotated[
        str | None, typer.Option("--proxy", help="An HTTP proxy; default: the usual environment variables.")
    ] = None,
    max_age: Annotated[str, typer.Option("--max-age", help="How long after thisUpdate an answer may serve.")] = "10d",
    allow_sha1: Annotated[bool, typer.Option("--allow-sha1", help="Accept a SHA-1 signature.")] = False,
    allow_no_next_update: Annotated[
        bool, typer.Option("--allow-no-next-update", help="Accept an answer without nextUpdate while it is young.")
    ] = False,
    require_nocheck: Annotated[
        bool, typer.Option("--require-nocheck", help="Refuse a delegated signer without id-pkix-ocsp-nocheck.")
    ] = False,
    trusted_responder: Annotated[
        list[Path] | None, typer.Option("--trusted-responder", help="A signer accepted for every issuer.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print what was got as JSON.")] = False,
) -> None:
    """Fetch an OCSP response for every certificate below the root, all at once, and keep the good ones.

    Exit 0: each has a good staple; 1: an answer was bad; 3: nobody answered. Staples that are still fresh are not
    asked for again. DIR gets one DER file for each certificate and manifest.json; with --format also CHAIN.ocsp
    (haproxy), leaf.der (nginx, lighttpd, hitch), gnutls-0.der and so on, ocsp_multi.bin (rfc6961).

    Example: mustaple fetch d/chain.pem --out d/staples --format nginx
    """
    from mustaple.cli.common import EXIT_ACCEPTED, EXIT_NO_ANSWER, EXIT_REFUSED, parse_duration, read_certificate
    from mustaple.core.errors import InputError
    from mustaple.core.policy import NoNextUpdate, Rules, UncheckedDelegate, WeakSignature
    from mustaple.net.multistaple import Gathering, Outcome

    seconds = parse_duration(timeout).total_seconds()
    if not seconds:
        raise InputError("a deadline of 0 s leaves no time to ask anybody")
    if responder is not None and not responder.lower().startswith(("http://", "https://")):
        raise InputError(f"{responder!r} is not an http or https URL")
    rules = Rules(
        max_age=parse_duration(max_age),
        weak_signature=WeakSignature.ALLOW_SHA1 if allow_sha1 else WeakSignature.REFUSE,
        unchecked_delegate=UncheckedDelegate.REFUSE if require_nocheck else UncheckedDelegate.ACCEPT,
        no_next_update=NoNextUpdate.BY_AGE if allow_no_next_update else NoNextUpdate.REFUSE,
        trusted_responders=tuple(read_certificate(path, "responder certificate") for path in trusted_responder or ()),
    )
    how = Gathering(rules=rules, responder=responder, nonce=nonce, force=force, timeout=seconds, proxy=proxy)
    found = _fetch(chain, _path(chain, issuer or ()), out, how, server_format or (), json=json)
    codes = {Outcome.GOOD: EXIT_ACCEPTED, Outcome.BAD: EXIT_REFUSED, Outcome.UNREACHABLE: EXIT_NO_ANSWER}
    raise typer.Exit(codes[found.outcome])


def _fetch(
    source: Path, path: Chain, out: Path, how: Gathering, formats: Sequence[ServerFormat], *, json: bool
) -> StapleSet:
    """Load what is there, gather what is due, save, and tell."""
    from mustaple.cli.common import print_json
    from mustaple.net.multistaple import fetch_staples
    from mustaple.net.store import Store
    from mustaple.report.fetch_text import fetch_json, fetch_text

    store = Store(out)
    store.probe()
    stored = store.load(how.clock(), path, how.rules)
    with _progress(len(path.links)) as tell:
        found = fetch_staples(path, replace(how, stored=stored, on_gathered=tell))
    at = how.clock()
    name = "chain.pem" if str(source) == "-" else source.name
    files = store.save(path, found.staples, at, waits=found.waits, formats=dict.fromkeys(formats, name))
    if json:
        print_json(fetch_json(found, stored.wrong, out, files, at))
    else:
        typer.echo(fetch_text(found, stored.wrong, out, at))
    return found


def _path(source: Path, issuers: Sequence[Path]) -> Chain:
    """The chain up to its root, or to one of `issuers`; where it ends early, root.pem beside it is tried.

    Raises InputError for one that cannot be read, is not whole, or consists of a root alone.
    """
    from certtools.chain import ChainError, name_of
    from mustaple.core.errors import InputError

    own = _certificates(source, "certificate file")
    given = [each for path in issuers for each in _certificates(path, "issuer certificate")]
    beside = source.parent / "root.pem"
    try:
        try:
            path = _whole(own, given)
        except ChainError:
            if given or str(source) == "-" or not beside.is_file():
                raise
            path = _whole(own, _certificates(beside, "root certificate"))
    except ChainError as error:
        hint = " (--issuer names its file)" if "is missing" in str(error) else ""
        raise InputError(f"{source}: {str(error).rstrip('.')}{hint}") from error
    if not path.links:
        raise InputError(f"{source}: {name_of(path.leaf)} is self-signed: nobody tells its status, so there is no OCSP")
    return path


def _whole(own: list[Certificate], given: list[Certificate]) -> Chain:
    """The chain up to a root; failing that, up to a certificate given, which then counts as trusted."""
    from certtools.chain import ChainError, build_chain

    try:
        return build_chain([*own, *given], complete=True)
    except ChainError:
        return build_chain(own, anchors=given, complete=True)


def _certificates(path: Path, what: str) -> list[Certificate]:
    from certtools.chain import ChainError, load_certificates
    from mustaple.cli.common import read_file
    from mustaple.core.errors import InputError

    try:
        return load_certificates(read_file(path, what))
    except ChainError as error:
        raise InputError(f"{path}: {error}") from error


@contextmanager
def _progress(total: int) -> Iterator[Callable[[Gathered], None]]:
    """What tells of each certificate on stderr as it is done with: in colour on a terminal, else as plain lines."""
    from mustaple.report.fetch_text import STYLES, progress_line

    if not sys.stderr.isatty():
        yield lambda gathered: print(progress_line(gathered), file=sys.stderr, flush=True)
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True)

    def tell(gathered: Gathered) -> None:
        line = Text(progress_line(gathered))
        line.stylize(STYLES[gathered.outcome], 0, len(gathered.outcome))
        console.print(line, soft_wrap=True)

    with console.status(f"asking about {total} certificates"):
        yield tell

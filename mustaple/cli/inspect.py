"""`mustaple inspect`: what a certificate, chain, request, CRL, OCSP response or TLS server says, in plain words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mustaple.core.errors import InputError

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography import x509

    from certtools.documents import Document

app = typer.Typer(add_completion=False)


@app.command()
def inspect(
    target: Annotated[
        str,
        typer.Argument(metavar="FILE|HOST:PORT", help="PEM, DER or PKCS#12, - for standard input; or a TLS server."),
    ],
    issuer: Annotated[
        list[Path] | None, typer.Option("--issuer", help="Certificates that may have signed it; several times.")
    ] = None,
    at: Annotated[
        str | None, typer.Option("--at", help="Explain it at this time (ISO 8601, UTC); default now.")
    ] = None,
    password: Annotated[str | None, typer.Option("--password", help="Of a PKCS#12 file.")] = None,
    ca: Annotated[
        list[Path] | None,
        typer.Option("--ca", help="For a server: trust this file or folder of CA certificates; default the system's."),
    ] = None,
    connect: Annotated[
        str | None, typer.Option("--connect", metavar="ADDR:PORT", help="Connect there, whatever HOST resolves to.")
    ] = None,
    timeout: Annotated[str, typer.Option("--timeout", help="For each handshake with a server.")] = "10s",
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Explain a file: names, times, who signed what, what its TLS Feature list promises, what is stale.

    Of a server it says that and what it staples for each certificate, in TLS 1.3 and in TLS 1.2, trusted or not.
    A file that is there wins over a server of that name. Exit 3: nobody answered, or not in TLS.

    It explains and does not judge: see `mustaple judge` for one response, `mustaple check` for a server.

    Example: mustaple inspect localhost:8443 --ca d/root.pem
    """
    from mustaple.cli.common import parse_address, parse_duration, parse_time, print_json, read_chain

    moment = parse_time(at)
    issuers = [each for path in issuer or () for each in read_chain(path, "issuer certificate").certificates]
    where = _server(target)
    if where is None:
        if ca or connect is not None:
            raise InputError("--ca and --connect are for a server, HOST:PORT; a file takes --issuer")
        facts = _facts(_documents(Path(target), password), issuers, moment)
    else:
        from mustaple.net.survey import survey
        from mustaple.report.endpoint_facts import endpoint_facts

        found = survey(
            *where,
            at=moment,
            ca=ca or None,
            issuers=issuers,
            address=parse_address(connect, where[1]) if connect is not None else None,
            timeout=parse_duration(timeout).total_seconds(),
        )
        facts = endpoint_facts(found, target)
    if json:
        print_json(facts)
        return
    from mustaple.report.inspect_text import inspection_text

    if where is not None:
        from mustaple.report.endpoint_text import endpoint_text

        typer.echo(endpoint_text(facts) + "\n")
    typer.echo(inspection_text(facts))


def _server(target: str) -> tuple[str, int] | None:
    """Host and port, where the target is no file and reads as them."""
    from mustaple.cli.common import parse_address

    if target == "-" or Path(target).exists():
        return None
    try:
        return parse_address(target)
    except InputError:
        return None  # so it was meant as a file, and reading it says what is wrong


def _documents(file: Path, password: str | None) -> list[Document]:
    from certtools.documents import DocumentError, read_documents
    from mustaple.cli.common import read_file

    try:
        return read_documents(read_file(file, "file"), None if password is None else password.encode())
    except DocumentError as error:
        raise InputError(f"{file}: {error}") from error


def _facts(documents: list[Document], issuers: list[x509.Certificate], at: datetime) -> dict[str, Any]:
    from cryptography import x509
    from cryptography.x509 import ocsp

    from mustaple.report.certificate_facts import certificate_facts, request_facts
    from mustaple.report.status_facts import crl_facts, response_facts
    from mustaple.report.verdict_json import time_json

    known = [*(each for each in documents if isinstance(each, x509.Certificate)), *issuers]
    found: list[dict[str, Any]] = []
    for each in documents:
        if isinstance(each, x509.Certificate):
            found.append(certificate_facts(each, at, known))
        elif isinstance(each, x509.CertificateSigningRequest):
            found.append(request_facts(each))
        elif isinstance(each, x509.CertificateRevocationList):
            found.append(crl_facts(each, at, known))
        elif isinstance(each, ocsp.OCSPResponse):
            found.append(response_facts(each, at, known))
        else:
            found.append({"kind": "private-key"})
    return {"at": time_json(at), "documents": found}

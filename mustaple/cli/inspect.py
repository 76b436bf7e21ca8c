"""`mustaple inspect`: what a certificate, chain, request, CRL or OCSP response says, in plain words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography import x509

    from certtools.documents import Document

app = typer.Typer(add_completion=False)


@app.command()
def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="PEM, DER or PKCS#12; - for standard input.")],
    issuer: Annotated[
        list[Path] | None, typer.Option("--issuer", help="Certificates that may have signed it; several times.")
    ] = None,
    at: Annotated[
        str | None, typer.Option("--at", help="Explain it at this time (ISO 8601, UTC); default now.")
    ] = None,
    password: Annotated[str | None, typer.Option("--password", help="Of a PKCS#12 file.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Explain a file: names, times, who signed what, what its TLS Feature list promises, what is stale.

    It explains and does not judge: see `mustaple judge` for one response, `mustaple check` for a server.

    Example: mustaple inspect d/chain.pem --issuer d/root.pem
    """
    from certtools.documents import DocumentError, read_documents
    from mustaple.cli.common import parse_time, print_json, read_chain, read_file
    from mustaple.core.errors import InputError

    moment = parse_time(at)
    issuers = [each for path in issuer or () for each in read_chain(path, "issuer certificate").certificates]
    try:
        documents = read_documents(read_file(file, "file"), None if password is None else password.encode())
    except DocumentError as error:
        raise InputError(f"{file}: {error}") from error
    facts = _facts(documents, issuers, moment)
    if json:
        print_json(facts)
    else:
        from mustaple.report.inspect_text import inspection_text

        typer.echo(inspection_text(facts))


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

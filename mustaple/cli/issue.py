"""`mustaple issue`: must-staple certificates, and the CA directory that knows of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mustaple.cli.issuing import KEY_KINDS

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography import x509

app = typer.Typer(add_completion=False)


@app.command()
def issue(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME…", help="DNS names, IP addresses, e-mail addresses: all in one certificate."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="The folder to write to; default: the first name.")] = None,
    ca: Annotated[
        Path | None, typer.Option("--ca", help="Issue from this CA directory; default: OUT/ca, made if missing.")
    ] = None,
    csr: Annotated[Path | None, typer.Option("--csr", help="Certify this request's key, names and features.")] = None,
    key: Annotated[str | None, typer.Option("--key", help=f"The key's kind: {KEY_KINDS}; default ec-p256.")] = None,
    feature: Annotated[
        str | None,
        typer.Option("--feature", help="TLS Feature list: 5, or 5,17 (any numbers), empty, none; default 5."),
    ] = None,
    days: Annotated[int | None, typer.Option("--days", min=1, help="How long it is valid; default 90.")] = None,
    not_before: Annotated[
        str | None, typer.Option("--not-before", help="Valid from (ISO 8601, UTC); default an hour ago.")
    ] = None,
    not_after: Annotated[str | None, typer.Option("--not-after", help="Valid until (ISO 8601, UTC).")] = None,
    ocsp_url: Annotated[
        str | None, typer.Option("--ocsp-url", help="Where OCSP answers; default http://127.0.0.1:2560; or none.")
    ] = None,
    crl_url: Annotated[
        str | None,
        typer.Option("--crl-url", help="Where the CRL is, {ca} being the CA's id; default beside OCSP; or none."),
    ] = None,
    depth: Annotated[
        int | None, typer.Option("--depth", min=0, max=10, help="A new CA's intermediates; default 1.")
    ] = None,
    ca_key: Annotated[str | None, typer.Option("--ca-key", help="The kind of a new CA's keys.")] = None,
    ca_feature: Annotated[
        str | None, typer.Option("--ca-feature", help="The TLS Feature list of a new CA's certificates; default none.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the files of an earlier certificate.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print what was issued as JSON.")] = False,
) -> None:
    """Issue a must-staple certificate, with a root and an intermediate if there is no CA yet.

    Writes root.pem (to trust), chain.pem and key.pem (for the server), and the CA directory OUT/ca.

    Example: mustaple issue localhost 127.0.0.1 --out d
    """
    from certtools.authority import FromRequest
    from mustaple.cli.common import complain, parse_time, print_json
    from mustaple.cli.delivery import Order, deliver
    from mustaple.cli.issuing import folder_for, parse_features, refusals
    from mustaple.report.issue_text import issued_json, issued_text

    now = parse_time(None)
    begin, end = _validity(now, not_before, not_after, days)
    with refusals():
        request = _read_request(csr, names, key)
        order = Order(
            names=tuple(names or ()),
            request=request,
            folder=out if out is not None else folder_for(_first_name(names, request)),
            not_before=begin,
            not_after=end,
            key=key,
            features=FromRequest.FEATURES if feature is None else parse_features(feature),
            ocsp_url=ocsp_url,
            crl_url=crl_url,
            ca=ca,
            depth=depth,
            ca_key=ca_key,
            ca_feature=ca_feature,
            force=force,
        )
        delivery = deliver(order)
    for warning in delivery.warnings:
        complain(f"warning: {warning}")
    value = issued_json(delivery.signed.chain, delivery.files, delivery.ca, delivery.warnings, now)
    if json:
        print_json(value)
    else:
        typer.echo(issued_text(value, order.folder if ca is None else ca))


def _validity(
    now: datetime, not_before: str | None, not_after: str | None, days: int | None
) -> tuple[datetime, datetime]:
    """When the certificate begins and ends. An hour back, because clients' clocks are late."""
    from datetime import timedelta

    from mustaple.cli.common import parse_time
    from mustaple.core.errors import InputError

    if not_after is not None and days is not None:
        raise InputError("--days and --not-after both say when the certificate ends; give one")
    begin = parse_time(not_before) if not_before is not None else now - timedelta(hours=1)
    try:
        days_long = timedelta(days=90 if days is None else days)
        end = parse_time(not_after) if not_after is not None else (begin if not_before is not None else now) + days_long
    except OverflowError:
        raise InputError("the certificate would end after the year 9999") from None
    if end <= begin:
        raise InputError(f"the certificate would end at {end:%Y-%m-%d %H:%M} UTC, before it begins")
    return begin, end


def _read_request(path: Path | None, names: list[str] | None, key: str | None) -> x509.CertificateSigningRequest | None:
    from certtools.documents import DocumentError, read_documents
    from mustaple.cli.common import read_file
    from mustaple.core.errors import InputError

    if path is None:
        if not names:
            raise InputError("give at least one name, as in `mustaple issue localhost --out d`")
        return None
    if key is not None:
        raise InputError("--key is for a new key, and with --csr the key is the requester's")
    from cryptography import x509

    try:
        documents = read_documents(read_file(path, "certificate request"))
    except DocumentError as error:
        raise InputError(f"{path}: {error}") from error
    requests = [each for each in documents if isinstance(each, x509.CertificateSigningRequest)]
    if len(requests) != 1:
        raise InputError(f"{path}: there is {'no' if not requests else 'more than one'} certificate request in it")
    return requests[0]


def _first_name(names: list[str] | None, request: x509.CertificateSigningRequest | None) -> str:
    if names or request is None:
        return (names or [""])[0]
    from certtools.authority import requested_names

    return str(requested_names(request)[0].value)

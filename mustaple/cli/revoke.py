"""`mustaple revoke`: mark a certificate of a CA directory revoked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cryptography import x509

app = typer.Typer(add_completion=False)

_SERIAL = re.compile(r"(?:0x)?((?:[0-9a-fA-F]{1,2}:)*[0-9a-fA-F]+)\Z")


@app.command()
def revoke(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The CA directory, or the folder that holds it.")],
    cert: Annotated[str, typer.Argument(metavar="CERT", help="A certificate file, or a serial number in hexadecimal.")],
    reason: Annotated[
        str,
        typer.Option(
            "--reason",
            help="unspecified, keyCompromise, cACompromise, affiliationChanged, superseded, cessationOfOperation, "
            "certificateHold, privilegeWithdrawn, aACompromise; removeFromCRL lifts a hold.",
        ),
    ] = "unspecified",
    at: Annotated[str | None, typer.Option("--at", help="Revoked since (ISO 8601, UTC); default now.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the register's entry as JSON.")] = False,
) -> None:
    """Revoke a certificate that this CA issued. A running responder says so at once.

    Of a chain file the leaf is meant. Once revoked stays revoked, but for certificateHold.

    Example: mustaple revoke d d/chain.pem --reason keyCompromise
    """
    from certtools.ca_dir import CaDir
    from mustaple.cli.common import parse_time, print_json
    from mustaple.report.issue_text import revoked_json, revoked_text

    why, since, certificate = _reason(reason), parse_time(at), _certificate(cert)
    with CaDir.open(folder) as ca:
        before = ca.find(certificate)
        entry = ca.revoke(certificate, why, since)
    value = revoked_json(entry, changed=entry != before)
    if json:
        print_json(value)
    else:
        typer.echo(revoked_text(value))


def _reason(text: str) -> x509.ReasonFlags | None:
    from cryptography.x509 import ReasonFlags

    from mustaple.core.errors import InputError

    for each in ReasonFlags:
        if each.value.lower() == text.lower():
            # RFC 5280 §5.3.1 would rather have no reason than this one.
            return None if each is ReasonFlags.unspecified else each
    known = ", ".join(each.value for each in ReasonFlags)
    raise InputError(f"{text!r} is no reason; there are {known}")


def _certificate(text: str) -> x509.Certificate | int:
    """A file's certificate where there is such a file, else a serial number."""
    from mustaple.cli.common import read_certificate
    from mustaple.core.errors import InputError

    path = Path(text)
    if path.exists():
        return read_certificate(path)
    digits = _SERIAL.match(text)
    if digits is None:
        raise InputError(f"{text} is neither a file nor a serial number in hexadecimal")
    return int(digits[1].replace(":", ""), 16)

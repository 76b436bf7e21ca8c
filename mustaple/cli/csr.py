"""`mustaple csr`: a key, and a request for a must-staple certificate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mustaple.cli.issuing import KEY_KINDS

app = typer.Typer(add_completion=False)


@app.command()
def csr(
    names: Annotated[
        list[str],
        typer.Argument(metavar="NAME…", help="DNS names, IP addresses, e-mail addresses: all in one request."),
    ],
    out: Annotated[Path | None, typer.Option("--out", help="The folder to write to; default: the first name.")] = None,
    key: Annotated[str, typer.Option("--key", help=f"The key's kind: {KEY_KINDS}.")] = "ec-p256",
    feature: Annotated[
        str, typer.Option("--feature", help="TLS Feature list to ask for: 5, or 5,17 (any numbers), empty, none.")
    ] = "5",
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier key and request.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print what was made as JSON.")] = False,
) -> None:
    """Make a key and ask for a must-staple certificate (RFC 7633 §4.2.1): key.pem and csr.pem.

    Any CA can sign it. `mustaple issue --csr` does.

    Example: mustaple csr example.org www.example.org --out d
    """
    from cryptography.hazmat.primitives.serialization import Encoding

    from certtools import feature_warnings, generate_key, must_staple_csr
    from certtools.ca_dir import write_together
    from certtools.ca_dir.files import PRIVATE, PUBLIC
    from certtools.keys import key_to_pem
    from mustaple.cli.common import complain, print_json
    from mustaple.cli.issuing import folder_for, output_folder, parse_features, refusals
    from mustaple.report.issue_text import requested_json, requested_text

    features = parse_features(feature)
    folder = out if out is not None else folder_for(names[0])
    with refusals():
        secret = generate_key(key)
        request = must_staple_csr(names, secret, features)
        files = {"key.pem": folder / "key.pem", "csr.pem": folder / "csr.pem"}
        contents = {
            files["key.pem"]: (key_to_pem(secret), PRIVATE),
            files["csr.pem"]: (request.public_bytes(Encoding.PEM), PUBLIC),
        }
        with output_folder(folder, files, force=force):
            write_together(contents, replace=True)
    for warning in feature_warnings(features):
        complain(f"warning: {warning}")
    value = requested_json(request, files)
    if json:
        print_json(value)
    else:
        typer.echo(requested_text(value))

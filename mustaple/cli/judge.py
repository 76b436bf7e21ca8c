"""`mustaple judge`: what one OCSP response or CRL proves about one certificate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False)


@app.command()
def judge(
    response: Annotated[
        Path, typer.Argument(help="The OCSP response (DER) or the CRL (DER, PEM); - for standard input.")
    ],
    cert: Annotated[Path, typer.Option("--cert", help="The certificate it should speak of (PEM, DER, PKCS#12).")],
    issuer: Annotated[
        Path | None, typer.Option("--issuer", help="The certificate whose key signed it; default: in the same file.")
    ] = None,
    at: Annotated[str | None, typer.Option("--at", help="Judge at this time (ISO 8601, UTC); default now.")] = None,
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
    max_age: Annotated[str, typer.Option("--max-age", help="How long after thisUpdate it may serve.")] = "10d",
    skew: Annotated[str, typer.Option("--skew", help="How far clocks may be apart, 2h at most.")] = "60s",
    json: Annotated[bool, typer.Option("--json", help="Print the judgement as JSON.")] = False,
) -> None:
    """Judge an OCSP response by RFC 6960, or a CRL by RFC 5280. Exit 0: good; 1: anything else; 2: usage.

    The issuer need not be self-signed, and whether the certificate has expired is not asked here. Without --issuer it
    is looked for in the file of the certificate. A CRL has no use for the options about delegated signers.

    Example: mustaple judge staple.der --cert chain.pem --issuer ca.pem
    """
    from certtools.chain import Link, name_of, signed_by
    from mustaple.cli.common import (
        EXIT_REFUSED,
        parse_duration,
        parse_time,
        print_json,
        read_certificate,
        read_certificates,
        read_file,
    )
    from mustaple.core.crl import judge_crl
    from mustaple.core.crl_case import MAX_CRL_BYTES, is_crl
    from mustaple.core.ocsp import judge as judge_response
    from mustaple.core.policy import NoNextUpdate, Rules, UncheckedDelegate, WeakSignature
    from mustaple.core.verdict import Code, Judgement, Reason, Source, Status
    from mustaple.net.crl_files import crl_der

    moment = parse_time(at)
    subject = read_certificate(cert)
    where = issuer if issuer is not None else cert
    candidates = read_certificates(where, "issuer certificate")
    link = Link(subject, next((each for each in candidates if signed_by(subject, each)), candidates[0]))
    rules = Rules(
        skew=parse_duration(skew),
        max_age=parse_duration(max_age),
        weak_signature=WeakSignature.ALLOW_SHA1 if allow_sha1 else WeakSignature.REFUSE,
        unchecked_delegate=UncheckedDelegate.REFUSE if require_nocheck else UncheckedDelegate.ACCEPT,
        no_next_update=NoNextUpdate.BY_AGE if allow_no_next_update else NoNextUpdate.REFUSE,
        trusted_responders=tuple(read_certificate(path, "responder certificate") for path in trusted_responder or ()),
    )
    data = crl_der(read_file(response, "OCSP response or CRL", allow_empty=True, most=2 * MAX_CRL_BYTES))
    if is_crl(data):
        judgement = judge_crl(data, link, moment, rules, origin=str(response))
    else:
        judgement = judge_response(data, link, moment, rules, source=Source.OCSP, origin=str(response))
    if not signed_by(link.subject, link.issuer):
        said = f"{name_of(link.issuer)} ({where}) did not sign {name_of(link.subject)} ({cert})"
        reasons = (Reason(Code.PATH_INVALID, said), *judgement.reasons)
        judgement = Judgement(Status.UNUSABLE, judgement.source, str(response), link.fingerprint, reasons)
    if json:
        from mustaple.report.verdict_json import judgement_json

        print_json({"certificate": name_of(link.subject), **judgement_json(judgement)})
    else:
        from mustaple.report.verdict_text import judgement_text

        typer.echo(judgement_text(judgement, name_of(link.subject), moment))
    if judgement.status is not Status.GOOD:
        raise typer.Exit(EXIT_REFUSED)

"""The staples of a chain as the files that TLS servers read."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

from certtools.chain import MAX_CERTIFICATES
from mustaple.core.wire import OCSP_MULTI, CertificateStatus, encode_certificate_status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LEAF_FILE: Final = "leaf.der"
RFC6961_FILE: Final = "ocsp_multi.bin"


class ServerFormat(enum.StrEnum):
    """Whose files to write."""

    HAPROXY = "haproxy"
    NGINX = "nginx"
    LIGHTTPD = "lighttpd"
    HITCH = "hitch"
    GNUTLS = "gnutls"
    RFC6961 = "rfc6961"


def server_files(formats: Mapping[ServerFormat, str], responses: Sequence[bytes | None]) -> dict[str, bytes | None]:
    """Files by name for these servers; None for one that there is nothing good for, so that an old one goes.

    `formats` says for each server what the file with its certificates is called. `responses` are DER in the order of
    the chain, the leaf's first, None for a certificate without one.

    HAProxy looks for a file called like that of its certificates with `.ocsp` behind it. nginx, lighttpd and hitch are
    told of a file with the leaf's response. `gnutls-serv` takes one `--ocsp-response` for each certificate. RFC 6961
    §2.2 is the body of a CertificateStatus message of type `ocsp_multi`, empty entries included.
    """
    files: dict[str, bytes | None] = {}
    for each, chain_name in formats.items():
        if each is ServerFormat.HAPROXY:
            files[f"{chain_name}.ocsp"] = responses[0]
        elif each is ServerFormat.GNUTLS:
            # A shorter chain than the last one leaves none of its files behind.
            for position in range(MAX_CERTIFICATES):
                files[f"gnutls-{position}.der"] = responses[position] if position < len(responses) else None
        elif each is ServerFormat.RFC6961:
            status = CertificateStatus(OCSP_MULTI, tuple(response or b"" for response in responses))
            files[RFC6961_FILE] = encode_certificate_status(status) if any(responses) else None
        else:
            files[LEAF_FILE] = responses[0]
    return files

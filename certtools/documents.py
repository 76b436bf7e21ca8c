"""Find out what a file is: certificates, a request, a CRL, an OCSP response, a key; in PEM, DER or PKCS#12."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509 import ocsp

from certtools.chain import ChainError, load_pkcs12

if TYPE_CHECKING:
    from collections.abc import Callable

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)


class DocumentError(ValueError):
    """Bytes that are nothing known here, or a known thing that is broken; the text says which."""


class SecretKey:
    """Stands for a private key: that there is one is said, and nothing of it."""


Document: TypeAlias = (
    x509.Certificate | x509.CertificateSigningRequest | x509.CertificateRevocationList | ocsp.OCSPResponse | SecretKey
)

_CERTIFICATE, _REQUEST, _CRL, _RESPONSE = "certificate", "certificate request", "CRL", "OCSP response"
_LOADERS: dict[str, Callable[[bytes], Document]] = {
    _CERTIFICATE: x509.load_der_x509_certificate,
    _RESPONSE: ocsp.load_der_ocsp_response,
    _CRL: x509.load_der_x509_crl,
    _REQUEST: x509.load_der_x509_csr,
}
_LABELS = {  # RFC 7468, and the names of older days
    "CERTIFICATE": _CERTIFICATE,
    "X509 CERTIFICATE": _CERTIFICATE,
    "CERTIFICATE REQUEST": _REQUEST,
    "NEW CERTIFICATE REQUEST": _REQUEST,
    "X509 CRL": _CRL,
    "OCSP RESPONSE": _RESPONSE,
}


def read_documents(data: bytes, password: bytes | None = None) -> list[Document]:
    """Everything in a file, in its order: one thing in DER, several in PEM or PKCS#12.

    Raises DocumentError where there is nothing known, or something known is broken.
    """
    blocks = _BLOCK.findall(data)
    if blocks:
        found = [_from_pem(label.decode("ascii"), body) for label, body in blocks]
        known = [each for each in found if each is not None]
        if known:
            return known
        raise DocumentError(f"There is nothing to explain in PEM of the kind {blocks[0][0].decode('ascii')}.")
    for load in _LOADERS.values():
        try:
            return [load(data)]
        except (ValueError, TypeError, UnsupportedAlgorithm):
            continue
    return _from_pkcs12(data, password)


def _from_pem(label: str, body: bytes) -> Document | None:
    if label.endswith("PRIVATE KEY"):
        return SecretKey()
    kind = _LABELS.get(label)
    if kind is None:
        return None
    try:
        return _LOADERS[kind](base64.b64decode(b"".join(body.split()), validate=True))
    except (ValueError, TypeError, UnsupportedAlgorithm, binascii.Error) as error:
        raise DocumentError(f"The {kind} in PEM is broken: {error}.") from error


def _from_pkcs12(data: bytes, password: bytes | None) -> list[Document]:
    try:
        key, certificates = load_pkcs12(data, password)
    except ChainError as error:
        if "another password" in str(error):
            raise DocumentError(str(error)) from error
        kinds = "a certificate, request, CRL, OCSP response or PKCS#12 file, in PEM or DER"
        raise DocumentError(f"This is not {kinds}.") from error
    return [*certificates, *([SecretKey()] if key is not None else [])]

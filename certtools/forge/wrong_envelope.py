"""Responses that are errors, cut, padded, of another type, or no OCSP response at all."""

from __future__ import annotations

import base64
from typing import Final

from asn1crypto.ocsp import OCSPResponse

from certtools.forge.ocsp import ResponseStatus, wrap
from certtools.forge.scene import HTML, NOISE, UNKNOWN_OID, Scene, by_name


def malformed_request(_scene: Scene) -> bytes:
    """The responder answers malformedRequest."""
    return wrap(None, status=ResponseStatus.MALFORMED_REQUEST)


def internal_error(_scene: Scene) -> bytes:
    """The responder answers internalError."""
    return wrap(None, status=ResponseStatus.INTERNAL_ERROR)


def try_later(_scene: Scene) -> bytes:
    """The responder answers tryLater."""
    return wrap(None, status=ResponseStatus.TRY_LATER)


def sig_required(_scene: Scene) -> bytes:
    """The responder answers sigRequired."""
    return wrap(None, status=ResponseStatus.SIG_REQUIRED)


def unauthorized(_scene: Scene) -> bytes:
    """The responder answers unauthorized."""
    return wrap(None, status=ResponseStatus.UNAUTHORIZED)


def no_response_bytes(_scene: Scene) -> bytes:
    """It says successful and holds nothing."""
    return wrap(None)


def not_basic(scene: Scene) -> bytes:
    """Its responseType is not id-pkix-ocsp-basic."""
    return wrap(_basic(scene), response_type=UNKNOWN_OID)


def trailing_bytes(scene: Scene) -> bytes:
    """A byte follows it."""
    return scene.response() + b"\0"


def trailing_bytes_inside(scene: Scene) -> bytes:
    """A byte follows the BasicOCSPResponse, inside the OCTET STRING that holds it."""
    return wrap(_basic(scene) + b"\0")


def truncated(scene: Scene) -> bytes:
    """Its last ten bytes are missing."""
    return scene.response()[:-10]


def garbage(_scene: Scene) -> bytes:
    """It is noise."""
    return NOISE


def empty(_scene: Scene) -> bytes:
    """There is not one byte."""
    return b""


def html(_scene: Scene) -> bytes:
    """A captive portal's page came instead."""
    return HTML


def pem(scene: Scene) -> bytes:
    """It is the honest response, in PEM."""
    text = base64.encodebytes(scene.response())
    return b"-----BEGIN OCSP RESPONSE-----\n" + text + b"-----END OCSP RESPONSE-----\n"


def _basic(scene: Scene) -> bytes:
    contents: bytes = OCSPResponse.load(scene.response())["response_bytes"]["response"].contents
    return contents


ENVELOPES: Final = by_name(
    malformed_request,
    internal_error,
    try_later,
    sig_required,
    unauthorized,
    no_response_bytes,
    not_basic,
    trailing_bytes,
    trailing_bytes_inside,
    truncated,
    garbage,
    empty,
    html,
    pem,
)

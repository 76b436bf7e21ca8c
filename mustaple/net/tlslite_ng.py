"""tlslite-ng, imported in one place: it warns at its import, since it offers a mixin for the old asyncore."""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from tlslite.api import HandshakeSettings, TLSConnection, X509CertChain, parsePEMKey
    from tlslite.constants import ContentType, ExtensionType, HandshakeType
    from tlslite.errors import TLSAbruptCloseError, TLSLocalAlert, TLSRemoteAlert
    from tlslite.extensions import TLSExtension
    from tlslite.messages import Certificate, Message, ServerHello
    from tlslite.x509 import X509

__all__ = [
    "X509",
    "Certificate",
    "ContentType",
    "ExtensionType",
    "HandshakeSettings",
    "HandshakeType",
    "Message",
    "ServerHello",
    "TLSAbruptCloseError",
    "TLSConnection",
    "TLSExtension",
    "TLSLocalAlert",
    "TLSRemoteAlert",
    "X509CertChain",
    "parsePEMKey",
]

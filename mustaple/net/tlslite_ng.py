"""tlslite-ng as both ends use it: imported in one place, with its settings, credentials and alerts."""

from __future__ import annotations

import warnings
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mustaple.core.errors import InputError, WireError

# It warns at its import, since it offers a mixin for the old asyncore.
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from tlslite.api import HandshakeSettings, TLSConnection, X509CertChain, parsePEMKey
    from tlslite.constants import AlertDescription, ContentType, ExtensionType, HandshakeType
    from tlslite.errors import (
        TLSAbruptCloseError,
        TLSAlert,
        TLSDecryptionFailed,
        TLSIllegalParameterException,
        TLSInternalError,
        TLSLocalAlert,
        TLSRemoteAlert,
    )
    from tlslite.extensions import SNIExtension, TLSExtension
    from tlslite.messages import Certificate, ClientHello, Message, ServerHello
    from tlslite.x509 import X509

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

__all__ = [
    "NAMES",
    "TLS12",
    "TLS13",
    "VERSIONS",
    "X509",
    "AlertDescription",
    "Certificate",
    "ClientHello",
    "ContentType",
    "Credentials",
    "End",
    "ExtensionType",
    "HandshakeError",
    "HandshakeSettings",
    "HandshakeType",
    "Message",
    "SNIExtension",
    "ServerHello",
    "TLSAbruptCloseError",
    "TLSAlert",
    "TLSConnection",
    "TLSDecryptionFailed",
    "TLSExtension",
    "TLSIllegalParameterException",
    "TLSInternalError",
    "TLSLocalAlert",
    "TLSRemoteAlert",
    "X509CertChain",
    "parsePEMKey",
    "settings",
]

TLS12: Final = (3, 3)
TLS13: Final = (3, 4)
VERSIONS: Final = {"1.2": TLS12, "1.3": TLS13}
NAMES: Final = {TLS12: "TLSv1.2", TLS13: "TLSv1.3"}

_GROUPS: Final = ["secp256r1", "x25519", "secp384r1", "secp521r1"]
_HASHES: Final = ["sha256", "sha384", "sha512"]


class HandshakeError(Exception):
    """Ends a handshake with the alert of this number."""

    def __init__(self, message: str, alert: int) -> None:
        super().__init__(message)
        self.alert = alert


class Credentials:
    """A chain with its key, as tlslite-ng takes them. `certificates` are in DER, in the order sent.

    Raises InputError for a key that is not the leaf's, and for one that tlslite-ng cannot use: it knows RSA, the NIST
    curves and Ed25519.
    """

    def __init__(self, chain: Sequence[x509.Certificate], key: PrivateKeyTypes) -> None:
        if not chain:
            raise InputError("A server needs at least one certificate.")
        if key.public_key() != chain[0].public_key():
            raise InputError("The private key is not that of the certificate.")
        self.certificates = tuple(certificate.public_bytes(Encoding.DER) for certificate in chain)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")
        try:
            self.key = parsePEMKey(pem, private=True)
            leaf = X509()
            leaf.parseBinary(self.certificates[0])
        except (SyntaxError, ValueError, KeyError) as error:
            raise InputError(f"tlslite-ng does not serve this certificate: {error}.") from error
        # Only the leaf is for tlslite-ng to read; the others are sent as they are, whatever keys they hold.
        self.leaf = X509CertChain([leaf])


@cache
def settings(minimum: str, maximum: str) -> HandshakeSettings:
    """What both ends allow: forward secrecy with authenticated encryption, and no way to resume a session.

    tlslite-ng works on copies of its settings, so all connections may share them.
    """
    try:
        lowest, highest = VERSIONS[minimum], VERSIONS[maximum]
    except KeyError as error:
        raise InputError(f"TLS {error.args[0]} is not spoken; there are {' and '.join(VERSIONS)}.") from None
    chosen = HandshakeSettings()
    chosen.minVersion, chosen.maxVersion = lowest, highest
    chosen.versions = [version for version in (TLS13, TLS12) if lowest <= version <= highest]
    chosen.cipherNames = ["aes128gcm", "aes256gcm", "chacha20-poly1305"]
    chosen.keyExchangeNames = ["ecdhe_ecdsa", "ecdhe_rsa"]
    chosen.eccCurves, chosen.keyShares, chosen.dhGroups = _GROUPS, _GROUPS[:1], []
    chosen.rsaSigHashes, chosen.ecdsaSigHashes, chosen.dsaSigHashes = _HASHES, _HASHES, []
    # How strong a key must be is for the path's verification to say, which gives a reason.
    chosen.minKeySize, chosen.maxKeySize = 512, 16384
    # Compressed certificates would hide the entries, and the others are of no use here.
    chosen.certificate_compression_send = chosen.certificate_compression_receive = []
    chosen.use_heartbeat_extension = False
    chosen.record_size_limit = None
    return chosen


class End(TLSConnection):  # type: ignore[misc]  # tlslite-ng has no types
    """What both ends have in common: whatever goes wrong in a handshake is said to the peer by an alert."""

    def _handshakeWrapperAsync(self, handshaker: Iterator[Any], checker: Any) -> Iterator[Any]:  # noqa: N802
        yield from super()._handshakeWrapperAsync(self._alerting(handshaker), checker)

    def _alerting(self, handshaker: Iterator[Any]) -> Iterator[Any]:
        """tlslite-ng answers most faults with an alert, and over some hostile bytes merely raises."""
        try:
            yield from handshaker
        except (TLSAlert, TLSAbruptCloseError, OSError):
            raise
        except (WireError, HandshakeError) as error:
            yield from self._sendError(error.alert, str(error))
        except (TLSIllegalParameterException, TLSInternalError) as error:
            # What it calls internal is a hello that contradicts itself, by an extension that stands twice for one.
            yield from self._sendError(AlertDescription.illegal_parameter, str(error))
        except TLSDecryptionFailed as error:
            yield from self._sendError(AlertDescription.decrypt_error, str(error))
        except Exception as error:  # noqa: BLE001 - it is raised on, as the alert that was sent
            yield from self._sendError(AlertDescription.internal_error, f"{type(error).__name__}: {error}")

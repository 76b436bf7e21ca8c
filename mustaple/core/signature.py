"""Verify the signature on an OCSP response or a CRL, and say how strong its algorithm is."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final, cast

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import SignatureAlgorithmOID

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes


class Strength(enum.Enum):
    """How far a signature algorithm can be trusted."""

    STRONG = "strong"
    SHA1 = "sha-1"
    BROKEN = "broken"  # MD5 and older, or an algorithm that nobody here knows


_STRONG_HASHES: Final = (
    hashes.SHA224,
    hashes.SHA256,
    hashes.SHA384,
    hashes.SHA512,
    hashes.SHA3_224,
    hashes.SHA3_256,
    hashes.SHA3_384,
    hashes.SHA3_512,
)
# Made once: every staple asks for one of them.
_ECDSA: Final = {algorithm.name: ec.ECDSA(algorithm()) for algorithm in _STRONG_HASHES}
_PSS_HASHES: Final = {
    "sha1": hashes.SHA1(),
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
# Algorithms that fix their hash themselves: EdDSA (RFC 8410) and ML-DSA (RFC 9881).
_HASHLESS: Final = frozenset(
    {
        "1.3.101.112",
        "1.3.101.113",
        "2.16.840.1.101.3.4.3.17",
        "2.16.840.1.101.3.4.3.18",
        "2.16.840.1.101.3.4.3.19",
    }
)
_HASHLESS_KEYS: Final = (
    ed25519.Ed25519PublicKey,
    ed448.Ed448PublicKey,
    mldsa.MLDSA44PublicKey,
    mldsa.MLDSA65PublicKey,
    mldsa.MLDSA87PublicKey,
)


def strength(signed: ocsp.OCSPResponse | x509.Certificate | x509.CertificateRevocationList) -> Strength:
    """How strong the algorithm is that signed this."""
    try:
        algorithm = _hash(signed)
    except UnsupportedAlgorithm:
        return Strength.BROKEN
    if type(algorithm) in _STRONG_HASHES:
        return Strength.STRONG
    if isinstance(algorithm, hashes.SHA1):
        return Strength.SHA1
    if algorithm is None and signed.signature_algorithm_oid.dotted_string in _HASHLESS:
        return Strength.STRONG
    return Strength.BROKEN


def verifies(
    key: CertificatePublicKeyTypes,
    response: ocsp.OCSPResponse | x509.CertificateRevocationList,
    signed: bytes | memoryview,
) -> bool:
    """Whether this key made the signature over `signed`, the tbsResponseData or tbsCertList in DER, as it came.

    False, never an exception, for a signature of another kind of key or an algorithm unknown here.
    """
    try:
        algorithm = _hash(response)
        if algorithm is None:
            if not isinstance(key, _HASHLESS_KEYS) or response.signature_algorithm_oid.dotted_string not in _HASHLESS:
                return False
            key.verify(response.signature, signed)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(response.signature, signed, _ECDSA.get(algorithm.name) or ec.ECDSA(algorithm))
        elif isinstance(key, rsa.RSAPublicKey):
            # Its type says bytes; it takes what the others take, and a large CRL must not be copied.
            key.verify(response.signature, cast("bytes", signed), _rsa_padding(response, algorithm), algorithm)
        else:
            return False
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True


def _hash(
    signed: ocsp.OCSPResponse | x509.Certificate | x509.CertificateRevocationList,
) -> hashes.HashAlgorithm | None:
    """The hash that was signed; None where the algorithm brings its own. UnsupportedAlgorithm where none is known."""
    try:
        return signed.signature_hash_algorithm
    except UnsupportedAlgorithm:
        # The library reads what RSASSA-PSS says of its hash in certificates and CRLs, and not in OCSP responses.
        if isinstance(signed, ocsp.OCSPResponse) and signed.signature_algorithm_oid == SignatureAlgorithmOID.RSASSA_PSS:
            return _pss_hash(signed)
        raise


def _pss_hash(response: ocsp.OCSPResponse) -> hashes.HashAlgorithm:
    """The hash that the parameters of RSASSA-PSS name, for the message and its mask alike (RFC 4055 §3.1)."""
    from asn1crypto.ocsp import BasicOCSPResponse, OCSPResponse

    whole = OCSPResponse.load(response.public_bytes(Encoding.DER))
    basic = BasicOCSPResponse.load(whole["response_bytes"]["response"].contents)
    said = basic["signature_algorithm"]["parameters"]
    name = said["hash_algorithm"]["algorithm"].native
    if name not in _PSS_HASHES or said["mask_gen_algorithm"]["parameters"]["algorithm"].native != name:
        raise UnsupportedAlgorithm(f"RSASSA-PSS over {name} with a mask of another hash, or over one unknown here.")
    return _PSS_HASHES[name]


def _rsa_padding(
    response: ocsp.OCSPResponse | x509.CertificateRevocationList, algorithm: hashes.HashAlgorithm
) -> padding.PKCS1v15 | padding.PSS:
    if response.signature_algorithm_oid == SignatureAlgorithmOID.RSASSA_PSS:
        return padding.PSS(mgf=padding.MGF1(algorithm), salt_length=padding.PSS.AUTO)
    return padding.PKCS1v15()

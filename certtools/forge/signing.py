"""Signatures over any bytes by any key, as X.509 writes them: SHA-1 and MD5 too, which no honest builder makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from asn1crypto.algos import SignedDigestAlgorithm
from asn1crypto.core import Null, Sequence
from cryptography.hazmat.primitives.asymmetric import dsa, ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from certtools.drawing import seeded
from certtools.keys import signature_hash

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    from certtools.keys import PrivateKey


class Signer(Protocol):
    """Whoever holds a certificate and its key: an `Authority`, or what `Authority.ocsp_signer` issued."""

    @property
    def certificate(self) -> x509.Certificate:
        """The certificate that says who signs."""

    @property
    def key(self) -> PrivateKey:
        """The private key that signs."""


def sign_bytes(
    data: bytes, key: PrivateKey, algorithm: hashes.HashAlgorithm | None = None
) -> tuple[SignedDigestAlgorithm, bytes]:
    """The AlgorithmIdentifier and the signature over `data`.

    `algorithm` is the hash, by default the key's own choice. Raises ValueError where the key takes no such hash.
    """
    chosen = algorithm if algorithm is not None else signature_hash(key)
    if isinstance(key, rsa.RSAPrivateKey) and chosen is not None:
        # The parameters are NULL, not absent (RFC 4055 §5).
        identifier = SignedDigestAlgorithm({"algorithm": f"{chosen.name}_rsa", "parameters": Null()})
        return identifier, key.sign(data, padding.PKCS1v15(), chosen)
    if isinstance(key, ec.EllipticCurvePrivateKey) and chosen is not None:
        return SignedDigestAlgorithm({"algorithm": f"{chosen.name}_ecdsa"}), key.sign(data, _ecdsa(chosen))
    if algorithm is not None or isinstance(key, dsa.DSAPrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise ValueError(f"A key of the type {type(key).__name__} takes no hash of one's choice.")
    # EdDSA and ML-DSA sign under the very identifier that their public keys bear (RFC 8410 §3, RFC 9881 §2).
    public = Sequence.load(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    return SignedDigestAlgorithm.load(public[0].dump()), key.sign(data)


def _ecdsa(algorithm: hashes.HashAlgorithm) -> ec.ECDSA:
    # Without a seed nothing is said, since not every OpenSSL can sign deterministically.
    return ec.ECDSA(algorithm, deterministic_signing=True) if seeded() else ec.ECDSA(algorithm)

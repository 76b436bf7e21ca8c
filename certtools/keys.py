"""Private keys of every kind an authority offers: make one, write and read it as PEM, the hash it signs with."""

from __future__ import annotations

import enum
from functools import cache
from typing import TypeAlias, cast, get_args

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from certtools.drawing import ec_key, ed25519_key, rsa_key

PrivateKey: TypeAlias = CertificateIssuerPrivateKeyTypes


class KeyKindError(ValueError):
    """A private key that cannot be made or read here; the text says why."""


class KeyKind(enum.StrEnum):
    """The kinds of key an authority makes. ML-DSA (FIPS 204) takes a `cryptography` that signs with it."""

    EC_P256 = "ec-p256"
    EC_P384 = "ec-p384"
    RSA_2048 = "rsa-2048"
    RSA_3072 = "rsa-3072"
    RSA_4096 = "rsa-4096"
    ED25519 = "ed25519"
    ML_DSA_44 = "ml-dsa-44"
    ML_DSA_65 = "ml-dsa-65"
    ML_DSA_87 = "ml-dsa-87"


def generate_key(kind: KeyKind | str = KeyKind.EC_P256) -> PrivateKey:
    """A new private key.

    Raises KeyKindError for a name that is no KeyKind, and for ML-DSA where `cryptography` lacks it.
    """
    try:
        kind = KeyKind(kind)
    except ValueError as error:
        raise KeyKindError(f"There is no key kind {kind!r}; choose one of {', '.join(KeyKind)}.") from error
    match kind:
        case KeyKind.EC_P256:
            return ec_key(ec.SECP256R1())
        case KeyKind.EC_P384:
            return ec_key(ec.SECP384R1())
        case KeyKind.ED25519:
            return ed25519_key()
        case KeyKind.RSA_2048 | KeyKind.RSA_3072 | KeyKind.RSA_4096:
            return rsa_key(int(kind.removeprefix("rsa-")))
        case _:
            return _generate_ml_dsa(kind)


def _generate_ml_dsa(kind: KeyKind) -> PrivateKey:
    try:
        # Not in every supported release of `cryptography`, nor in every OpenSSL it may be built on.
        from cryptography.hazmat.primitives.asymmetric import mldsa

        match kind:
            case KeyKind.ML_DSA_44:
                return mldsa.MLDSA44PrivateKey.generate()
            case KeyKind.ML_DSA_65:
                return mldsa.MLDSA65PrivateKey.generate()
            case _:
                return mldsa.MLDSA87PrivateKey.generate()
    except (ImportError, UnsupportedAlgorithm) as error:
        raise KeyKindError(f"This installation of `cryptography` cannot make a key of kind {kind}.") from error


@cache
def available_kinds() -> tuple[KeyKind, ...]:
    """The kinds that `generate_key` can make on this machine; ML-DSA is found out by trying (milliseconds)."""
    kinds = [kind for kind in KeyKind if not kind.startswith("ml-dsa")]
    for kind in (KeyKind.ML_DSA_44, KeyKind.ML_DSA_65, KeyKind.ML_DSA_87):
        try:
            generate_key(kind)
        except KeyKindError:
            continue
        kinds.append(kind)
    return tuple(kinds)


def signature_hash(key: PrivateKey) -> hashes.SHA256 | hashes.SHA384 | None:
    """The hash this key signs certificates, CRLs and responses with; None where the algorithm brings its own."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return hashes.SHA384() if key.curve.key_size > 256 else hashes.SHA256()
    return hashes.SHA256() if isinstance(key, rsa.RSAPrivateKey) else None


def key_to_pem(key: PrivateKey) -> bytes:
    """The key as unencrypted PKCS#8 PEM."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def load_key(data: bytes, password: bytes | None = None) -> PrivateKey:
    """The private key in a PEM file, which may hold certificates too.

    Raises KeyKindError where there is none, where its password is missing or wrong, or where it cannot sign.
    """
    try:
        key = load_pem_private_key(data, password)
    except TypeError as error:
        wanted = "is not encrypted but a password was given" if password else "is encrypted; give its password"
        raise KeyKindError(f"This private key {wanted}.") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyKindError("There is no readable PEM private key here.") from error
    if not isinstance(key, get_args(PrivateKey)) or isinstance(key, dsa.DSAPrivateKey):
        raise KeyKindError("This private key is of a kind that no certificate of today is signed with.")
    return cast("PrivateKey", key)

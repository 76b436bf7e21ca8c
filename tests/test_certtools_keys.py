"""Keys of every kind are made, written and read; what is no signing key is refused."""

from __future__ import annotations

import sys

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa, x25519
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from certtools.keys import KeyKind, KeyKindError, available_kinds, generate_key, key_to_pem, load_key, signature_hash

HASHES = {"ec-p256": "sha256", "ec-p384": "sha384", "rsa-2048": "sha256"}


@pytest.mark.parametrize("kind", [each for each in available_kinds() if each not in {"rsa-3072", "rsa-4096"}])
def test_a_key_survives_being_written(kind: KeyKind) -> None:
    key = generate_key(kind)
    again = load_key(key_to_pem(key))
    assert again.public_key() == key.public_key()
    algorithm = signature_hash(key)
    assert (algorithm.name if algorithm else None) == HASHES.get(kind)


@pytest.mark.parametrize("kind", [KeyKind.RSA_3072, KeyKind.RSA_4096])
def test_an_rsa_key_has_the_size_of_its_name(kind: KeyKind) -> None:
    key = generate_key(kind)
    assert isinstance(key, rsa.RSAPrivateKey)
    assert f"rsa-{key.key_size}" == kind


def test_the_default_is_p256() -> None:
    key = generate_key()
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.curve.name == "secp256r1"


def test_an_unknown_kind_is_refused_with_the_choice() -> None:
    with pytest.raises(KeyKindError, match="ec-p256, ec-p384, rsa-2048"):
        generate_key("ec-p255")


def test_ml_dsa_is_offered_only_where_the_library_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(available_kinds()) >= {kind for kind in KeyKind if not kind.startswith("ml-dsa")}
    available_kinds.cache_clear()
    # A release without the module: None in sys.modules makes the import fail as it does there.
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.mldsa", None)
    monkeypatch.delattr("cryptography.hazmat.primitives.asymmetric.mldsa", raising=False)
    try:
        with pytest.raises(KeyKindError, match="cannot make a key of kind ml-dsa-65"):
            generate_key("ml-dsa-65")
        assert not [kind for kind in available_kinds() if kind.startswith("ml-dsa")]
    finally:
        available_kinds.cache_clear()


def test_a_password_is_asked_for_where_it_is_needed_and_only_there() -> None:
    key = generate_key()
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    assert load_key(secret, b"secret").public_key() == key.public_key()
    with pytest.raises(KeyKindError, match="encrypted; give its password"):
        load_key(secret)
    with pytest.raises(KeyKindError, match="no readable"):
        load_key(secret, b"other")
    with pytest.raises(KeyKindError, match="not encrypted"):
        load_key(key_to_pem(key), b"secret")


def test_what_is_no_key_is_refused() -> None:
    with pytest.raises(KeyKindError, match="no readable"):
        load_key(b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n")


@pytest.mark.parametrize(
    "key", [x25519.X25519PrivateKey.generate(), dsa.generate_private_key(2048)], ids=["x25519", "dsa"]
)
def test_a_key_that_signs_no_certificate_is_refused(key: x25519.X25519PrivateKey) -> None:
    with pytest.raises(KeyKindError, match="no certificate of today"):
        load_key(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

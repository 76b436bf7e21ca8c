"""Where keys, serial numbers and signatures take their chance from: the system, or a seed for reproducible bytes."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    RsaKeys = Mapping[int, Sequence[rsa.RSAPrivateKey]]


class _Seed:
    """A stream of bytes that is the same for the same seed, and RSA keys made beforehand, by their size."""

    def __init__(self, seed: str, rsa_keys: RsaKeys) -> None:
        self._seed = seed.encode("utf-8")
        self._drawn = 0
        self._rsa_keys = {bits: iter(keys) for bits, keys in rsa_keys.items()}

    def number(self, bits: int) -> int:
        """The next number of at most so many bits, 512 at the most."""
        self._drawn += 1
        digest = hashlib.sha512(self._drawn.to_bytes(8, "big") + self._seed).digest()
        return int.from_bytes(digest, "big") >> (512 - bits)

    def rsa_key(self, bits: int) -> rsa.RSAPrivateKey:
        key = next(self._rsa_keys.get(bits, iter(())), None)
        if key is None:
            raise ValueError(f"There are not enough RSA keys of {bits} bits beside the seed.")
        return key


_SEED: ContextVar[_Seed | None] = ContextVar("seed", default=None)


@contextmanager
def drawn_from(seed: str, rsa_keys: RsaKeys | None = None) -> Iterator[None]:
    """Within this context, what is issued and signed comes out the same for the same seed; never for real keys.

    Keys and serial numbers follow from the seed, and ECDSA signs deterministically (RFC 6979). RSA keys cannot be made
    so: `rsa_keys` are drawn in their order instead, by their size in bits; ValueError where there are no more of them.
    """
    token = _SEED.set(_Seed(seed, rsa_keys or {}))
    try:
        yield
    finally:
        _SEED.reset(token)


def serial_number() -> int:
    """A serial number of at most 159 bits that nobody can guess, or the seed's next."""
    seed = _SEED.get()
    # Its highest bit but one is set, so that all of the seed's are equally long.
    return x509.random_serial_number() if seed is None else seed.number(157) | 1 << 157


def ec_key(curve: ec.EllipticCurve) -> ec.EllipticCurvePrivateKey:
    """A key on this curve."""
    seed = _SEED.get()
    if seed is None:
        return ec.generate_private_key(curve)
    # Below every order in use, and above zero.
    return ec.derive_private_key(seed.number(curve.key_size - 1) + 1, curve)


def ed25519_key() -> ed25519.Ed25519PrivateKey:
    """An Ed25519 key."""
    seed = _SEED.get()
    if seed is None:
        return ed25519.Ed25519PrivateKey.generate()
    return ed25519.Ed25519PrivateKey.from_private_bytes(seed.number(256).to_bytes(32, "big"))


def rsa_key(bits: int) -> rsa.RSAPrivateKey:
    """An RSA key of so many bits."""
    seed = _SEED.get()
    return rsa.generate_private_key(65537, bits) if seed is None else seed.rsa_key(bits)


def seeded() -> bool:
    """Whether a seed is in force."""
    return _SEED.get() is not None


def ecdsa_deterministic(key: object) -> bool | None:
    """What the builders of `cryptography` want to hear about this key: True for ECDSA under a seed, else None."""
    return True if seeded() and isinstance(key, ec.EllipticCurvePrivateKey) else None

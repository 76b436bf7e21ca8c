"""The private key that goes with a chain, as its file has it, and only where it is the leaf's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from certtools.chain import name_of
from mustaple.agent.deploy.contract import DeployError

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.x509 import Certificate


def read_key(path: Path, leaf: Certificate) -> bytes:
    """The file's bytes. Raises OSError, and DeployError where it holds no key, or another certificate's.

    That is so for a moment where two files are renewed, and there are servers that end when they are made to read it. A
    key that is encrypted, or of an algorithm that is not known here, is the server's to judge.
    """
    data = path.read_bytes()
    try:
        public = load_pem_private_key(data, None).public_key()
    except (TypeError, UnsupportedAlgorithm):
        return data
    except ValueError as error:
        raise DeployError(f"{path} holds no private key: {error}") from None
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if public.public_bytes(*form) != leaf.public_key().public_bytes(*form):
        raise DeployError(f"{path} is not the key of {name_of(leaf)}")
    return data

"""Forged evidence: OCSP responses and CRLs, honest and dishonest, and every dishonesty by name; never for clients."""

from __future__ import annotations

from certtools.extensions import RawExtension
from certtools.forge.crl import Revoked, crl
from certtools.forge.crl_mutations import CRL_MUTATIONS, CrlScene, honest_crl
from certtools.forge.mutations import MUTATIONS
from certtools.forge.ocsp import (
    Answer,
    CertificateStatus,
    ResponderId,
    ResponseStatus,
    Single,
    answer,
    good,
    sign,
    single,
)
from certtools.forge.scene import Scene, honest
from certtools.forge.signing import Signer

__all__ = [
    "CRL_MUTATIONS",
    "MUTATIONS",
    "Answer",
    "CertificateStatus",
    "CrlScene",
    "RawExtension",
    "ResponderId",
    "ResponseStatus",
    "Revoked",
    "Scene",
    "Signer",
    "Single",
    "answer",
    "crl",
    "good",
    "honest",
    "honest_crl",
    "sign",
    "single",
]

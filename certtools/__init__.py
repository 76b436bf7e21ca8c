"""Certificates themselves: chains, the TLS feature extension, an authority, forged answers. Imports nothing of mustaple."""

from __future__ import annotations

from certtools.chain import Chain, ChainError, Link, build_chain, load_certificates
from certtools.feature import Feature, FeatureError, Reading, read_features

__all__ = [
    "Chain",
    "ChainError",
    "Feature",
    "FeatureError",
    "Link",
    "Reading",
    "build_chain",
    "load_certificates",
    "read_features",
]

"""Certificates themselves: chains, TLS Feature, an authority, forged answers; it imports nothing of mustaple."""

from __future__ import annotations

# `forge` (dishonest answers) and `ca_dir` (SQLite) are imported by name by those few who need them.
from certtools.authority import Authority, AuthorityError, Issued, Signed, feature_warnings, must_staple_csr
from certtools.chain import Chain, ChainError, Link, build_chain, load_certificates
from certtools.extensions import ExtensionsError, crl_urls, extensions_of, ocsp_urls
from certtools.feature import Feature, FeatureError, Reading, read_features
from certtools.keys import KeyKind, KeyKindError, generate_key, load_key
from certtools.names import NamingError

__all__ = [
    "Authority",
    "AuthorityError",
    "Chain",
    "ChainError",
    "ExtensionsError",
    "Feature",
    "FeatureError",
    "Issued",
    "KeyKind",
    "KeyKindError",
    "Link",
    "NamingError",
    "Reading",
    "Signed",
    "build_chain",
    "crl_urls",
    "extensions_of",
    "feature_warnings",
    "generate_key",
    "load_certificates",
    "load_key",
    "must_staple_csr",
    "ocsp_urls",
    "read_features",
]

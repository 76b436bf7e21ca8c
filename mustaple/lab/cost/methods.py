"""The ways of checking that are measured: which client, which server, what the certificates and the CA say."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from mustaple.core.errors import InputError
from mustaple.core.policy import PRESETS, Action, Depth, MustStaple, Policy
from mustaple.core.verdict import Source
from mustaple.net.engines import Engine
from mustaple.report.cost import Method

TLS12: Final = "TLSv1.2"
TLS13: Final = "TLSv1.3"


class Staple(enum.StrEnum):
    """What the server staples."""

    NOTHING = "nothing"
    LEAF = "leaf"
    CHAIN = "chain"


@dataclass(frozen=True, slots=True)
class Way:
    """A method with what it takes: the client's policy and TLS library, the server's staples, the CA's evidence.

    `crl` is the size of the CRL in bytes, about; without it the certificates name an OCSP responder.
    """

    method: Method
    policy: Policy
    staple: Staple = Staple.NOTHING
    engine: Engine = Engine.OPENSSL
    crl: int | None = None

    @property
    def checks(self) -> bool:
        """Whether it looks at anything at all."""
        return self.policy.looks_at_evidence


_ASKS_FOR_ALL: Final = Policy(
    "ocsp-for-all",
    must_staple=MustStaple.IGNORE,
    depth=Depth.EVERY,
    nothing_to_check=Action.NOTE,
    sources=frozenset({Source.OCSP}),
)


METHODS: Final = (
    Way(Method("none", "no check", TLS13, 2), PRESETS["ignore"]),
    Way(Method("none-1.2", "no check, TLS 1.2", TLS12, 3), PRESETS["ignore"]),
    Way(Method("crl-small", "a CRL of 1 kB", TLS13, 4), PRESETS["hard-fail"], crl=1_000),
    Way(Method("crl-large", "a CRL of 1 MB", TLS13, 4), PRESETS["hard-fail"], crl=1_000_000),
    Way(Method("ocsp-leaf", "OCSP for the leaf", TLS13, 4), PRESETS["soft-fail"]),
    Way(Method("ocsp-all", "OCSP for all, at once", TLS13, 4), _ASKS_FOR_ALL),
    Way(Method("staple-leaf", "leaf staple", TLS13, 2), PRESETS["must-staple"], Staple.LEAF),
    Way(Method("staple-leaf-1.2", "leaf staple, TLS 1.2", TLS12, 3), PRESETS["must-staple"], Staple.LEAF),
    Way(Method("staple-chain", "chain staples", TLS13, 2), PRESETS["strict"], Staple.CHAIN),
    Way(
        Method("staple-chain-1.2", "chain staples, TLS 1.2", TLS12, 3),
        PRESETS["strict"],
        Staple.CHAIN,
        engine=Engine.RFC6961,
    ),
)


def named(name: str) -> Way:
    """The way of this name. Raises InputError, which lists those there are."""
    for way in METHODS:
        if way.method.name == name:
            return way
    raise InputError(f"no method is called {name!r}; there are {', '.join(way.method.name for way in METHODS)}")


def hindrance(way: Way, key: str) -> str | None:
    """Why this way cannot be measured with this kind of key, as far as is known; None where it should be."""
    if not key.startswith("ml-dsa"):
        return None
    if way.method.protocol == TLS12:
        return "TLS 1.2 has no signature scheme for ML-DSA"
    if way.staple is Staple.CHAIN:
        return "pyOpenSSL hands OpenSSL the leaf's staple alone, and tlslite-ng, which staples for all, has no ML-DSA"
    return None

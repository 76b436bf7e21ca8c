"""The corpus as one document that another language can use without us: every case with all its bytes."""

from __future__ import annotations

import inspect
from base64 import b64encode
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding

from mustaple.core.policy import PRESETS
from mustaple.lab.cases.catalogue import FAMILIES, family_module
from mustaple.report.cases_corpus import SCHEMA, Corpus, Entry, Family, Listed
from mustaple.report.policy_text import policy_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mustaple.lab.cases.model import Case
    from mustaple.lab.cases.setup import Setup
    from mustaple.lab.cases.world import World


def listed(case: Case) -> Listed:
    """What the case is, without making its situation."""
    return Listed.model_validate(_facts(case))


def entry(case: Case, setup: Setup) -> Entry:
    """The case with its situation."""
    shown = {
        "at": setup.at,
        "server_name": setup.name,
        "trust_anchor": _base64(setup.trusted.public_bytes(Encoding.DER)),
        "path": [
            {
                "certificate": _base64(link.subject.public_bytes(Encoding.DER)),
                "ocsp": _maybe(ocsp),
                "crl": _maybe(crl),
            }
            for link, ocsp, crl in zip(setup.chain.links, setup.ocsp, setup.crls, strict=True)
        ],
        "sent": None
        if setup.flights
        else [
            {"certificate": _base64(certificate), "staple": _maybe(staple)}
            for certificate, staple in zip(setup.sent, setup.staples, strict=False)
        ],
        "nonce": _maybe(setup.nonce),
        "handshakes": [
            {
                "protocol": protocol,
                "offered": sorted(offered),
                "messages": _base64(setup.flight(protocol, offered)),
            }
            for protocol in setup.protocols
            for offered in (setup.offered, frozenset[int]())
        ],
    }
    return Entry.model_validate(_facts(case) | shown)


def families(names: Iterable[str] = FAMILIES) -> list[Family]:
    """What these families are about."""
    return [Family(name=name, about=inspect.getdoc(family_module(name)) or "") for name in names]


def export(cases: Iterable[Case], world: World) -> Corpus:
    """The corpus of these cases in this world; the same world makes the same one."""
    entries = [entry(case, case.setup(world)) for case in cases]
    there = {each.family for each in entries}
    corpus = {
        "schema": SCHEMA,
        "seed": world.seed,
        "policies": {name: policy_json(policy, "", (), ())["axes"] for name, policy in PRESETS.items()},
        "families": families(name for name in FAMILIES if name in there),
        "cases": entries,
    }
    return Corpus.model_validate(corpus)


def _facts(case: Case) -> dict[str, object]:
    return {
        "id": case.id,
        "family": case.family,
        "description": case.description,
        "clauses": list(case.clauses),
        "importance": case.importance.value,
        "expected": {preset: expected._asdict() for preset, expected in case.expected.items()},
    }


def _base64(data: bytes) -> str:
    return b64encode(data).decode("ascii")


def _maybe(data: bytes | None) -> str | None:
    return None if data is None else _base64(data)

"""The few situations that `mustaple compare` tries unless told otherwise, one for each thing there is to see."""

from __future__ import annotations

from typing import Any, Final

from mustaple.report.comparison import Attacker, Case, Ocsp, Outage, Revoked, Server

_BLOCKED_BY_THIEF: Final[dict[str, Any]] = {"revoked": Revoked.LEAF, "answer": "revoked", "ocsp": Ocsp.BLOCKED}

CASES: Final = (
    Case("good-staple", "all is well"),
    Case("no-staple", "the server forgets to staple", staple=None),
    Case("no-promise", "no staple, and none was promised", staple=None, must_staple=False),
    Case("leaf-staple-only", "the server staples the leaf alone", ca_staple=None, server=Server.LEAF),
    Case("expired-staple", "the server does not refresh its staple", staple="expired"),
    Case(
        "responder-down",
        "the responder is down, and the staple gone",
        staple=None,
        ocsp=Ocsp.BLOCKED,
        outage=Outage.LOST,
    ),
    Case(
        "no-promise-down",
        "the responder is down; no staple was promised",
        staple=None,
        ocsp=Ocsp.BLOCKED,
        outage=Outage.LOST,
        must_staple=False,
    ),
    Case("unknown", "the responder lost its memory", staple="unknown", answer="unknown"),
    Case("revoked-staple", "the staple says revoked", revoked=Revoked.LEAF, staple="revoked", answer="revoked"),
    Case(
        "stripped",
        "a thief staples nothing",
        revoked=Revoked.LEAF,
        staple=None,
        answer="revoked",
        attacker=Attacker.STAPLES_NOTHING,
    ),
    Case(
        "stripped-and-blocked",
        "a thief staples nothing and blocks OCSP",
        staple=None,
        attacker=Attacker.STAPLES_NOTHING_BLOCKS,
        **_BLOCKED_BY_THIEF,
    ),
    Case(
        "no-promise-blocked",
        "a thief blocks OCSP; no staple was promised",
        staple=None,
        must_staple=False,
        attacker=Attacker.STAPLES_NOTHING_BLOCKS,
        **_BLOCKED_BY_THIEF,
    ),
    Case(
        "old-good-staple",
        "a thief staples an old good answer, blocks OCSP",
        staple="expired",
        attacker=Attacker.STAPLES_OLD_BLOCKS,
        **_BLOCKED_BY_THIEF,
    ),
    Case(
        "others-staple",
        "a thief staples another's good answer, blocks OCSP",
        staple="other-certificate",
        attacker=Attacker.STAPLES_OTHERS_BLOCKS,
        **_BLOCKED_BY_THIEF,
    ),
    Case(
        "bad-signature",
        "a thief staples a forgery, blocks OCSP",
        staple="forged-signature",
        attacker=Attacker.STAPLES_FORGED_BLOCKS,
        **_BLOCKED_BY_THIEF,
    ),
    Case(
        "revoked-intermediate",
        "a thief holds the intermediate's key, staples for the leaf alone",
        revoked=Revoked.INTERMEDIATE,
        ca_staple=None,
        ca_answer="revoked",
        attacker=Attacker.STAPLES_NOTHING,
        server=Server.LEAF,
    ),
)

"""A TLS server always proves that its certificates are not revoked, or the strict client refuses it.

The public names, loaded when first used:

    connect(host, port, policy=…)   a connection that has kept the promise, or RefusedError with the verdict
    check(host, port, policy=…)     the verdict alone
    aconnect, acheck                the same for asyncio
    check_many(targets, settings)   the verdicts on many targets, as a stream
    judge(response, link, at)       what one OCSP response proves about one certificate
    decide(situation, policy)       what a policy makes of a chain and its evidence
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mustaple.core.decide import Situation, decide
    from mustaple.core.errors import InputError, MustapleError, NetworkError, RefusedError, WireError
    from mustaple.core.ocsp import judge
    from mustaple.core.policy import PRESETS, Policy, Rules, preset
    from mustaple.core.verdict import CertVerdict, ChainVerdict, Code, Judgement, Outcome, Reason, Source, Status
    from mustaple.net.aclient import acheck, aconnect
    from mustaple.net.check_many import Checked, check_many
    from mustaple.net.client import check, connect
    from mustaple.net.settings import Settings, Target

__version__ = "0.1.0"

_HOMES = {
    "Situation": "mustaple.core.decide",
    "decide": "mustaple.core.decide",
    "InputError": "mustaple.core.errors",
    "MustapleError": "mustaple.core.errors",
    "NetworkError": "mustaple.core.errors",
    "RefusedError": "mustaple.core.errors",
    "WireError": "mustaple.core.errors",
    "judge": "mustaple.core.ocsp",
    "PRESETS": "mustaple.core.policy",
    "Policy": "mustaple.core.policy",
    "Rules": "mustaple.core.policy",
    "preset": "mustaple.core.policy",
    "CertVerdict": "mustaple.core.verdict",
    "ChainVerdict": "mustaple.core.verdict",
    "Code": "mustaple.core.verdict",
    "Judgement": "mustaple.core.verdict",
    "Outcome": "mustaple.core.verdict",
    "Reason": "mustaple.core.verdict",
    "Source": "mustaple.core.verdict",
    "Status": "mustaple.core.verdict",
    "acheck": "mustaple.net.aclient",
    "aconnect": "mustaple.net.aclient",
    "Checked": "mustaple.net.check_many",
    "check_many": "mustaple.net.check_many",
    "check": "mustaple.net.client",
    "connect": "mustaple.net.client",
    "Settings": "mustaple.net.settings",
    "Target": "mustaple.net.settings",
}

__all__ = [
    "PRESETS",
    "CertVerdict",
    "ChainVerdict",
    "Checked",
    "Code",
    "InputError",
    "Judgement",
    "MustapleError",
    "NetworkError",
    "Outcome",
    "Policy",
    "Reason",
    "RefusedError",
    "Rules",
    "Settings",
    "Situation",
    "Source",
    "Status",
    "Target",
    "WireError",
    "acheck",
    "aconnect",
    "check",
    "check_many",
    "connect",
    "decide",
    "judge",
    "preset",
]


def __getattr__(name: str) -> object:
    """Load a public name from its module when it is first asked for (PEP 562): the command line starts fast."""
    if name not in _HOMES:
        raise AttributeError(f"module 'mustaple' has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value

"""The strict client's TLS for tests: one that trusts an authority, what its verdict says, and both ways to ask."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from mustaple.core.policy import preset
from mustaple.net.aclient import acheck
from mustaple.net.client import check
from mustaple.net.service_name import service_name
from mustaple.net.tls_context import ClientContext
from mustaple.net.tls_openssl import ClientTLS

if TYPE_CHECKING:
    from datetime import datetime

    from certtools.authority import Authority
    from mustaple.core.verdict import ChainVerdict, Code


class Clients:
    """Makes clients that trust one authority at one time, all of one context: `clients("strict", "localhost")`."""

    def __init__(self, root: Authority, at: datetime) -> None:
        self.context = ClientContext([root.certificate], at=at)
        self.at = at

    def __call__(self, policy: str = "must-staple", name: str = "localhost") -> ClientTLS:
        return ClientTLS(self.context, service_name(name), preset(policy), self.at)


def codes(tls: ClientTLS) -> list[Code]:
    """The codes of every refusing reason, the most telling first."""
    assert tls.verdict is not None
    return [reason.code for reason in tls.verdict.all_reasons]


def _acheck(*arguments: Any, **options: Any) -> ChainVerdict:
    return asyncio.run(acheck(*arguments, **options))


both_loops = pytest.mark.parametrize("ask", [check, _acheck], ids=["sync", "async"])

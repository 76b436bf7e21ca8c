"""A chain that is valid today, its staples, and a clock that a test moves, for the tests of the httpx transports."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from https_server import HttpsServer

from certtools.authority import Authority
from certtools.forge import MUTATIONS, Scene, answer, sign, single

if TYPE_CHECKING:
    from pathlib import Path

    from certtools.authority import Issued
    from certtools.chain import Link
    from mustaple.core.verdict import ChainVerdict

# OpenSSL verifies paths at the time it is, so these certificates are of today.
NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
ROOT = Authority.root("httpx root", not_before=NOW - DAY, not_after=NOW + 90 * DAY)
ROGUE = Authority.root("rogue", not_before=NOW - DAY, not_after=NOW + 90 * DAY)
LEAF = ROOT.leaf(["localhost"])
LINK = LEAF.as_chain().links[0]
PLAIN = ROOT.leaf(["localhost"], features=None)


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> datetime:
        return self.at


def staple(next_update: datetime = NOW + DAY, link: Link = LINK) -> bytes:
    """A good response for the leaf that was signed an hour ago."""
    return sign(answer([single(link, NOW, next_update=next_update)], ROOT), ROOT)


def mutated(name: str) -> bytes:
    """A response for the leaf that is wrong in this way."""
    other = ROOT.leaf(["other.test"]).as_chain().links[0]
    return MUTATIONS[name](Scene(link=LINK, issuer=ROOT, other=other, rogue=ROGUE, at=NOW))


def serve(what: bytes | None, issued: Issued = LEAF, **how: Any) -> HttpsServer:
    """A server that staples this."""
    return HttpsServer(issued, what, **how)


def proxy_context(folder: Path) -> ssl.SSLContext:
    """What a proxy on localhost needs that speaks TLS itself; it staples nothing."""
    both = folder / "proxy.pem"
    both.write_bytes(PLAIN.chain_pem() + PLAIN.key_pem())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return context


def codes(verdict: ChainVerdict) -> list[str]:
    """The codes of every refusing reason, the most telling first."""
    return [reason.code.value for reason in verdict.all_reasons]

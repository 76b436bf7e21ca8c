"""A case through the strict client's own judge, without a socket: the same messages, path, evidence and decision."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from certtools.extensions import crl_urls, ocsp_urls
from mustaple.core.crl import judge_crl
from mustaple.core.ocsp import judge
from mustaple.core.verdict import ChainVerdict, Code, Judgement, Outcome, Reason, Source, Status
from mustaple.lab.cases.handshake import TLS13, split
from mustaple.net.chain_judge import ChainJudge
from mustaple.net.service_name import service_name
from mustaple.net.tls_context import ClientContext
from mustaple.net.tlslite_ng import TLS12 as VERSION_12
from mustaple.net.tlslite_ng import TLS13 as VERSION_13
from mustaple.net.tlslite_ng import HandshakeError

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography import x509

    from certtools.chain import Link
    from mustaple.core.policy import Policy
    from mustaple.lab.cases.setup import Setup

_name = lru_cache(service_name)
_MISSING: Final = {
    (Source.OCSP, True): Code.UNREACHABLE,
    (Source.OCSP, False): Code.NO_URL,
    (Source.CRL, True): Code.CRL_UNREACHABLE,
    (Source.CRL, False): Code.NO_CRL_URL,
}
_ORIGINS: Final = {Source.OCSP: "the CA's responder", Source.CRL: "the CA's CRL"}


class Court:
    """Judges situations by policies. It keeps what the client keeps between connections, so make one for each run."""

    def __init__(self) -> None:
        self._contexts: dict[tuple[x509.Certificate, datetime], ClientContext] = {}

    def verdict(self, setup: Setup, policy: Policy, protocol: str) -> ChainVerdict:
        """What the strict client makes of it by this policy, in this protocol; evidence it fetches included.

        Raises RuntimeError where the client ends the handshake without a verdict.
        """
        client = ChainJudge(self._context(setup), _name(setup.name), policy, setup.at)
        client.offered = setup.offered if policy.asks_for_staples else frozenset()
        version = VERSION_13 if protocol == TLS13 else VERSION_12
        try:
            for message in split(setup.flight(protocol, client.offered)):
                client.on_message(message, version)
            client.on_flight()
        except HandshakeError:
            client.broken()
        if client.problem is not None:
            raise client.problem
        verdict = client.verdict
        for source in (Source.OCSP, Source.CRL):
            if verdict is not None and verdict.outcome is Outcome.PENDING and source in policy.sources:
                verdict = client.supply(
                    {link.fingerprint: [_ask(setup, link, source, policy)] for link in client.wanted}
                )
        if verdict is None:
            raise RuntimeError("The handshake ended without a verdict.")
        return verdict

    def _context(self, setup: Setup) -> ClientContext:
        key = (setup.trusted, setup.at)
        if key not in self._contexts:
            self._contexts[key] = ClientContext([setup.trusted], at=setup.at)
        return self._contexts[key]


def _ask(setup: Setup, link: Link, source: Source, policy: Policy) -> Judgement:
    """What this source says of the certificate, judged, or that nobody answered."""
    place = [each.fingerprint for each in setup.chain.links].index(link.fingerprint)
    answer = (setup.ocsp if source is Source.OCSP else setup.crls)[place]
    if answer is None:
        named = (ocsp_urls if source is Source.OCSP else crl_urls)(link.subject)
        reason = Reason(_MISSING[source, bool(named)], "nobody answers" if named else "nobody is named")
        return Judgement(Status.MISSING, source, _ORIGINS[source], link.fingerprint, (reason,))
    if source is Source.CRL:
        return judge_crl(answer, link, setup.at, policy.rules, origin=_ORIGINS[source])
    return judge(answer, link, setup.at, policy.rules, source=source, origin=_ORIGINS[source], nonce=setup.nonce)

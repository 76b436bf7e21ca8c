"""A case through the strict client's own judge, without a socket: the same messages, path, evidence and decision."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final

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
    from certtools.chain import Link
    from mustaple.core.policy import Policy
    from mustaple.lab.cases.setup import Setup

_ORIGINS: Final = {Source.OCSP: "the CA's responder", Source.CRL: "the CA's CRL"}


class Trial:
    """One situation, to be judged by any number of policies."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self._name = service_name(setup.name)

    @cached_property
    def _context(self) -> ClientContext:
        return ClientContext([self.setup.trusted], at=self.setup.at)

    def verdict(self, policy: Policy, protocol: str) -> ChainVerdict:
        """What the strict client makes of it by this policy, in this protocol; evidence it fetches included.

        Raises RuntimeError where the client ends the handshake without a verdict.
        """
        setup = self.setup
        client = ChainJudge(self._context, self._name, policy, setup.at)
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
                verdict = client.supply({link.fingerprint: [self._ask(link, source, policy)] for link in client.wanted})
        if verdict is None:
            raise RuntimeError("The handshake ended without a verdict.")
        return verdict

    def _ask(self, link: Link, source: Source, policy: Policy) -> Judgement:
        """What this source says of the certificate, judged, or that nobody answered."""
        setup = self.setup
        place = [each.fingerprint for each in setup.chain.links].index(link.fingerprint)
        answer = (setup.ocsp if source is Source.OCSP else setup.crls)[place]
        if answer is None or source is Source.CRL:
            reason = Reason(Code.UNREACHABLE, "nobody answers")
            return Judgement(Status.MISSING, source, _ORIGINS[source], link.fingerprint, (reason,))
        return judge(answer, link, setup.at, policy.rules, source=source, origin=_ORIGINS[source], nonce=setup.nonce)

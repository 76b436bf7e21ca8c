"""The evidence a client gets for itself after the handshake: asked of OCSP responders and CRL publishers, judged."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Final

from mustaple.core.errors import NetworkError
from mustaple.core.ocsp import judge
from mustaple.core.verdict import ChainVerdict, Code, Judgement, Outcome, Reason, Source, Status
from mustaple.net.dial import Deadline
from mustaple.net.fetch import fetch_ocsp, ocsp_urls

if TYPE_CHECKING:
    from datetime import datetime

    from certtools.chain import Link
    from mustaple.core.policy import Policy
    from mustaple.net.engines import AnyClientTLS

_FETCHES_AT_ONCE: Final = 8
_LEAST_WAIT: Final = 0.001  # seconds: a deadline that has passed still makes a timeout, not an error


def settle(tls: AnyClientTLS, verdict: ChainVerdict, policy: Policy, timeout: float) -> ChainVerdict:
    """Get the evidence that a pending verdict wants, source by source, all certificates at once.

    `timeout` bounds all of it, in seconds. It blocks; under asyncio it belongs into `asyncio.to_thread`.
    """
    deadline = Deadline(timeout)
    for source, gather in ((Source.OCSP, _ocsp), (Source.CRL, _crl)):
        if verdict.outcome is Outcome.PENDING and source in policy.sources:
            ask = partial(gather, at=verdict.at, policy=policy, deadline=deadline)
            with ThreadPoolExecutor(_FETCHES_AT_ONCE) as pool:
                found = list(pool.map(ask, tls.wanted))
            verdict = tls.supply({each.fingerprint: (each,) for each in found})
    return verdict


def _ocsp(link: Link, at: datetime, policy: Policy, deadline: Deadline) -> Judgement:
    urls = ocsp_urls(link.subject)
    if not urls:
        return _missing(link, Source.OCSP, "the certificate", Code.NO_URL, "the certificate names no OCSP responder")
    try:
        fetched = fetch_ocsp(link, url=urls[0], timeout=max(deadline.left(), _LEAST_WAIT))
    except NetworkError as error:
        return _missing(link, Source.OCSP, urls[0], Code.UNREACHABLE, str(error).rstrip("."))
    return judge(fetched.body, link, at, policy.rules, source=Source.OCSP, origin=fetched.url)


def _crl(link: Link, **_: object) -> Judgement:
    return _missing(link, Source.CRL, "CRL", Code.UNREACHABLE, "no CRL has been asked for")


def _missing(link: Link, source: Source, origin: str, code: Code, said: str) -> Judgement:
    return Judgement(Status.MISSING, source, origin, link.fingerprint, (Reason(code, said),))

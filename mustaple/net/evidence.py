"""The evidence a client gets for itself after the handshake: asked of OCSP responders and CRL publishers, judged."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from mustaple.core.crl import judge_crl
from mustaple.core.crl_case import Crl, open_crl
from mustaple.core.errors import NetworkError
from mustaple.core.ocsp import judge
from mustaple.core.verdict import ChainVerdict, Code, Judgement, Outcome, Reason, Request, Source, Status
from mustaple.net.crl_cache import CrlCache
from mustaple.net.crl_files import GivenCrl, read_crls
from mustaple.net.dial import Deadline
from mustaple.net.exchange import get_url, ocsp_request
from mustaple.net.fetch import crl_urls, fetch_crl, fetch_ocsp, ocsp_urls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from certtools.chain import Link
    from mustaple.core.policy import Policy
    from mustaple.net.engines import AnyClientTLS
    from mustaple.net.fetch import Fetched
    from mustaple.net.tls_context import PathLike

_FETCHES_AT_ONCE: Final = 8
_LEAST_WAIT: Final = 0.001  # seconds: a deadline that has passed still makes a timeout, not an error
_TELLING: Final = frozenset({Status.GOOD, Status.REVOKED})  # whoever says so, no other needs to be asked
_FETCHED: Final = (Source.OCSP, Source.CRL)


class Gathered(NamedTuple):
    """What was found for some certificates, by fingerprint, and what was asked to find it."""

    evidence: Mapping[bytes, Sequence[Judgement]]
    requests: tuple[Request, ...]


@dataclass(frozen=True)
class Means:
    """What evidence is gathered by: `given` CRLs come first and cost nothing, `cache` keeps those fetched.

    `proxy` is the URL of an HTTP proxy for the fetches; without it the usual environment variables hold.
    """

    given: tuple[GivenCrl, ...] = ()
    cache: CrlCache = field(default_factory=CrlCache)
    proxy: str | None = None


def settle(
    tls: AnyClientTLS,
    verdict: ChainVerdict,
    policy: Policy,
    timeout: float,
    *,
    crls: Iterable[bytes | PathLike | GivenCrl] = (),
    cache: CrlCache | None = None,
    proxy: str | None = None,
) -> ChainVerdict:
    """Get the evidence that a pending verdict wants, source by source, all certificates at once.

    `crls` are looked at first, for every certificate whose issuer they are of: one that says good makes it needless to
    ask anybody, and one that says revoked refuses what was accepted already. Then OCSP, then CRLs, each only where the
    policy takes them as evidence and the verdict is still pending. `cache` keeps CRLs until their nextUpdate.
    `timeout` bounds all of it, in seconds. The verdict says in `requests` what the client told whom. It blocks; under
    asyncio it belongs into `asyncio.to_thread`. Raises InputError for a CRL that cannot be read.
    """
    if verdict.outcome is Outcome.REFUSED:
        return verdict
    means = Means(read_crls(crls), cache if cache is not None else CrlCache(), proxy)
    requests: list[Request] = []
    if means.given and Source.CRL in policy.sources:
        looked_at = [each.link for each in verdict.certificates if each.status is not Status.NOT_CHECKED]
        telling = judge_given(looked_at, means.given, verdict.at, policy, telling=True)
        if telling:
            verdict = tls.supply(telling)
    deadline = Deadline(timeout)
    sources = [source for source in _FETCHED if source in policy.sources]
    for place, source in enumerate(sources):
        if verdict.outcome is Outcome.PENDING:
            # One that hangs must leave time for the next.
            share = Deadline(deadline.left() / (len(sources) - place))
            found = gather(tls.wanted, source, policy=policy, at=verdict.at, deadline=share, means=means)
            requests.extend(found.requests)
            verdict = tls.supply(found.evidence)
    return replace(verdict, requests=tuple(requests)) if requests else verdict


def gather(
    links: Sequence[Link], source: Source, *, policy: Policy, at: datetime, deadline: Deadline, means: Means
) -> Gathered:
    """What this source (OCSP or CRL) says of each of these certificates at the time `at`, all asked at once.

    Every address of a certificate is asked in turn until one says good or revoked; what the others said is kept too.
    There is at least one judgement for each certificate, "missing" where nobody answered. Raises nothing but what is a
    fault here: a network that fails is a judgement.
    """
    each = _ask_ocsp if source is Source.OCSP else _ask_crls
    with ThreadPoolExecutor(_FETCHES_AT_ONCE) as pool:
        found = list(pool.map(lambda link: each(_Errand(link, policy, at, deadline, means)), links))
    return Gathered(
        {link.fingerprint: judgements for link, (judgements, _) in zip(links, found, strict=True)},
        tuple(request for _, requests in found for request in requests),
    )


def judge_given(
    links: Iterable[Link], given: Sequence[GivenCrl], at: datetime, policy: Policy, *, telling: bool = False
) -> dict[bytes, list[Judgement]]:
    """What the given CRLs of a certificate's issuer say of it, by fingerprint; with `telling`, good and revoked only.

    A CRL of another issuer has nothing to say, and is no reason to refuse.
    """
    found: dict[bytes, list[Judgement]] = {}
    for link in links:
        for origin, crl in given:
            if crl.issuer == link.issuer.subject:
                judgement = judge_crl(crl, link, at, policy.rules, origin=origin)
                if not telling or judgement.status in _TELLING:
                    found.setdefault(link.fingerprint, []).append(judgement)
    return found


class _Errand(NamedTuple):
    """What is wanted for one certificate."""

    link: Link
    policy: Policy
    at: datetime
    deadline: Deadline
    means: Means


_Found = tuple[list[Judgement], list[Request]]


def _ask_ocsp(errand: _Errand) -> _Found:
    link = errand.link
    urls = ocsp_urls(link.subject)
    if not urls:
        said = "the certificate names no OCSP responder"
        return [_missing(link, Source.OCSP, "the certificate", Code.NO_URL, said)], []

    def ask(url: str, timeout: float) -> _Found:
        request = Request(Source.OCSP, url, _ocsp_method(link, url), link.fingerprint, link.serial_number, "")
        try:
            fetched = fetch_ocsp(link, url=url, timeout=timeout, proxy=errand.means.proxy)
        except NetworkError as error:
            said = str(error).rstrip(".")
            return [_missing(link, Source.OCSP, url, Code.UNREACHABLE, said)], [replace(request, answer=said)]
        judgement = judge(fetched.body, link, errand.at, errand.policy.rules, source=Source.OCSP, origin=url)
        return [judgement], [_answered(request, fetched, judgement)]

    return _in_turn(urls, ask, errand.deadline)


def _ask_crls(errand: _Errand) -> _Found:
    link = errand.link
    given = judge_given([link], errand.means.given, errand.at, errand.policy).get(link.fingerprint, [])
    urls = crl_urls(link.subject)
    if not urls:
        said = "the certificate names no CRL"
        return given or [_missing(link, Source.CRL, "the certificate", Code.NO_CRL_URL, said)], []

    def ask(url: str, timeout: float) -> _Found:
        with errand.means.cache.turn(url):
            kept = errand.means.cache.get(url, errand.at)
            if kept is not None:
                judgement = judge_crl(kept, link, errand.at, errand.policy.rules, origin=f"{url}, kept")
                if judgement.status in _TELLING:
                    return [judgement], []
            return _fetch_crl(errand, url, timeout)

    judgements, requests = _in_turn(urls, ask, errand.deadline)
    return [*given, *judgements], requests


def _fetch_crl(errand: _Errand, url: str, timeout: float) -> _Found:
    link = errand.link
    request = Request(Source.CRL, url, "GET", link.fingerprint, None, "")
    try:
        fetched = fetch_crl(url, timeout=timeout, proxy=errand.means.proxy)
    except NetworkError as error:
        said = str(error).rstrip(".")
        return [_missing(link, Source.CRL, url, Code.CRL_UNREACHABLE, said)], [replace(request, answer=said)]
    opened = open_crl(fetched.body)
    judgement = judge_crl(opened, link, errand.at, errand.policy.rules, origin=url)
    if isinstance(opened, Crl) and judgement.status in _TELLING:
        errand.means.cache.put(url, opened)
    return [judgement], [_answered(request, fetched, judgement)]


def _in_turn(urls: Sequence[str], ask: Callable[[str, float], _Found], deadline: Deadline) -> _Found:
    """Ask these addresses until one says good or revoked; each has its share of the time that is left."""
    judgements: list[Judgement] = []
    requests: list[Request] = []
    for place, url in enumerate(urls):
        said, asked = ask(url, max(deadline.left() / (len(urls) - place), _LEAST_WAIT))
        judgements += said
        requests += asked
        if any(judgement.status in _TELLING for judgement in said):
            break
    return judgements, requests


def _ocsp_method(link: Link, url: str) -> str:
    return "POST" if get_url(url, ocsp_request(link)) is None else "GET"


def _answered(request: Request, fetched: Fetched, judgement: Judgement) -> Request:
    """The request with what came back: the status, and why where it is of no use."""
    why = f": {judgement.reasons[0].code.value}" if judgement.status is Status.UNUSABLE else ""
    answer = f"{judgement.status.value}{why}"
    return replace(request, method=fetched.method, redirects=fetched.redirects, answer=answer)


def _missing(link: Link, source: Source, origin: str, code: Code, said: str) -> Judgement:
    return Judgement(Status.MISSING, source, origin, link.fingerprint, (Reason(code, said),))

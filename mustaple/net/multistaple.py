"""The multi-staple module: OCSP for every certificate of a chain, all at once under one deadline, judged, then kept."""

from __future__ import annotations

import asyncio
import enum
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from certtools.chain import name_of
from mustaple.core.errors import InputError, NetworkError
from mustaple.core.ocsp import judge
from mustaple.core.policy import Rules
from mustaple.core.verdict import Code, Judgement, Reason, Source, Status
from mustaple.net.caching import kept_until, retry_at
from mustaple.net.deadline_loop import DeadlineLoop
from mustaple.net.dial import Deadline
from mustaple.net.exchange import RetryLaterError, shown, url_fault
from mustaple.net.fetch import TIMEOUT, afetch_ocsp, new_nonce, ocsp_urls
from mustaple.net.store import Loaded, Staple

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from certtools.chain import Chain, Link
    from mustaple.net.fetch import Fetched

MAX_URLS = 8  # of one certificate: it may hold any number, and each would be asked


class How(enum.StrEnum):
    """How a certificate came by its staple."""

    FETCHED = "fetched"
    UNCHANGED = "unchanged"  # the responder said that the one here is still its answer
    FRESH = "fresh"  # the one here need not be asked for again yet
    NEWER = "newer"  # the one here is newer than the good one that came
    KEPT = "kept"  # no newer one was to be had, and the one here is still good
    NONE = "none"


class Outcome(enum.StrEnum):
    """What became of a certificate, or of a whole chain: the worst of its certificates."""

    GOOD = "good"
    UNREACHABLE = "unreachable"  # nobody answered, or nobody is named
    BAD = "bad"  # an answer came, and was not good


@dataclass(frozen=True, slots=True)
class Gathered:
    """One certificate: its staple, if there is a good one, and what each address said in turn.

    Who did not answer is a judgement too, with the status MISSING. `elapsed` is in seconds. `evidence` is the response
    that says revoked, where one does, for whoever is to see it too.
    """

    link: Link
    how: How
    staple: Staple | None
    answers: tuple[Judgement, ...] = ()
    elapsed: float = 0.0
    evidence: bytes = b""

    @property
    def outcome(self) -> Outcome:
        """GOOD where a good answer came or none is due; a staple KEPT does not hide why no newer one came."""
        if self.how not in {How.KEPT, How.NONE}:
            return Outcome.GOOD
        answered = any(each.status is not Status.MISSING for each in self.answers)
        return Outcome.BAD if answered else Outcome.UNREACHABLE

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """What was wrong with the answers, address by address."""
        return tuple(reason for each in self.answers for reason in each.reasons)


@dataclass(frozen=True, slots=True)
class StapleSet:
    """What was gathered for a chain, leaf first, and who asked to be left alone until when."""

    gathered: tuple[Gathered, ...]
    waits: Mapping[str, datetime]

    @property
    def staples(self) -> tuple[Staple, ...]:
        """The good ones."""
        return tuple(each.staple for each in self.gathered if each.staple is not None)

    @property
    def responses(self) -> tuple[bytes | None, ...]:
        """One for each certificate below the top, in the order in which servers send them (RFC 6961 §2.2)."""
        return tuple(each.staple.response if each.staple is not None else None for each in self.gathered)

    @property
    def outcome(self) -> Outcome:
        """BAD if any answer was bad, else UNREACHABLE if one is missing, else GOOD."""
        found = {each.outcome for each in self.gathered}
        return next(each for each in (Outcome.BAD, Outcome.UNREACHABLE, Outcome.GOOD) if each in found)


def now() -> datetime:
    """The time in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Gathering:
    """How to gather.

    `stored` is what a store holds: its staples are not asked for again before they are due, nor a responder before
    the time it named, unless `force`. `responder` is asked instead of the addresses in the certificates. With `nonce`
    each request has one, and all are asked for anew. `timeout` is the deadline in seconds for all certificates and
    all their addresses together; `proxy` is a URL, the usual environment variables hold without it. `on_gathered` is
    called as each certificate is done with; `clock` says at what time answers are judged. `fetch` is `afetch_ocsp`
    unless told otherwise. `always` is for whoever plans for himself: what is stored is never too fresh to ask for.
    """

    rules: Rules = field(default_factory=Rules)
    stored: Loaded = field(default_factory=Loaded)
    responder: str | None = None
    nonce: bool = False
    force: bool = False
    timeout: float = TIMEOUT
    proxy: str | None = None
    on_gathered: Callable[[Gathered], None] | None = None
    clock: Callable[[], datetime] = now
    fetch: Callable[..., Awaitable[Fetched]] = afetch_ocsp
    always: bool = False


AS_USUAL: Final = Gathering()


async def afetch_staples(chain: Chain, how: Gathering = AS_USUAL) -> StapleSet:
    """An OCSP response for every certificate of the chain below its top.

    Raises InputError for a chain of one certificate and for a proxy that cannot be used. Whatever else goes wrong is
    told of the certificate it befell.
    """
    if not chain.links:
        raise InputError(f"nobody tells the status of {name_of(chain.leaf)}: there is no issuer with it")
    run = _Run(how)
    found = await asyncio.gather(*map(run.one, chain.links), return_exceptions=True)
    for each in found:
        if isinstance(each, BaseException):
            raise each
    return StapleSet(tuple(each for each in found if isinstance(each, Gathered)), run.waits)


async def afetch_staple(link: Link, how: Gathering = AS_USUAL) -> tuple[Gathered, Mapping[str, datetime]]:
    """The same for one certificate, and who asked to be left alone until when. Raises InputError for such a proxy."""
    run = _Run(how)
    return await run.one(link), run.waits


def fetch_staples(chain: Chain, how: Gathering = AS_USUAL) -> StapleSet:
    """`afetch_staples` for callers without an event loop of their own."""
    with asyncio.Runner(loop_factory=DeadlineLoop) as runner:
        return runner.run(afetch_staples(chain, how))


class _Run:
    """One gathering under way: its deadline, and who asked to be left alone, which grows."""

    def __init__(self, how: Gathering) -> None:
        self._how = how
        self._deadline = Deadline(how.timeout)
        self.waits = dict(how.stored.waits)

    async def one(self, link: Link) -> Gathered:
        """Gather for one certificate, and tell of it."""
        gathered = await self._gather(link)
        if self._how.on_gathered is not None:
            self._how.on_gathered(gathered)
        return gathered

    async def _gather(self, link: Link) -> Gathered:
        stored = self._how.stored.staples.get(link.fingerprint)
        anew = self._how.force or self._how.nonce or self._how.always
        if stored is not None and not anew and self._how.clock() < stored.due:
            return Gathered(link, How.FRESH, stored)
        urls = self._addresses(link)
        answers: list[Judgement] = []
        for position, url in enumerate(urls):
            share = self._deadline.left() / (len(urls) - position)
            staple, judgement, fetched = await self._ask(link, url, stored, share)
            answers.append(judgement)
            if staple is not None:
                return self._better(link, stored, staple, answers)
            if judgement.status is Status.REVOKED:
                # It wins over every good there may be, so no other address is asked.
                evidence = fetched.body if fetched is not None else b""
                return Gathered(link, How.NONE, None, tuple(answers), self._elapsed(), evidence)
        if not urls:
            said = "the certificate names no OCSP address that HTTP reaches"
            answers.append(_missing(link, "the certificate", Code.NO_URL, said))
        how = How.NONE if stored is None else How.KEPT
        return Gathered(link, how, stored, tuple(answers), self._elapsed())

    def _addresses(self, link: Link) -> list[str]:
        if self._how.responder is not None:
            return [self._how.responder]
        return list(dict.fromkeys(ocsp_urls(link.subject)))[:MAX_URLS]

    def _better(self, link: Link, stored: Staple | None, staple: Staple, answers: Sequence[Judgement]) -> Gathered:
        """Of two good ones the newer: somebody on the way may play an old answer again (RFC 9919 §8.1)."""
        how = How.UNCHANGED if stored is not None and staple.response == stored.response else How.FETCHED
        if stored is not None and _this_update(stored) > _this_update(staple):
            how, staple = How.NEWER, stored
        return Gathered(link, how, staple, tuple(answers), self._elapsed())

    def _elapsed(self) -> float:
        return self._deadline.seconds - self._deadline.left()

    async def _ask(
        self, link: Link, url: str, stored: Staple | None, timeout: float
    ) -> tuple[Staple | None, Judgement, Fetched | None]:
        """What one address says, the staple it is where that is good, and what came where something did."""
        fault = url_fault(url)
        if fault is not None:
            return None, _missing(link, shown(url), Code.UNREACHABLE, fault.format(shown(url)).rstrip(".")), None
        at = self._how.clock()
        wait = self.waits.get(url)
        if wait is not None and at < wait and not self._how.force:
            said = f"{url} asked not to be asked again before {wait:%Y-%m-%d %H:%M:%S} UTC"
            return None, _missing(link, url, Code.UNREACHABLE, said), None
        if stored is not None and (stored.url != url or self._how.nonce):
            stored = None  # its ETag means nothing there, and to a nonce there is but one answer
        until = Deadline(timeout)
        staple, judgement, fetched = await self._exchange(link, url, stored, until)
        expired = any(reason.code is Code.EXPIRED for reason in judgement.reasons)
        if staple is None and expired and fetched is not None and fetched.method == "GET":
            # Perhaps a proxy that keeps answers for too long: ask past it, once (RFC 9919 §7.2).
            again = await self._exchange(link, url, None, until, bypass_caches=True)
            staple, judgement, fetched = again if again[2] is not None else (staple, judgement, fetched)
        return staple, judgement, fetched

    async def _exchange(
        self, link: Link, url: str, stored: Staple | None, until: Deadline, *, bypass_caches: bool = False
    ) -> tuple[Staple | None, Judgement, Fetched | None]:
        nonce = new_nonce() if self._how.nonce else None
        etag = stored.etag if stored is not None else None
        asking: dict[str, Any] = {
            "nonce": nonce,
            "etag": etag,
            "bypass_caches": bypass_caches,
            "proxy": self._how.proxy,
        }
        try:
            fetched = await self._how.fetch(link, url=url, timeout=round(until.left(), 2), **asking)
        except NetworkError as error:
            if isinstance(error, RetryLaterError):
                self._note_wait(url, error.retry_after)
            return None, _missing(link, url, Code.UNREACHABLE, str(error).rstrip(".")), None
        body = stored.response if stored is not None and fetched.not_modified else fetched.body
        at = self._how.clock()
        judgement = judge(body, link, at, self._how.rules, source=Source.OCSP, origin=url, nonce=nonce)
        if judgement.status is not Status.GOOD:
            self._note_wait(url, fetched.headers.get("retry-after", ""))
            return None, judgement, fetched
        if self.waits.get(url) == self._how.stored.waits.get(url):
            self.waits.pop(url, None)  # it answers again
        kept = kept_until(fetched.headers, at)
        etag = fetched.headers.get("etag", etag if fetched.not_modified else None)
        return Staple(body, judgement, url, at, kept, etag), judgement, fetched

    def _note_wait(self, url: str, retry_after: str) -> None:
        until = retry_at(retry_after, self._how.clock())
        if until is not None:
            self.waits[url] = until


def _this_update(staple: Staple) -> datetime:
    return staple.judgement.this_update or staple.fetched_at


def _missing(link: Link, origin: str, code: Code, said: str) -> Judgement:
    return Judgement(Status.MISSING, Source.OCSP, origin, link.fingerprint, (Reason(code, said),))

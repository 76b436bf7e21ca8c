"""Many checks at once: targets in, verdicts out as a stream, with bounds on how many run and how many wait."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from mustaple.core.errors import InputError, NetworkError
from mustaple.net.aclient import AsyncConnection, areach
from mustaple.net.approach import Plan

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable

    from mustaple.core.verdict import ChainVerdict
    from mustaple.net.expect_http import HeaderSeen
    from mustaple.net.settings import Settings, Target
    from mustaple.net.wire import Wire

Failure = TypeVar("Failure", bound=Exception)

AT_ONCE: Final = 64
_WINDOW: Final = 8  # times as many targets may be under way or wait to be told as run at once


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of one target: a verdict, or the NetworkError or InputError in whose place there is none.

    Any other exception is a fault of this program, and there only where the run was told to go on over it.

    `position` is the target's, from 0; `seconds` is how long the check took. `header` is what came of the question
    for the Expect-Staple header, None where it was not put.
    """

    target: Target
    result: ChainVerdict | Exception
    seconds: float
    position: int
    header: HeaderSeen | NetworkError | None = None


def check_many(
    targets: Iterable[Target] | AsyncIterable[Target],
    settings: Settings,
    *,
    at_once: int = AT_ONCE,
    in_order: bool = False,
    retries: int = 0,
    keep_going: bool = False,
    http: bool = False,
) -> AsyncGenerator[Checked, None]:
    """Check them all, `at_once` of them at a time, and give each result as it is there, or else `in_order`.

    Targets are taken as they are needed, and results wait for whoever reads them: memory does not grow with their
    number. In order, one slow target holds back the telling, and in the end the taking, of those after it. A target
    that nobody answers for is asked again `retries` times. A fault of this program ends the run, or, to `keep_going`,
    is the result of the target it befell. With `http` a server that is accepted is asked for a page, and what its
    Expect-Staple header says goes into `settings.expect_hosts`. Whatever `targets` raises comes out after the results
    before it. Leaving the loop ends what is under way (`aclose`, or `contextlib.aclosing` around it).

    Raises InputError at once for settings that cannot be used.
    """
    if at_once < 1 or retries < 0:
        raise InputError("At least one check runs at a time, and there are no fewer than 0 retries.")
    if http and settings.expect_hosts is None:
        raise InputError("What is learnt over HTTP needs a memory of Expect-Staple hosts.")
    return _Run(targets, Plan(settings), at_once, retries, keep_going=keep_going, http=http).results(in_order=in_order)


class _Broken:
    """In place of a result: what the targets, or a check, raised that is no answer."""

    def __init__(self, position: int, error: BaseException) -> None:
        self.position = position
        self.error = error


class _Run:
    """Workers that take targets from one iterator and put results into one queue."""

    def __init__(
        self,
        targets: Iterable[Target] | AsyncIterable[Target],
        plan: Plan,
        at_once: int,
        retries: int,
        *,
        keep_going: bool,
        http: bool,
    ) -> None:
        self._plan = plan
        self._at_once = at_once
        self._tries = 1 + retries
        self._keep_going = keep_going
        self._memory = plan.settings.expect_hosts if http else None
        self._targets = _stream(targets)
        self._taken = 0
        self._exhausted = False
        self._taking = asyncio.Lock()
        # Of everything that was taken and not told yet; so the queue is bounded too.
        self._room = asyncio.Semaphore(at_once * _WINDOW)
        self._results: asyncio.Queue[Checked | _Broken | None] = asyncio.Queue()
        self._fetchers = ThreadPoolExecutor(at_once, "mustaple-fetch")

    async def results(self, *, in_order: bool) -> AsyncGenerator[Checked, None]:
        """Start the workers, and give what they find."""
        workers = [asyncio.create_task(self._work()) for _ in range(self._at_once)]
        try:
            async for found in self._ordered() if in_order else self._finished():
                if isinstance(found, _Broken):
                    raise found.error
                self._room.release()
                yield found
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            self._fetchers.shutdown(wait=False, cancel_futures=True)

    async def _finished(self) -> AsyncIterator[Checked | _Broken]:
        working = self._at_once
        while working or not self._results.empty():
            found = await self._results.get()
            if found is None:
                working -= 1
            else:
                yield found

    async def _ordered(self) -> AsyncIterator[Checked | _Broken]:
        early: dict[int, Checked | _Broken] = {}
        due = 0
        async for found in self._finished():
            early[found.position] = found
            while due in early:
                yield early.pop(due)
                due += 1

    async def _work(self) -> None:
        while not self._exhausted:
            await self._room.acquire()
            taken = await self._take()
            if taken is None:
                break
            position, target = taken
            try:
                found = await self._check(position, target)
            except Exception as error:  # noqa: BLE001 - an error of our own is raised where the results are read
                self._results.put_nowait(_Broken(position, error))
            else:
                self._results.put_nowait(found)
        self._results.put_nowait(None)

    async def _take(self) -> tuple[int, Target] | None:
        async with self._taking:
            if self._exhausted:
                return None
            position = self._taken
            try:
                target = await anext(self._targets)
            except StopAsyncIteration:
                self._exhausted = True
                return None
            except Exception as error:  # noqa: BLE001 - it is raised where the results are read
                self._exhausted = True
                self._results.put_nowait(_Broken(position, error))
                return None
            self._taken += 1
            return position, target

    async def _check(self, position: int, target: Target) -> Checked:
        started = time.monotonic()
        result: ChainVerdict | Exception
        header = None
        for _ in range(self._tries):
            try:
                wire, result = await areach(self._plan, target, self._fetchers)
                header = await self._header(wire, result, target)
                wire.leave()
                break
            except InputError as error:
                result = _value(error)
                break
            except NetworkError as error:
                result = _value(error)
            except Exception as error:
                if not self._keep_going:
                    raise
                result = _value(error)
                break
        return Checked(target, result, time.monotonic() - started, position, header)

    async def _header(self, wire: Wire, verdict: ChainVerdict, target: Target) -> HeaderSeen | NetworkError | None:
        """What the server says of Expect-Staple; that it does not speak HTTP takes nothing from its verdict."""
        if self._memory is None or not verdict.accepted or target.starttls is not None:
            return None
        from mustaple.net.expect_http import alook_http  # it brings an HTTP library, which few runs need

        settings, connection = self._plan.settings, AsyncConnection(wire, verdict)
        host = target.server_name if target.server_name is not None else target.host
        try:
            return await alook_http(
                connection,
                host,
                target.port,
                verdict.at,
                self._memory,
                sender=settings.expect_reports,
                timeout=settings.timeout,
            )
        except NetworkError as error:
            return _value(error)


def _value(error: Failure) -> Failure:
    """The error as a result: without the frames it came through, which would keep their connection with it."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


async def _stream(targets: Iterable[Target] | AsyncIterable[Target]) -> AsyncIterator[Target]:
    if hasattr(targets, "__aiter__"):
        async for target in targets:
            yield target
    else:
        for target in targets:
            yield target

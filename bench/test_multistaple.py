"""A staple for every certificate of a chain costs the time of one request: all responders are asked at once."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from ratios import ratio

from certtools.authority import Authority
from certtools.forge.ocsp import good
from mustaple.net.fetch import afetch_ocsp
from mustaple.net.listen import listen, url_of
from mustaple.net.multistaple import Outcome, fetch_staples
from mustaple.net.responder import FunctionAnswers, ResponderApp
from mustaple.net.responder.serving import AppRunner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_benchmark.fixture import BenchmarkFixture

    from certtools.chain import Chain
    from mustaple.net.fetch import Fetched

DISTANCE = 0.1  # seconds from a request to its answer, which stand for a responder far away


@pytest.fixture(scope="module")
def far() -> Iterator[Chain]:
    """A leaf and two CAs below a root, each told of by a responder of its own, 100 ms away."""
    at = datetime.now(UTC).replace(microsecond=0)
    with ExitStack() as stack:
        listeners = [stack.enter_context(listen()) for _ in range(3)]
        urls = [url_of(listener, "http") for listener in listeners]
        root = Authority.root(not_before=at - timedelta(days=30), not_after=at + timedelta(days=300))
        upper = root.intermediate("upper", ocsp_urls=[urls[2]])
        lower = upper.intermediate("lower", ocsp_urls=[urls[1]])
        chain = lower.leaf(["localhost"], ocsp_urls=[urls[0]]).as_chain()
        for listener, link, signer in zip(listeners, chain.links, (lower, upper, root), strict=True):
            response = good(link, signer, at)
            runner = AppRunner(_far_away(response), listener)
            stack.callback(runner.close)
            runner.start()
        yield chain


def _far_away(response: bytes) -> Callable[..., Any]:
    app = ResponderApp(FunctionAnswers(lambda _question: response))

    async def delayed(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await asyncio.sleep(DISTANCE)
        await app(scope, receive, send)

    return delayed


def test_a_chain_of_three(benchmark: BenchmarkFixture, far: Chain, record: Callable[[str, float, str], None]) -> None:
    """At most 1.15 times one request, judging included; nothing is kept from one round to the next."""

    def every_certificate() -> None:
        assert fetch_staples(far).outcome is Outcome.GOOD

    def one_request() -> Fetched:
        return asyncio.run(afetch_ocsp(far.links[0]))

    found = ratio(every_certificate, one_request, rounds=20, calls=1, at_most=1.15).value
    record("three staples fetched and judged, responders 100 ms away / one request", found, "≤ 1.15")
    benchmark.pedantic(every_certificate, rounds=5)
    assert found <= 1.15

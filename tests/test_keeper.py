"""The keeper of a staple: it fetches, judges, renews, drops what is too old, and says what it does."""

from __future__ import annotations

import queue
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from certtools.authority import Authority
from certtools.chain import Link
from certtools.forge import CertificateStatus, answer, sign, single
from mustaple.core.errors import NetworkError
from mustaple.net.exchange import Fetched
from mustaple.net.keeper import StapleKeeper

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = datetime.now(UTC)
ROOT = Authority.root("keeper root", not_before=NOW - timedelta(days=1), not_after=NOW + timedelta(days=1))
LINK = Link(ROOT.leaf(["localhost"]).certificate, ROOT.certificate)
OTHER = Link(ROOT.leaf(["other"]).certificate, ROOT.certificate)


def response(link: Link = LINK, *, lives: float = 3600, age: float = 0, **said: Any) -> bytes:
    """A response `age` seconds old that lives for `lives` seconds."""
    begin = datetime.now(UTC) - timedelta(seconds=age)
    said = {"this_update": begin, "next_update": begin + timedelta(seconds=lives)} | said
    return sign(answer([single(link, NOW, **said)], ROOT), ROOT)


class Script:
    """Answers in their order, each as late as the keeper asks; the last one again and again."""

    def __init__(self, *answers: bytes | Exception) -> None:
        self.answers = list(answers)
        self.asked = threading.Semaphore(0)

    def __call__(self, link: Link, **_: Any) -> Fetched:
        assert link is LINK
        self.asked.release()
        said = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(said, Exception):
            raise said
        return Fetched(said, "http://responder.test/", "GET", 200, {}, 0.0)

    def wait(self) -> None:
        assert self.asked.acquire(timeout=30)


@contextmanager
def keeping(script: Script) -> Iterator[tuple[StapleKeeper, queue.Queue[str]]]:
    told: queue.Queue[str] = queue.Queue()
    with StapleKeeper(LINK, fetch=script, on_change=told.put) as keeper:
        yield keeper, told


@pytest.mark.parametrize("status", list(CertificateStatus))
def test_what_the_ca_says_is_stapled_whatever_it_is(status: CertificateStatus) -> None:
    said = response(status=status)
    with keeping(Script(said)) as (keeper, told):
        assert keeper.start(30)
        assert keeper.staple() == said
        assert told.get(timeout=30).startswith(f"stapling {status}, until 20")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"garbage", "could use"),
        (response(OTHER), "could use"),
        (response(age=7200), "could use"),
        (response()[:-1] + b"\0", "could use"),
        (NetworkError("http://responder.test/ cannot be reached."), "http://responder.test/ cannot be reached; trying"),
    ],
    ids=["garbage", "another certificate's", "expired", "bad signature", "nobody there"],
)
def test_what_no_client_could_use_is_not_stapled_and_tried_again(said: bytes | Exception, why: str) -> None:
    good = response()
    with keeping(Script(said, said, good)) as (keeper, told):
        assert keeper.start(30)
        first = told.get(timeout=30)
        assert first.startswith("stapling nothing: ")
        assert why in first
        assert told.get(timeout=30).startswith("stapling good"), "the same sentence is not said twice"
        assert keeper.staple() == good


def test_the_wait_for_the_first_staple_is_bounded() -> None:
    with keeping(Script(NetworkError("down."))) as (keeper, _):
        assert not keeper.start(0.01)
        assert keeper.staple() is None


def test_a_refresh_asked_for_comes_at_once() -> None:
    good, revoked = response(), response(status=CertificateStatus.REVOKED)
    with keeping(Script(good, revoked)) as (keeper, told):
        assert keeper.start(30)
        assert told.get(timeout=30).startswith("stapling good")
        keeper.refresh()
        assert told.get(timeout=30).startswith("stapling revoked")
        assert keeper.staple() == revoked


def test_the_old_staple_serves_on_while_nothing_new_comes() -> None:
    good = response()
    script = Script(good, NetworkError("http://responder.test/ is down."))
    with keeping(script) as (keeper, told):
        assert keeper.start(30)
        told.get(timeout=30)
        keeper.refresh()
        assert told.get(timeout=30) == "the staple before serves on: http://responder.test/ is down; trying again"
        assert keeper.staple() == good


def test_a_staple_is_renewed_at_half_life() -> None:
    with keeping(Script(response(lives=4), response(lives=3600))) as (keeper, told):
        assert keeper.start(30)
        assert told.get(timeout=30) != told.get(timeout=30)


def test_a_staple_past_its_time_is_dropped() -> None:
    with keeping(Script(response(lives=3), NetworkError("down."))) as (keeper, told):
        assert keeper.start(30)
        assert keeper.staple() is not None
        sentences = [told.get(timeout=30)]
        while not sentences[-1].startswith("stapling nothing"):
            sentences.append(told.get(timeout=30))
        assert keeper.staple() is None


def test_a_staple_past_its_time_is_not_given_while_a_fetch_hangs() -> None:
    first, hangs, go_on = response(lives=3), threading.Event(), threading.Event()

    def fetch(_: Link, **__: Any) -> Fetched:
        if hangs.is_set():
            go_on.wait(30)
        hangs.set()
        return Fetched(first, "http://responder.test/", "GET", 200, {}, 0.0)

    with StapleKeeper(LINK, fetch=fetch) as keeper:
        assert keeper.start(30)
        keeper.refresh()
        assert keeper.staple() == first
        while keeper.staple() is not None:
            hangs.wait()
            time.sleep(0.05)  # nothing tells when a time is over but the time
        go_on.set()


def test_the_keeper_ends_while_it_waits_and_when_it_never_began() -> None:
    with keeping(Script(response())) as (keeper, _):
        assert keeper.start(30)
    keeper.close()
    StapleKeeper(LINK, fetch=Script(response())).close()

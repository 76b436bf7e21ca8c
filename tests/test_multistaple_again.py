"""The multi-staple module when it comes again: what is kept is asked for when it is due, and outlives an outage."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from staple_world import DAY, GARBAGE, HOUR, PAGE, START, Asked, Clock, Told, World, codes, kept, only, world

from mustaple.core.verdict import Code
from mustaple.net.multistaple import How, Outcome
from mustaple.net.store import Loaded

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def running() -> Iterator[World]:
    with world(Clock()) as made:
        yield made


@pytest.fixture
def here(running: World) -> World:
    running.reset()
    return running


@pytest.fixture
def clock(here: World) -> Clock:
    assert isinstance(here.clock, Clock)
    here.clock.at = START
    return here.clock


# what is kept is not asked for again too soon


@pytest.mark.requirement("RFC9919-7.1-1")
def test_a_fresh_staple_is_not_asked_for_again(here: World, clock: Clock) -> None:
    here.says |= dict.fromkeys(("leaf", "ca"), lambda asked: here.honest(asked, cache_control="max-age=3600"))
    stored = kept(here.gather())
    here.asked.clear()
    clock.move(HOUR - timedelta(seconds=1))
    found = here.gather(stored=stored)
    assert [each.how for each in found.gathered] == [How.FRESH, How.FRESH]
    assert found.staples == tuple(stored.staples.values())
    assert found.outcome is Outcome.GOOD
    assert not here.asked
    clock.move(timedelta(seconds=1))
    assert {each.how for each in here.gather(stored=stored).gathered} == {How.FETCHED}


@pytest.mark.requirement("RFC9919-7.1-1")
def test_without_a_max_age_half_a_life_is_fresh(here: World, clock: Clock) -> None:
    stored = kept(here.gather())  # an hour old, and four days long
    clock.move(2 * DAY - HOUR - timedelta(seconds=1))
    assert {each.how for each in here.gather(stored=stored).gathered} == {How.FRESH}
    clock.move(timedelta(seconds=1))
    assert {each.how for each in here.gather(stored=stored).gathered} == {How.FETCHED}


def test_force_asks_for_what_is_fresh(here: World, clock: Clock) -> None:
    stored = kept(here.gather())
    here.asked.clear()
    here.gather(stored=stored, force=True)
    assert here.names() == ["ca", "leaf"]


def test_what_is_due_is_asked_for_only_if_it_changed(here: World, clock: Clock) -> None:
    here.says |= dict.fromkeys(("leaf", "ca"), here.kept(cache_control="max-age=60"))
    first = here.gather()
    clock.move(HOUR)
    found = here.gather(stored=kept(first))
    assert all(asked.headers["if-none-match"] for asked in here.asked[2:])
    assert [each.how for each in found.gathered] == [How.UNCHANGED, How.UNCHANGED]
    assert found.responses == first.responses
    assert found.outcome is Outcome.GOOD
    # It has been told again how long, and by the same ETag it is asked for the next time.
    assert {each.kept_until for each in found.staples} == {START + HOUR + timedelta(seconds=60)}
    assert [each.etag for each in found.staples] == [each.etag for each in first.staples]


def test_304_need_not_repeat_the_etag(here: World, clock: Clock) -> None:
    stored = kept(here.gather())
    here.says["leaf"] = Told(b"", 304)
    (leaf, _) = here.gather(stored=stored, force=True).staples
    assert leaf.etag == stored.staples[leaf.fingerprint].etag is not None
    here.says["leaf"] = Told(leaf.response)
    (leaf, _) = here.gather(stored=stored, force=True).staples
    assert leaf.etag is None


def test_the_etag_of_one_address_means_nothing_at_another(here: World, clock: Clock) -> None:
    stored = kept(here.gather())
    here.asked.clear()
    here.gather(stored=stored, force=True, responder=here.url("override"))
    assert all("if-none-match" not in asked.headers for asked in here.asked)


@pytest.mark.requirement("RFC9919-8.5-1")
def test_304_does_not_make_a_dead_staple_good(here: World, clock: Clock) -> None:
    """Not even where it dies between the question and the answer."""

    def slow(asked: Asked) -> Told:
        clock.move(4 * DAY)
        return Told(b"", 304)

    stored = kept(here.gather())
    here.says["leaf"] = slow
    gathered = here.gather(stored=stored, force=True).gathered[0]
    assert Code.EXPIRED in codes(gathered)
    assert gathered.outcome is not Outcome.GOOD


# what is kept outlives an outage, and nothing else


@pytest.mark.parametrize("told", [PAGE, GARBAGE, Told(b"", 503)], ids=["a page", "garbage", "HTTP 503"])
def test_a_good_staple_stays_where_no_newer_one_comes(here: World, clock: Clock, told: Told) -> None:
    stored = kept(here.gather())
    here.says["leaf"] = told
    gathered = here.gather(stored=stored, force=True).gathered[0]
    assert gathered.how is How.KEPT
    assert gathered.staple == stored.staples[here.leaf.fingerprint]
    assert gathered.outcome is (Outcome.BAD if told is GARBAGE else Outcome.UNREACHABLE)
    assert gathered.reasons


def test_a_good_staple_goes_when_the_certificate_is_revoked(here: World, clock: Clock) -> None:
    stored = kept(here.gather())
    here.says["leaf"] = here.revoked(here.leaf)
    gathered = here.gather(stored=stored, force=True).gathered[0]
    assert (gathered.how, gathered.staple) == (How.NONE, None)


@pytest.mark.requirement("RFC9919-8.1-1")
def test_of_two_good_ones_the_newer_is_kept(here: World, clock: Clock) -> None:
    old = Told(here.response(here.leaf, this_update=START - DAY))
    stored = kept(here.gather())
    here.says["leaf"] = old
    found = here.gather(stored=stored, force=True)
    assert found.responses[0] == stored.staples[here.leaf.fingerprint].response
    assert found.gathered[0].how is How.NEWER
    assert found.outcome is Outcome.GOOD
    clock.move(HOUR)
    here.says.clear()
    assert here.gather(stored=stored, force=True).responses[0] != found.responses[0]


# proxies that keep answers for too long


@pytest.mark.requirement("RFC9919-7.2-2")
def test_an_expired_answer_is_asked_for_past_the_caches(here: World, clock: Clock) -> None:
    stale = Told(here.response(here.leaf, this_update=START - 9 * DAY, next_update=START - DAY))
    here.says["leaf"] = lambda asked: here.honest(asked) if "cache-control" in asked.headers else stale
    gathered = here.gather().gathered[0]
    assert gathered.outcome is Outcome.GOOD
    assert [asked.headers.get("cache-control") for asked in here.asked if asked.name == "leaf"] == [None, "no-cache"]
    assert all("cache-control" not in asked.headers for asked in here.asked if asked.name == "ca")


@pytest.mark.requirement("RFC9919-7.2-2")
def test_it_is_asked_once_more_and_no_more(here: World, clock: Clock) -> None:
    stale = Told(here.response(here.leaf, this_update=START - 9 * DAY, next_update=START - DAY))
    here.says["leaf"] = stale
    assert codes(here.gather().gathered[0]) == [Code.EXPIRED]
    assert here.names() == ["ca", "leaf", "leaf"]
    here.says["leaf"] = lambda asked: PAGE if "cache-control" in asked.headers else stale
    assert codes(here.gather().gathered[0]) == [Code.EXPIRED]


# who asks to be left alone


@pytest.mark.parametrize("told", [Told(b"", 503), Told(b"", 429), Told(bytes.fromhex("30030a0103"))])
def test_a_responder_is_left_alone_as_long_as_it_asks(here: World, clock: Clock, told: Told) -> None:
    here.says["leaf"] = Told(told.body, told.status, {"retry-after": "600"})
    first = here.gather()
    url = here.url("leaf")
    assert first.waits == {url: START + timedelta(seconds=600)}
    here.reset()
    clock.move(timedelta(seconds=599))
    second = here.gather(stored=kept(first))
    assert "asked not to be asked again before 2026-06-01 12:10:00 UTC" in second.gathered[0].reasons[0].detail
    assert second.outcome is Outcome.UNREACHABLE
    assert "leaf" not in here.names()
    assert second.waits == first.waits
    clock.move(timedelta(seconds=1))
    third = here.gather(stored=kept(second))
    assert third.outcome is Outcome.GOOD
    assert not third.waits


def test_the_next_address_is_asked_meanwhile(here: World, clock: Clock) -> None:
    stored = Loaded(waits={here.url("first"): START + HOUR})
    assert only(here.gather(here.lone("first", "second"), stored=stored)).outcome is Outcome.GOOD
    assert here.names() == ["second"]


def test_force_asks_who_wants_to_be_left_alone(here: World, clock: Clock) -> None:
    stored = Loaded(waits={here.url("leaf"): START + HOUR})
    found = here.gather(stored=stored, force=True)
    assert found.outcome is Outcome.GOOD
    assert not found.waits


@pytest.mark.parametrize("said", ["soon", "", "-1"])
def test_a_wait_that_cannot_be_read_is_none(here: World, clock: Clock, said: str) -> None:
    here.says["leaf"] = Told(b"", 503, {"retry-after": said})
    assert not here.gather().waits

"""The agent's engine: one fetch for each certificate, only good staples, withdrawn in time, and no trouble shared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from agent_house import DAY, HOUR, LIFE, MINUTE, ROGUE, ROOT, SECOND, START, Played, honest, leaf, revoked, unknown

from certtools.chain import Link
from mustaple.agent.events import Kind, Severity
from mustaple.agent.shelf import DirectoryShelf
from mustaple.core.errors import InputError, NetworkError
from mustaple.core.refresh import Level, Pace
from mustaple.net.exchange import RetryLaterError

if TYPE_CHECKING:
    from datetime import datetime, timedelta
    from pathlib import Path

    from mustaple.core.policy import Rules
    from mustaple.net.store import Staple, Wrong


def down(_: Link, __: datetime) -> Exception:
    return NetworkError("http://one.test/ cannot be reached: Connection refused.")


@pytest.fixture
def played(tmp_path: Path) -> Played:
    return Played(tmp_path)


def test_one_fetch_serves_a_certificate_however_often_it_is_watched(played: Played) -> None:
    one, two = leaf("one.test"), leaf("two.test")
    played.watch(one, two, one)
    assert len(played.asked) == 2
    played.watch(one, two)
    assert len(played.asked) == 2


def test_a_staple_is_renewed_at_half_life_and_no_sooner(played: Played) -> None:
    played.watch(leaf("one.test"))
    played.move(LIFE / 2 - SECOND)
    assert len(played.asked) == 1
    played.move(SECOND)
    assert [at for _, at in played.asked] == [START, START + LIFE / 2]


def test_the_old_staple_serves_until_it_dies_and_not_a_moment_longer(played: Played) -> None:
    link = leaf("one.test")
    played.watch(link)
    good = played.serves(link)
    played.says["one.test"] = down
    played.move(LIFE - SECOND)
    assert played.serves(link) == good
    assert Kind.DIED not in played.kinds()
    played.move(SECOND)
    assert played.serves(link) is None
    died = next(event for event in played.events if event.kind is Kind.DIED)
    assert (died.at, died.severity) == (START + LIFE, Severity.CRITICAL)
    played.says.clear()
    played.move(HOUR)
    assert played.serves(link) is not None, "back to normal by itself"


def test_it_is_withdrawn_in_time_while_a_fetch_hangs(played: Played) -> None:
    link = leaf("one.test")
    played.watch(link)
    played.hold = True
    played.move(LIFE - SECOND)
    assert len(played.held_up) == 1
    assert played.serves(link) is not None
    played.move(SECOND)
    assert played.serves(link) is None
    played.answer(played.held_up[0])
    assert played.serves(link) is not None


def test_levels_warn_before_a_death(played: Played) -> None:
    played.watch(leaf("one.test"))
    played.says["one.test"] = down
    played.move(LIFE)
    levels = [event.details["level"] for event in played.events if event.kind is Kind.LEVEL]
    assert levels == [Level.WARNING, Level.CRITICAL]
    played.says.clear()
    played.move(2 * HOUR)
    assert next(iter(played.engine.entries.values())).level is Level.FINE


LIES = {
    "another certificate's": lambda _, at: honest(leaf("other.test"), at),
    "expired": lambda link, at: honest(link, at, this_update=at - 9 * DAY, next_update=at - DAY),
    "from the future": lambda link, at: honest(link, at, this_update=at + DAY, next_update=at + 9 * DAY),
    "forged": lambda link, at: honest(link, at, signer=ROGUE),
    "unknown": unknown,
    "garbage": lambda *_: b"garbage",
    "without nextUpdate": lambda link, at: honest(link, at, next_update=None),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_no_lie_is_ever_stapled_nor_takes_the_good_one_away(played: Played, lie: Any) -> None:
    link = leaf("one.test")
    played.says["one.test"] = lie
    played.watch(link)
    assert played.serves(link) is None
    played.says.clear()
    played.move(HOUR)
    good = played.serves(link)
    assert good is not None
    played.says["one.test"] = lie
    played.move(3 * DAY)
    assert played.serves(link) == good


def test_an_older_good_answer_does_not_replace_a_newer_one(played: Played) -> None:
    link = leaf("one.test")
    played.watch(link)
    good = played.serves(link)
    played.says["one.test"] = lambda link, _: honest(link, START - DAY)
    played.move(LIFE / 2)
    assert played.serves(link) == good


def test_revoked_is_shouted_and_nothing_is_stapled_from_then_on(played: Played, tmp_path: Path) -> None:
    link = leaf("one.test")
    played.watch(link)
    played.says["one.test"] = revoked
    played.move(LIFE / 2)
    assert played.serves(link) is None
    shouts = [event for event in played.events if event.kind is Kind.REVOKED]
    assert [event.severity for event in shouts] == [Severity.CRITICAL]
    again = Played(tmp_path)
    again.at = played.at
    again.says["one.test"] = down
    again.watch(link)
    assert again.serves(link) is None, "it is gone from the store, too"
    before = len(played.asked)
    played.move(DAY)
    assert len(played.asked) - before <= 33, "asked for seldom"
    played.says.clear()  # a hold may be lifted
    played.move(2 * HOUR)
    assert played.serves(link) is not None


def test_what_is_in_the_store_serves_after_a_restart_and_nobody_is_asked(played: Played, tmp_path: Path) -> None:
    link = leaf("one.test")
    played.watch(link)
    again = Played(tmp_path)
    again.at = START + DAY
    again.watch(link)
    assert again.serves(link) == played.serves(link)
    assert not again.asked


def test_a_staple_that_died_meanwhile_is_not_taken_from_the_store(played: Played, tmp_path: Path) -> None:
    link = leaf("one.test")
    played.watch(link)
    again = Played(tmp_path)
    again.at, again.says = START + LIFE, {"one.test": down}
    again.watch(link)
    assert again.serves(link) is None
    assert again.engine.entries[link.fingerprint].settled


def test_a_dead_responder_is_asked_by_one_certificate_for_all(played: Played) -> None:
    links = [leaf(f"s{number}.test") for number in range(50)]
    played.says["one.test"] = down
    played.watch(*links)
    played.move(HOUR)
    assert len(played.asked) < 20, "4 at first, then one at a time, less and less often"
    played.says.clear()
    played.move(HOUR)
    assert all(played.serves(link) is not None for link in links), "all at once when it is back"


def test_one_responders_trouble_delays_no_other(played: Played) -> None:
    bad, good = [leaf(f"b{number}.test") for number in range(20)], leaf("good.test", "http://two.test/")
    played.hold = True
    played.watch(*bad, good)
    asked = [order.link for order in played.held_up]
    assert good in asked
    assert len(asked) == 5, "four at once to one responder"
    played.hold = False
    played.answer(next(order for order in played.held_up if order.link == good))
    assert played.serves(good) is not None


def test_one_bad_certificate_does_not_hold_back_the_others_of_its_responder(played: Played) -> None:
    poor, others = leaf("poor.test"), [leaf(f"s{number}.test") for number in range(20)]
    played.says["one.test"] = lambda link, at: unknown(link, at) if link == poor else honest(link, at)
    played.watch(poor, *others)
    assert all(played.serves(link) is not None for link in others)
    assert played.serves(poor) is None
    played.move(DAY)
    assert sum(at > START for _, at in played.asked) < 40, "and is asked for less and less often"


def test_a_responder_that_wants_rest_gets_it(played: Played) -> None:
    links = [leaf("one.test"), leaf("two.test")]
    later = RetryLaterError("http://one.test/ answered HTTP 503.", "1800")
    played.says["one.test"] = lambda *_: later
    played.watch(*links)
    before = len(played.asked)
    played.says.clear()
    played.move(30 * MINUTE - SECOND)
    assert len(played.asked) == before
    played.move(2 * SECOND)
    assert all(played.serves(link) is not None for link in links)


def test_the_second_address_is_asked_where_the_first_fails(played: Played) -> None:
    link = leaf("one.test", "http://one.test/", "http://two.test/")
    played.says["one.test"] = down
    played.watch(link)
    assert played.serves(link) is not None
    assert [url for url, _ in played.asked] == ["http://one.test/", "http://two.test/"]


@pytest.mark.parametrize("jump", [DAY, -DAY], ids=["forward", "back"])
def test_a_clock_that_jumps_a_day_does_no_harm_and_all_is_well_when_it_is_right(
    played: Played, jump: timedelta
) -> None:
    link = leaf("one.test")
    played.says["one.test"] = lambda link, _: honest(link, START, life=DAY)  # real time stands still
    played.watch(link)
    good = played.serves(link)
    played.set_clock(START + jump)
    wrong = played.serves(link)
    assert wrong is None if jump == DAY else wrong == good, "dead by a clock that is ahead; kept by one that is behind"
    played.move(HOUR)
    played.set_clock(START + HOUR)
    assert played.serves(link) == good
    assert (Kind.LIVES_AGAIN in played.kinds()) == (jump == DAY)


def test_a_restart_under_a_clock_that_is_behind_leaves_what_is_deployed(played: Played, tmp_path: Path) -> None:
    link = leaf("one.test")
    played.watch(link)
    again = Played(tmp_path)
    again.at, again.says = START - DAY, {"one.test": lambda link, _: honest(link, START)}
    again.watch(link)
    assert again.engine.entries[link.fingerprint].early
    again.says = {"one.test": down}
    again.set_clock(START + MINUTE)
    assert again.serves(link) == played.serves(link)


class FullShelf(DirectoryShelf):
    """A disk that is full until `room` says otherwise."""

    room = False

    def save(self, link: Link, staple: Staple | None, at: datetime) -> None:
        if not self.room:
            raise InputError("cannot write: No space left on device")
        super().save(link, staple, at)

    def load(self, link: Link, at: datetime, rules: Rules) -> Staple | Wrong | None:
        return super().load(link, at, rules)


def test_a_full_disk_loses_nothing_and_is_tried_again(tmp_path: Path) -> None:
    shelf, link = FullShelf(tmp_path), leaf("one.test")
    played = Played(shelf)
    played.watch(link)
    assert played.serves(link) is not None
    assert Kind.STORE in played.kinds()
    assert not list(tmp_path.iterdir())
    shelf.room = True
    assert not played.engine.save_again(played.at)
    again = Played(tmp_path)
    again.watch(link)
    assert again.serves(link) == played.serves(link)


REFUSED = {
    "a file": "file:///etc/passwd",
    "credentials": "http://user:secret@one.test/",
    "10,000 characters": "http://one.test/" + "a" * 10_000,
    "ldap": "ldap://one.test/",
    "no host": "http:///x",
}


@pytest.mark.parametrize("url", REFUSED.values(), ids=REFUSED)
def test_addresses_that_may_not_be_asked_are_refused_by_rule_and_logged(played: Played, url: str) -> None:
    link = leaf("one.test", url)
    played.watch(link)
    assert not played.asked
    refusal = next(event for event in played.events if event.kind is Kind.REFUSED_URL)
    assert "is not asked" in refusal.message
    assert len(refusal.message) < 400
    both = leaf("one.test", url, "http://one.test/")
    played.watch(both)
    assert played.serves(both) is not None, "the other address is asked"
    assert [each for each, _ in played.asked] == ["http://one.test/"]


def test_a_certificate_without_an_address_is_told_of_and_never_asked_for(played: Played) -> None:
    issued = ROOT.leaf(["none.test"])
    link = Link(issued.certificate, ROOT.certificate)
    played.watch(link)
    played.move(10 * DAY)
    assert not played.asked
    assert played.kinds() == [Kind.FAILED]


def test_nobody_asks_for_a_certificate_that_has_expired(played: Played) -> None:
    link = leaf("one.test", not_after=START + DAY)
    played.watch(link)
    played.move(DAY)
    assert played.serves(link) is None
    before = len(played.asked)
    played.move(10 * DAY)
    assert len(played.asked) == before
    assert played.engine.wake() is None


def test_what_is_no_longer_watched_is_forgotten_while_its_fetch_is_under_way(played: Played) -> None:
    one, two = leaf("one.test"), leaf("two.test")
    played.hold = True
    played.watch(one, two)
    played.watch(two)
    for order in played.held_up:
        played.answer(order)
    assert played.serves(one) is None
    assert played.serves(two) is not None
    assert next(iter(played.engine.responders.values())).in_flight == 0
    played.watch()
    assert not played.engine.responders


def test_forgiving_asks_again_at_once(tmp_path: Path) -> None:
    played, link = Played(tmp_path, pace=Pace(first=600.0)), leaf("one.test")
    played.says["one.test"] = down
    played.watch(link)
    played.says.clear()
    played.move(SECOND)
    assert played.serves(link) is None
    played._take(played.engine.forgive(played.at))
    assert played.serves(link) is not None


def test_answers_that_die_at_once_are_not_asked_for_in_a_loop(played: Played) -> None:
    """The judge allows for clocks that differ; a staple that is over by ours serves nobody."""
    played.says["one.test"] = lambda link, at: honest(link, at, this_update=at - DAY, next_update=at - 30 * SECOND)
    played.watch(leaf("one.test"))
    played.move(MINUTE)
    assert len(played.asked) < 10


def test_one_bad_answer_holds_nobody_else_back_not_even_for_a_moment(tmp_path: Path) -> None:
    played = Played(tmp_path, per_responder=1)
    poor, others = leaf("poor.test"), [leaf(f"s{number}.test") for number in range(5)]
    played.says["one.test"] = lambda link, at: unknown(link, at) if link == poor else honest(link, at)
    played.watch(poor, *others)
    assert all(played.serves(link) is not None for link in others)


def test_lies_to_several_in_a_row_are_the_responders_trouble(tmp_path: Path) -> None:
    played = Played(tmp_path, per_responder=1)
    played.says["one.test"] = unknown
    played.watch(*(leaf(f"s{number}.test") for number in range(20)))
    assert len(played.asked) == 3


def test_a_responder_in_trouble_is_asked_one_thing_at_a_time(played: Played) -> None:
    played.says["one.test"] = down
    played.watch(*(leaf(f"s{number}.test") for number in range(20)))
    played.hold = True
    played.move(HOUR)
    assert len(played.held_up) == 1


def test_when_it_is_back_nobody_waits_for_his_turn(played: Played) -> None:
    urgent, others = leaf("urgent.test"), [leaf(f"s{number}.test") for number in range(20)]
    played.says["one.test"] = lambda link, at: honest(link, at, life=HOUR)
    played.watch(urgent)
    played.says["one.test"] = down
    played.move(30 * MINUTE)
    played.watch(urgent, *others)
    played.move(25 * MINUTE)
    assert not any(played.serves(link) for link in others)
    played.says.clear()
    played.move(2 * MINUTE)  # what is about to die is tried sooner; the others would have waited for longer
    assert all(played.serves(link) is not None for link in [urgent, *others])


def test_a_wish_for_rest_is_over_when_the_responder_answers(played: Played) -> None:
    one, two = leaf("one.test"), leaf("two.test")
    told: list[Link] = []

    def once_busy(link: Link, at: datetime) -> bytes | Exception:
        if link == one and not told:
            told.append(link)
            return RetryLaterError("http://one.test/ answered HTTP 503.", "3600")
        return honest(link, at)

    played.says["one.test"] = once_busy
    played.watch(one, two)
    played.move(10 * SECOND)
    assert played.serves(one) is not None

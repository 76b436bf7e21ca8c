"""A fleet's rules without a network: who asks when, and what another agent's word is worth."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from agent_house import DAY, LIFE, MINUTE, ROGUE, SECOND, START, Played, honest, leaf, revoked, unknown
from hypothesis import given
from hypothesis import strategies as st

from mustaple.agent.events import Kind
from mustaple.agent.fleet.record import MAX_BYTES, Record, Weighed, Worth, decode, record_of
from mustaple.agent.fleet.standing import Standing
from mustaple.core.refresh import Pace

if TYPE_CHECKING:
    from pathlib import Path

    from certtools.chain import Link
    from mustaple.agent.engine import Order

GRACE = timedelta(seconds=25)
PACE = Pace(warning=0.3, critical=0.1)
ORIGIN = "redis://store.test:6379/0"


class Member(Played):
    """An engine in a fleet, whose store is the test's word."""

    def __init__(self, folder: Path, standing: Standing = Standing.FOLLOWING, **options: Any) -> None:
        super().__init__(folder, pace=PACE, grace=GRACE, **options)
        self.stand(standing)

    def stand(self, standing: Standing) -> None:
        self._take(self.engine.stand(standing, self.at))

    def gets(self, link: Link, record: Record | None) -> Weighed | None:
        weighed, turn = self.engine.take(link.fingerprint, record, self.at, ORIGIN)
        self._take(turn)
        return weighed

    def worth(self, link: Link, record: Record) -> Worth:
        weighed = self.gets(link, record)
        assert weighed is not None
        return weighed.worth


def told(link: Link, at: Any = START, response: bytes | None = None) -> Record:
    return Record(at, at, None, honest(link, at) if response is None else response)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "copy"


def test_alone_asks_at_once_as_ever(folder: Path) -> None:
    alone = Member(folder, Standing.ALONE)
    alone.watch(leaf("a"))
    assert len(alone.asked) == 1


def test_a_leader_asks_once_it_has_looked_whether_somebody_asked_already(folder: Path) -> None:
    one, other = leaf("a"), leaf("b")
    leader = Member(folder, Standing.LEADING)
    leader.watch(one, other)
    assert not leader.asked
    assert leader.engine.unseen == {one.fingerprint, other.fingerprint}
    leader.gets(one, None)
    assert len(leader.asked) == 1
    assert leader.worth(other, told(other)) is Worth.NEWER
    assert len(leader.asked) == 1, "somebody had"
    assert leader.engine.news == {one.fingerprint}


def test_a_leader_who_gets_no_word_from_the_store_asks_all_the_same(folder: Path) -> None:
    leader = Member(folder, Standing.LEADING)
    leader.watch(leaf("a"))
    leader.move(GRACE - SECOND)
    assert not leader.asked
    leader.move(SECOND)
    assert len(leader.asked) == 1


@pytest.mark.parametrize(
    ("standing", "part"), [(Standing.LEADING, 0.5), (Standing.PARTITIONED, 0.7), (Standing.FOLLOWING, 0.9)]
)
def test_who_does_not_lead_asks_only_for_what_is_about_to_die(folder: Path, standing: Standing, part: float) -> None:
    link = leaf("a")
    member = Member(folder, standing)
    member.watch(link)
    assert member.worth(link, told(link)) is Worth.NEWER
    member.move(LIFE * part - SECOND)
    assert not member.asked
    member.move(2 * SECOND)
    assert len(member.asked) == 1
    assert member.serves(link)
    assert Kind.DIED not in member.kinds()


@pytest.mark.parametrize("standing", [Standing.FOLLOWING, Standing.PARTITIONED])
def test_what_nobody_fetches_is_asked_for_after_a_grace(folder: Path, standing: Standing) -> None:
    member = Member(folder, standing)
    link = leaf("a")
    member.watch(link)
    member.gets(link, None)
    member.move(GRACE - SECOND)
    assert not member.asked
    member.move(SECOND)
    assert len(member.asked) == 1
    assert member.serves(link)


def test_a_clock_that_was_set_back_makes_the_grace_no_longer(folder: Path) -> None:
    member = Member(folder)
    member.watch(leaf("a"))
    member.set_clock(START - DAY / 2)
    member.move(GRACE)
    assert len(member.asked) == 1


def test_who_comes_to_lead_asks_what_is_due_and_who_leads_no_more_stops(folder: Path) -> None:
    link = leaf("a")
    member = Member(folder)
    member.watch(link)
    member.gets(link, told(link))
    member.move(LIFE * 0.6)
    assert not member.asked
    member.stand(Standing.LEADING)
    assert len(member.asked) == 1
    member.stand(Standing.FOLLOWING)
    member.move(LIFE * 0.6)
    assert len(member.asked) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        b"garbage",
        b"",
        honest(leaf("b"), START),
        honest(leaf("a"), START, signer=ROGUE),
        unknown(leaf("a"), START),
        honest(leaf("a"), START - 9 * DAY),
        honest(leaf("a"), START)[:-1],
    ],
    ids=["garbage", "empty", "another's", "forged", "unknown", "expired", "cut"],
)
def test_nothing_wrong_is_taken_from_the_store(folder: Path, wrong: bytes) -> None:
    link = leaf("a")
    member = Member(folder)
    member.watch(link)
    assert member.worth(link, told(link, START, wrong)) is Worth.WRONG
    assert member.serves(link) is None
    assert member.worth(link, told(link, START)) is Worth.NEWER, "and the honest one is"
    held = member.serves(link)
    assert member.worth(link, told(link, START + DAY, wrong)) is Worth.WRONG
    assert member.serves(link) == held


def test_a_record_that_lies_of_its_age_is_wrong_so_that_it_bars_no_newer_one(folder: Path) -> None:
    link = leaf("a")
    member = Member(folder)
    member.watch(link)
    assert member.worth(link, replace(told(link), this_update=START + 99 * DAY)) is Worth.WRONG
    assert member.serves(link) is None


def test_one_from_the_future_waits_until_the_clock_is_right(folder: Path) -> None:
    link = leaf("a")
    member = Member(folder)
    member.watch(link)
    now, record = told(link), told(link, START + DAY)
    member.gets(link, now)
    assert member.worth(link, record) is Worth.EARLY
    assert member.serves(link) == now.response
    assert not member.engine.unseen
    member.set_clock(START + DAY)
    assert member.engine.unseen == {link.fingerprint}, "it is looked up again"
    assert member.worth(link, record) is Worth.NEWER


def test_an_older_one_never_replaces_a_newer_one(folder: Path) -> None:
    link = leaf("a")
    member = Member(folder)
    member.watch(link)
    member.at = START + DAY
    old, new = told(link, START), told(link, START + DAY)
    assert member.worth(link, new) is Worth.NEWER
    assert member.worth(link, old) is Worth.OLDER
    assert member.serves(link) == new.response
    other = Member(folder.with_name("other"))
    other.watch(link)
    other.at = START + DAY
    assert other.worth(link, old) is Worth.NEWER, "where there is none it is good enough"


def asleep(folder: Path, link: Link) -> tuple[Member, Order]:
    """A leader that asked for this certificate's staple and slept a day, and what it asked: the answer is a day old."""
    member = Member(folder, Standing.LEADING)
    member.hold = True
    member.watch(link)
    member.gets(link, None)
    (order,) = member.held_up
    member.says["one.test"] = lambda link, _: honest(link, START)
    member.at = START + DAY
    return member, order


def test_who_was_asleep_while_fetching_does_not_undo_what_came_meanwhile(folder: Path) -> None:
    link = leaf("a")
    member, order = asleep(folder, link)
    new = told(link, START + DAY)
    assert member.worth(link, new) is Worth.NEWER
    member.answer(order)
    assert member.serves(link) == new.response
    assert record_of(member.engine.entries[link.fingerprint]) == new


def test_nor_does_it_bring_back_what_was_revoked_meanwhile(folder: Path) -> None:
    link = leaf("a")
    member, order = asleep(folder, link)
    assert member.worth(link, told(link, START + DAY, revoked(link, START + DAY))) is Worth.NEWER
    member.answer(order)
    assert member.serves(link) is None


def test_it_is_known_when_another_one_asked_last(folder: Path) -> None:
    link = leaf("a")
    member = Member(folder)
    member.watch(link)
    record = told(link)
    member.gets(link, record)
    member.at = START + LIFE * 0.55
    assert member.worth(link, replace(record, fetched_at=member.at)) is Worth.SAME
    member.stand(Standing.LEADING)
    assert not member.asked, "the same answer was got but now"
    assert member.worth(link, replace(record, fetched_at=START + 99 * DAY)) is Worth.SAME
    member.move(LIFE * 0.2)
    assert member.asked, "and nobody may claim to have asked in the future"


def test_revoked_is_believed_where_it_is_signed_and_no_good_from_before_undoes_it(folder: Path) -> None:
    link = leaf("a")
    member = Member(folder)
    member.watch(link)
    member.gets(link, told(link))
    member.at = START + DAY
    forged = honest(link, START + DAY, signer=ROGUE)
    assert member.worth(link, told(link, START + DAY, forged)) is Worth.WRONG
    assert member.serves(link)
    before = told(link, START + DAY - MINUTE)
    assert member.worth(link, told(link, START + DAY, revoked(link, START + DAY))) is Worth.NEWER
    assert member.serves(link) is None
    assert member.kinds().count(Kind.REVOKED) == 1
    assert member.worth(link, before) is Worth.OLDER
    assert member.serves(link) is None
    member.move(LIFE)
    assert not member.asked, "whoever leads asks for it"
    assert member.worth(link, told(link, member.at)) is Worth.NEWER, "a hold may be lifted"


def test_who_fetched_that_it_is_revoked_has_the_proof_to_tell(folder: Path) -> None:
    link = leaf("a")
    leader = Member(folder, Standing.LEADING)
    leader.says["one.test"] = revoked
    leader.watch(link)
    leader.gets(link, None)
    assert leader.engine.news == {link.fingerprint}
    record = record_of(leader.engine.entries[link.fingerprint])
    assert record is not None
    follower = Member(folder.with_name("other"))
    follower.watch(link)
    assert follower.worth(link, record) is Worth.NEWER
    assert Kind.REVOKED in follower.kinds()
    assert follower.worth(link, record) is Worth.SAME
    assert follower.kinds().count(Kind.REVOKED) == 1


def test_of_what_is_not_watched_nothing_is_taken(folder: Path) -> None:
    link = leaf("a")
    assert Member(folder).gets(link, told(link)) is None


def test_a_record_is_read_as_it_was_written() -> None:
    link = leaf("a")
    record = replace(told(link), kept_until=START + DAY, fetched_at=START + MINUTE)
    assert decode(record.encode()) == record
    assert record.encode().startswith(f"{int(START.timestamp()):012d} ".encode())
    newer = replace(record, this_update=START + SECOND)
    assert newer.stamp > replace(record, fetched_at=START + DAY).stamp > record.stamp


@pytest.mark.parametrize(
    "value",
    [b"", b"garbage", b"9" * 12 + b" " + b"9" * 12 + b" " + b"9" * 12 + b"\n", bytes(MAX_BYTES + 1)],
    ids=["empty", "garbage", "far future", "large"],
)
def test_what_is_no_record_is_none(value: bytes) -> None:
    assert decode(value) is None
    assert decode(told(leaf("a")).encode() + bytes(MAX_BYTES)) is None


@given(value=st.binary(max_size=80))
def test_whatever_the_store_says_is_read_or_refused(value: bytes) -> None:
    record = decode(value)
    assert record is None or value.endswith(record.response)

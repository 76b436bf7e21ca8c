"""What the caching responder answers from what the agent holds: the good staple of the CertID asked, or none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from agent_house import (
    DAY,
    HOUR,
    LIFE,
    MINUTE,
    ROGUE,
    ROOT,
    RULES,
    SECOND,
    START,
    Played,
    honest,
    leaf,
    revoked,
    unknown,
)

from certtools.chain import Link
from mustaple.agent.answers import HeldAnswers
from mustaple.net.responder.question import HASHES, CertId, Question, issuer_name
from mustaple.net.responder.reply import TRY_LATER, UNAUTHORIZED, Reply

if TYPE_CHECKING:
    from datetime import datetime, timedelta
    from pathlib import Path

    from agent_house import Saying


class Desk:
    """A played engine, what it holds for `link`, and the answers from that."""

    def __init__(self, folder: Path, link: Link) -> None:
        self.link = link
        self.played = Played(folder)
        self.answers = HeldAnswers(RULES)

    def watch(self, *links: Link) -> None:
        self.played.watch(*links)
        self.answers.watch(self.played.engine.entries.values())

    def ask(self, link: Link | None = None, at: datetime | None = None, **asked: Any) -> Reply:
        return self.answers.answer(question(link or self.link, **asked), at or self.played.at)


def question(*links: Link, algorithm: str = "sha1", nonce: bytes | None = None) -> Question:
    asked = tuple(CertId(*issuer_name(link.issuer, algorithm), link.serial_number) for link in links)
    return Question(asked, nonce)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path, leaf("site.test"))
    made.watch(made.link)
    return made


@pytest.mark.parametrize("algorithm", HASHES)
def test_whichever_hash_names_the_issuer_the_staple_is_found(desk: Desk, algorithm: str) -> None:
    reply = desk.ask(algorithm=algorithm)
    assert (reply.body, reply.answered) == (desk.played.serves(desk.link), ("good",))
    assert (reply.this_update, reply.next_update) == (START, START + LIFE)
    assert reply.keep_until == START + LIFE / 2, "when the agent itself wants a newer one"


@pytest.mark.requirement("RFC9919-3.2.3-1")
@pytest.mark.parametrize("changed", ["serial", "name", "key", "hash"])
def test_another_certificate_is_none_of_ours(desk: Desk, changed: str) -> None:
    (asked,) = question(desk.link).cert_ids
    algorithm, name, key = asked.issuer
    other = {
        "serial": CertId(*asked.issuer, asked.serial_number + 1),
        "name": CertId(algorithm, name[::-1], key, asked.serial_number),
        "key": CertId(*issuer_name(ROGUE.certificate, "sha1"), asked.serial_number),  # of the same name
        "hash": CertId("md5", name, key, asked.serial_number),
    }[changed]
    assert desk.answers.answer(Question((asked,)), START).answered == ("good",)
    reply = desk.answers.answer(Question((other,)), START)
    assert (reply.body, reply.answered) == (UNAUTHORIZED, ("unauthorized",))
    assert reply.why == "not a certificate that the agent watches"


def test_a_nonce_is_not_answered_and_the_log_says_so(desk: Desk) -> None:
    reply = desk.ask(nonce=b"n" * 32)
    assert reply.body == desk.ask().body
    assert (reply.keep_until, reply.why) == (None, "a nonce is not answered from a cache (RFC 9919 §5)")


def test_several_certificates_in_one_request_are_refused(tmp_path: Path) -> None:
    desk = Desk(tmp_path, leaf("site.test"))
    other = leaf("other.test")
    desk.watch(desk.link, other)
    assert desk.ask().body != desk.ask(other).body
    both = desk.answers.answer(question(desk.link, other), START)
    assert both.body == UNAUTHORIZED


def test_before_the_agent_has_looked_it_does_not_say_that_a_certificate_is_not_ours(tmp_path: Path) -> None:
    desk = Desk(tmp_path, leaf("site.test"))
    assert desk.ask().body == TRY_LATER
    desk.watch()
    assert desk.ask().body == UNAUTHORIZED


def test_a_certificate_that_is_no_longer_watched_is_forgotten(desk: Desk) -> None:
    before = desk.answers.version()
    desk.watch()
    assert desk.ask().body == UNAUTHORIZED
    assert desk.answers.version() != before


@pytest.mark.parametrize(("past", "answered"), [(-SECOND, "good"), (0 * SECOND, "tryLater"), (MINUTE, "tryLater")])
def test_a_staple_is_given_until_its_last_second_even_if_the_engine_sleeps(
    desk: Desk, past: timedelta, answered: str
) -> None:
    reply = desk.ask(at=START + LIFE + past)
    assert reply.answered == (answered,)
    assert (reply.body == TRY_LATER) == (answered == "tryLater")
    if reply.keep_until is not None:
        assert reply.keep_until <= START + LIFE


def test_the_certificates_own_end_is_the_staples_too(tmp_path: Path) -> None:
    desk = Desk(tmp_path, leaf("short.test", not_after=START + DAY))
    desk.watch(desk.link)
    assert desk.ask(at=START + DAY - SECOND).answered == ("good",)
    assert desk.ask(at=START + DAY).body == TRY_LATER


def test_through_an_outage_the_old_one_is_given_and_then_none(desk: Desk) -> None:
    desk.played.says["one.test"] = lambda *_: b"500"
    desk.played.move(LIFE - HOUR)
    late = desk.ask()
    assert late.answered == ("good",)
    assert late.keep_until is not None
    assert desk.played.at < late.keep_until < START + LIFE
    desk.played.move(HOUR)
    dead = desk.ask()
    assert (dead.body, dead.why) == (TRY_LATER, "there is no good staple now (none)")


@pytest.mark.parametrize("says", [revoked, unknown])
def test_only_good_is_ever_answered(tmp_path: Path, says: Saying) -> None:
    desk = Desk(tmp_path, leaf("site.test"))
    desk.played.says["one.test"] = says
    desk.watch(desk.link)
    assert desk.ask().body == TRY_LATER
    desk.played.says["one.test"] = honest
    desk.played.move(2 * HOUR)
    assert desk.ask().answered == ("good",), "when the CA says so"


def test_a_revocation_takes_the_staple_away(desk: Desk) -> None:
    assert desk.ask().answered == ("good",)
    desk.played.says["one.test"] = revoked
    desk.played.move(3 * LIFE / 4)
    assert (desk.ask().body, desk.ask().why) == (TRY_LATER, "there is no good staple now (revoked)")


def test_a_clock_that_was_set_back_makes_no_staple_of_the_future_good(desk: Desk) -> None:
    assert desk.ask(at=START - DAY).body == TRY_LATER
    assert desk.ask(at=START).answered == ("good",)


def test_what_another_has_put_in_its_place_is_judged_before_it_is_given(desk: Desk) -> None:
    entry = desk.played.engine.entries[desk.link.fingerprint]
    assert entry.staple is not None
    forged = honest(Link(desk.link.subject, ROGUE.certificate), START, signer=ROGUE)
    object.__setattr__(entry.staple, "response", forged)
    reply = desk.ask()
    assert reply.body == TRY_LATER
    assert ROOT.certificate.subject == ROGUE.certificate.subject, "only the key tells them apart"


def test_there_are_no_crls_and_nothing_to_sign(desk: Desk) -> None:
    assert desk.answers.crl("ca", START) is None
    assert list(desk.answers.sign_ahead(START)) == []

"""The multi-staple module: all at once, under one deadline, each judged, and no more asked than is needed."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest
from staple_world import DAY, GARBAGE, HANGS, HUGE, PAGE, START, Asked, Clock, Told, World, codes, kept, only, world

from certtools.chain import Chain
from mustaple.core.errors import InputError
from mustaple.core.policy import NoNextUpdate, Rules
from mustaple.core.verdict import Code, Status
from mustaple.net.multistaple import Gathered, Gathering, How, Outcome, afetch_staples
from mustaple.net.store import Staple

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


# every certificate, in order


def test_every_certificate_below_the_root_gets_its_own(here: World) -> None:
    found = here.gather()
    assert [each.link for each in found.gathered] == list(here.chain.links)
    assert [each.how for each in found.gathered] == [How.FETCHED, How.FETCHED]
    assert [each.fingerprint for each in found.staples] == [link.fingerprint for link in here.chain.links]
    assert all(each.judgement.status is Status.GOOD for each in found.staples)
    assert found.responses == tuple(each.response for each in found.staples)
    assert found.outcome is Outcome.GOOD
    assert here.names() == ["ca", "leaf"]
    assert {asked.method for asked in here.asked} == {"GET"}


def test_all_are_asked_at_once(here: World) -> None:
    """Each responder answers only once the other has been asked: one after the other would never end."""
    both = threading.Barrier(2)

    async def meet(asked: Asked) -> Told:
        await asyncio.to_thread(both.wait, 30)
        return here.honest(asked)

    here.says |= {"leaf": meet, "ca": meet}
    assert here.gather().outcome is Outcome.GOOD


def test_each_is_told_of_as_it_comes(here: World) -> None:
    first = threading.Event()

    async def after_the_other(asked: Asked) -> Told:
        await asyncio.to_thread(first.wait, 30)
        return here.honest(asked)

    told: list[Gathered] = []

    def tell(gathered: Gathered) -> None:
        told.append(gathered)
        first.set()

    here.says["leaf"] = after_the_other
    found = here.gather(on_gathered=tell)
    assert [each.link for each in told] == [here.intermediate, here.leaf]
    assert [each.link for each in found.gathered] == [here.leaf, here.intermediate]


def test_within_an_event_loop_of_the_callers(here: World) -> None:
    found = asyncio.run(afetch_staples(here.chain, Gathering(clock=here.clock)))
    assert found.outcome is Outcome.GOOD


def test_a_chain_without_an_issuer_has_nothing_to_ask(here: World) -> None:
    with pytest.raises(InputError, match=r"nobody tells the status of CN=root"):
        here.gather(Chain(here.chain.certificates[2:]))


# what is not good is not kept, and the others are


def test_the_good_ones_are_kept_and_the_others_named(here: World) -> None:
    here.says["ca"] = here.revoked(here.intermediate)
    found = here.gather()
    assert [each.how for each in found.gathered] == [How.FETCHED, How.NONE]
    assert found.responses[1] is None
    assert codes(found.gathered[1]) == [Code.REVOKED]
    assert found.outcome is Outcome.BAD


def bad(here: World) -> dict[str, tuple[Told, Code, Outcome]]:
    leaf = here.leaf
    expired = {"this_update": here.clock() - 2 * DAY, "next_update": here.clock() - DAY}
    return {
        "revoked": (here.revoked(leaf), Code.REVOKED, Outcome.BAD),
        "another's": (Told(here.response(here.issue().as_chain().links[0])), Code.OTHER_CERTIFICATE, Outcome.BAD),
        "expired": (Told(here.response(leaf, **expired)), Code.EXPIRED, Outcome.BAD),
        "signed by the root": (Told(here.response(leaf, signer=here.root)), Code.UNAUTHORIZED_RESPONDER, Outcome.BAD),
        "an error": (Told(bytes.fromhex("30030a0103")), Code.ERROR_STATUS, Outcome.BAD),
        "garbage": (GARBAGE, Code.MALFORMED, Outcome.BAD),
        "a page": (PAGE, Code.UNREACHABLE, Outcome.UNREACHABLE),
        "huge": (HUGE, Code.UNREACHABLE, Outcome.UNREACHABLE),
        "HTTP 500": (Told(b"", 500), Code.UNREACHABLE, Outcome.UNREACHABLE),
        "nothing": (Told(b""), Code.UNREACHABLE, Outcome.UNREACHABLE),
    }


def test_what_is_not_good_is_not_kept(here: World) -> None:
    for name, (told, code, outcome) in bad(here).items():
        here.says["leaf"] = told
        found = here.gather()
        assert found.gathered[0].staple is None, name
        assert codes(found.gathered[0])[0] is code, name
        assert found.outcome is outcome, name
        assert found.gathered[1].outcome is Outcome.GOOD, name


def test_a_bad_answer_weighs_more_than_none(here: World) -> None:
    here.says |= {"leaf": GARBAGE, "ca": PAGE}
    assert here.gather().outcome is Outcome.BAD


def test_a_certificate_without_an_address_is_told_so(here: World) -> None:
    for chain in (here.lone(), here.lone("ldap://127.0.0.1/ocsp")):
        gathered = only(here.gather(chain))
        assert codes(gathered) == [Code.NO_URL]
        assert gathered.outcome is Outcome.UNREACHABLE
    assert not here.asked
    assert only(here.gather(here.lone(), responder=here.url("any"))).outcome is Outcome.GOOD


def test_the_rules_are_the_callers(here: World) -> None:
    here.says["leaf"] = Told(here.response(here.leaf, next_update=None))
    assert codes(here.gather().gathered[0]) == [Code.NO_NEXT_UPDATE]
    found = here.gather(rules=Rules(no_next_update=NoNextUpdate.BY_AGE))
    assert found.outcome is Outcome.GOOD


# addresses


def test_the_next_address_is_asked_where_one_fails(here: World) -> None:
    for failing in (Told(b"", 500), GARBAGE, here.revoked(here.intermediate)):
        here.reset()
        here.says["first"] = failing
        gathered = only(here.gather(here.lone("first", "second", "third")))
        assert (gathered.how, gathered.outcome) == (How.FETCHED, Outcome.GOOD)
        assert here.names() == ["first", "second"]
        assert len(gathered.answers) == 2
        assert gathered.reasons
        assert gathered.staple is not None
        assert gathered.staple.url == here.url("second")


def test_one_that_hangs_leaves_time_for_the_next(here: World) -> None:
    here.says["first"] = HANGS
    gathered = only(here.gather(here.lone("first", "second"), timeout=2.0))
    assert gathered.outcome is Outcome.GOOD
    assert "did not answer within 1 s" in gathered.reasons[0].detail


def test_revoked_is_the_last_word(here: World) -> None:
    chain = here.lone("first", "second")
    here.says["first"] = here.revoked(chain.links[0])
    gathered = only(here.gather(chain))
    assert gathered.staple is None
    assert here.names() == ["first"]


def test_the_first_address_that_answers_well_is_the_only_one_asked(here: World) -> None:
    assert only(here.gather(here.lone("first", "second"))).outcome is Outcome.GOOD
    assert here.names() == ["first"]


def test_an_override_is_asked_alone(here: World) -> None:
    assert here.gather(responder=here.url("override")).outcome is Outcome.GOOD
    assert here.names() == ["override", "override"]


def test_a_certificate_with_very_many_addresses_does_not_make_us_ask_them_all(here: World) -> None:
    here.says |= {f"n{number}": Told(b"", 500) for number in range(20)}
    gathered = only(here.gather(here.lone(*here.says, *here.says)))
    assert len(here.asked) == len(gathered.answers) == 8
    here.asked.clear()
    assert len(only(here.gather(here.lone("n1", "n1"))).answers) == 1


# one deadline


def test_one_deadline_holds_for_all(here: World) -> None:
    here.says |= dict.fromkeys(("leaf", "ca", "a", "b", "c"), HANGS)
    chain = here.issue("a", "b", "c").as_chain()
    found = here.gather(chain, timeout=0.6)
    assert found.outcome is Outcome.UNREACHABLE
    assert [len(each.answers) for each in found.gathered] == [3, 1]
    assert all("did not answer within" in reason.detail for each in found.gathered for reason in each.reasons)


def test_a_resolver_that_hangs_does_not_hold_us(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    resolved = threading.Event()
    really = socket.getaddrinfo

    def slow(host: Any, *arguments: Any, **more: Any) -> Any:
        if host in {"ocsp.test", b"ocsp.test"}:
            resolved.wait(60)
            host = "127.0.0.1"
        return really(host, *arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    gathered: list[Gathered] = []

    def run() -> None:
        gathered.append(only(here.gather(here.lone("http://ocsp.test/"), timeout=0.3)))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    hung = thread.is_alive()
    resolved.set()
    thread.join(30)
    assert not hung
    assert codes(gathered[0]) == [Code.UNREACHABLE]


def test_a_name_that_resolves_is_asked(here: World) -> None:
    port = here.root_url.rpartition(":")[2]
    gathered = only(here.gather(here.lone(f"http://localhost:{port}/leaf")))
    assert gathered.outcome is Outcome.GOOD
    gathered = only(here.gather(here.lone("http://no-such-host.invalid/")))
    assert codes(gathered) == [Code.UNREACHABLE]


# nonces


def test_each_request_has_a_nonce_of_its_own(here: World) -> None:
    assert here.gather(nonce=True).outcome is Outcome.GOOD
    nonces = [asked.question.nonce for asked in here.asked]
    assert [len(nonce or b"") for nonce in nonces] == [32, 32]
    assert len(set(nonces)) == 2
    here.asked.clear()
    here.gather()
    assert {asked.question.nonce for asked in here.asked} == {None}


def test_an_answer_to_another_nonce_is_not_good(here: World) -> None:
    here.says["leaf"] = Told(here.response(here.leaf, nonce=bytes(32)))
    assert codes(here.gather(nonce=True).gathered[0]) == [Code.NONCE_MISMATCH]
    assert here.gather().outcome is Outcome.GOOD


def test_a_nonce_asks_for_all_anew(here: World) -> None:
    stored = kept(here.gather())
    here.asked.clear()
    assert {each.how for each in here.gather(stored=stored, nonce=True).gathered} == {How.FETCHED}
    assert all("if-none-match" not in asked.headers for asked in here.asked)


# proxies


def test_a_proxy_is_asked_in_the_responders_stead(here: World) -> None:
    found = here.gather(here.lone("http://ocsp.test/leaf"), proxy=here.root_url)
    assert found.outcome is Outcome.GOOD
    assert here.asked[0].headers["host"] == "ocsp.test"
    with pytest.raises(InputError, match="proxy cannot be used"):
        here.gather(proxy="nonsense")


def test_a_staple_knows_where_it_came_from(here: World) -> None:
    (leaf, _) = here.gather().staples
    assert isinstance(leaf, Staple)
    assert (leaf.url, leaf.fetched_at, leaf.judgement.origin) == (here.url("leaf"), START, here.url("leaf"))
    assert leaf.etag is not None

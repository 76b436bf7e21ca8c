"""The corpus as a whole: what every case and every family must have, and that it comes out as it says, every time."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import house
import pytest
from requirement_ids import requirements

from mustaple.core.errors import InputError
from mustaple.core.policy import PRESETS
from mustaple.core.verdict import Outcome
from mustaple.lab.cases import FAMILIES, Importance, World, cases, find
from mustaple.lab.cases.catalogue import family_module
from mustaple.lab.cases.handshake import TLS12, TLS13
from mustaple.lab.cases.judging import Court
from mustaple.lab.cases.model import ACCEPTED, Case, case, noted, refused
from mustaple.lab.cases.running import run
from mustaple.report.cases_run import found_words

if TYPE_CHECKING:
    from mustaple.core.policy import Policy
    from mustaple.core.verdict import ChainVerdict
    from mustaple.lab.cases.setup import Setup

ALL = cases()
KNOWN = {requirement.id for requirement in requirements(house.ROOT / "rfc_notes")}


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def test_there_are_many_and_each_has_an_id_of_its_own() -> None:
    assert len(ALL) >= 120
    assert [name for name, count in Counter(each.id for each in ALL).items() if count > 1] == []
    assert {each.family for each in ALL} == set(FAMILIES)
    assert all(re.fullmatch(r"[a-z0-9-]+/[a-z0-9-]+", each.id) for each in ALL)


def test_each_function_declared_in_a_family_is_listed() -> None:
    for family in FAMILIES:
        source = (house.ROOT / f"mustaple/lab/cases/families/{family}.py").read_text(encoding="utf-8")
        assert len(cases([family])) == len(re.findall(r"^@case\(", source, re.MULTILINE)), family


@pytest.mark.parametrize("each", ALL, ids=lambda each: each.id)
def test_each_case_says_what_it_is(each: Case) -> None:
    assert each.description.endswith((".", "?"))
    assert set(each.clauses) <= KNOWN
    assert each.clauses or each.id == "control/other-name", "names are service-identity's"
    assert len(set(each.clauses)) == len(each.clauses)
    assert list(each.expected) == list(PRESETS)


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_has_a_case_that_everybody_accepts(family: str) -> None:
    assert family_module(family).__doc__
    twins = [each for each in cases([family]) if set(each.expected.values()) == {ACCEPTED}]
    assert twins
    assert any(each.importance is not Importance.CURIOUS for each in twins)


def test_the_descriptions_differ() -> None:
    assert [text for text, count in Counter(each.description for each in ALL).items() if count > 3] == []


# --- what the judge makes of it


@pytest.mark.parametrize("family", FAMILIES)
def test_every_case_comes_out_as_it_says(family: str, world: World) -> None:
    found = [each for tried in run(cases([family]), world) for each in tried]
    assert [each for each in found if each.deviates] == []
    assert {each.case for each in found} == {each.id for each in cases([family])}
    assert {each.preset for each in found} == set(PRESETS)


def test_it_comes_out_so_from_another_seed_at_another_time() -> None:
    elsewhere = World("another seed", datetime(2031, 2, 28, 23, 59, 59, tzinfo=UTC), name="elsewhere.mustaple.test")
    found = [each for tried in run(ALL, elsewhere, ["soft-fail", "strict"]) for each in tried]
    assert [each for each in found if each.deviates] == []


def test_what_is_expected_of_a_case_is_not_made_to_fit(world: World) -> None:
    """With the expectations of one case put on another, deviations are seen: in outcome, in code, and in notes."""
    of, on = find("freshness/expired"), find("binding/other-certificate")
    swapped = Case("freshness", "swapped", on.description, on.clauses, on.importance, of.expected, on.make)
    (found,) = run([swapped], world)
    assert {each.preset for each in found if each.deviates} == {"must-staple", "hard-fail", "strict"}
    assert {each.found for each in found if each.deviates} == {"refused: other-certificate"}
    assert all(each.detail for each in found if each.deviates)

    quiet = find("delegation/without-nocheck")
    expected = {**quiet.expected, "soft-fail": ACCEPTED}
    (found,) = run([Case("a", "b", "", (), quiet.importance, expected, quiet.make)], world)
    deviating = [each for each in found if each.deviates]
    assert [(each.preset, each.found) for each in deviating] == [("soft-fail", "accepted: delegate-unchecked")] * 2


def test_both_protocols_and_both_extensions_are_there(world: World) -> None:
    setups = [each.setup(world) for each in ALL]
    assert {each.protocols for each in setups} == {(TLS13, TLS12), (TLS13,), (TLS12,)}
    assert {each.offered for each in setups} == {frozenset({5, 17}), frozenset({5}), frozenset({17})}


def test_who_asks_for_no_status_gets_none(world: World) -> None:
    for each in ALL:
        setup = each.setup(world)
        for protocol in setup.protocols:
            flight = setup.flight(protocol, frozenset())
            assert not any(staple and staple in flight for staple in setup.staples), each.id
            assert all(certificate in flight for certificate in setup.sent), each.id


def test_a_crash_is_an_outcome_of_its_own(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(_court: Court, _setup: Setup, policy: Policy, _protocol: str) -> ChainVerdict:
        raise ZeroDivisionError(policy.name)

    monkeypatch.setattr(Court, "verdict", crash)
    (found,) = run([find("control/all-well")], world, ["strict"])
    assert [(each.found, each.detail) for each in found] == [("crash: ZeroDivisionError", "strict")] * 2
    assert all(each.deviates for each in found)


# --- making the same again


def test_a_case_is_the_same_whatever_was_made_before(world: World) -> None:
    """Alone in a world of its own, each case makes the bytes that it makes after all others."""
    for family in FAMILIES:
        each = cases([family])[-1]
        alone, after = each.setup(World()), each.setup(world)
        assert alone.chain == after.chain, each.id
        assert (alone.staples, alone.ocsp, alone.crls) == (after.staples, after.ocsp, after.crls), each.id


def test_another_seed_makes_other_keys() -> None:
    one, another = (find("control/all-well").setup(World(seed)) for seed in ("a", "b"))
    assert not {*one.chain.certificates} & {*another.chain.certificates}
    assert one.key.public_key() != another.key.public_key()


def test_a_setup_has_one_answer_for_each_certificate(world: World) -> None:
    with pytest.raises(ValueError, match="3 staples for 2 certificates"):
        replace(find("control/all-well").setup(world), staples=(None, None, None))
    with pytest.raises(ValueError, match="not one OCSP answer"):
        replace(find("control/all-well").setup(world), crls=())


# --- how cases are declared and found


def test_a_case_takes_its_id_from_its_function() -> None:
    @case("RFC6960-3.2-6", strict="expired", soft_fail=noted("expired"))
    def some_name(world: World) -> Setup:
        """It says what it is."""
        return world.site.served()

    assert some_name.id == "test-cases/some-name"
    assert some_name.description == "It says what it is."
    assert some_name.importance is Importance.MUST
    assert some_name.expected["strict"] == refused("expired")
    assert some_name.expected["soft-fail"] == noted("expired") != refused("expired")
    assert some_name.expected["ignore"] == ACCEPTED


def test_a_reason_that_there_is_none_of_is_an_error_at_once() -> None:
    with pytest.raises(ValueError, match="no reason 'expird'"):
        case("RFC6960-3.2-6", strict="expird")
    with pytest.raises(ValueError, match="no reason"):
        noted("")


def test_what_cannot_be_found_is_said_with_what_is_near() -> None:
    with pytest.raises(InputError, match=r"no case is called 'freshness/expird'; is it freshness/expired"):
        find("freshness/expird")
    with pytest.raises(InputError, match="no case is called 'x'; see the list"):
        find("x")
    with pytest.raises(InputError, match="no family of cases is called 'x'; there are control, "):
        cases(["x"])


def test_words_of_a_verdict(world: World) -> None:
    setup = find("status/unknown-everywhere").setup(world)
    words, detail = found_words(Court().verdict(setup, PRESETS["soft-fail"], TLS13))
    assert words == str(noted("unknown")) == f"{Outcome.ACCEPTED}: unknown"
    assert "does not know" in detail

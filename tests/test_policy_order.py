"""Tightening an axis of the policy never turns a refusal into an acceptance: by enumeration, and by chance beyond."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_order import (
    ORDERED,
    UNORDERED,
    all_policies,
    alone,
    neighbours,
    outcome,
    situations,
    violations,
)
from policy_world import DAY, World

from certtools.feature import Reading
from mustaple.core import decide as deciding
from mustaple.core.axes import AXES
from mustaple.core.policy import PRESETS, Action, Axis, Policy, Rules
from mustaple.core.verdict import Source
from mustaple.net.policy_file import SHIPPED, policy_named

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from mustaple.core.decide import Situation

NEVER_EMPTY: Final = "nothing_to_check"  # matters only where the chain is its own trust anchor
OTHER_READINGS: Final = [reading for reading in Reading if reading is not Reading.EVIDENCE]


@pytest.fixture(scope="module")
def every_situation(at: datetime) -> list[Situation]:
    return situations(World.at_moment(at))


def ranks(situation: Situation, policies: list[Policy]) -> bytes:
    return bytes([outcome(situation, policy) for policy in policies])


# ---------------------------------------------------------------------------------------------------------
# Each axis says its order


def test_each_axis_has_a_declared_order_or_says_that_it_has_none() -> None:
    names = {each.name for each in (*fields(Policy), *fields(Rules))} - {"name", "rules"}
    assert set(AXES) == names
    unordered = {name for name, about in AXES.items() if about.order.startswith("no order")}
    assert unordered == {"sources", "reading", "trusted_responders"}
    assert {name for name, about in AXES.items() if about.order == "shorter is tighter"} == {
        "short_lived",
        "skew",
        "max_age",
    }
    rules = {each.name for each in fields(Rules)}
    assert set(ORDERED) | set(UNORDERED) == names - rules


def test_the_values_of_an_axis_stand_from_loosest_to_tightest() -> None:
    closed = Policy()
    for name, about in AXES.items():
        value = getattr(closed, name, None) or getattr(closed.rules, name, None)
        if not isinstance(value, Axis):
            continue
        assert list(about.values) == [str(each) for each in type(value)], name
        assert [each.tightness for each in type(value)] == list(range(len(type(value))))
        # Every default is the closed one, but for the header that no standard demands.
        assert value.tightness == (0 if name == "expect_staple" else len(type(value)) - 1), name


def test_each_preset_is_at_least_as_tight_as_the_one_before() -> None:
    ordered = [name for name in ORDERED if name not in {"expect_staple", "no_rev_avail", "short_lived"}]
    presets = list(PRESETS.values())
    for looser, tighter in pairwise(presets):
        for name in ordered:
            assert getattr(looser, name).tightness <= getattr(tighter, name).tightness, (looser.name, name)


# ---------------------------------------------------------------------------------------------------------
# The property, by enumeration


@pytest.mark.timeout(300)
def test_no_policy_loosens_when_an_axis_is_tightened(every_situation: list[Situation]) -> None:
    """Every combination of every axis, in situations from all over the list."""
    policies = all_policies(without=[NEVER_EMPTY, "reading"])
    assert len(policies) == 2**9 * len(UNORDERED["sources"])
    for situation in every_situation[:: len(every_situation) // 37]:
        found = next(violations(ranks(situation, policies), [NEVER_EMPTY, "reading"]), None)
        assert found is None, explained(situation, policies, found)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("reading", OTHER_READINGS)
def test_nor_by_another_reading_of_feature_lists(every_situation: list[Situation], reading: Reading) -> None:
    policies = [replace(each, reading=reading) for each in all_policies(without=[NEVER_EMPTY, "reading"])]
    for situation in every_situation[11 :: len(every_situation) // 19]:
        found = next(violations(ranks(situation, policies), [NEVER_EMPTY, "reading"]), None)
        assert found is None, explained(situation, policies, found)


def test_nor_where_the_leaf_is_its_own_trust_anchor(at: datetime) -> None:
    one = ["reading", "no_rev_avail", "short_lived"]
    policies = all_policies(without=one)
    outcomes = ranks(alone(at), policies)
    assert not list(violations(outcomes, one))
    refused = {policy.nothing_to_check for policy, rank in zip(policies, outcomes, strict=True) if rank}
    assert refused == {Action.REFUSE}


@pytest.mark.timeout(300)
def test_nor_do_the_policies_with_a_name_in_any_situation(every_situation: list[Situation]) -> None:
    """Every situation, with each policy that has a name in its turn and all policies beside it."""
    named = [PRESETS[name] for name in PRESETS] + [policy_named(name) for name in SHIPPED]
    pairs = [list(neighbours(policy)) for policy in named]
    for place, situation in enumerate(every_situation):
        for axis, looser, tighter in pairs[place % len(pairs)]:
            assert outcome(situation, looser) <= outcome(situation, tighter), (axis, looser, situation)


def explained(situation: Situation, policies: list[Policy], found: tuple[str, int, int] | None) -> str:
    if found is None:
        return ""
    axis, looser, tighter = found
    return f"tightening {axis} loosened the outcome of\n{policies[looser]}\nto\n{policies[tighter]}\nin {situation}"


# ---------------------------------------------------------------------------------------------------------
# The property, by chance, spans of time included

SPANS = st.integers(min_value=0, max_value=100 * 86_400).map(lambda seconds: timedelta(seconds=seconds))
POLICIES = st.builds(
    Policy,
    **{name: st.sampled_from(list(values)) for name, values in {**ORDERED, **UNORDERED}.items()},
) | st.builds(Policy, short_lived=SPANS, missing=st.sampled_from(Action), sources=st.sampled_from(UNORDERED["sources"]))


@settings(max_examples=400, deadline=None)
@given(policy=POLICIES, other=SPANS, place=st.integers(min_value=0, max_value=1_000_000))
def test_any_policy_in_any_situation(
    every_situation: list[Situation], policy: Policy, other: timedelta, place: int
) -> None:
    situation = every_situation[place % len(every_situation)]
    shorter, longer = sorted((policy.short_lived, other))
    assert outcome(situation, replace(policy, short_lived=longer)) <= outcome(
        situation, replace(policy, short_lived=shorter)
    )
    for axis, looser, tighter in neighbours(policy):
        assert outcome(situation, looser) <= outcome(situation, tighter), axis


# ---------------------------------------------------------------------------------------------------------
# The enumeration sees what it should


def _refuses_backwards(status: object, policy: Policy) -> bool:
    return policy.missing is Action.NOTE


def _excuses_backwards(link: object, policy: Policy) -> tuple[object, ...]:
    return () if policy.short_lived else ("too long",)


MUTANTS: dict[str, tuple[str, Callable[..., object]]] = {
    "missing is refused where it should be noted": ("_refuses", _refuses_backwards),
    "what is not short-lived is excused": ("_excuses", _excuses_backwards),
    "a promise is heeded where it is ignored": (
        "MustStaple",
        type("Swapped", (), {"IGNORE": deciding.MustStaple.ENFORCE}),
    ),
    "the leaf alone is looked at where all should be": ("Depth", type("Swapped", (), {"LEAF": deciding.Depth.EVERY})),
    "a header is enforced where it is ignored": (
        "ExpectStaple",
        type("Swapped", (), {"ENFORCE": deciding.ExpectStaple.IGNORE}),
    ),
}


@pytest.mark.parametrize(("name", "mutant"), MUTANTS.values(), ids=MUTANTS)
def test_a_decision_that_is_wrong_way_round_is_found(
    every_situation: list[Situation], monkeypatch: pytest.MonkeyPatch, name: str, mutant: object
) -> None:
    monkeypatch.setattr(deciding, name, mutant)
    found = 0
    for place, situation in enumerate(every_situation[::7]):
        policy = list(PRESETS.values())[place % len(PRESETS)]
        tried = replace(policy, short_lived=10 * DAY if place % 2 else timedelta(), sources=frozenset({Source.STAPLE}))
        found += sum(
            outcome(situation, looser) > outcome(situation, tighter) for _, looser, tighter in neighbours(tried)
        )
        if found:
            return
    pytest.fail("nothing was found")

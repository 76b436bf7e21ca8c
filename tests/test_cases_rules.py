"""Every rule of the judge has a case that it alone catches: without the rule, the corpus no longer comes out so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from mustaple.core import crl_rules, ocsp_rules
from mustaple.core.policy import PRESETS
from mustaple.core.verdict import Outcome
from mustaple.lab.cases import World, cases
from mustaple.lab.cases.judging import Court

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from mustaple.lab.cases import Case, Setup


class Rule(NamedTuple):
    """One check, and the table that it stands in."""

    module: ModuleType
    table: str
    check: Any

    @property
    def name(self) -> str:
        return f"{self.module.__name__.rpartition('.')[2]}.{self.check.__name__}"


RULES = [
    Rule(module, table, check)
    for module in (ocsp_rules, crl_rules)
    for table, checks in vars(module).items()
    if "CHECKS" in table
    for check in checks
]
# Without these a refusal stays one, for another reason: nothing in the answer is about the certificate, or its entry
# revokes it after all.
STILL_REFUSED = {"ocsp_rules._check_cert_id", "crl_rules._check_not_removed"}
LOOKING_AT = {ocsp_rules: ("strict", "hard-fail"), crl_rules: ("hard-fail",)}


@pytest.fixture(scope="module")
def setups() -> list[tuple[Case, Setup]]:
    world = World()
    return [(case, case.setup(world)) for case in cases()]


def deviations(setups: list[tuple[Case, Setup]], module: ModuleType) -> Iterator[tuple[str, Outcome, Outcome]]:
    """Cases that come out otherwise than they say: their id, and the outcomes expected and found."""
    court = Court()
    for case, setup in setups:
        if (case.family == "crl") is not (module is crl_rules):
            continue
        for preset in LOOKING_AT[module]:
            expected = case.expected[preset]
            try:
                verdict = court.verdict(setup, PRESETS[preset], setup.protocols[0])
            except IndexError:  # a refusal without any reason, for which there is no alert
                yield case.id, expected.outcome, Outcome.REFUSED
                continue
            told = [reason.code.value for reason in verdict.all_reasons[:1]]
            other_code = expected.outcome is Outcome.REFUSED and told != [expected.code]
            if verdict.outcome is not expected.outcome or other_code:
                yield case.id, expected.outcome, verdict.outcome


def test_the_rules_are_found() -> None:
    assert len(RULES) >= 30
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert {rule.name for rule in RULES} >= STILL_REFUSED


@pytest.mark.parametrize("module", [ocsp_rules, crl_rules], ids=["ocsp", "crl"])
def test_with_all_rules_there_is_no_deviation(setups: list[tuple[Case, Setup]], module: ModuleType) -> None:
    assert list(deviations(setups, module)) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_without_a_rule_a_case_comes_out_otherwise(
    setups: list[tuple[Case, Setup]], rule: Rule, monkeypatch: pytest.MonkeyPatch
) -> None:
    rest = tuple(check for check in getattr(rule.module, rule.table) if check is not rule.check)
    monkeypatch.setattr(rule.module, rule.table, rest)
    found = deviations(setups, rule.module)
    if rule.name in STILL_REFUSED:
        assert next(found, None) is not None
    else:
        let_in = (each for each in found if each[1:] == (Outcome.REFUSED, Outcome.ACCEPTED))
        assert next(let_in, None) is not None, "no case is let in without it"

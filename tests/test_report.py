"""Verdicts in words and JSON: which certificate, why, the clause, and what to do."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from certtools.authority import Authority
from certtools.forge.ocsp import CertificateStatus, answer, sign, single
from mustaple.core.decide import Situation, decide
from mustaple.core.ocsp import judge
from mustaple.core.policy import preset
from mustaple.core.verdict import ChainVerdict, Code, Outcome
from mustaple.report.verdict_json import verdict_json
from mustaple.report.verdict_text import span_text, verdict_text

if TYPE_CHECKING:
    from datetime import datetime

DAY = timedelta(days=1)


def verdict(at: datetime, policy: str, status: CertificateStatus | None) -> ChainVerdict:
    ca = Authority.root("CA", not_before=at - DAY, not_after=at + 9 * DAY)
    chain = ca.leaf(["site.test"]).as_chain()
    link = chain.links[0]
    evidence = {}
    if status is not None:
        response = sign(answer([single(link, at, status=status)], ca), ca)
        evidence = {link.fingerprint: [judge(response, link, at, origin="TLS 1.3 Certificate, entry 0")]}
    offered = frozenset({5})
    return decide(Situation(chain, at, offered, offered, "TLSv1.3", "openssl", evidence), preset(policy))


def test_an_accepted_connection(at: datetime) -> None:
    text = verdict_text(verdict(at, "strict", CertificateStatus.GOOD), "site.test:443")
    assert text.splitlines() == [
        "accepted: site.test:443 (TLSv1.3, policy strict)",
        "  CN=site.test: good, must-staple",
        "    TLS 1.3 Certificate, entry 0: from 2026-06-01 11:00 UTC until 2026-06-05 11:00 UTC, 3 d 23 h left",
    ]


def test_a_refusal_says_who_why_by_which_clause_and_what_to_do(at: datetime) -> None:
    text = verdict_text(verdict(at, "must-staple", None), "site.test:443")
    first, second, why, advice = text.splitlines()
    assert first == "refused: site.test:443 (TLSv1.3, policy must-staple)"
    assert second == "  CN=site.test: no evidence, must-staple"
    assert why.startswith("    promise-broken: CN=site.test promises a staple")
    assert "RFC 7633" in why
    assert advice.startswith("      to do: make the server staple")


def test_nothing_checked_is_said(at: datetime) -> None:
    found = verdict(at, "ignore", None)
    assert "nothing was checked" in verdict_text(found, "x")
    assert verdict_json(found)["checked"] is False


def test_json_has_the_reasons_and_the_evidence(at: datetime) -> None:
    found = verdict_json(verdict(at, "strict", CertificateStatus.REVOKED))
    assert (found["outcome"], found["protocol"], found["at"]) == ("refused", "TLSv1.3", "2026-06-01T12:00:00Z")
    assert found["reasons"][0]["code"] == "revoked"
    certificate = found["certificates"][0]
    assert certificate["features"] == [5]
    assert certificate["evidence"][0]["status"] == "revoked"


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(days=3, hours=4, minutes=5), "3 d 4 h"),
        (timedelta(minutes=12, seconds=5), "12 min 5 s"),
        (timedelta(), "0 s"),
        (timedelta(days=2, seconds=3), "2 d 3 s"),
    ],
)
def test_spans_in_words(span: timedelta, text: str) -> None:
    assert span_text(span) == text


def test_every_reason_has_a_code_a_clause_an_alert_and_advice() -> None:
    ranks = set()
    for code in Code:
        assert code.value == code.name.lower().replace("_", "-")
        assert code.rule.clause.startswith("RFC ")
        assert not code.rule.advice.endswith(".")
        assert code.rule.rank not in ranks, f"{code}: two reasons of one rank leave their order to chance"
        ranks.add(code.rule.rank)
    assert {outcome.value for outcome in Outcome} == {"accepted", "refused", "pending"}

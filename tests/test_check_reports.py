"""Each format of a run: its schema or its own parser takes it, nothing hostile gets out, and it says what it should."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import TYPE_CHECKING

import jsonschema
import pytest
import xmlschema
from check_judges import SAME, VALID, valid_lines
from check_runs import World, hostile_results, rendered
from prometheus_client.parser import text_string_to_metric_families

from mustaple.core.errors import InputError, NetworkError
from mustaple.core.expectation import Expectation
from mustaple.core.verdict import Code, Request, Source
from mustaple.report import check_github
from mustaple.report.check_run import Format, TargetResult
from mustaple.report.check_sarif import rules
from mustaple.report.clauses import clause_url

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path


@pytest.fixture(scope="module")
def results(at: datetime) -> list[TargetResult]:
    """One target of each kind."""
    return World(at).results()


@pytest.fixture(scope="module")
def hostile(at: datetime) -> list[TargetResult]:
    """Targets that try to be more than text."""
    return hostile_results(at)


def test_every_format_has_a_judge() -> None:
    assert set(VALID) == set(Format)


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize("report_only", [False, True])
def test_every_format_is_valid(at: datetime, results: list[TargetResult], form: Format, report_only: bool) -> None:
    VALID[form](rendered(form, at, results, report_only=report_only))
    VALID[form](rendered(form, at, [], report_only=report_only))
    VALID[form](rendered(form, at, results[:1], report_only=report_only))


@pytest.mark.parametrize("form", Format)
def test_nothing_hostile_gets_out(at: datetime, hostile: list[TargetResult], form: Format) -> None:
    document = rendered(form, at, hostile)
    valid_lines(document)  # no control character, no turn of direction, in any of them
    assert document.encode()  # and no surrogate
    VALID[form](document)
    SAME[form](document)


def test_one_hostile_target_is_as_harmless(at: datetime, hostile: list[TargetResult]) -> None:
    for result in hostile:
        document = rendered(Format.TEXT, at, [result])
        valid_lines(document)
        assert not any(line.startswith("accepted: y") for line in document.splitlines())


@pytest.mark.parametrize(
    ("form", "valid", "wrong"),
    [
        (Format.JSON, '"as_expected": true', '"as_expected": "yes"'),
        (Format.JSON, '"at": "2026-06-01T12:00:00Z"', '"at": "yesterday"'),
        (Format.SARIF, '"level": "error"', '"level": "fatal"'),
        (Format.JUNIT, "<failure ", "<failed "),
        (Format.HTML, "<main>", "<main><script>"),
        (Format.PROMETHEUS, 'accepted{target="good', "accepted{target=good"),
    ],
)
def test_the_judges_refuse_what_is_wrong(
    at: datetime, results: list[TargetResult], form: Format, valid: str, wrong: str
) -> None:
    document = rendered(form, at, results)
    assert valid in document
    changed = document.replace(valid, wrong).replace("</failure>", "</failed>" if "<failed" in wrong else "</failure>")
    with pytest.raises((AssertionError, ValueError, jsonschema.ValidationError, xmlschema.XMLSchemaException)):
        VALID[form](changed)


# what each format says


def test_json_is_the_whole_run(at: datetime, results: list[TargetResult]) -> None:
    said = json.loads(rendered(Format.JSON, at, results))
    assert (said["schema"], said["policy"], said["report_only"]) == ("mustaple-check/1", "must-staple", False)
    assert [each["target"] for each in said["results"]] == [each.target for each in results]
    assert said["summary"]["exit_code"] == 4
    by_target = {each["target"]: each for each in said["results"]}
    assert by_target["wanted.test:443"]["expected"] == "refused:revoked"
    assert by_target["dying.test:443"]["warnings"][0]["seconds_left"] == 3 * 3600
    assert by_target["gone.test:443"]["verdict"] is None
    assert by_target["missing.test:443"]["verdict"]["reasons"][0]["code"] == by_target["missing.test:443"]["code"]


def test_json_has_a_line_for_each_of_many_targets(at: datetime, results: list[TargetResult]) -> None:
    lines = rendered(Format.JSON, at, results).splitlines()
    assert [json.loads(line.rstrip(","))["target"] for line in lines if line.startswith("    {")] == [
        each.target for each in results
    ]


def test_junit_has_a_case_for_each_target(at: datetime, results: list[TargetResult]) -> None:
    suite = ET.fromstring(rendered(Format.JUNIT, at, results)).find("testsuite")  # noqa: S314  we wrote it
    assert suite is not None
    assert [suite.get(name) for name in ("tests", "failures", "errors", "skipped")] == ["12", "6", "2", "0"]
    came = {case.get("name"): [(each.tag, each.get("type")) for each in case] for case in suite.iter("testcase")}
    assert came["good.test:443"] == came["wanted.test:443"] == []
    assert came["missing.test:443"] == [("failure", "promise-broken")]
    assert came["unwanted.test:443"] == [("failure", "accepted")]
    assert came["gone.test:443"] == [("error", "no-answer")]
    failure = suite.find("testcase[@name='missing.test:443']/failure")
    assert failure is not None
    assert "RFC 7633 §4.3.3" in (failure.text or "")
    assert "to do: make the server staple" in (failure.text or "")
    assert "dying.test:443: warning: the staple of CN=site.test" in (suite.findtext("system-out") or "")


def test_a_run_that_only_reports_fails_no_case_but_silence(at: datetime, results: list[TargetResult]) -> None:
    suite = ET.fromstring(rendered(Format.JUNIT, at, results, report_only=True)).find("testsuite")  # noqa: S314  ours
    assert suite is not None
    assert (suite.get("failures"), suite.get("errors")) == ("0", "2")
    assert "missing.test:443: refused: promise-broken" in (suite.findtext("system-out") or "")
    (run,) = json.loads(rendered(Format.SARIF, at, results, report_only=True))["runs"]
    assert {each["ruleId"] for each in run["results"] if each["level"] == "error"} == {"no-answer", "internal-error"}


def test_sarif_knows_every_reason_and_where_to_read_of_it() -> None:
    known = {rule["id"]: rule for rule in rules()}
    assert {code.value for code in Code} < set(known)
    assert known["promise-broken"]["helpUri"] == "https://www.rfc-editor.org/rfc/rfc7633#section-4.3.3"
    assert clause_url("RFC 6960 §3.2 (6)") == "https://www.rfc-editor.org/rfc/rfc6960#section-3.2"
    assert clause_url("a draft") is None


def test_sarif_has_a_result_for_each_reason(at: datetime, results: list[TargetResult]) -> None:
    (run,) = json.loads(rendered(Format.SARIF, at, results))["runs"]
    ids = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert all(ids[each["ruleIndex"]] == each["ruleId"] for each in run["results"])
    found = {
        name: [(each["ruleId"], each["level"]) for each in run["results"] if name in each["message"]["text"]]
        for name in ("good.test", "expired.test", "wanted.test:", "unwanted.test", "other.test", "gone.test", "dying")
    }
    assert found["good.test"] == []
    assert found["expired.test"] == [("expired", "error"), ("no-staple", "error")]
    assert ("revoked", "none") in found["wanted.test:"]
    assert found["unwanted.test"] == [("not-as-expected", "error")]
    assert found["other.test"] == [("not-as-expected", "error"), ("expired", "none")]
    assert found["gone.test"] == [("no-answer", "error")]
    assert found["dying"] == [("dies-soon", "warning")]
    assert run["invocations"] == [{"executionSuccessful": False, "exitCode": 4}]


def test_the_same_fault_has_the_same_mark_in_the_next_run(at: datetime) -> None:
    def marks(target: str, staple: str) -> set[str]:
        document = rendered(Format.SARIF, at, [TargetResult.of(target, World(at).verdict(staple), 1.0)])
        (run,) = json.loads(document)["runs"]
        return {each["partialFingerprints"]["mustaple/v1"] for each in run["results"]}

    assert marks("a:1", "revoked") == marks("a:1", "revoked")
    assert not marks("a:1", "revoked") & (marks("a:2", "revoked") | marks("a:1", "expired"))


def test_github_gets_an_annotation_for_each_fault(at: datetime, results: list[TargetResult]) -> None:
    lines = rendered(Format.GITHUB, at, results).splitlines()
    assert "accepted: good.test:443" in lines
    assert "refused: wanted.test:443" in lines
    assert any(line.startswith("::error title=mustaple%3A revoked.test%3A443%3A revoked::revoked: ") for line in lines)
    assert any(line.startswith("::warning title=mustaple%3A dying.test%3A443%3A dies-soon::") for line in lines)
    assert lines[-1].startswith("::notice title=mustaple check::12 targets in 2.5 s")


def test_the_summary_of_a_step_is_a_table(at: datetime, results: list[TargetResult], tmp_path: Path) -> None:
    file = tmp_path / "summary.md"
    file.write_text("# what an earlier step said\n")
    rendered(Format.GITHUB, at, results, file)
    said = file.read_text()
    assert said.startswith("# what an earlier step said\n### mustaple check\n")
    assert "| ❌ | revoked.test&#58;443 | refused | revoked |" in said
    assert said.count("\n| ") == len(results) + 1
    with pytest.raises(InputError, match="cannot write the summary"):
        rendered(Format.GITHUB, at, results, tmp_path)


def test_the_summary_of_a_step_holds_no_markup_and_an_end(
    at: datetime, hostile: list[TargetResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered(Format.GITHUB, at, hostile, tmp_path / "all")
    rows = [line for line in (tmp_path / "all").read_text().splitlines() if line.startswith("| ")]
    assert {row.count("|") for row in rows} == {5}
    assert len(rows) == 1 + len(hostile)
    assert not set("<>[]*`\\") & set("".join(rows))
    valid_lines((tmp_path / "all").read_text().replace("\ufe0f", ""))  # the emoji's own selector
    monkeypatch.setattr(check_github, "MOST_SUMMARY", 1200)
    rendered(Format.GITHUB, at, hostile, tmp_path / "some")
    assert "\nand 3 more\n" in (tmp_path / "some").read_text()


def test_prometheus_has_a_sample_of_each_metric(at: datetime, results: list[TargetResult]) -> None:
    samples = {
        (sample.name.removeprefix("mustaple_check_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(rendered(Format.PROMETHEUS, at, results))
        for sample in family.samples
    }
    assert samples["accepted", "good.test:443"] == samples["as_expected", "wanted.test:443"] == 1
    assert samples["accepted", "wanted.test:443"] == samples["answered", "gone.test:443"] == 0
    assert samples["refused_reason", "missing.test:443", "promise-broken"] == 1
    assert samples["staple_expiry_timestamp_seconds", "dying.test:443"] == at.timestamp() + 3 * 3600
    assert ("staple_expiry_timestamp_seconds", "missing.test:443") not in samples
    assert samples["expiry_timestamp_seconds", "missing.test:443"] == at.timestamp() + 60 * 86400
    assert samples["duration_seconds", "good.test:443"] == 0.0125
    assert (samples["targets", "refused"], samples["exit_code",]) == (6, 4)
    assert samples["run_timestamp_seconds",] == at.timestamp()


def test_the_page_opens_what_is_not_as_wanted(at: datetime) -> None:
    world = World(at)
    wanted = TargetResult.of("a:1", world.verdict("revoked"), 1.0, expectation=Expectation.parse("refused"))
    unwanted = TargetResult.of("b:1", world.verdict("revoked"), 1.0)
    page = rendered(Format.HTML, at, [wanted, unwanted, TargetResult.of("c:1", NetworkError("gone"), 1.0)])
    assert '<details class="refused wanted">' in page
    assert '<details class="refused unwanted" open>' in page
    assert "<title>mustaple check: 2 of 3 not as wanted</title>" in page
    assert 'href="https://www.rfc-editor.org/rfc/rfc6960#section-2.2"' in page
    assert "To do: replace the certificate and its key." in page


def test_what_the_client_told_a_ca_is_told(at: datetime) -> None:
    verdict = World(at).verdict("good")
    certificate = verdict.certificates[0].link
    asked = Request(Source.OCSP, "http://ocsp.test/", "GET", certificate.fingerprint, certificate.serial_number, "good")
    asking = TargetResult.of("a:1", replace(verdict, requests=(asked,)), 1.0)
    page = rendered(Format.HTML, at, [asking])
    told = f"GET http://ocsp.test/, in clear, which told it the serial number {certificate.serial_number:x}: good"
    assert told in page
    assert 'ca_requests{target="a:1"} 1' in rendered(Format.PROMETHEUS, at, [asking])
    assert "asked a CA" not in rendered(Format.HTML, at, [TargetResult.of("a:1", verdict, 1.0)])

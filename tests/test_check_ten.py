"""`mustaple check` on live endpoints of different faults: right verdicts, with exact codes, in every format."""

from __future__ import annotations

import html
import json
import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest
from ten_endpoints import ACCEPTED, NO_ANSWER, Endpoint, endpoints

from certtools.chain import to_pem
from mustaple.cli.app import run as mustaple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from certtools.authority import Authority, Issued
    from certtools.forge import Scene

    Found = dict[str, tuple[str, frozenset[str]]]


@pytest.fixture(scope="module")
def all_of_them(
    leaf: Issued, honest: tuple[bytes, bytes], scene: Scene, rogue: Authority
) -> Iterator[Mapping[str, Endpoint]]:
    with endpoints(leaf, honest, scene, rogue) as found:
        yield found


@pytest.fixture(scope="module")
def trust(root: Authority, tmp_path_factory: pytest.TempPathFactory, at: datetime) -> list[str]:
    """The options that make the fixed moment and the test root count, and the client soon tired of waiting."""
    file = tmp_path_factory.mktemp("trust") / "root.pem"
    file.write_bytes(to_pem([root.certificate]))
    return ["--ca", str(file), "--at", at.isoformat(), "--timeout", "2s"]


def listed(lines: Iterable[str], path: Path) -> list[str]:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return ["--targets", str(path)]


# --- each format, read as its readers do: the target's ending, and its codes


def from_json(text: str) -> Found:
    document: dict[str, Any] = json.loads(text)
    return {
        result["target"]: (
            result["ending"],
            frozenset(reason["code"] for reason in (result["verdict"] or {"reasons": []})["reasons"]),
        )
        for result in document["results"]
    }


def from_text(text: str) -> Found:
    rows = (re.split(" {2,}", line) for line in text.splitlines()[1:] if line and not line.startswith(" "))
    return {row[3]: (row[0], frozenset({row[1]} - {"–"})) for row in rows if len(row) == 4}


def from_junit(text: str) -> Found:
    found: Found = {}
    for case in ET.fromstring(text).iter("testcase"):  # noqa: S314 - our own document, made just now
        failure, error = case.find("failure"), case.find("error")
        if failure is not None:
            found[case.attrib["name"]] = ("refused", frozenset({failure.attrib["type"]}))
        else:
            found[case.attrib["name"]] = (ACCEPTED if error is None else error.attrib["type"], frozenset())
    return found


def _of_findings(pairs: Iterable[tuple[str, str]]) -> Found:
    """A target with a finding was refused, unless the finding is that nobody answered."""
    codes: dict[str, set[str]] = {}
    for target, rule in pairs:
        codes.setdefault(target, set()).add(rule)
    return {
        target: (NO_ANSWER, frozenset()) if rules == {NO_ANSWER} else ("refused", frozenset(rules))
        for target, rules in codes.items()
    }


def from_sarif(text: str) -> Found:
    (run,) = json.loads(text)["runs"]
    return _of_findings(
        (result["locations"][0]["logicalLocations"][0]["fullyQualifiedName"], result["ruleId"])
        for result in run["results"]
        if result["level"] == "error"
    )


def from_github(text: str) -> Found:
    titles = re.findall(r"^::error title=([^:]*)::", text, re.MULTILINE)
    pairs = (unquote(title).removeprefix("mustaple: ").rpartition(": ") for title in titles)
    found = _of_findings((target, rule) for target, _, rule in pairs)
    found.update({target: (ACCEPTED, frozenset()) for target in re.findall(r"^accepted: (.*)$", text, re.MULTILINE)})
    return found


def from_prometheus(text: str) -> Found:
    def samples(name: str) -> dict[str, str]:
        return dict(re.findall(rf'^{name}{{target="([^"]*)"}} (\d)$', text, re.MULTILINE))

    accepted, answered = samples("mustaple_check_accepted"), samples("mustaple_check_answered")
    reasons = re.findall(r'^mustaple_check_refused_reason{target="([^"]*)",code="([^"]*)"} 1$', text, re.MULTILINE)
    return {
        target: (
            ACCEPTED if accepted[target] == "1" else "refused" if answered[target] == "1" else NO_ANSWER,
            frozenset(code for each, code in reasons if each == target),
        )
        for target in accepted
    }


def from_html(text: str) -> Found:
    pattern = r'<span class="badge">([^<]*)</span> <span class="name">([^<]*)</span> <span class="aside">([^<]*)</span>'
    return {
        html.unescape(name): (ending, frozenset({aside.partition(" · ")[0]}) if ending == "refused" else frozenset())
        for ending, name, aside in re.findall(pattern, text)
    }


# The reader of each format, and whether it has every code or the most telling one.
READERS: Mapping[str, tuple[Callable[[str], Found], bool]] = {
    "text": (from_text, False),
    "json": (from_json, True),
    "junit": (from_junit, False),
    "sarif": (from_sarif, True),
    "github": (from_github, True),
    "prometheus": (from_prometheus, True),
    "html": (from_html, False),
}


@pytest.mark.parametrize("form", READERS)
def test_every_format_has_every_verdict_with_its_codes(
    form: str, all_of_them: Mapping[str, Endpoint], trust: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(all_of_them) >= 10
    lines = [endpoint.line for endpoint in all_of_them.values()]
    assert mustaple(["check", *listed(lines, tmp_path / "list"), *trust, "--format", form]) == 1
    said = capsys.readouterr()
    assert said.err == ""
    read, every_code = READERS[form]
    found = read(said.out)
    for endpoint in all_of_them.values():
        codes = endpoint.codes if every_code else endpoint.codes[:1]
        # SARIF tells of what is wrong alone
        if form == "sarif" and endpoint.ending == ACCEPTED:
            assert endpoint.line not in found
        else:
            assert found.pop(endpoint.line) == (endpoint.ending, frozenset(codes)), endpoint.fault
    assert not found


def test_the_most_telling_code_stands_first(
    all_of_them: Mapping[str, Endpoint], trust: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [endpoint.line for endpoint in all_of_them.values()]
    mustaple(["check", *listed(lines, tmp_path / "list"), *trust, "--json"])
    document = json.loads(capsys.readouterr().out)
    by_target = {endpoint.line: endpoint for endpoint in all_of_them.values()}
    assert [result["target"] for result in document["results"]] == lines  # in the order of the list
    for result in document["results"]:
        expected = by_target[result["target"]]
        assert result["code"] == expected.code
        if result["verdict"] is not None:
            assert [reason["code"] for reason in result["verdict"]["reasons"]] == list(expected.codes)


@pytest.mark.parametrize(
    ("faults", "code"),
    [
        (["good"], 0),
        (["dead port", "not TLS", "drip"], 3),
        (["good", "dead port"], 3),
        (["dead port", "revoked", "good"], 1),
    ],
)
def test_the_worst_target_gives_the_exit_code(
    faults: list[str], code: int, all_of_them: Mapping[str, Endpoint], trust: list[str], tmp_path: Path
) -> None:
    lines = [all_of_them[fault].line for fault in faults]
    assert mustaple(["check", *listed(lines, tmp_path / "list"), *trust]) == code


def _expected(endpoint: Endpoint, code: str | None) -> str:
    return f"{endpoint.line} expect={endpoint.ending}" + (f":{code}" if code is not None else "")


def test_what_is_expected_is_0_and_its_twin_is_1(
    all_of_them: Mapping[str, Endpoint], trust: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answering = [endpoint for endpoint in all_of_them.values() if endpoint.ending != NO_ANSWER]
    right = [_expected(endpoint, endpoint.code) for endpoint in answering]
    assert mustaple(["check", *listed(right, tmp_path / "right"), *trust]) == 0
    capsys.readouterr()
    for position, endpoint in enumerate(answering):
        wrong = f"{endpoint.line} expect=" + ("refused" if endpoint.ending == ACCEPTED else "refused:malformed")
        lines = [*right[:position], wrong, *right[position + 1 :]]
        assert mustaple(["check", *listed(lines, tmp_path / "wrong"), *trust, "--json"]) == 1
        results = json.loads(capsys.readouterr().out)["results"]
        assert [result["target"] for result in results if not result["as_expected"]] == [endpoint.line]


def test_one_expectation_holds_for_all_that_say_nothing_else(
    all_of_them: Mapping[str, Endpoint], trust: list[str], tmp_path: Path
) -> None:
    revoked, good, dead = (all_of_them[fault].line for fault in ("revoked", "good", "dead port"))

    def exit_code(*arguments: str) -> int:
        return mustaple(["check", *arguments, *trust])

    assert exit_code(revoked, "--expect", "refused:revoked") == 0
    assert exit_code(revoked, "--expect", "refused") == 0
    assert exit_code(revoked, "--expect", "refused:expired") == 1
    assert exit_code(revoked, "--expect", "accepted") == 1
    assert exit_code(good, "--expect", "refused") == 1
    assert exit_code(dead, "--expect", "refused") == 3  # who does not answer refuses nothing
    own = listed([revoked, f"{good} expect=accepted"], tmp_path / "list")
    assert exit_code(*own, "--expect", "refused:revoked") == 0
    assert exit_code(*own) == 1


def test_report_only_says_what_would_have_been_refused_and_fails_for_nobody(
    all_of_them: Mapping[str, Endpoint], trust: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answering = [endpoint.line for endpoint in all_of_them.values() if endpoint.ending != NO_ANSWER]
    given = listed([f"{line} expect=accepted" for line in answering], tmp_path / "list")
    assert mustaple(["check", *given, *trust, "--report-only"]) == 0
    said = capsys.readouterr().out
    assert "would have been refused for " in said
    assert "revoked 1" in said
    everybody = listed([endpoint.line for endpoint in all_of_them.values()], tmp_path / "all")
    assert mustaple(["check", *everybody, *trust, "--report-only", "--json"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert document["report_only"] is True
    assert document["summary"]["codes"]["promise-broken"] == 2

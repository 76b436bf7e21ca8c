"""Grading a client: fakes of every kind are known for what they are, and reports and baselines say the same."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import house
import jsonschema
import pytest
import xmlschema
from check_judges import SCHEMAS

from mustaple.cli.app import run
from mustaple.core.errors import InputError
from mustaple.core.policy import PRESETS
from mustaple.lab.cases import cases, find
from mustaple.lab.grade_client import Attempts, Ending, Recipe, Sign, load, recipe_names
from mustaple.lab.grade_client.bench import Bench
from mustaple.lab.grade_client.grading import ControlError, Order, grade, in_hindsight
from mustaple.lab.grade_client.outcome import Tried, judged, unfair
from mustaple.lab.grade_client.profile import agreement, nearest, wanted
from mustaple.lab.grade_client.recipe import filled, of_command
from mustaple.lab.live import Visit
from mustaple.net.tls_session import Ended
from mustaple.report.grade_client import GradeReport, Outcome, grade_client_schema
from mustaple.report.plain import json_text

SCHEMA: Final = house.ROOT / "docs/schemas/grade-client.json"
IGNORES: Final = ("{python}", "{programs}/visit_ssl.py", "{host}", "{port}", "{ca}")
# Looks at neither path nor name.
BLIND: Final = """
import socket, ssl, sys
context = ssl._create_unverified_context()
with socket.create_connection(("localhost", int(sys.argv[1]))) as plain, context.wrap_socket(plain) as tls:
    tls.sendall(b"GET / HTTP/1.1\\r\\n\\r\\n")
    tls.recv(1)
"""
# Speaks TLS 1.2 alone.
OLD: Final = """
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
context.maximum_version = ssl.TLSVersion.TLSv1_2
with socket.create_connection(("localhost", sys.argv[1])) as plain:
    with context.wrap_socket(plain, server_hostname="localhost") as tls:
        tls.sendall(b"GET / HTTP/1.1\\r\\n\\r\\n")
        tls.recv(1)
"""
HANGS_UP: Final = '"$1" -c "import socket, sys; socket.create_connection((sys.argv[1], sys.argv[2]))" "$3" "$4"'
TELLING: Final = ("control/all-well", "control/untrusted-root", "presence/no-staple", "freshness/expired")


def script(text: str) -> Recipe:
    """A client that is a shell script; its arguments are those of a client that ignores revocation."""
    return Recipe(name="fake", command=("sh", "-c", text, "sh", *IGNORES))


def graded(recipe: Recipe, *names: str, **said: Any) -> GradeReport:
    return grade(Order(recipe=recipe, cases=tuple(map(find, names)), **said))


def outcomes(report: GradeReport) -> dict[str, str]:
    return {case.id: case.outcome.value for case in report.cases}


@pytest.fixture(scope="module")
def ignoring() -> GradeReport:
    """The grade of a client that looks at path and name alone."""
    return graded(Recipe(name="ignoring", command=IGNORES), *TELLING, "clock/next-update-now", jobs=2)


# --- fakes


def test_a_client_that_looks_at_no_evidence_is_called_so(ignoring: GradeReport) -> None:
    assert (ignoring.profile, ignoring.agreement["ignore"], ignoring.passed) == ("ignore", 1.0, True)
    assert ignoring.agreement["must-staple"] == ignoring.agreement["strict"] == 0.5
    assert list(outcomes(ignoring).values()) == ["accept", "refuse", "accept", "accept", "skipped"]
    assert ignoring.deviations == []


def test_measured_against_more_it_deviates_with_importance_and_clause() -> None:
    report = graded(Recipe(name="ignoring", command=IGNORES), "freshness/expired", against="must-staple")
    (deviation,) = report.deviations
    assert (report.profile, report.measured_against, report.passed) == ("ignore", "must-staple", False)
    assert (deviation.kind, deviation.importance, deviation.clause) == ("lets-in", "must", "RFC6960-3.2-6")
    assert (deviation.outcome, deviation.expected, report.cases[0].code) == ("accept", "refuse", deviation.code)


def test_always_ending_with_0_is_no_acceptance_where_no_handshake_was_completed() -> None:
    report = graded(script('"$@"; exit 0'), *TELLING)
    assert report.profile == "ignore"
    assert outcomes(report)["control/untrusted-root"] == "refuse"


@pytest.mark.parametrize(
    ("refused", "kind", "passed"),
    [("presence/no-staple", "stricter", True), ("presence/every-staple", "shuts-out", False)],
)
def test_what_a_stricter_policy_refuses_fails_nobody_and_what_none_does_fails(
    refused: str, kind: str, passed: bool
) -> None:
    text = f'case $MUSTAPLE_CASE in {refused}) {HANGS_UP}; exit 1;; esac; exec "$@"'
    report = graded(script(text), "presence/no-staple", "presence/every-staple", against="ignore")
    assert [(each.id, each.kind) for each in report.deviations] == [(refused, kind)]
    assert report.passed is passed


def test_a_client_that_checks_no_name_stops_at_the_control_unless_told_otherwise(tmp_path: Path) -> None:
    (tmp_path / "blind.py").write_text(BLIND)
    blind = Recipe(name="blind", command=("{python}", str(tmp_path / "blind.py"), "{port}"))
    with pytest.raises(ControlError, match="does not refuse a certificate for another name"):
        graded(blind, "freshness/expired")
    report = graded(blind, "freshness/expired", "control/other-name", controls=False)
    assert report.profile == "ignore"
    assert [(each.id, each.kind) for each in report.deviations] == [("control/other-name", "lets-in")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("exit 1", "it did not connect"),
        ('"$@"; exit 1', None),
        ("kill -SEGV $$", "killed by SIGSEGV"),
        (
            HANGS_UP,
            "refuse, exit 0",
        ),
    ],
    ids=["fails always", "fails after its request", "crashes", "hangs up"],
)
def test_a_client_that_takes_nobody_stops_at_the_control(text: str, said: str | None) -> None:
    if said is None:
        # It sent its request to the server, whatever it ended with.
        assert graded(script(text), "freshness/expired").cases[0].outcome is Outcome.ACCEPT
        return
    with pytest.raises(ControlError, match=f"does not accept the honest server.*{said}"):
        graded(script(text), "freshness/expired")


def test_a_crash_and_a_hang_are_outcomes_of_their_own() -> None:
    report = graded(
        script(
            "case $MUSTAPLE_CASE in presence/no-staple) kill -SEGV $$;; freshness/expired) sleep 600;; "
            'freshness/good-for-a-second*) exit 139;; esac; exec "$@"'
        ),
        *TELLING,
        timeout=8,
        jobs=2,
    )
    assert list(outcomes(report).values()) == ["accept", "refuse", "crash", "hang"]
    assert [(each.kind, each.outcome.value) for each in report.deviations] == [("fault", "crash"), ("fault", "hang")]
    assert not report.passed


# --- one run


def test_what_hangs_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    attempts = Attempts()
    hanging = ["sh", "-c", "sleep 600 & echo $! > child; wait"]
    ending = attempts.run(hanging, timeout=1.5, environment=dict(os.environ), folder=tmp_path)
    assert (ending.timed_out, ending.exit_code, ending.signal) == (True, None, None)
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 20
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not alive(child)


def alive(process: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.mark.parametrize(
    ("text", "exit_code", "number"),
    [
        ("exit 3", 3, None),
        ("kill -SEGV $$", None, 11),
        ("exit 139", None, 11),
        ("exit 134", None, 6),
        ("exit 143", 143, None),
    ],
)
def test_an_ending_tells_an_exit_from_a_signal(
    tmp_path: Path, text: str, exit_code: int | None, number: int | None
) -> None:
    ending = Attempts().run(["sh", "-c", f"echo words; {text}"], timeout=20, environment={}, folder=tmp_path)
    assert (ending.exit_code, ending.signal, ending.said) == (exit_code, number, "words")


def test_nothing_is_started_after_the_end_or_where_there_is_nothing(tmp_path: Path) -> None:
    attempts = Attempts()
    with pytest.raises(InputError, match="cannot run no-such-program"):
        attempts.run(["no-such-program"], timeout=1, environment={}, folder=tmp_path)
    attempts.close()
    with pytest.raises(InputError, match="has ended"):
        attempts.run(["true"], timeout=1, environment={}, folder=tmp_path)


# --- what a client did, from what was seen

CASE: Final = find("freshness/expired")
BOTH: Final = frozenset({5, 17})
SERVED: Final = Visit("a", ended=Ended.SERVED, protocol="TLSv1.3", application_data=b"GET", offered=frozenset({5}))
COMPLETED: Final = Visit("a", ended=Ended.COMPLETED, protocol="TLSv1.3", offered=frozenset({5}))
REFUSED: Final = Visit("a", ended=Ended.REFUSED, alert=113, offered=frozenset({5}))


@pytest.mark.parametrize(
    ("exit_code", "visits", "sign", "outcome"),
    [
        (0, [SERVED], Sign.EXIT, "accept"),
        (1, [SERVED], Sign.EXIT, "accept"),
        (0, [COMPLETED], Sign.EXIT, "accept"),
        (0, [COMPLETED], Sign.REQUEST, "refuse"),
        (1, [COMPLETED], Sign.EXIT, "refuse"),
        (0, [REFUSED], Sign.EXIT, "refuse"),
        (0, [REFUSED, SERVED], Sign.REQUEST, "accept"),
        (0, [], Sign.EXIT, "skipped"),
    ],
)
def test_an_acceptance_needs_the_client_and_the_server(
    exit_code: int, visits: list[Visit], sign: Sign, outcome: str
) -> None:
    assert judged(CASE, BOTH, Ending(exit_code, None, 0.1, ""), visits, sign).outcome.value == outcome


@pytest.mark.parametrize(
    ("visit", "offered", "outcome"),
    [
        ({"shown": False}, BOTH, "skipped"),
        ({"shown": False, "offered": frozenset[int]()}, BOTH, "accept"),
        ({"protocol": "TLSv1.2"}, frozenset({17}), "skipped"),
        ({"protocol": "TLSv1.2"}, frozenset({5}), "accept"),
        ({"protocol": "TLSv1.2"}, BOTH, "accept"),
    ],
)
def test_who_met_another_case_than_was_meant_is_not_judged(
    visit: dict[str, Any], offered: frozenset[int], outcome: str
) -> None:
    found = judged(CASE, offered, Ending(0, None, 0.1, ""), [replace(SERVED, **visit)], Sign.EXIT)
    assert found.outcome.value == outcome


@pytest.mark.parametrize(
    ("name", "asks", "nonces", "outcome"),
    [
        ("nonce/another-came-back", True, False, "skipped"),
        ("nonce/another-came-back", True, True, "accept"),
        ("nonce/another-came-back", False, False, "accept"),
        ("presence/unpromised", True, False, "accept"),
    ],
)
def test_whose_requests_have_no_nonce_is_not_judged_by_nonces(
    name: str, asks: bool, nonces: bool, outcome: str
) -> None:
    tried = Tried(find(name), Outcome.ACCEPT, "")
    assert in_hindsight(tried, asks=asks, nonces=nonces).outcome.value == outcome


def test_cases_that_no_client_could_be_held_to_are_skipped_before() -> None:
    assert unfair(find("clock/next-update-now"), ["TLSv1.3"], ["TLSv1.3"]) is not None
    assert unfair(CASE, ["TLSv1.2"], ["TLSv1.3"]) is not None
    assert unfair(CASE, ["TLSv1.2", "TLSv1.3"], ["TLSv1.3"]) is None


def test_a_client_of_one_protocol_meets_only_the_cases_of_that() -> None:
    only = Recipe(
        name="old",
        command=(
            "{python}",
            "-c",
            OLD,
            "{port}",
            "{ca}",
        ),
    )
    chosen = [find("wire12/ocsp-multi"), find("wire13/in-each-entry")]
    with Bench(chosen, only) as bench:
        assert bench.spoken == {"TLSv1.2"}
        assert [bench.try_case(case).outcome.value for case in chosen] == ["accept", "skipped"]


# --- what it is


@pytest.mark.parametrize("preset", PRESETS)
def test_who_does_all_that_a_preset_should_is_called_by_its_name(preset: str) -> None:
    tried = [Tried(case, Outcome(wanted(case, preset)), "") for case in cases()]
    agreements = agreement(tried)
    assert (nearest(agreements), agreements[preset]) == (preset, 1.0)


def test_of_equals_the_loosest_is_named_and_faults_agree_with_none() -> None:
    accepted = [Tried(find("control/all-well"), Outcome.ACCEPT, "")]
    assert nearest(agreement(accepted)) == "ignore"
    crashed = [*accepted, Tried(CASE, Outcome.CRASH, "")]
    assert set(agreement(crashed).values()) == {0.5}
    skipped = [*accepted, Tried(CASE, Outcome.SKIPPED, "")]
    assert set(agreement(skipped).values()) == {1.0}


# --- recipes


def test_every_recipe_reads_and_reaches_its_server() -> None:
    assert {"curl", "firefox", "chromium", "java-hard-fail", "mustaple-strict"} <= set(recipe_names())
    for name in recipe_names():
        recipe = load(name)
        assert of_command(recipe.command).command == recipe.command
        assert recipe.about
        assert not [word for word in filled(recipe.command, dict.fromkeys(BLANKS, "x")) if "{" in word]


BLANKS: Final = ("host", "port", "ca", "url", "case", "folder", "shared")


def test_blanks_are_filled_and_other_braces_left() -> None:
    assert filled(["a{port}b", "{port", "{json}", "{ca}{url}"], {"port": "1", "ca": "2", "url": "3"}) == [
        *("a1b", "{port", "{json}", "23"),
    ]


def test_a_recipe_that_lacks_its_program_says_so() -> None:
    lacking = Recipe(name="lacking", command=("{url}",), needs=("no-such-program",), modules=("no_such_module",))
    with pytest.raises(InputError, match="no no-such-program, no the Python package no_such_module"):
        Bench([], lacking).__enter__()


# --- the command line


def told(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = run(["grade", "client", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


EXPIRED: Final = ("--case", "freshness/expired")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "give a command after --, or --recipe NAME"),
        (("--recipe", "crul"), 2, "is it curl"),
        (("--", "true"), 2, "neither {url} nor {port}"),
        (("--recipe", "python-ssl", "--case", "freshness/expird"), 2, "is it freshness/expired"),
        (("--recipe", "python-ssl", "--timeout", "0s"), 2, "--timeout must be longer than nothing"),
        (("--recipe", "python-ssl", "--json", "--format", "html"), 2, "ask for two reports"),
        (("--recipe", "python-ssl", "--baseline", "no-such-file"), 2, "cannot read the baseline"),
        ((*EXPIRED, "--", "no-such-program", "{url}"), 2, "cannot run no-such-program"),
        ((*EXPIRED, "--", "false", "{url}"), 3, "does not accept the honest server"),
    ],
)
def test_bad_input_is_one_line_and_an_exit_code(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int, said: str
) -> None:
    found, out, err = told(capsys, *arguments)
    assert (found, out, err.count("\n")) == (code, "", 1)
    assert said in err


def test_with_a_baseline_only_a_change_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known, client = tmp_path / "known.json", ("--", *(word.replace("{host}", "localhost") for word in IGNORES))
    wants = ("--expect", "strict", *EXPIRED, "--case", "presence/no-staple")
    assert told(capsys, *wants, "--write-baseline", known, *client)[0] == 1
    code, out, _ = told(capsys, *wants, "--baseline", known, *client)
    assert (code, "as in the baseline" in out) == (0, True)
    kept = json.loads(known.read_text())
    kept["cases"] = [{"id": "freshness/expired", "outcome": "refuse"}]
    known.write_text(json.dumps(kept))
    code, out, _ = told(capsys, *wants, "--baseline", known, "--format", "junit", *client)
    assert (code, out.count("<failure ")) == (1, 1)
    assert "refuse in the baseline, accept now" in out
    known.write_text('{"cases": []}')
    code, _, err = told(capsys, *wants, "--baseline", known, *client)
    assert (code, "is no baseline" in err) == (2, True)


def test_a_report_in_json_is_a_baseline_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "report.json"
    client = ("--recipe", "python-ssl", *EXPIRED)
    assert told(capsys, *client, "--json", "--output", report) == (0, "", "")
    code, out, _ = told(capsys, *client, "--baseline", report, "--json")
    assert (code, json.loads(out)["changes"]) == (0, [])


def test_the_recipes_are_listed_with_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = told(capsys, "--recipes", "--json")
    listed = {each["name"]: each["missing"] for each in json.loads(out)["recipes"]}
    assert (code, listed["python-ssl"]) == (0, [])
    assert tuple(listed) == recipe_names()


# --- reports


@pytest.fixture(scope="module")
def deviating() -> GradeReport:
    """A report with every kind of outcome, a name that tries to be markup, and a change."""
    text = 'case $MUSTAPLE_CASE in presence/no-staple) kill -SEGV $$;; esac; exec "$@"'
    report = graded(script(text), *TELLING, "clock/next-update-now", against="strict")
    return report.model_copy(update={"client": "<b>&\x1b[31m"})


@pytest.fixture(params=["ignoring", "deviating"])
def report(request: pytest.FixtureRequest) -> GradeReport:
    found: GradeReport = request.getfixturevalue(request.param)
    return found


def test_the_schema_is_the_committed_one() -> None:
    told = "It has changed: python -m mustaple.report.grade_client > docs/schemas/grade-client.json"
    assert SCHEMA.read_text() == json_text(grade_client_schema()) + "\n", told


def test_json_keeps_its_schema(report: GradeReport) -> None:
    from mustaple.report.grade_client import grade_json

    document = json.loads(grade_json(report))
    schema = json.loads(SCHEMA.read_text())
    jsonschema.validate(document, schema, format_checker=jsonschema.FormatChecker())
    assert GradeReport.model_validate(document) == report
    document["cases"][0]["outcome"] = "maybe"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema)


def test_junit_is_what_ci_reads(deviating: GradeReport, ignoring: GradeReport) -> None:
    from mustaple.report.grade_client_junit import grade_junit

    schema = xmlschema.XMLSchema(str(SCHEMAS / "junit-10.xsd"))
    for each, failures, errors in ((deviating, 1, 1), (ignoring, 0, 0)):
        document = grade_junit(each)
        schema.validate(document)
        assert f'failures="{failures}" errors="{errors}" skipped="1"' in document


def test_html_needs_nothing_and_lets_no_markup_in(deviating: GradeReport) -> None:
    from mustaple.report.grade_client_html import grade_html

    page = grade_html(deviating)
    assert "&lt;b&gt;&amp;\\x1b[31m" in page
    assert "<script" not in page
    assert 'href="https://www.rfc-editor.org/rfc/rfc6960#section-3.2"' in page
    assert page.count("<details") == page.count("</details>") == 4


def test_text_says_what_it_is_and_where_it_deviates(deviating: GradeReport) -> None:
    from mustaple.report.grade_client_text import grade_text

    text = grade_text(deviating)
    assert "measured against strict, it deviates in 2 cases" in text
    assert "presence/no-staple  crashes, should refuse (promise-broken), RFC7633-4.3.3-1" in text
    assert "freshness/expired   accepts, should refuse (expired), RFC6960-3.2-6" in text
    assert "\x1b" not in text


def test_the_page_of_clients_tells_classes_and_clauses_and_no_recipe(deviating: GradeReport) -> None:
    from mustaple.report.grade_client_page import clients_page

    page = clients_page([deviating])
    assert "| age of evidence | lets in | 1 | 1 must | RFC6960-3.2-6 |" in page
    assert "| which staples are there | fault | 1 | 1 must | RFC7633-4.3.3-1 |" in page
    assert "freshness/expired" not in page

"""What `mustaple grade server` says of real servers, of one that is careless and its careful twin, and of bad input."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import jsonschema
import pytest

from certtools.authority import Authority
from certtools.chain import to_pem
from certtools.forge import MUTATIONS, Scene, good
from mustaple.cli.app import run as mustaple
from mustaple.core.errors import InputError
from mustaple.lab.grade_server.bench import Bench
from mustaple.lab.grade_server.external import grade_external
from mustaple.lab.grade_server.findings import Findings
from mustaple.lab.grade_server.grading import Order, grade
from mustaple.lab.grade_server.outage import outage
from mustaple.lab.grade_server.recipe import Recipe, load, recipe_names
from mustaple.net.stapling_server import ChainStaplingServer
from mustaple.report.grade_server import QUESTIONS, EventKind, ServerReport, grade_server_schema, server_json
from mustaple.report.grade_server_html import server_html
from mustaple.report.grade_server_text import server_text
from mustaple.report.servers_page import servers_page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SCHEMA = Path(__file__).parent.parent / "docs" / "schemas" / "grade-server.json"
PROGRAM = Path(__file__).parent / "peer_programs" / "stapling_file.py"
NOW = datetime.now(UTC)
T = TypeVar("T")
NEVER = (None, None, None)


def graded(name: str, *scenes: str, wrongs: tuple[str, ...] = ("try-later", "revoked")) -> ServerReport:
    return grade(Order(recipe=load(name), scenes=scenes, wrongs=wrongs))


def by_file(manner: str) -> Recipe:
    """A server of our own that waits for its time: Python's own threads would notice a clock set forward."""
    command = (sys.executable, str(PROGRAM), "{port}", "{folder}/chain.pem", "{folder}/key.pem", "{folder}/der", manner)
    return Recipe(
        name=manner,
        about="a server that staples a file",
        package="none",
        needs=(sys.executable,),
        command=command,
        version=(sys.executable, "--version"),
        given=("der",),
        leaps=False,
        life=3,
    )


@pytest.fixture(scope="module")
def careless() -> ServerReport:
    return grade(
        Order(recipe=by_file("careless"), scenes=("first", "outage", "wrong"), wrongs=("try-later", "revoked"))
    )


@pytest.mark.peer("nginx", "libfaketime")
def test_nginx_fetches_behind_its_first_client_and_keeps_what_it_has() -> None:
    report = graded("nginx", "first", "slow", "outage")
    assert report.clock == "set-forward"
    assert (report.staples, report.staples_first_handshake, report.staples_chain) == (True, False, False)
    assert (report.fetches_outside_handshake, report.slow_responder_slows_handshakes) == (True, False)
    assert (report.keeps_over_restart, report.retains_on_error, report.respects_next_update) == (False, True, True)
    assert (report.prefetches, report.caches) == (False, True)
    assert report.requests.methods == ["GET"]
    assert report.serves_errors is None, "it was not tried"
    events = [report.timeline[number] for number in report.evidence["staples_first_handshake"].events]
    first = next(each for each in events if each.kind is EventKind.HANDSHAKE)
    assert not any(each.kind is EventKind.REQUEST and each.at < first.at - (first.lasted or 0) for each in events)


@pytest.mark.peer("nginx", "libfaketime")
def test_a_server_whose_clock_does_not_follow_is_not_judged_by_it() -> None:
    recipe = load("nginx")
    stays = {name: text.replace("env FAKETIME_TIMESTAMP_FILE;", "") for name, text in recipe.files.items()}
    report = grade(Order(recipe=recipe.model_copy(update={"files": stays}), scenes=("outage",)))
    assert (report.retains_on_error, report.respects_next_update, report.refreshes_before_death) == NEVER
    assert "could not be set forward" in report.evidence["respects_next_update"].said


@pytest.mark.peer("nginx")
def test_without_libfaketime_nobody_waits_for_hours() -> None:
    found = Findings()
    with Bench(load("nginx"), library=lambda: None) as bench:
        outage(bench, found)
    assert found.answers == dict.fromkeys(found.answers)
    assert "libfaketime is not installed" in found.evidence["respects_next_update"].said


@pytest.mark.peer("openssl", "libfaketime")
def test_openssl_fetches_in_each_handshake_and_passes_on_whatever_it_gets() -> None:
    report = graded("openssl", "first", "slow", "wrong")
    assert (report.staples_first_handshake, report.prefetches, report.caches) == (True, False, False)
    assert (report.fetches_outside_handshake, report.slow_responder_slows_handshakes) == (False, True)
    assert (report.serves_errors, report.serves_revoked) == (True, True)
    assert report.requests.well == report.requests.well_handshakes
    assert report.sleevi[0].holds is False


@pytest.mark.peer("haproxy", "libfaketime")
def test_haproxy_serves_its_file_until_that_dies() -> None:
    report = graded("haproxy", "first", "outage", "wrong")
    assert (report.staples_first_handshake, report.keeps_over_restart, report.respects_next_update) == (True,) * 3
    assert (report.fetches_outside_handshake, report.prefetches, report.retains_on_error) == NEVER
    assert report.serves_errors is False
    assert report.requests.methods == []


@pytest.mark.peer("gnutls-serv", "network namespace", "libfaketime")
def test_gnutls_staples_the_whole_chain() -> None:
    report = graded("gnutls-serv", "first", "promise")
    assert (report.staples_first_handshake, report.staples_chain) == (True, True)
    assert report.must_staple_without_staple == "refuses"


def test_a_careless_server_is_seen_for_what_it_is(careless: ServerReport) -> None:
    assert (careless.staples_first_handshake, careless.respects_next_update) == (True, False)
    assert (careless.serves_errors, careless.serves_revoked) == (True, True)
    assert careless.clock == "waited-for"
    assert not careless.passed


def test_its_careful_twin_is_too() -> None:
    order = Order(recipe=by_file("careful"), scenes=("first", "outage", "wrong"), wrongs=("try-later", "revoked"))
    careful = grade(order)
    assert (careful.staples_first_handshake, careful.respects_next_update) == (True, True)
    assert (careful.serves_errors, careful.serves_revoked) == (False, False)
    assert careful.passed


def test_every_answer_has_its_evidence_and_every_event_its_place(careless: ServerReport) -> None:
    assert set(careless.evidence) == {*QUESTIONS, "must_staple_without_staple"}
    assert [each.number for each in careless.timeline] == list(range(len(careless.timeline)))
    for evidence in careless.evidence.values():
        assert evidence.said
        assert all(number < len(careless.timeline) for number in evidence.events)
    assert len(careless.sleevi) == 8


def test_the_json_is_what_the_committed_schema_says(careless: ServerReport) -> None:
    schema = json.loads(SCHEMA.read_text())
    assert schema == grade_server_schema()
    told = json.loads(server_json([careless]))
    jsonschema.validate(told, schema)
    told["respects_next_update"] = "maybe"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(told, schema)


def test_text_and_page_say_the_bad_news_and_stay_harmless(careless: ServerReport) -> None:
    hostile = careless.model_copy(update={"server": "<script>\x1b[31m"})
    assert "- no      respects nextUpdate" in server_text(careless)
    assert "\x1b" not in server_text(hostile, timeline=True)
    page = server_html([hostile])
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_the_table_shows_both_runs_and_who_is_missing(careless: ServerReport) -> None:
    fronted = careless.model_copy(update={"agent": True, "respects_next_update": True})
    page = servers_page(date(2026, 11, 22), [careless], [fronted], {"h2o": "it is not here"})
    rows = [line for line in page.splitlines() if line.startswith("| careless | yes | – |")]
    assert [row.count("**no**") for row in rows[:2]] == [2, 1]
    assert "- h2o: it is not here" in page
    assert "With the staple agent" not in servers_page(date(2026, 11, 22), [careless], [], {})


def test_every_recipe_can_be_read() -> None:
    assert {"nginx", "haproxy", "lighttpd", "hitch", "caddy", "h2o", "java", "openssl"} <= set(recipe_names())
    for name in recipe_names():
        assert load(name).command


@pytest.mark.parametrize(
    ("text", "said"), [("", "cannot be read"), ("about = 1", "cannot be read"), ("= x", "cannot be read")]
)
def test_a_recipe_of_no_use_is_one_clear_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        load(str(path))


def test_a_server_that_is_not_here_is_said_with_its_package() -> None:
    recipe = by_file("careful").model_copy(update={"needs": ("no-such-program",), "package": "some-package"})
    with Bench(recipe) as bench, pytest.raises(InputError, match="apt-get install some-package"), bench.scene("none"):
        pass


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("no-such-server",),
        ("nginx", "--external", "localhost:1"),
        ("--external", "nonsense"),
        ("--external", "localhost:1", "--scene", "first"),
        ("nginx", "--scene", "no-such-scene"),
        ("nginx", "--json", "--format", "html"),
    ],
)
def test_arguments_of_no_use_are_refused(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert mustaple(["grade", "server", *arguments]) == 2
    assert capsys.readouterr().err.startswith("mustaple: ")


def test_the_recipes_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert mustaple(["grade", "server", "--recipes"]) == 0
    assert "lighttpd" in capsys.readouterr().out


# One that runs already.

ROOT = Authority.root("running root", not_before=NOW - timedelta(days=1), not_after=NOW + timedelta(days=30))
CA = ROOT.intermediate("running CA")
LEAF = CA.leaf(["localhost", "127.0.0.1"])


@pytest.fixture
def running() -> Iterator[ChainStaplingServer]:
    links = LEAF.as_chain().links
    staples = [good(links[0], CA, NOW), good(links[1], ROOT, NOW)]
    with ChainStaplingServer(LEAF.chain[:-1], LEAF.key, staples) as server:
        yield server


def test_a_running_server_is_only_looked_at(running: ChainStaplingServer) -> None:
    report = grade_external("127.0.0.1", running.port, issuers=(ROOT.certificate,), rounds=1)
    assert (report.staples, report.staples_chain) == (True, True)
    assert (report.keeps_over_restart, report.retains_on_error, report.respects_next_update) == NEVER
    assert report.passed


def test_what_it_does_wrong_is_seen(running: ChainStaplingServer, tmp_path: Path) -> None:
    links = LEAF.as_chain().links
    other = CA.leaf(["other.test"]).as_chain().links[0]
    scene = Scene(link=links[0], issuer=CA, other=other, rogue=ROOT, at=NOW)
    running.staples = [MUTATIONS["expired"](scene)]
    (tmp_path / "root.pem").write_bytes(to_pem([ROOT.certificate]))
    told = tmp_path / "told.json"
    target = f"127.0.0.1:{running.port}"
    code = mustaple(
        ["grade", "server", "--external", target, "--ca", str(tmp_path / "root.pem"), "--json", "--output", str(told)]
    )
    report = json.loads(told.read_text())
    assert code == 1
    assert (report["respects_next_update"], report["staples_chain"]) == (False, False)


def test_nobody_there_is_no_answer(running: ChainStaplingServer, capsys: pytest.CaptureFixture[str]) -> None:
    running.close()
    assert mustaple(["grade", "server", "--external", f"127.0.0.1:{running.port}"]) == 3
    assert "refused" in capsys.readouterr().err


@pytest.mark.peer("openssl")
def test_an_interrupted_grading_leaves_no_server_behind() -> None:
    words = [sys.executable, "-m", "mustaple", "grade", "server", "openssl"]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as grading:
        server = until(lambda: children(grading.pid))
        grading.terminate()
        assert grading.wait(60) == 143
        until(lambda: not any(Path(f"/proc/{each}").exists() for each in server))


def children(pid: int) -> list[str]:
    """Those of a process that have become another program than it."""
    own = Path(f"/proc/{pid}/exe").readlink()
    found = Path(f"/proc/{pid}/task").glob("*/children")
    named = [each for path in found for each in path.read_text().split()]
    return [each for each in named if Path(f"/proc/{each}/exe").readlink() != own]


def until(look: Callable[[], T], patience: float = 60.0) -> T:
    """What `look` finds, asked again until it finds something."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    pytest.fail("it did not come about")

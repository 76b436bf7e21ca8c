"""The grid of the comparison: attackers really attack, costs are counted, and the sentences say what the cells say."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Final

import house
import jsonschema
import pytest

from mustaple.cli.app import run as mustaple
from mustaple.core.policy import PRESETS
from mustaple.lab.cases import cases as corpus
from mustaple.lab.compare import grid, run
from mustaple.lab.compare.corpus import as_situations
from mustaple.report.compare_data import compare_schema
from mustaple.report.compare_findings import findings, headline, summaries
from mustaple.report.comparison import Attacker, Case, Cell, Kind, Outage, Outcome, Revoked, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SCHEMA: Final = house.ROOT / "docs/schemas/compare.json"
POLICIES: Final = ("soft-fail", "must-staple", "strict")
NEVER: Final = frozenset({"ignore"})

Found = dict[tuple[str, str, Attacker, Server], Cell]


def by_key(cells: Iterable[Cell]) -> Found:
    return {cell.key: cell for cell in cells}


def chosen(fits: Callable[[Case], bool]) -> tuple[Case, ...]:
    return tuple(case for case in grid() if fits(case))


@pytest.fixture(scope="module")
def attacked() -> Found:
    """Whoever blocks OCSP and staples nothing, under three policies."""
    return by_key(run(chosen(lambda case: case.attacker is Attacker.STAPLES_NOTHING_BLOCKS), POLICIES))


@pytest.fixture(scope="module")
def on_path() -> Found:
    """Everybody on the path, and the same servers with nobody on it."""
    worlds = ("all-good", "all-good-tls12")
    return by_key(run(chosen(lambda case: case.name in worlds), ("ignore", *POLICIES)))


def test_no_two_situations_have_the_same_name() -> None:
    assert len({case.key for case in grid()}) == len(grid())


def test_a_thief_is_one_only_where_a_certificate_is_revoked_and_blocks_only_where_ocsp_is_blocked() -> None:
    for case in grid():
        assert (case.attacker.staples is None) or case.revoked is not Revoked.NONE, case
        assert not case.attacker.on_path or case.revoked is Revoked.NONE, case
        assert (case.ocsp == "blocked") is (case.attacker.blocks or case.outage is not Outage.NONE), case


# --- the headline


def test_soft_fail_lets_in_everybody_who_blocks_and_staples_nothing_and_strict_nobody(attacked: Found) -> None:
    for (preset, case, _, server), cell in attacked.items():
        leaf, promised = cell.revoked is Revoked.LEAF, cell.must_staple
        expected = preset == "soft-fail" or (preset == "must-staple" and not (leaf and promised))
        assert (cell.kind is Kind.ATTACK_SUCCEEDED) is expected, (preset, case, server)


def test_the_headline_is_made_of_the_cells(attacked: Found) -> None:
    cells = list(attacked.values())
    assert headline(findings(cells)) == (
        "Of attackers who block OCSP and staple nothing, so many succeed. "
        "Under soft-fail, all 3 on a leaf that promises a staple, all 3 on a leaf that promises none and all 5 with a "
        "revoked intermediate. "
        "Under must-staple, none of the 3 on a leaf that promises a staple, all 3 on a leaf that promises none and all "
        "5 with a revoked intermediate. "
        "Under strict, none of the 3 on a leaf that promises a staple, none of the 3 on a leaf that promises none and "
        "none of the 5 with a revoked intermediate."
    )
    assert all(each.expected is not False for each in findings(cells))


def test_another_measurement_makes_another_sentence(attacked: Found) -> None:
    """One cell of strict turned round: the text says so, and that it was not expected."""
    cells = list(attacked.values())
    place = next(place for place, cell in enumerate(cells) if cell.preset == "strict" and cell.revoked == "leaf")
    wrong = {"outcome": Outcome.ACCEPTED, "kind": Kind.ATTACK_SUCCEEDED}
    cells[place] = cells[place].model_copy(update=wrong)
    said = headline(findings(cells))
    assert "Under strict, 1 of 3 on a leaf that promises a staple" in said
    assert said.endswith("This is not what was expected.")
    assert [each.id for each in findings(cells) if each.expected is False] == ["blocked-and-stripped/strict/promised"]


def test_nothing_is_said_of_what_was_not_measured() -> None:
    assert findings([]) == []
    assert headline([]) == ""


def test_a_staple_from_before_the_revocation_lets_a_thief_in_until_it_expires() -> None:
    """What no policy that believes staples can know, and why they should be short-lived."""
    replayed = {Attacker.STAPLES_FRESH_BLOCKS, Attacker.STAPLES_OLD_BLOCKS}
    found = by_key(run(chosen(lambda case: case.attacker in replayed and case.name == "revoked-leaf"), POLICIES))
    for preset in POLICIES:
        fresh = found[preset, "revoked-leaf", Attacker.STAPLES_FRESH_BLOCKS, Server.CHAIN]
        assert fresh.kind is Kind.ATTACK_SUCCEEDED
        old = found[preset, "revoked-leaf", Attacker.STAPLES_OLD_BLOCKS, Server.CHAIN]
        assert (old.kind, old.reason) == (
            (Kind.ATTACK_SUCCEEDED if preset == "soft-fail" else Kind.RIGHT),
            "expired",
        )
    counted = {each.id: (each.count, each.of) for each in findings(list(found.values()))}
    assert counted["fresh-staple/strict"] == (1, 2)
    assert counted["wrong-staple/strict"] == (0, 2)


# --- outages


def test_the_agents_cache_ends_false_outages_where_the_server_staples_what_the_policy_asks_for() -> None:
    cells = list(run(chosen(lambda case: case.outage is not Outage.NONE), POLICIES))
    counted = {each.id: (each.count, each.of) for each in findings(cells)}
    assert counted["outage/naive/soft-fail"] == (0, 10)
    assert counted["outage/naive/must-staple"] == (5, 10)
    assert counted["outage/naive/strict"] == (10, 10)
    assert counted["outage/agent/must-staple"] == (0, 4)
    assert counted["outage/agent/strict"] == (2, 4)
    kept = [cell for cell in cells if cell.outage is Outage.KEPT and cell.kind is Kind.FALSE_OUTAGE]
    assert {cell.server for cell in kept} == {Server.LEAF}
    asked = [cell for cell in cells if cell.to_ca.connections]
    assert {cell.preset for cell in asked} == {"soft-fail", "must-staple"}
    assert all((cell.ca_requests, cell.told, cell.to_ca.received) == (0, [], 0) for cell in asked), "nobody answers"


# --- on the path


def test_who_holds_no_key_only_breaks_connections(on_path: Found) -> None:
    for (preset, case, attacker, server), cell in on_path.items():
        untouched = attacker is Attacker.REMOVES_STAPLE and preset in NEVER and case == "all-good-tls12"
        fails = attacker.on_path and not untouched
        assert cell.connection_failed is fails, (preset, case, attacker, server)
        if fails:
            assert (cell.outcome, cell.kind) == (Outcome.REFUSED, Kind.RIGHT)
    (found,) = [each for each in findings(list(on_path.values())) if each.id == "on-path"]
    assert found.count == found.of
    assert found.expected


def test_a_staple_taken_out_of_a_flight_in_clear_is_missed_or_breaks_the_handshake(on_path: Found) -> None:
    removed = Attacker.REMOVES_STAPLE
    honest = on_path["must-staple", "all-good-tls12", Attacker.NONE, Server.LEAF]
    assert honest.outcome is Outcome.ACCEPTED
    strict = on_path["must-staple", "all-good-tls12", removed, Server.LEAF]
    assert (strict.reason, strict.alert) == ("promise-broken", 113)
    soft = on_path["soft-fail", "all-good-tls12", removed, Server.LEAF]
    assert (soft.reason, soft.verdict) == (None, None), "it went on, and the transcripts differed"
    assert soft.to_server.received < honest.to_server.received
    encrypted = on_path["soft-fail", "all-good", removed, Server.LEAF]
    assert encrypted.verdict is None
    assert encrypted.alert == 20  # bad_record_mac


def test_a_policy_that_accepted_a_changed_flight_would_be_an_attack_that_succeeded(on_path: Found) -> None:
    cells = list(on_path.values())
    place = next(place for place, cell in enumerate(cells) if cell.connection_failed)
    wrong = {"outcome": Outcome.ACCEPTED, "kind": Kind.ATTACK_SUCCEEDED, "connection_failed": False}
    cells[place] = cells[place].model_copy(update=wrong)
    (found,) = [each for each in findings(cells) if each.id == "on-path"]
    assert found.count == found.of - 1
    assert found.text.endswith("This is not what was expected.")


# --- what it costs


def test_bytes_connections_and_what_they_reveal_are_counted(on_path: Found) -> None:
    honest = {server: on_path["soft-fail", "all-good", Attacker.NONE, server] for server in Server}
    received = [honest[server].to_server.received for server in Server]
    assert received == sorted(set(received)), "a staple takes bytes"
    assert [honest[server].staples_signed for server in Server] == [0, 1, 2]
    asked = honest[Server.NONE]
    assert (asked.to_ca.connections, asked.ca_requests, asked.ca_signatures) == (1, 1, 1)
    assert asked.to_ca.sent > 100
    assert asked.to_ca.received > 200
    (told,) = asked.told
    assert (told.names_site, told.in_clear) == (True, True)
    assert asked.verdict is not None
    assert told.serial == asked.verdict["certificates"][0]["serial_number"]
    for server in (Server.LEAF, Server.CHAIN):
        assert (honest[server].to_ca.connections, honest[server].told) == (0, [])


def test_the_alert_that_a_refused_server_gets_is_never_missed() -> None:
    (bare,) = chosen(lambda case: case.key == ("all-good", Attacker.NONE, Server.NONE))
    assert [cell.alert for _ in range(4) for cell in run([bare], ["must-staple", "strict"])] == [113] * 8


def test_the_same_seed_gives_the_same_cells_and_another_seed_the_same_verdicts() -> None:
    few = chosen(lambda case: case.name == "revoked-leaf" and case.server is Server.NONE)

    def measured(seed: int) -> list[tuple[object, ...]]:
        return [
            (*cell.key, cell.outcome, cell.kind, cell.reason, [told.serial for told in cell.told])
            for cell in run(few, POLICIES, seed=seed)
        ]

    first = measured(1)
    assert measured(1) == first
    other = measured(2)
    assert other != first, "another seed, other serial numbers"
    assert [each[:-1] for each in other] == [each[:-1] for each in first]


def test_sums_are_of_the_cells(on_path: Found) -> None:
    cells = list(on_path.values())
    soft = next(each for each in summaries(cells) if each.client == "soft-fail")
    assert (soft.cells, soft.attacks, soft.good, soft.tampered) == (16, 0, 6, 10)
    assert (soft.false_outages, soft.connections_failed, soft.told_site) == (0, 10, 2)


# --- the corpus


def test_what_is_true_in_a_case_of_the_corpus_is_what_its_evidence_says() -> None:
    known = {case.id: case for case in corpus()}
    for each in as_situations(known.values()):
        expected = known[each.name].expected
        if any(verdict.code == "revoked" for verdict in expected.values()):
            assert each.revoked is not Revoked.NONE, each.name
        assert each.sound is (expected["ignore"].outcome == "accepted"), each.name
        assert each.attacker is Attacker.NONE or each.revoked is not Revoked.NONE, each.name


def test_cases_of_the_corpus_are_met_live(capsys: pytest.CaptureFixture[str]) -> None:
    names = ("control/all-well", "control/other-name", "presence/unpromised-revoked-and-stripped", "freshness/expired")
    arguments = [word for name in names for word in ("--case", name)]
    assert mustaple(["compare", "--json", *arguments, "--preset", "soft-fail", "--preset", "strict"]) == 0
    cells = {(cell["case"], cell["preset"]): cell for cell in json.loads(capsys.readouterr().out)["cells"]}
    assert {key: cell["kind"] for key, cell in cells.items() if cell["kind"] != "right"} == {
        ("freshness/expired", "strict"): "false-outage"
    }
    asked = cells["presence/unpromised-revoked-and-stripped", "soft-fail"]
    assert (asked["attacker"], asked["outcome"], asked["reason"]) == ("thief", "refused", "revoked")
    assert (asked["ca_requests"], asked["ca_signatures"], asked["told"][0]["names_site"]) == (1, 1, True)
    assert asked["to_ca"]["received"] > 0
    assert cells["control/other-name", "strict"]["outcome"] == "refused"


# --- how it is shown


def test_the_schema_is_the_published_one() -> None:
    told = "It has changed: python -m mustaple.report.compare_data > docs/schemas/compare.json"
    assert json.loads(SCHEMA.read_text()) == json.loads(json.dumps(compare_schema())), told


def test_every_format_has_every_cell(capsys: pytest.CaptureFixture[str]) -> None:
    few = ["compare", "--full", "--case", "all-good", "--preset", "must-staple", "--preset", "strict", "--seed", "7"]
    assert mustaple([*few, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    jsonschema.validate(data, json.loads(SCHEMA.read_text()), format_checker=jsonschema.FormatChecker())
    assert data["command"] == ("mustaple compare --full --case all-good --preset must-staple --preset strict --seed 7")
    assert len(data["cells"]) == 16
    assert mustaple([*few, "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(row["preset"], row["case"], row["attacker"], row["server"], row["kind"]) for row in rows] == [
        (cell["preset"], cell["case"], cell["attacker"], cell["server"], cell["kind"]) for cell in data["cells"]
    ]
    assert mustaple([*few, "--format", "md"]) == 0
    text = capsys.readouterr().out
    assert "| all-good | nobody attacks | `O..` | `OO.` |" in text
    assert "| all-good | path removes staple | ` xx` | ` xx` |" in text
    assert mustaple(few) == 0
    assert "path removes staple" in capsys.readouterr().out


def test_full_is_every_preset_in_every_situation() -> None:
    from mustaple.lab.compare.choosing import Choice, order_of

    order = order_of(Choice(full=True))
    assert order.presets == tuple(PRESETS)
    assert order.cases == grid()
    assert len(order.keys) == len(set(order.keys)) == len(PRESETS) * len(grid())
    assert not order.corpus
    assert len(order_of(Choice(corpus=True)).corpus) == len(corpus())

"""The comparison: soft fail lets a thief in, hard fail shuts good servers out, and the numbers are measured."""

from __future__ import annotations

import json

import pytest

from mustaple.cli.app import run as mustaple
from mustaple.core.policy import PRESETS
from mustaple.lab.compare import CASES, run
from mustaple.report.comparison import Attacker, Cell, Kind, Ocsp, Revoked


@pytest.fixture(scope="module")
def cells() -> dict[tuple[str, str], Cell]:
    return {(cell.preset, cell.case): cell for cell in run()}


def test_every_preset_meets_every_case(cells: dict[tuple[str, str], Cell]) -> None:
    assert set(cells) == {(preset, case.name) for preset in PRESETS for case in CASES}


def test_the_headline(cells: dict[tuple[str, str], Cell]) -> None:
    """Soft fail fails whenever OCSP is blocked; the promise saves who made it; strict accepts no attack."""
    for case in CASES:
        if case.revoked is not Revoked.LEAF:
            continue
        assert cells["ignore", case.name].kind is Kind.ATTACK_SUCCEEDED
        blocked = case.ocsp is Ocsp.BLOCKED
        assert (cells["soft-fail", case.name].kind is Kind.ATTACK_SUCCEEDED) is blocked, case.name
        saved = case.must_staple or not blocked
        assert (cells["must-staple", case.name].kind is Kind.RIGHT) is saved, case.name
        for preset in ("hard-fail", "strict"):
            assert cells[preset, case.name].kind is Kind.RIGHT, case.name


def test_only_a_staple_for_every_certificate_stops_a_revoked_intermediate(cells: dict[tuple[str, str], Cell]) -> None:
    for preset in PRESETS:
        expected = Kind.RIGHT if preset == "strict" else Kind.ATTACK_SUCCEEDED
        assert cells[preset, "revoked-intermediate"].kind is expected
    assert cells["strict", "revoked-intermediate"].reason == "no-staple"
    assert "compare CA 1" in cells["strict", "revoked-intermediate"].detail


def test_the_price(cells: dict[tuple[str, str], Cell]) -> None:
    """No policy refuses a server that keeps its promise; each stricter one refuses more that do not."""
    outages = {
        preset: {case.name for case in CASES if cells[preset, case.name].kind is Kind.FALSE_OUTAGE}
        for preset in PRESETS
    }
    assert all("good-staple" not in names for names in outages.values())
    assert not outages["ignore"] | outages["soft-fail"]
    assert outages["must-staple"] < outages["hard-fail"] < outages["strict"]
    assert "responder-down" in outages["must-staple"]
    assert {"no-promise", "leaf-staple-only"} <= outages["strict"] - outages["hard-fail"]


def test_the_reasons_are_the_right_ones(cells: dict[tuple[str, str], Cell]) -> None:
    expected = {
        "no-staple": "promise-broken",
        "expired-staple": "expired",
        "unknown": "unknown",
        "revoked-staple": "revoked",
        "stripped-and-blocked": "promise-broken",
        "old-good-staple": "expired",
        "others-staple": "other-certificate",
        "bad-signature": "bad-signature",
    }
    for name, code in expected.items():
        assert cells["must-staple", name].reason == code, name
    assert cells["soft-fail", "stripped"].reason == "revoked"


def test_what_a_client_asks_the_ca_is_counted(cells: dict[tuple[str, str], Cell]) -> None:
    assert {cell.ca_requests for (preset, _), cell in cells.items() if preset in {"ignore", "strict"}} == {0}
    assert cells["soft-fail", "no-staple"].ca_requests == 1
    assert cells["soft-fail", "good-staple"].ca_requests == 0
    assert cells["soft-fail", "stripped-and-blocked"].ca_requests == 0


def test_a_thief_is_one_only_where_the_certificate_is_revoked() -> None:
    thieves = [case for case in CASES if case.attacker is not Attacker.NONE]
    assert thieves
    assert all(case.revoked is not Revoked.NONE for case in thieves)


def test_the_table_shows_every_case_and_what_went_wrong(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert mustaple(["compare", "--case", "stripped-and-blocked", "--case", "no-staple"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""  # the progress bar is for terminals
    assert captured.out.count("= ATTACK") == 2
    assert captured.out.count("= OUTAGE") == 3
    assert all(len(line) <= 80 for line in captured.out.splitlines())
    monkeypatch.setenv("COLUMNS", "170")
    assert mustaple(["compare", "--case", "stripped-and-blocked", "--preset", "soft-fail"]) == 0
    assert "accepted: ATTACK SUCCEEDED" in capsys.readouterr().out


def test_json_has_every_cell(capsys: pytest.CaptureFixture[str]) -> None:
    assert mustaple(["compare", "--json", "--case", "revoked-staple", "--preset", "ignore", "--preset", "strict"]) == 0
    first, second = json.loads(capsys.readouterr().out)["cells"]
    assert (first["preset"], first["outcome"], first["kind"]) == ("ignore", "accepted", "attack-succeeded")
    assert (second["preset"], second["outcome"], second["kind"]) == ("strict", "refused", "right")
    assert second["verdict"]["reasons"][0]["code"] == "revoked"


@pytest.mark.parametrize("arguments", [["--case", "nope"], ["--preset", "nope"]])
def test_unknown_names_say_which_there_are(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert mustaple(["compare", *arguments]) == 2
    assert "there are" in capsys.readouterr().err

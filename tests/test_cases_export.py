"""The exported corpus: its schema, its sameness to the byte, and that it says all that a reader without us needs."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from base64 import b64decode
from datetime import datetime
from typing import TYPE_CHECKING, Any

import house
import jsonschema
import pytest
from cryptography import x509
from requirement_ids import requirements

from certtools.chain import Link
from mustaple.cli import app as cli
from mustaple.core import ocsp_rules
from mustaple.core.flight import read_messages
from mustaple.core.ocsp import judge
from mustaple.core.policy import PRESETS
from mustaple.core.verdict import Code
from mustaple.lab.cases import FAMILIES, cases
from mustaple.report.cases_corpus import Corpus, corpus_schema
from mustaple.report.plain import json_text

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = house.ROOT / "docs/schemas/corpus.json"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """Two exports, each by a process of its own that hashes strings in its own way."""
    folder = tmp_path_factory.mktemp("corpus")
    written = []
    for seed in ("1", "2"):
        path = folder / f"{seed}.json"
        command = [sys.executable, "-W", "error", "-m", "mustaple", "cases", "export", "--out", str(path)]
        run = subprocess.run(command, env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=False)
        assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
        written.append(path.read_bytes())
    return written[0], written[1]


@pytest.fixture(scope="module")
def corpus(exported: tuple[bytes, bytes]) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(exported[0])
    return read


def test_two_exports_are_the_same_to_the_byte(exported: tuple[bytes, bytes]) -> None:
    assert hashlib.sha256(exported[0]).digest() == hashlib.sha256(exported[1]).digest()


def test_the_schema_is_the_committed_one() -> None:
    told = "It has changed: mustaple cases schema > docs/schemas/corpus.json"
    assert SCHEMA.read_text() == json_text(corpus_schema()) + "\n", told


def test_the_export_keeps_its_schema(corpus: dict[str, Any], exported: tuple[bytes, bytes]) -> None:
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
    assert [error.json_path for error in validator.iter_errors(corpus)] == []
    assert Corpus.model_validate_json(exported[0])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("cases", 0, "id"), "Freshness/expired"),
        (("cases", 0, "expected", "strict", "outcome"), "pending"),
        (("cases", 0, "expected", "strict", "code"), "expird"),
        (("cases", 0, "path", 0, "certificate"), "not base64!"),
        (("cases", 0, "handshakes", 0, "offered"), [18]),
        (("cases", 0, "surplus"), 1),
        (("schema",), "mustaple-corpus/2"),
    ],
)
def test_the_schema_minds(corpus: dict[str, Any], path: tuple[str | int, ...], value: object) -> None:
    broken = json.loads(json.dumps(corpus | {"cases": corpus["cases"][:1]}))
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
    assert validator.is_valid(broken)
    *above, last = path
    where = broken
    for step in above:
        where = where[step]
    where[last] = value
    assert not validator.is_valid(broken)


def test_every_case_and_family_is_in_it(corpus: dict[str, Any]) -> None:
    assert [each["id"] for each in corpus["cases"]] == [each.id for each in cases()]
    assert [each["name"] for each in corpus["families"]] == list(FAMILIES)
    assert set(corpus["policies"]) == set(PRESETS)
    known = {requirement.id for requirement in requirements(house.ROOT / "rfc_notes")}
    codes = {code.value for code in Code}
    for each in corpus["cases"]:
        assert set(each["clauses"]) <= known
        assert {expected["code"] for expected in each["expected"].values()} - {None} <= codes


def test_the_handshakes_hold_what_is_said_to_be_sent(corpus: dict[str, Any]) -> None:
    """The bytes of each honest handshake carry the certificates and the staples that the case lists."""
    honest = [each for each in corpus["cases"] if each["sent"] is not None]
    assert len(honest) > 200
    for each in honest:
        certificates = [b64decode(sent["certificate"]) for sent in each["sent"]]
        staples = [b64decode(sent["staple"] or "") for sent in each["sent"]]
        for handshake in each["handshakes"]:
            flight = read_messages(b64decode(handshake["messages"]), offered=handshake["offered"])
            assert flight.protocol == handshake["protocol"]
            assert [entry.certificate for entry in flight.entries] == certificates, each["id"]
            stapled = [b"".join(entry.staples) for entry in flight.entries]
            if handshake["protocol"] == "TLSv1.2" and 17 not in handshake["offered"]:
                assert stapled[1:] == [b""] * (len(stapled) - 1), each["id"]  # extension 5 brings the leaf's alone
                wanted = staples[:1] if handshake["offered"] else [b""]
                assert stapled[:1] == wanted, each["id"]
            else:
                asked = {5} if handshake["protocol"] == "TLSv1.3" else {17}
                wanted = staples if asked & {*handshake["offered"]} else [b""] * len(staples)
                assert stapled == wanted, each["id"]


def test_a_reader_without_us_finds_the_evidence(corpus: dict[str, Any]) -> None:
    """From the JSON alone, the judge says of the leaf's staple what the case expects of a client that heeds it."""
    freshness = [each for each in corpus["cases"] if each["family"] == "freshness" and each["sent"][0]["staple"]]
    for each in freshness:
        leaf, ca = (x509.load_der_x509_certificate(b64decode(step["certificate"])) for step in each["path"][:2])
        staple = b64decode(each["sent"][0]["staple"])
        judgement = judge(staple, Link(leaf, ca), datetime.fromisoformat(each["at"]))
        expected = each["expected"]["strict"]["code"]
        codes = [reason.code.value for reason in judgement.reasons]
        assert codes[:1] == ([expected] if each["id"] != "freshness/expired-intermediate" and expected else [])


# --- the command


def test_one_family_from_another_seed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["cases", "export", "--family", "nonce", "--seed", "x", "--at", "2027-01-01"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["seed"] == "x"
    assert [each["name"] for each in made["families"]] == ["nonce"]
    assert {each["at"] for each in made["cases"]} == {"2027-01-01T00:00:00Z"}


def test_nothing_is_left_where_the_export_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["cases", "export", "--family", "nonce", "--out", str(tmp_path / "no" / "corpus.json")]) == 2
    assert "mustaple: cannot write" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["cases", "list", "--family", "clock"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].split() == ["case", "ignore", "soft", "must", "hard", "strict"]
    (row,) = (line for line in said if line.split()[:1] == ["next-update-beyond-the-skew"])
    assert row.split()[1:] == ["accept", "accept", "refuse", "refuse", "refuse"]
    assert cli.run(["cases", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["cases"]
    assert [each["id"] for each in listed] == [each.id for each in cases()]
    assert listed[0]["expected"]["strict"] == {"outcome": "accepted", "code": None}


def test_one_case_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["cases", "show", "crl/expired"]) == 0
    said = capsys.readouterr().out
    assert "Its nextUpdate was a day ago." in said
    assert "hard-fail    refuse: crl-expired (RFC 5280 §5.1.2.5)" in said
    assert "soft-fail    accept with the note: unreachable (RFC 6960 §5)" in said
    assert "ignore       accept\n" in said
    assert "RFC5280-5.1.2.5-1" in said
    assert "stapled: nothing, nothing" in said
    assert "CRL         for each certificate: " in said
    assert cli.run(["cases", "show", "crl/expired", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["path"][0]["crl"]


def test_every_case_can_be_shown(capsys: pytest.CaptureFixture[str]) -> None:
    for family in FAMILIES:
        assert cli.run(["cases", "show", cases([family])[0].id]) == 0
    assert "wire" in capsys.readouterr().out


def test_a_run_that_finds_nothing_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["cases", "run", "--family", "clock"]) == 0
    assert capsys.readouterr().out == "16 cases, 160 verdicts: all as expected\n"
    assert cli.run(["cases", "run", "freshness/expired", "--preset", "strict", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"cases": 1, "judged": 2, "deviations": []}


def test_a_run_that_finds_a_deviation(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for table in [name for name in vars(ocsp_rules) if "CHECKS" in name]:
        rest = tuple(each for each in getattr(ocsp_rules, table) if each.__name__ != "_check_next_update")
        monkeypatch.setattr(ocsp_rules, table, rest)
    assert cli.run(["cases", "run", "freshness/expired", "freshness/fresh", "--preset", "strict"]) == 1
    said = capsys.readouterr().out
    assert "freshness/expired" in said
    assert "freshness/fresh" not in said
    assert "2 cases, 4 verdicts: 2 of them, in 1 case, not as expected" in said
    assert cli.run(["cases", "run", "freshness/expired", "--preset", "strict", "--json"]) == 1
    (first, _) = json.loads(capsys.readouterr().out)["deviations"]
    assert (first["expected"], first["found"]) == ("refused: expired", "accepted")
    assert (first["importance"], first["clauses"]) == ("must", ["RFC6960-3.2-6", "RFC9919-5-2"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--preset", "lenient"], "no preset is called 'lenient'"),
        (["run", "no/such"], "no case is called 'no/such'"),
        (["run", "--at", "tomorrow"], "not a time"),
        (["list", "--family", "x"], "no family of cases is called 'x'"),
        (["show", "expired"], "freshness/expired"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["cases", *arguments]) == 2
    said = capsys.readouterr()
    assert words in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""

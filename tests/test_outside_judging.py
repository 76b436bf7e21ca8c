"""How other judges are asked: what a case puts to them, that crash and hang are answers, and what is a surprise."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from mustaple.core.errors import InputError
from mustaple.core.verdict import Code, Source
from mustaple.lab.cases import World, cases
from mustaple.lab.outside.answer import Answer, agrees
from mustaple.lab.outside.by_command import Command, OcspTool, OpenSsl
from mustaple.lab.outside.by_line import Go, Jsse
from mustaple.lab.outside.judges import ask
from mustaple.lab.outside.question import Question, questions
from mustaple.lab.outside.running import Ended, converse, environment, line, run
from mustaple.report.outside_known import Known, parse_known, surprises
from mustaple.report.outside_run import Compared, OutsideRun, outside_text

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def put() -> tuple[dict[str, Question], dict[str, str]]:
    asked, without = questions(cases(), World())
    return {each.case: each for each in asked}, without


# --- the questions


@pytest.mark.parametrize(
    ("case", "ours", "code"),
    [
        ("control/all-well", "good", None),
        ("presence/revoked-and-stripped", "revoked", None),
        ("depth/upper-revoked", "revoked", None),
        ("depth/intermediate-unknown", "unknown", None),
        ("freshness/expired", "refused", Code.EXPIRED),
        ("nonce/half-came-back", "refused", Code.NONCE_MISMATCH),
        ("crl/revoked", "revoked", None),
        ("crl/garbage", "refused", Code.CRL_MALFORMED),
    ],
)
def test_a_case_puts_the_question_that_tells(
    put: tuple[dict[str, Question], dict[str, str]], case: str, ours: str, code: Code | None
) -> None:
    question = put[0][case]
    assert (question.ours, question.code) == (ours, code)
    assert question.source is (Source.CRL if case.startswith("crl/") else Source.OCSP)
    assert (question.nonce is not None) is case.startswith("nonce/")


@pytest.mark.parametrize(
    ("case", "why"),
    [
        ("control/other-name", "the certificates or the name are refused, whatever their status"),
        ("wire13/trailing-byte", "it is about the handshake"),
        ("depth/trusted-leaf", "no issuer can vouch for the certificate"),
        ("presence/no-staple-responder-down", "it shows no evidence"),
    ],
)
def test_a_case_without_a_question_says_why(
    put: tuple[dict[str, Question], dict[str, str]], case: str, why: str
) -> None:
    assert case not in put[0]
    assert put[1][case] == why


def test_every_case_puts_a_question_or_says_why_not(put: tuple[dict[str, Question], dict[str, str]]) -> None:
    asked, without = put
    assert {*asked, *without} == {each.id for each in cases()}
    assert not {*asked} & {*without}
    assert len(asked) > 200
    assert asked["presence/every-staple"].same == asked["control/all-well"].same != asked["status/unknown"].same


@pytest.mark.parametrize(
    ("case", "judge", "why"),
    [
        ("crl/good", Go(), "it is asked about no CRL"),
        ("crl/good", Jsse(), None),
        ("freshness/expired", Go(), "it leaves that to its caller: expired"),
        ("freshness/expired", OpenSsl(), None),
        ("binding/other-certificate", OcspTool(), "it leaves that to its caller: other-certificate"),
        ("nonce/half-came-back", OpenSsl(), "it is not told the nonce of the request"),
        ("nonce/half-came-back", Jsse(), None),
    ],
)
def test_a_judge_is_asked_what_it_answers(
    put: tuple[dict[str, Question], dict[str, str]], case: str, judge: Any, why: str | None
) -> None:
    assert judge.why_not(put[0][case]) == why


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        ("good", "good", True),
        ("good", "refused", False),
        ("refused", "good", False),
        ("revoked", "refused", False),
        ("unknown", "refused", True),
        ("refused", "unknown", False),
        ("refused", "crash", False),
        ("refused", "hang", False),
    ],
)
def test_a_crash_is_no_refusal(ours: str, theirs: str, same: bool) -> None:
    assert agrees(ours, theirs) is same


# --- programs


def three(put: tuple[dict[str, Question], dict[str, str]]) -> list[Question]:
    return list(put[0].values())[:3]


def heard(script: str, asked: list[Question], patience: float = 20) -> list[Answer]:
    async def gather() -> list[Answer]:
        return [answer async for answer in converse(["sh", "-c", script], asked, environment(), patience)]

    return asyncio.run(gather())


def test_a_program_answers_line_by_line(put: tuple[dict[str, Question], dict[str, str]]) -> None:
    said = heard('while read -r kind time rest; do printf "good\\t%s at %s\\n" "$kind" "$time"; done', three(put))
    assert said == [Answer("good", "ocsp at 1780315200")] * 3


def test_one_that_ends_has_crashed_over_that_question_and_goes_on_with_the_next(
    put: tuple[dict[str, Question], dict[str, str]], tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    script = f'echo x >>{begun}; read -r q; printf "good\\t\\n"; read -r q; echo "no more" >&2; exit 3'
    said = heard(script, three(put))
    assert [each.outcome for each in said] == ["good", "crash", "good"]
    assert said[1].detail == "it ended; no more"
    assert begun.read_text() == "x\nx\n"


def test_one_that_is_silent_hangs_and_is_killed(put: tuple[dict[str, Question], dict[str, str]]) -> None:
    said = heard("read -r q; exec sleep 600", three(put)[:2], patience=0.3)
    assert said == [Answer("hang", "it said nothing for 0.3 s")] * 2


def test_one_that_does_not_read_hangs_too(put: tuple[dict[str, Question], dict[str, str]]) -> None:
    large = max(put[0].values(), key=lambda each: len(each.evidence))
    assert len(line(large)) > 65_536, "more than a pipe holds"
    assert [each.outcome for each in heard("exec sleep 600", [large], patience=0.3)] == ["hang"]


@pytest.mark.parametrize("said", ["perhaps", "", "GOOD"])
def test_what_is_no_answer_is_a_crash(put: tuple[dict[str, Question], dict[str, str]], said: str) -> None:
    (answer,) = heard(f'read -r q; echo "{said}"', three(put)[:1])
    assert answer.outcome == "crash"


def test_a_command_that_takes_too_long_is_killed() -> None:
    assert asyncio.run(run(["sleep", "600"], environment(), 0.2)) is None
    assert asyncio.run(run(["sh", "-c", "echo out; echo err >&2; exit 3"], environment())) == Ended("out\n\nerr\n", 3)


class Fake(Command):
    """A command that does as it is told."""

    name = "fake"
    about = "a test's own"

    def __init__(self, script: str) -> None:
        self.script = script

    async def version(self) -> str:
        return "1"

    def command(self, question: Question, folder: Path) -> list[str]:
        assert (folder / "evidence.der").read_bytes() == question.evidence
        return ["sh", "-c", self.script]

    def read(self, question: Question, ended: Ended) -> Answer:
        return Answer("good", f"{question.case}: {ended.code}")


@pytest.mark.parametrize(("script", "outcome"), [("exit 1", "good"), ("kill -SEGV $$", "crash"), ("exit 139", "crash")])
def test_a_command_that_a_signal_ended_has_crashed(
    put: tuple[dict[str, Question], dict[str, str]], script: str, outcome: str
) -> None:
    said = ask([Fake(script)], three(put)[:1])
    assert [each.outcome for each in said["fake"].values()] == [outcome]


def test_the_same_question_is_put_once(put: tuple[dict[str, Question], dict[str, str]], tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    same = [put[0][case] for case in ("control/all-well", "status/unknown", "presence/every-staple")]
    said = ask([Fake(f"echo x >>{asked}")], same)
    assert list(said["fake"]) == ["control/all-well", "status/unknown", "presence/every-staple"]
    assert asked.read_text() == "x\nx\n"


# --- what is known, and what is a surprise


KNOWN = """
measured = 2026-11-22
judges = { somebody = "1" }
[[class]]
name = "age"
clauses = ["RFC6960-3.2-5"]
why = "it has no greatest age at all"
[[class.divergence]]
judge = "somebody"
outcome = "good"
cases = ["a/differs", "a/agrees", "a/not-put", "a/not-run"]
"""


def known() -> Known:
    return parse_known(KNOWN, "known.toml")


def answer(case: str, theirs: str, ours: str = "refused") -> Compared:
    return Compared(case, "somebody", ours, None, theirs, "so it says", agrees(ours, theirs))


def told(*compared: Compared) -> list[str]:
    run = OutsideRun({"somebody": "a judge"}, compared, {}, {"somebody": {"a/not-put": "it does not read that"}})
    return [each.partition(":")[0] + each.partition(":")[2] for each in surprises(run, known())]


def test_each_surprise_is_told() -> None:
    not_put = "not asked somebody was known to say good to a/not-put"
    assert told(answer("a/differs", "good")) == [not_put]
    assert told(answer("a/differs", "crash")) == [
        "changed somebody says crash to a/differs, known is good",
        not_put,
    ]
    assert (
        told(answer("a/agrees", "refused"))
        == [
            not_put.replace("a/not-put", "a/not-put"),
            "gone somebody agrees with ours on a/agrees, known is good",
        ][::-1]
    )
    assert told(answer("a/new", "good")) == [
        "new somebody says good to a/new, ours refused (so it says)",
        not_put,
    ]
    assert told(answer("a/same", "refused")) == [not_put]


def test_a_judge_that_was_not_asked_surprises_nobody() -> None:
    assert surprises(OutsideRun({}, (), {"a/differs": "why"}, {}), known()) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[[class]]", "[[class", "known.toml is not TOML"),
        ('outcome = "good"', 'outcome = "fine"', "known.toml: class.0.divergence.0.outcome: Input should be"),
        ('why = "it has no greatest age at all"', 'why = "so"', "known.toml: class.0.why"),
        ('"a/differs", ', '"a/differs", "a/differs", ', "known.toml: somebody has a/differs twice"),
        ("measured = 2026-11-22", "", "known.toml: measured: Field required"),
    ],
)
def test_a_file_that_is_none_says_where(old: str, new: str, said: str) -> None:
    with pytest.raises(InputError) as raised:
        parse_known(KNOWN.replace(old, new), "known.toml")
    assert str(raised.value).startswith(said)


def test_the_table_leaves_out_what_all_agree_on() -> None:
    compared = (answer("a/differs", "crash"), answer("a/same", "refused"))
    run = OutsideRun({"somebody": "a judge", "nobody": "another"}, compared, {}, {"somebody": {}, "nobody": {}})
    assert outside_text(run).splitlines() == [
        "case       ours     somebody  nobody",
        "a/differs  refused  crash     -",
        "somebody: 2 asked, 1 differ from ours, 1 of them a crash or a hang",
        "nobody: 0 asked, 0 differ from ours",
    ]
    assert "a/same     refused  =         -" in outside_text(run, everything=True)

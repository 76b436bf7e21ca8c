"""Policy files: each key reaches its axis, every mistake is one line that names the key, and shipped files are true."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from certtools.chain import to_pem
from certtools.feature import Reading
from mustaple.core.axes import AXES
from mustaple.core.errors import InputError
from mustaple.core.policy import (
    PRESETS,
    Action,
    Depth,
    ExpectStaple,
    MustStaple,
    NoNextUpdate,
    NoRevAvail,
    Policy,
    Rules,
    UncheckedDelegate,
    WeakSignature,
)
from mustaple.core.verdict import Source
from mustaple.net.policy_file import MAX_POLICY_BYTES, SHIPPED, find_policy, parse_policy, policy_named
from mustaple.net.policy_model import KEYS, schema
from mustaple.report.policy_text import axis_value

if TYPE_CHECKING:
    from certtools.authority import Authority

ROOT = Path(__file__).parent.parent
SCHEMA = ROOT / "docs" / "schemas" / "policy.json"


def parsed(text: str) -> Policy:
    return parse_policy(text.encode(), "ours.toml", Path()).policy


def refusal(data: bytes | str) -> str:
    with pytest.raises(InputError) as refused:
        parse_policy(data.encode() if isinstance(data, str) else data, "ours.toml", Path())
    said = str(refused.value)
    assert "\n" not in said
    assert len(said) < 600
    return said


# ---------------------------------------------------------------------------------------------------------
# What a file says


def test_a_file_is_its_base_and_what_it_says_differently() -> None:
    assert parsed("") == replace(PRESETS["strict"], name="ours.toml"), "without a base it is the closed one"
    for name, preset in PRESETS.items():
        assert parsed(f'base = "{name}"\nname = "mine"') == replace(preset, name="mine")
    assert parsed('depth = "leaf"') == replace(PRESETS["strict"], name="ours.toml", depth=Depth.LEAF)
    soft = parsed('base = "soft-fail"\nmax_age = "3d"').rules
    assert soft == replace(PRESETS["soft-fail"].rules, max_age=timedelta(days=3)), "the other rules are the base's"


WHOLE = """
base = "ignore"
name = "every-key"
must_staple = "enforce"
expect_staple = "enforce"
depth = "every"
missing = "refuse"
unusable = "refuse"
unknown = "refuse"
revoked = "refuse"
nothing_to_check = "refuse"
no_rev_avail = "accept"
short_lived = "10d"
sources = ["crl", "staple", "crl"]
reading = "gnutls"
skew = "90s"
max_age = "36h"
weak_signature = "refuse"
unchecked_delegate = "refuse"
no_next_update = "refuse"
"""


def test_each_key_reaches_its_axis() -> None:
    assert parsed(WHOLE) == Policy(
        name="every-key",
        must_staple=MustStaple.ENFORCE,
        expect_staple=ExpectStaple.ENFORCE,
        depth=Depth.EVERY,
        missing=Action.REFUSE,
        unusable=Action.REFUSE,
        unknown=Action.REFUSE,
        revoked=Action.REFUSE,
        nothing_to_check=Action.REFUSE,
        no_rev_avail=NoRevAvail.ACCEPT,
        short_lived=timedelta(days=10),
        sources=frozenset({Source.CRL, Source.STAPLE}),
        reading=Reading.GNUTLS,
        rules=Rules(
            skew=timedelta(seconds=90),
            max_age=timedelta(hours=36),
            weak_signature=WeakSignature.REFUSE,
            unchecked_delegate=UncheckedDelegate.REFUSE,
            no_next_update=NoNextUpdate.REFUSE,
        ),
    )
    said = set(tomllib.loads(WHOLE))
    assert said | {"trusted_responders", "about", "rests_on", "measured_on"} == set(KEYS)
    assert set(KEYS) >= {each.name for each in (*fields(Policy), *fields(Rules))} - {"rules"}


@pytest.mark.parametrize("name", [*PRESETS, *SHIPPED])
def test_a_policy_written_out_whole_reads_back_as_itself(name: str) -> None:
    policy = policy_named(name)
    lines = [f"{key} = {json.dumps(axis_value(policy, key))}" for key in AXES]
    for base in ("ignore", "strict") if policy.sources else ("ignore",):
        again = parsed("\n".join([f'base = "{base}"', *lines]))
        assert again == replace(policy, name="ours.toml")


def test_trusted_responders_are_files_beside_the_policy(
    tmp_path: Path, intermediate: Authority, rogue: Authority
) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "two.pem").write_bytes(to_pem([intermediate.certificate, rogue.certificate]))
    path = tmp_path / "p.toml"
    path.write_text('trusted_responders = ["keys/two.pem"]')
    policy = policy_named(str(path))
    assert policy.rules.trusted_responders == (intermediate.certificate, rogue.certificate)
    assert axis_value(policy, "trusted_responders") == ["CN=test CA", "CN=rogue root"]
    assert policy.name == "p.toml"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "cannot be read: No such file"),
        (b"no certificate", "no certificate in PEM"),
        (b"x" * 1_048_577, "larger than 1,048,576 bytes"),
    ],
)
def test_a_trusted_responder_that_is_none_names_its_file(tmp_path: Path, content: bytes | None, why: str) -> None:
    if content is not None:
        (tmp_path / "them.pem").write_bytes(content)
    path = tmp_path / "p.toml"
    path.write_text('trusted_responders = ["them.pem"]')
    with pytest.raises(InputError, match=rf"p\.toml: trusted_responders: them\.pem.*{why}"):
        policy_named(str(path))


# ---------------------------------------------------------------------------------------------------------
# What is wrong with a file


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('depth = "leafy"', "depth: 'leafy' is not one of leaf, every"),
        ("missing = true", "missing: True is not one of note, refuse"),
        ('must_staple = ["enforce"]', "must_staple: ['enforce'] is not one of ignore, enforce"),
        ('reading = "chrome"', "reading: 'chrome' is not one of evidence, rfc, mozilla, gnutls"),
        ('base = "lax"', "base: 'lax' is not one of ignore, soft-fail, must-staple, hard-fail, strict"),
        ('base = "chromium"', "base: 'chromium' is not one of ignore, soft-fail, must-staple, hard-fail, strict"),
        ('sources = "staple"', "sources: 'staple' is not a list of staple, ocsp, crl"),
        ('sources = ["stapel"]', "sources: 'stapel' is not one of staple, ocsp, crl"),
        ('dept = "leaf"', "no key is called 'dept'; did you mean depth?"),
        ("[depth]\nx = 1", "depth: {'x': 1} is not one of leaf, every"),
        ("skew = 10", "skew: 10 is not a span of time of at most 2h, a whole number and s, m, h or d, as in 90s"),
        ('skew = "121m"', "skew: '121m' is not a span of time of at most 2h"),
        ('skew = "10"', "skew: '10' is not a span of time"),
        ('skew = "-1s"', "skew: '-1s' is not a span of time"),
        ('skew = "\u0661s"', "skew: '\u0661s' is not a span of time"),
        ('max_age = "36501d"', "max_age: '36501d' is not a span of time"),
        ('max_age = "99999999999d"', "max_age: '99999999999d' is not a span of time"),
        ('short_lived = "1d\\n"', "short_lived: '1d\\n' is not a span of time"),
        ('name = "strict"', "name: 'strict' is a preset's"),
        ('name = "a b"', "name: 'a b' is not a name of letters"),
        ('name = "a\\u001b[31m"', "name: 'a\\x1b[31m' is not a name of letters"),
        ("about = 3", "about: 3 is not text"),
        ('rests_on = "here"', "rests_on: 'here' is not a list of texts"),
        ("trusted_responders = [1]", "trusted_responders: 1 is not a list of at most 64 PEM files"),
        ("sources = []", "sources: with none, and missing = 'refuse', every certificate would be refused"),
        ('depth = "a"\nskew = 1\nb = 2', "(and 2 more)"),
        ("depth", "not TOML: "),
        ('depth = "leaf"\ndepth = "leaf"', "not TOML: "),
        ("depth = 99-99-99", "not TOML: "),
    ],
)
def test_a_mistake_is_one_line_that_names_the_key(text: str, said: str) -> None:
    found = refusal(text)
    assert found.startswith("ours.toml: ")
    assert said in found


def test_a_key_that_is_near_none_is_told_them_all() -> None:
    found = refusal("colour = 1")
    assert all(key in found for key in KEYS)


@pytest.mark.parametrize(
    "data",
    [
        b"\x7fELF\x02\x01\x01" + bytes(200),
        b"\xff\xfe" + 'depth = "leaf"'.encode("utf-16-le"),
        b"a = " + b"[" * 8000,
        b"a = " + b"1" * 8000,
        b"a = " + b"{a = " * 2000,
        b".".join([b"a"] * 2000) + b" = 1",
        b"\x00",
    ],
    ids=["a program", "utf-16", "deep", "a long number", "deep tables", "a long key", "a zero"],
)
def test_bytes_that_are_no_policy(data: bytes) -> None:
    assert refusal(data).startswith("ours.toml: ")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_whatever_the_bytes_say_the_answer_is_a_policy_or_one_line(data: bytes) -> None:
    said = "ours.toml: "
    try:
        parse_policy(data, "ours.toml", Path())
    except InputError as refused:
        said = str(refused)
    assert said.startswith("ours.toml: ")
    assert "\n" not in said


KEY = st.sampled_from([*KEYS, "other"])
VALUE = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.lists(st.text(max_size=6), max_size=3)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(KEY, VALUE, max_size=4))
def test_a_mistake_with_any_key_names_a_key(table: dict[str, Any]) -> None:
    text = "\n".join(f"{key} = {json.dumps(value)}" for key, value in table.items() if value is not None)
    try:
        tomllib.loads(text)
    except ValueError:
        return  # JSON's escapes for surrogates are none of TOML's
    try:
        parse_policy(text.encode(), "ours.toml", Path("/nowhere"))
    except InputError as refused:
        said = str(refused)
    else:
        return
    assert any(key in said for key in table), said
    assert "\n" not in said


# ---------------------------------------------------------------------------------------------------------
# Where it is


def test_a_name_is_a_presets_a_shipped_ones_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert policy_named("strict") is PRESETS["strict"]
    assert [policy_named(name).name for name in SHIPPED] == list(SHIPPED)
    (tmp_path / "ours.toml").write_text('depth = "leaf"')
    (tmp_path / "bare").write_text('depth = "leaf"')
    assert policy_named("ours.toml").depth is Depth.LEAF
    assert policy_named("./bare").depth is Depth.LEAF
    with pytest.raises(InputError, match=r"no policy is called 'bare'; there are ignore, .*strict, chromium, firefox"):
        policy_named("bare")
    with pytest.raises(InputError, match="no policy is called 'lax'"):
        policy_named("lax")
    with pytest.raises(InputError, match="no policy is called ''"):
        policy_named("")


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file or directory"):
        policy_named(str(tmp_path / "none.toml"))
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(InputError, match="Is a directory"):
        policy_named(str(tmp_path / "folder.toml"))
    with pytest.raises(InputError, match="cannot be read"):
        policy_named(str(tmp_path / "a\0b.toml"))
    with pytest.raises(InputError, match="cannot be read: File name too long"):
        policy_named(f"{tmp_path}/{'x' * 5000}.toml")
    loop = tmp_path / "loop.toml"
    loop.symlink_to(loop)
    with pytest.raises(InputError, match="cannot be read"):
        policy_named(str(loop))


def test_a_file_that_fails_while_it_is_read_says_so() -> None:
    """A file that may be opened and not read, to root neither: a process's memory from its beginning."""
    with pytest.raises(InputError, match="the policy /proc/self/mem cannot be read: Input/output error"):
        policy_named("/proc/self/mem")


def test_a_file_without_an_end_is_not_read_to_it() -> None:
    with pytest.raises(InputError, match="the policy /dev/zero is larger than 16,384 bytes"):
        policy_named("/dev/zero")


def test_a_file_of_ten_megabytes_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "huge.toml"
    with path.open("wb") as file:
        file.truncate(10 * 1024 * 1024)
    with pytest.raises(InputError, match="larger than 16,384 bytes"):
        policy_named(str(path))
    comment = "#" + "x" * (MAX_POLICY_BYTES - 1)
    path.write_text(comment)
    assert policy_named(str(path)).depth is Depth.EVERY
    path.write_text(comment + "x")
    with pytest.raises(InputError, match="larger than"):
        policy_named(str(path))


# ---------------------------------------------------------------------------------------------------------
# What is shipped and published


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_policy_says_what_it_models_and_what_that_rests_on(name: str) -> None:
    found = find_policy(name)
    assert found.policy.name == name
    assert found.rests_on
    assert all(url.startswith("https://") for url in found.rests_on)
    assert found.measured_on


def test_every_shipped_file_has_a_name_here() -> None:
    assert {path.stem for path in (ROOT / "mustaple" / "policies").iterdir()} == set(SHIPPED)


def test_every_preset_says_what_it_stands_for() -> None:
    for name in PRESETS:
        assert find_policy(name).about
        assert find_policy(name).policy is PRESETS[name]


def test_the_schema_is_the_one_that_is_published() -> None:
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == schema(), "`mustaple policy schema` writes it anew"


def test_the_schema_takes_what_is_taken_and_refuses_what_is_refused() -> None:
    Draft202012Validator.check_schema(schema())
    judge = Draft202012Validator(schema())
    shipped = [(ROOT / "mustaple" / "policies" / f"{name}.toml").read_text(encoding="utf-8") for name in SHIPPED]
    for text in ("", WHOLE, *shipped):
        assert not list(judge.iter_errors(tomllib.loads(text)))
    for text in (
        'dept = "leaf"',
        'depth = "leafy"',
        "skew = 10",
        'skew = "10"',
        "sources = ['stapel']",
        'base = "lax"',
    ):
        assert list(judge.iter_errors(tomllib.loads(text))), text


def test_the_schema_lists_what_errors_and_axes_list() -> None:
    said = schema()
    assert list(said["properties"]) == list(KEYS)
    assert said["additionalProperties"] is False
    assert said["properties"]["base"]["enum"] == list(PRESETS)
    for key, about in AXES.items():
        part = said["properties"][key]
        part = part.get("items", part)
        reference = part.get("$ref", part.get("allOf", [{}])[0].get("$ref", "")).rpartition("/")[2]
        values = said["$defs"][reference]["enum"] if reference else []
        assert values == list(about.values), key


def test_a_preset_is_named_without_pydantic() -> None:
    """The command line starts fast where no file is read."""
    code = (
        "import sys; from mustaple.net.policy_file import policy_named; policy_named('strict'); "
        "sys.exit('pydantic' in sys.modules or 'tomllib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

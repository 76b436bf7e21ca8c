"""When a responder misbehaves: conditions, their grammar, the control endpoint, and where such a responder listens."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from commands import CA
from misbehave_house import House

from certtools.ca_dir import CaDir
from mustaple.core.errors import InputError
from mustaple.core.ocsp import judge
from mustaple.lab.misbehaviour import MisbehavingResponder
from mustaple.lab.misbehaviour.catalogue import misbehaviour
from mustaple.lab.misbehaviour.grammar import Request, read_clause, span
from mustaple.lab.misbehaviour.plan import MOST, Plan
from mustaple.lab.misbehaviour.serving import check_reach

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("misbehave")) as made:
        yield made


@pytest.mark.parametrize(
    ("texts", "met"),
    [
        (["reset"], "xxxxxx"),
        (["reset@after=2"], "..xxxx"),
        (["reset@first=2"], "xx...."),
        (["reset@every=3"], "..x..x"),
        (["reset@every=2@after=2"], "...x.x"),
        (["reset@after=1@first=3"], ".xx..."),
        (["reset@every=2", "revoked@every=3"], ".xrx.x"),
        (["revoked@every=3", "reset@every=2"], ".xrx.r"),
        (["crl-revoked"], "......"),
        (["reset@crl"], "......"),
        ([], "......"),
    ],
)
def test_conditions_count_requests(house: House, texts: list[str], met: str) -> None:
    house.set(*texts)
    shown = {"good": ".", "nothing": "x", "revoked": "r"}
    assert "".join(shown[house.fetched()] for _ in met) == met


def test_conditions_of_time(house: House) -> None:
    house.set("reset@10s..20s", "revoked@1m..")
    met = []
    for house.seconds in (0, 9.9, 10, 19.9, 20, 59.9, 60, 1e6):
        met.append(house.fetched())
    assert met == ["good", "good", "nothing", "nothing", "good", "good", "revoked", "revoked"]


def test_conditions_of_one_certificate(house: House) -> None:
    house.set(f"revoked@serial={house.leaf.certificate.serial_number:x}@after=1")
    assert [house.fetched(), house.fetched(house.leaf)] == ["good", "revoked"]
    house.set(f"expired@serial={house.leaf.certificate.serial_number:X}")
    judged = judge(house.post(house.other).content, house.link(house.other), datetime.now(UTC))
    assert "expired" not in [reason.code.value for reason in judged.reasons]
    assert house.fetched() == "unusable"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is not a misbehaviour"),
        ("Slow", "is not a misbehaviour"),
        ("slow 2s", "is not a misbehaviour"),
        ("slow=", "is not a misbehaviour"),
        ("slow@", "is not a misbehaviour"),
        ("slow\n", "is not a misbehaviour"),
        ("slow=2s" + "@ocsp" * 100, "is not a misbehaviour"),
        ("slwo", "there is no misbehaviour 'slwo'; is it slow?"),
        ("zzzzzz", "there is no misbehaviour 'zzzzzz'; `mustaple responder --list-misbehaviours`"),
        ("slow=2", "'2' is not a span of time"),
        ("slow=-2s", "'-2s' is not a span of time"),
        ("slow=\u0661s", "'\u0661s' is not a span of time"),
        ("expired=2s", "expired takes no value"),
        ("expiring=10ms", "lives for a second at least"),
        ("huge=0", "'0' is not a size"),
        ("huge=2G", "'2G' is not a size"),
        ("clock-wrong=--2s", "is not a span of time"),
        ("slow@after=0", "@after=0 is no condition"),
        ("slow@after=x", "@after=x is no condition"),
        ("slow@after", "@after is no condition"),
        ("slow@every=1@every=2", "two conditions of a kind, the second is @every=2"),
        ("slow@ocsp@crl", "two conditions of a kind"),
        ("slow@1s..2s@3s..4s", "two conditions of a kind"),
        ("slow@2s..1s", "@2s..1s ends before it begins"),
        ("slow@1s..1s", "@1s..1s ends before it begins"),
        ("slow@..1s", "@..1s is no condition"),
        ("slow@serial=xyz", "@serial=xyz is no condition"),
        ("slow@tomorrow", "@tomorrow is no condition"),
    ],
)
def test_what_is_not_in_the_grammar_is_told_in_one_line(text: str, why: str) -> None:
    with pytest.raises(InputError) as caught:
        misbehaviour(text)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_grammar_keeps_what_was_written() -> None:
    text = "slow=2s@after=3@every=2@10s..20s@serial=ab@ocsp"
    clause = read_clause(text)
    assert str(clause) == text
    assert (clause.when.after, clause.when.every, clause.when.serial, clause.when.kind) == (3, 2, 0xAB, "ocsp")
    assert (clause.when.begin, clause.when.end) == (10.0, 20.0)
    assert [span(each) for each in ("200ms", "1.5s", "10m", "2h", "1d")] == [0.2, 1.5, 600, 7200, 86400]


def test_a_plan_has_a_bound_and_stays_as_it_was_where_it_is_not_kept() -> None:
    plan = Plan(["reset"], lambda: 0.0)
    with pytest.raises(InputError, match=f"{MOST + 1} misbehaviours are too many"):
        plan.set(["slow"] * (MOST + 1))
    chosen = plan.choose(Request()).misbehaviour
    assert chosen is not None
    assert str(chosen.clause) == "reset"


# --- control


def test_the_control_endpoint_shows_and_changes(house: House) -> None:
    house.set("try-later@every=2")
    url = house.responder.control_url
    assert url is not None
    assert httpx.get(url).json() == {"misbehave": ["try-later@every=2"], "requests": 0, "seconds": 0.0}
    assert [house.fetched(), house.fetched()] == ["good", "unusable"]
    house.seconds = 3.25
    assert httpx.get(url).json() == {"misbehave": ["try-later@every=2"], "requests": 2, "seconds": 3.25}
    changed = httpx.put(url, json={"misbehave": ["reset"]})
    assert (changed.status_code, changed.json()) == (200, {"misbehave": ["reset"], "requests": 0, "seconds": 0.0})
    assert house.fetched() == "nothing"
    assert httpx.post(url, json={"misbehave": []}).json()["misbehave"] == []
    assert house.fetched() == "good"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "this is no JSON"),
        (b"{", "this is no JSON"),
        (b"[" * 60000, "this is no JSON"),
        (b'["reset"]', 'send an object of the one key "misbehave"'),
        (b'{"misbehave": ["reset"], "more": 1}', 'send an object of the one key "misbehave"'),
        (b'{"misbehave": "reset"}', '"misbehave" is a list of strings'),
        (b'{"misbehave": [1]}', '"misbehave" is a list of strings'),
        (b'{"misbehave": ["resett"]}', "there is no misbehaviour 'resett'; is it reset"),
        (b'{"misbehave": ["reset", "slow=x"]}', "'x' is not a span of time"),
    ],
)
def test_the_control_endpoint_takes_nothing_else(house: House, body: bytes, why: str) -> None:
    house.set("reset@every=9")
    url = house.responder.control_url
    assert url is not None
    got = httpx.put(url, content=body, headers={"content-type": "application/json"})
    assert got.status_code == 400
    assert why in got.json()["error"]
    assert got.text.count("\n") == 1
    assert httpx.get(url).json()["misbehave"] == ["reset@every=9"]


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"method": "DELETE"}, 405),
        ({"url": "plan"}, 404),
        ({"method": "POST", "content": b'{"misbehave": []}', "headers": {"content-type": "text/plain"}}, 415),
        ({"headers": {"host": "rebound.example:80"}}, 403),
        ({"method": "PUT", "content": bytes(70_000), "headers": {"content-type": "application/json"}}, 413),
    ],
)
def test_a_page_in_a_browser_changes_nothing(house: House, request_: dict[str, Any], status: int) -> None:
    house.set("reset")
    base = house.responder.control_url
    assert base is not None
    asked = {"method": "GET", **request_, "url": base + request_.get("url", "")}
    assert httpx.request(**asked).status_code == status
    assert httpx.get(base).json()["misbehave"] == ["reset"]


# --- where it listens


def test_it_listens_on_loopback_unless_somebody_knows(tmp_path: Path) -> None:
    for host in ("0.0.0.0", "::"):
        with pytest.raises(InputError, match="is reachable from other machines, and what listens there misbehaves"):
            MisbehavingResponder(tmp_path, ["slow"], host=host, port=0)
    with CaDir.create(tmp_path / "ca", CA, {}):
        pass
    check_reach("127.0.0.1", i_know=False)
    check_reach("0.0.0.0", i_know=True)
    MisbehavingResponder(tmp_path, ["slow"], port=0).close()

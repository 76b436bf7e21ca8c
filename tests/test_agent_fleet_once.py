"""`run-once` with a shared store: who leads asks, others take; a lying store deploys nothing, no password leaks."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from commands import free_port
from fleet_house import RedisServer
from prometheus_client.parser import text_string_to_metric_families
from staple_world import World, world

from certtools.chain import to_pem
from mustaple.agent.config import parse_config, read_config
from mustaple.agent.fleet.record import Record, decode
from mustaple.agent.fleet.standing import Standing, View
from mustaple.agent.launch import launch
from mustaple.agent.metrics import Metrics
from mustaple.agent.page import Page
from mustaple.agent.state import State, read_state, write_state
from mustaple.core.errors import InputError
from mustaple.core.ocsp import judge
from mustaple.core.verdict import Status
from mustaple.report.agent_status import status_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from certtools.chain import Link

pytestmark = pytest.mark.usefixtures("no_proxy")
NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
GRACE = 4.0  # seconds: the lease and the time for a request, as `once` has them
EXAMPLE = Path(__file__).parent.parent / "examples/fleet/agent.toml"
redis_server = pytest.mark.peer("redis-server")


@pytest.fixture(scope="module")
def place() -> Iterator[World]:
    with world() as made:
        yield made


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def server(running: RedisServer, place: World) -> RedisServer:
    place.reset()
    with running.client() as client:
        client.flushall()
    return running


def once(folder: Path, place: World, store: str, *, lease: int = 30) -> tuple[int, list[str]]:
    """Run the agent once for the leaf of this world; its exit code and what it said."""
    folder.mkdir(exist_ok=True)
    (folder / "chain.pem").write_bytes(to_pem(place.chain.certificates))
    text = f'store = "{store}"\nsettle = "1ms"\n[fleet]\nlease = "{lease}s"\nname = "me"\ncopy_in = "{folder}/copy"\n'
    text += f'[refresh]\ntimeout = 1.0\n[[chain]]\ncertificates = ["{folder}/chain.pem"]\n'
    text += f'[[chain.deploy]]\nkind = "files"\ndirectory = "{folder}/live"\n'
    said: list[str] = []
    return launch(parse_config(text.encode(), "test"), said.append, once=True), said


def key(link: Link) -> str:
    return f"mustaple:1:staple:{link.fingerprint.hex()}"


def put(server: RedisServer, link: Link, value: bytes) -> None:
    with server.client() as client:
        client.set(key(link), value)


def get(server: RedisServer, link: Link) -> bytes:
    with server.client() as client:
        return client.get(key(link)) or b""


def record(response: bytes, this_update: datetime = NOW - HOUR) -> bytes:
    return Record(this_update, NOW, None, response).encode()


@redis_server
def test_the_first_one_asks_and_leaves_and_the_next_one_takes_what_it_got(
    server: RedisServer, place: World, tmp_path: Path
) -> None:
    code, said = once(tmp_path / "one", place, server.url)
    assert code == 0, said
    assert place.names() == ["ca", "leaf"]
    assert server.leader() == "", "the lead is left at the end, so that nobody waits for it"
    asked = len(place.asked)
    code, said = once(tmp_path / "two", place, server.url)
    assert code == 0, said
    assert len(place.asked) == asked
    one, two = (tmp_path / each / "live/leaf.der" for each in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    assert any("leads the fleet at" in line for line in said)


@redis_server
def test_a_follower_takes_what_the_leader_has_told_and_asks_if_nobody_does(
    server: RedisServer, place: World, tmp_path: Path
) -> None:
    with server.client() as client:
        client.set("mustaple:1:leader", "another:token")
    for link in place.chain.links:
        put(server, link, record(place.response(link, this_update=NOW - HOUR, next_update=NOW + 9 * HOUR)))
    code, said = once(tmp_path / "one", place, server.url)
    assert (code, place.asked) == (0, []), said
    assert any("follows another" in line for line in said)
    assert (tmp_path / "one/live/leaf.der").exists()
    with server.client() as client:
        client.delete(*map(key, place.chain.links))
    began = time.monotonic()
    code, said = once(tmp_path / "two", place, server.url, lease=3)
    assert code == 0, said
    assert time.monotonic() - began >= GRACE, "not before the leader had its time"
    assert place.asked, "the leader may not know this certificate"
    assert decode(get(server, place.leaf)) is not None, "and the others may want it"


def respond(place: World, **said: Any) -> bytes:
    times = {"this_update": NOW - HOUR, "next_update": NOW + 9 * HOUR}
    return place.response(place.leaf, **(times | said))


LIES: dict[str, Callable[[World], bytes]] = {
    "garbage": lambda _: b"garbage",
    "larger than anything": lambda _: bytes(1_000_000),
    "no response": lambda _: record(b"garbage"),
    "another certificate's": lambda place: record(place.response(place.intermediate, this_update=NOW - HOUR)),
    "signed by the wrong CA": lambda place: record(respond(place, signer=place.root)),
    "expired": lambda place: record(respond(place, this_update=NOW - 9 * HOUR, next_update=NOW - HOUR)),
    "younger than it is": lambda place: record(respond(place), NOW + 99 * HOUR),
    "from the future": lambda place: record(respond(place, this_update=NOW + HOUR), NOW + HOUR),
}


@redis_server
@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_store_that_lies_deploys_nothing_and_keeps_nobody_from_the_truth(
    server: RedisServer, place: World, tmp_path: Path, lie: Callable[[World], bytes]
) -> None:
    lying = lie(place)
    put(server, place.leaf, lying)
    code, said = once(tmp_path, place, server.url)
    assert code == 0, said
    deployed = (tmp_path / "live/leaf.der").read_bytes()
    assert judge(deployed, place.leaf, datetime.now(UTC)).status is Status.GOOD
    assert deployed not in lying
    assert len([each for each in place.asked if each.name == "leaf"]) == 1, "it asked for itself"
    kept = decode(get(server, place.leaf))
    future = lie is LIES["from the future"]  # this clock may be the wrong one, so that is left
    assert (kept is not None and kept.response == deployed) is not future


@redis_server
def test_an_old_answer_played_again_replaces_nothing(server: RedisServer, place: World, tmp_path: Path) -> None:
    old = record(respond(place))
    assert once(tmp_path, place, server.url)[0] == 0
    deployed = (tmp_path / "live/leaf.der").read_bytes()
    put(server, place.leaf, old)
    code, said = once(tmp_path, place, server.url)
    assert code == 0, said
    assert (tmp_path / "live/leaf.der").read_bytes() == deployed
    kept = decode(get(server, place.leaf))
    assert kept is not None
    assert kept.response == deployed, "and the store has the newer one again"
    once(tmp_path / "new", place, server.url)
    put(server, place.leaf, old)
    once(tmp_path / "newer", place, server.url)
    assert (tmp_path / "newer/live/leaf.der").read_bytes() in old, "where there is none it is good enough"


@redis_server
def test_what_one_learns_to_be_revoked_all_withdraw(server: RedisServer, place: World, tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert once(tmp_path / name, place, server.url)[0] == 0
    revoked = place.revoked(place.leaf).body
    put(server, place.leaf, record(revoked, _this_update(revoked, place.leaf)))
    code, said = once(tmp_path / "two", place, server.url)
    assert code == 1, said
    assert any("REVOKED" in line for line in said)
    assert not (tmp_path / "two/live/leaf.der").exists()


def _this_update(response: bytes, link: Link) -> datetime:
    this_update = judge(response, link, datetime.now(UTC)).this_update
    assert this_update is not None
    return this_update


def test_without_redis_what_there_is_is_deployed_and_it_says_so(place: World, tmp_path: Path) -> None:
    place.reset()
    port = free_port()
    url = f"redis://me:s3cret@127.0.0.1:{port}/0"
    code, said = once(tmp_path, place, url, lease=1)
    assert code == 0, said
    assert any("cut off from the fleet" in line for line in said)
    asked = len(place.asked)
    (tmp_path / "live").rename(tmp_path / "elsewhere")
    code, said = once(tmp_path, place, url)
    assert (code, len(place.asked)) == (0, asked), "from its own copy"
    assert (tmp_path / "live/leaf.der").exists()
    written = "".join(path.read_text(errors="replace") for path in (tmp_path / "copy").rglob("*") if path.is_file())
    assert "s3cret" not in written + "".join(said)
    state = read_state(tmp_path / "copy/state.json")
    assert state is not None
    assert state.fleet is not None
    assert state.fleet.standing is Standing.PARTITIONED


STATE = State(NOW.isoformat(), 1, (), (), {})
SEEN = {
    Standing.LEADING: (View(Standing.LEADING, "redis://a:1/0", "me"), "fleet at redis://a:1/0: leading"),
    Standing.FOLLOWING: (View(Standing.FOLLOWING, "redis://a:1/0", "you"), "fleet at redis://a:1/0: following you"),
    Standing.PARTITIONED: (
        View(Standing.PARTITIONED, "redis://a:1/0", "", "no answer"),
        "fleet at redis://a:1/0: partitioned: no answer",
    ),
}


@pytest.mark.parametrize("standing", SEEN)
def test_status_metrics_and_health_say_what_it_is(tmp_path: Path, standing: Standing) -> None:
    view, line = SEEN[standing]
    state = State(**{**vars_of(STATE), "fleet": view})
    write_state(tmp_path / "state.json", state)
    assert read_state(tmp_path / "state.json") == state
    assert line in status_text(json.loads(state.encode()), NOW).splitlines()
    page = Page(Metrics(), lambda: 0.0)
    page.see(state)
    status, health = page.health()
    assert (status, health["fleet"]) == (200, standing.value)
    assert (health["status"] == "degraded") is (standing is Standing.PARTITIONED)
    samples = [
        each
        for family in text_string_to_metric_families(page._metrics.page().decode())
        for each in family.samples
        if each.name == "mustaple_agent_fleet"
    ]
    assert {each.labels["standing"]: each.value for each in samples} == {
        each.value: float(each is standing) for each in SEEN
    }


def vars_of(state: State) -> dict[str, Any]:
    return {"at": state.at, "pid": state.pid, "certificates": (), "targets": (), "problems": {}}


def test_alone_nothing_is_said_of_a_fleet() -> None:
    assert "fleet" not in status_text(json.loads(STATE.encode()), NOW)
    page = Page(Metrics(), lambda: 0.0)
    page.see(STATE)
    assert "fleet" not in page.health()[1]
    assert "partitioned" not in page.health()[1]


CHAIN = '\n[[chain]]\ncertificates = ["c.pem"]\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('store = "redis://:s3cret@h/0?ssl_cert_reqs=none"', "store: 'redis://***@h/0?ssl_cert_reqs=none' is not a"),
        ('store = "redis://:s3cret@h/name"', "redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]"),
        ('store = "redis://:s3cret@h:99999/0"', "store: "),
        ('store = "redis://:s3cret@/0"', "store: "),
        ('store = "memcached://h"', "store: 'memcached://h' is not a folder"),
        ('store = "s"\n[fleet]\nlease = "15s"', "the table fleet is for a store that agents share"),
        ('store = "redis://h"\n[fleet]\nlease = "10ms"', "fleet.lease: '10ms' is not a span of time from 1s to 1h"),
        ('store = "redis://h"\n[fleet]\nleas = "1s"', "fleet.leas: there is no such key; did you mean lease?"),
        ('store = "redis://h"\n[fleet]\nprefix = "a b"', "fleet.prefix"),
    ],
)
def test_wrong_settings_are_told_in_one_line_without_the_password(text: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_config((text + CHAIN).encode(), "test")
    assert said in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_what_stands_alone_is_enough_and_paths_start_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(f'store = "redis://h"{CHAIN}')
    config = read_config(tmp_path / "a.toml")
    assert config.folder == tmp_path / "mustaple-store"
    assert config.state_file == tmp_path / "mustaple-store/state.json"
    assert config.store == "redis://h"


def test_trust_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("garbage")
    (tmp_path / "a.toml").write_text(f'store = "rediss://h"\n[fleet]\nca = "ca.pem"{CHAIN}')
    with pytest.raises(InputError, match=r"fleet.ca: .* holds no certificates to trust"):
        launch(read_config(tmp_path / "a.toml"), lambda _: None, once=True)


def test_the_example_is_a_configuration() -> None:
    config = read_config(EXAMPLE)
    assert config.is_shared
    assert config.folder == Path("/var/lib/mustaple")

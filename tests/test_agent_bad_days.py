"""The agent's bad days over real sockets and disks: lies, floods, drips, no DNS, no room, half a file, and kill -9."""

from __future__ import annotations

import base64
import json
import resource
import signal
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from responder_house import CA, House, house
from staple_world import GARBAGE, HANGS, HUGE, PAGE, Told, World, world

from certtools.ca_dir import CaDir
from certtools.chain import build_chain, load_certificates, to_pem
from mustaple.agent.config import parse_config
from mustaple.agent.launch import launch
from mustaple.agent.lock import hold
from mustaple.agent.shelf import DirectoryShelf
from mustaple.core.errors import InputError
from mustaple.core.ocsp import judge
from mustaple.core.policy import Rules
from mustaple.core.verdict import Status
from mustaple.lab.agent_soak import crash
from mustaple.lab.misbehaviour.serving import MisbehavingResponder
from mustaple.net.exchange import ocsp_request
from mustaple.net.store import Staple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from certtools.chain import Chain

pytestmark = pytest.mark.usefixtures("no_proxy")
NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def place() -> Iterator[World]:
    with world() as made:
        yield made


def once(folder: Path, chain: Chain, **settings: str) -> tuple[int, str]:
    """Run the agent once for this chain; its exit code and what it said."""
    file = folder / "chain.pem"
    if not file.exists():
        file.write_bytes(to_pem(chain.certificates))
    keys = {"store": str(folder / "store"), "settle": "1ms", **settings}
    text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
    text += f"[refresh]\ntimeout = 2.0\nfirst_backoff = '1ms'\n[[chain]]\ncertificates = [{json.dumps(str(file))}]\n"
    text += f'[[chain.deploy]]\nkind = "files"\ndirectory = {json.dumps(str(folder / "live"))}\n'
    said: list[str] = []
    return launch(parse_config(text.encode(), "test"), said.append, once=True), "\n".join(said)


def deployed_is_good(folder: Path, chain: Chain) -> int:
    """How many staples are deployed; each must be good now."""
    count = 0
    for place, link in enumerate(chain.links):
        file = folder / "live" / f"staple-{place}.der"
        if file.exists():
            assert judge(file.read_bytes(), link, datetime.now(UTC)).status is Status.GOOD
            count += 1
    return count


def lie(place: World, what: str) -> Told:
    leaf, now = place.leaf, datetime.now(UTC)
    day = timedelta(days=1)
    times = {
        "expired": {"this_update": now - 9 * day, "next_update": now - day},
        "future": {"this_update": now + day, "next_update": now + 9 * day},
    }
    if what in times:
        return Told(place.response(leaf, **times[what]))
    return Told(place.response(place.intermediate if what == "others" else leaf, signer=place.root))


TROUBLE = {
    "another certificate's": lambda place: lie(place, "others"),
    "expired": lambda place: lie(place, "expired"),
    "future": lambda place: lie(place, "future"),
    "signed by the wrong CA": lambda place: lie(place, "forged"),
    "garbage": lambda _: GARBAGE,
    "a page": lambda _: PAGE,
    "too large": lambda _: HUGE,
    "hangs": lambda _: HANGS,
    "an error": lambda _: Told(status=500),
    "a redirect inside": lambda _: Told(status=307, headers={"location": "http://127.0.0.1:1/latest/meta-data"}),
    "a redirect to a file": lambda _: Told(status=307, headers={"location": "file:///etc/passwd"}),
}


@pytest.mark.parametrize("trouble", TROUBLE.values(), ids=TROUBLE)
def test_what_a_responder_does_never_puts_a_wrong_staple_out_and_is_over_when_it_is_over(
    place: World, tmp_path: Path, trouble: Callable[[World], Any]
) -> None:
    place.reset()
    place.says["leaf"] = trouble(place)
    code, said = once(tmp_path, place.chain)
    assert code in {1, 3}
    assert "there is none to staple" in said
    assert not (tmp_path / "live").exists(), "a must-staple certificate waits for its staple"
    place.reset()
    code, said = once(tmp_path, place.chain)
    assert (code, deployed_is_good(tmp_path, place.chain)) == (0, 2), said
    before = (tmp_path / "live/leaf.der").read_bytes()
    place.says["leaf"] = trouble(place)
    assert once(tmp_path, place.chain)[0] == 0, "nobody is asked before it is time"
    assert (tmp_path / "live/leaf.der").read_bytes() == before


def to_url(place: World, url: str) -> Told:
    """A redirect of the question about the leaf to this address."""
    question = quote(base64.b64encode(ocsp_request(place.leaf)), safe="")
    return Told(status=307, headers={"location": f"{url}/{question}"})


def test_a_redirect_within_the_host_is_followed(place: World, tmp_path: Path) -> None:
    place.reset()
    place.says["leaf"] = to_url(place, place.url("elsewhere"))
    code, said = once(tmp_path, place.chain)
    assert code == 0, said
    assert "elsewhere" in place.names()


def test_a_redirect_elsewhere_is_refused_and_logged(place: World, tmp_path: Path) -> None:
    place.reset()
    with world() as inside:
        place.says["leaf"] = to_url(place, inside.url("secret"))
        inside.says["secret"] = Told(place.response(place.leaf))
        code, said = once(tmp_path, place.chain)
        assert code == 3
        assert "which is another host or port" in said
        assert not inside.asked
        once(tmp_path, place.chain, redirects="anywhere")
        assert inside.names() == ["secret"]


def test_revoked_is_shouted_and_its_staple_withdrawn(place: World, tmp_path: Path) -> None:
    place.reset()
    # Short-lived, so that the next run asks again.
    life = {
        "this_update": datetime.now(UTC) - timedelta(hours=4),
        "next_update": datetime.now(UTC) + timedelta(hours=3),
    }
    place.says["leaf"] = Told(place.response(place.leaf, **life))
    assert once(tmp_path, place.chain)[0] == 0
    assert (tmp_path / "live/leaf.der").exists()
    place.says["leaf"] = place.revoked(place.leaf)
    folder = tmp_path / "store/staples" / place.leaf.fingerprint.hex()
    manifest = json.loads((folder / "manifest.json").read_text())
    long_ago = (datetime.now(UTC) - timedelta(hours=3)).isoformat()
    manifest["staples"][0]["fetched_at"] = long_ago
    (folder / "manifest.json").write_text(json.dumps(manifest))
    code, said = once(tmp_path, place.chain)
    assert code == 1
    assert "critical: CN=site.test: REVOKED" in said
    assert not (tmp_path / "live/leaf.der").exists()
    assert (tmp_path / "live/staple-1.der").exists()


def test_without_dns_nothing_is_lost_and_it_says_so(place: World, tmp_path: Path) -> None:
    gone = place.issue("http://responder.invalid/").as_chain()
    code, said = once(tmp_path, gone)
    assert code == 3
    assert "responder.invalid" in said


def test_requests_go_through_a_proxy_where_one_is_named(place: World, tmp_path: Path) -> None:
    place.reset()
    chain = place.lone("http://far.away.invalid/leaf")
    code, said = once(tmp_path, chain, proxy=place.root_url)
    assert code == 0, said
    assert [asked.headers["host"] for asked in place.asked] == ["far.away.invalid"]


@pytest.mark.peer("IPv6 loopback")
def test_a_responder_on_ipv6_is_asked(tmp_path: Path) -> None:
    with MisbehavingResponder(ca_folder(tmp_path), [], host="::1", port=0) as responder:
        assert "[::1]" in responder.url
        chain = load_chain(tmp_path)
        code, said = once(tmp_path, chain, responder=responder.url)
    assert deployed_is_good(tmp_path, chain) >= 1, said
    assert code in {0, 1}


def ca_folder(folder: Path) -> Path:
    """A CA directory with one certificate."""
    leaf = CA.leaf(["localhost"])
    with CaDir.create(folder / "ca", CA, {"ocsp_url": "http://127.0.0.1:2560"}) as ca:
        ca.record(leaf.certificate)
    (folder / "chain.pem").write_bytes(leaf.chain_pem(root=True))
    return folder


def load_chain(folder: Path) -> Chain:
    return build_chain(load_certificates((folder / "chain.pem").read_bytes()))


def test_what_is_trusted_behind_https_is_the_configurations_word(place: World, tmp_path: Path) -> None:
    place.reset()
    (tmp_path / "root.pem").write_bytes(to_pem([place.root.certificate]))
    assert once(tmp_path, place.chain, ca=str(tmp_path / "root.pem"))[0] == 0
    (tmp_path / "root.pem").write_bytes(b"garbage")
    with pytest.raises(InputError, match=r"ca: .* holds no certificates to trust"):
        once(tmp_path, place.chain, ca=str(tmp_path / "root.pem"))


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file may become larger than this, as on a disk that is full; the signal for it is ignored: EFBIG is told."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_disk_without_room_keeps_what_was_there_and_takes_the_rest_later(place: World, tmp_path: Path) -> None:
    place.reset()
    (tmp_path / "chain.pem").write_bytes(to_pem(place.chain.certificates))
    with room_for(64):
        code, said = once(tmp_path, place.chain)
    assert code == 1
    assert "kept in memory alone" in said
    assert "File too large" in said
    assert not (tmp_path / "live").exists()
    assert not [each for each in (tmp_path / "store/staples").rglob("*") if each.is_file()], "nothing half-written"
    code, said = once(tmp_path, place.chain)
    assert (code, deployed_is_good(tmp_path, place.chain)) == (0, 2), said
    files = {each: each.read_bytes() for each in (tmp_path / "store/staples").rglob("*.der")}
    with room_for(64):
        once(tmp_path, place.chain)
    assert {each: each.read_bytes() for each in files} == files
    assert deployed_is_good(tmp_path, place.chain) == 2


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("house")) as made:
        yield made


@pytest.mark.parametrize("misbehaviour", ["huge=1G", "drip=1s", "hang", "reset"])
def test_floods_and_drips_end_in_time_and_do_no_harm(home: House, tmp_path: Path, misbehaviour: str) -> None:
    chain = home.leaf.as_chain()
    with MisbehavingResponder(home.folder, [misbehaviour], port=0) as responder:
        code, said = once(tmp_path, chain, responder=responder.url)
        assert code in {1, 3}, said
        assert not (tmp_path / "live").exists()
    code, said = once(tmp_path, chain, responder=home.server.url)
    assert deployed_is_good(tmp_path, chain) >= 1, said


def test_a_half_written_renewal_changes_nothing_until_it_is_whole(place: World, tmp_path: Path) -> None:
    place.reset()
    assert once(tmp_path, place.chain)[0] == 0
    before = (tmp_path / "live/chain.pem").read_bytes()
    renewed = place.issue("renewed").as_chain()
    pem = to_pem(renewed.certificates)
    (tmp_path / "chain.pem").write_bytes(pem[: len(pem) // 3])
    code, said = once(tmp_path, renewed)
    assert (code, (tmp_path / "live/chain.pem").read_bytes()) == (1, before)
    assert "half-written" in said
    (tmp_path / "chain.pem").write_bytes(pem)
    code, said = once(tmp_path, renewed)
    assert code == 0, said
    assert (tmp_path / "live/chain.pem").read_bytes() == pem
    assert deployed_is_good(tmp_path, renewed) == 2


def test_a_renewal_waits_for_its_staple_over_restarts_and_the_old_one_serves_on(place: World, tmp_path: Path) -> None:
    place.reset()
    assert once(tmp_path, place.chain)[0] == 0
    before = (tmp_path / "live/chain.pem").read_bytes()
    renewed = place.issue("renewed").as_chain()
    (tmp_path / "chain.pem").write_bytes(to_pem(renewed.certificates))
    place.says["renewed"] = Told(status=503)
    for _ in range(2):
        code, said = once(tmp_path, renewed)
        assert code == 3
        assert "waits for its staple" in said
        assert (tmp_path / "live/chain.pem").read_bytes() == before
        assert deployed_is_good(tmp_path, place.chain) == 2
    place.reset()
    code, said = once(tmp_path, renewed)
    assert code == 0, said
    assert deployed_is_good(tmp_path, renewed) == 2


def test_two_agents_do_not_share_a_store(place: World, tmp_path: Path) -> None:
    with hold(tmp_path / "store"), pytest.raises(InputError, match="another agent uses"):
        once(tmp_path, place.chain)


def test_what_kill_9_leaves_is_whole_every_time(tmp_path: Path) -> None:
    assert threading.active_count() < 10
    damage = crash.kill_again_and_again(tmp_path, 20)
    assert not damage.faults
    assert damage.rounds == 20
    assert damage.staples
    assert damage.progress, "and the agent got on in between"


def test_a_store_that_writes_in_place_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def carelessly(files: dict[Path, tuple[bytes, int]], *, replace: bool) -> None:
        for path, (data, _) in files.items():
            with path.open("wb") as file:
                for byte in data:
                    file.write(bytes([byte]))
                    file.flush()

    monkeypatch.setattr("mustaple.net.store.write_together", carelessly)
    assert crash.kill_again_and_again(tmp_path, 20).faults


def test_what_a_killed_agent_leaves_in_the_store_is_swept_up(place: World, tmp_path: Path) -> None:
    place.reset()
    once(tmp_path, place.chain)
    folder = tmp_path / "store/staples" / place.leaf.fingerprint.hex()
    (folder / ".manifest.json.abcdef").write_bytes(b"half")
    found = DirectoryShelf(tmp_path / "store/staples").load(place.leaf, datetime.now(UTC), Rules())
    assert isinstance(found, Staple)
    assert not list(folder.glob(".*"))

"""A TLS server that misbehaves: its staples and its connections, to our own client over sockets, each with its twin."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import pytest
from commands import ROOT, Folder
from misbehave_house import PATIENT, SOON, Pauses

from certtools.forge import MUTATIONS
from mustaple.core.errors import InputError, NetworkError
from mustaple.lab.misbehaviour import BEHAVIOURS, MisbehavingStapler
from mustaple.lab.misbehaviour.acts import FLAP, is_down
from mustaple.lab.misbehaviour.catalogue import SERVER
from mustaple.lab.misbehaviour.front import Front
from mustaple.lab.misbehaviour.plan import Plan
from mustaple.net.client import check
from mustaple.net.listen import listen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What `strict` says first of the leaf, whose certificate promises a staple; the rest are in order, strange as they are.
WRONG: Final = {
    "no-staple": "promise-broken",
    "expired": "expired",
    "revoked": "revoked",
    "unknown": "unknown",
    "try-later": "error-status",
    "bad-signature": "bad-signature",
    "other-certificate": "other-certificate",
    "garbage": "malformed",
    "truncated": "malformed",
    "delegate-expired": "delegate-expired",
    "several-good": "",
    "delegated": "",
}


class House:
    """A folder as `mustaple issue` leaves it, and its misbehaving server."""

    def __init__(self, path: Path, **how: Any) -> None:
        folder = Folder(path)
        self.seconds = 0.0
        self.server = MisbehavingStapler(
            path, folder.leaf.as_chain().links, folder.leaf.key, [], monotonic=lambda: self.seconds, **how
        )

    def set(self, *texts: str) -> None:
        self.seconds = 0.0
        self.server.plan.set(texts)

    def code(self, timeout: float = PATIENT, **how: Any) -> str:
        """The first reason of `strict`; "none" where no handshake came about, as `check` says it."""
        address = (self.server.host, self.server.port)
        try:
            verdict = check(
                "localhost", address[1], "strict", ca=ROOT.certificate, address=address, timeout=timeout, **how
            )
        except NetworkError:
            return "none"
        return verdict.all_reasons[0].code.value if verdict.all_reasons else ""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("stapler"))
    with made.server:
        yield made


@pytest.mark.parametrize("name", WRONG)
def test_a_staple_is_wrong_as_told_and_else_honest(house: House, name: str) -> None:
    house.set(name)
    assert house.code() == WRONG[name]
    house.set()
    assert house.code() == ""


def test_every_wrong_response_may_be_stapled() -> None:
    assert {name for name, each in BEHAVIOURS.items() if "staple" in each.kinds} == {*MUTATIONS, "no-staple"} - {"html"}


def test_both_protocols_and_the_whole_chain(house: House) -> None:
    house.set("revoked")
    assert house.code(engine="rfc6961", maximum="TLSv1.2") == "revoked"
    house.set()
    assert house.code(engine="rfc6961", maximum="TLSv1.2") == ""


def test_the_leaf_alone(tmp_path: Path) -> None:
    house = House(tmp_path, leaf_only=True)
    with house.server:
        assert house.code() == "no-staple"


@pytest.mark.parametrize("text", ["reset", "cut-short"])
def test_a_connection_breaks_as_told(house: House, text: str) -> None:
    house.set(text)
    assert house.code() == "none"
    house.set()
    assert house.code() == ""


@pytest.mark.parametrize("text", ["hang", "slow=9m", "drip=9m"])
def test_a_connection_hangs_as_told_and_others_do_not_wait(house: House, text: str) -> None:
    house.set(f"{text}@first=1")
    with socket.create_connection((house.server.host, house.server.port), timeout=PATIENT) as stuck:
        stuck.sendall(b"\x16\x03\x01")
        assert house.code() == ""
    house.set(text)
    assert house.code(SOON) == "none"


@pytest.mark.parametrize(("text", "each"), [("slow=7s", 7.0), ("drip=3ms", 0.003)])
def test_the_slow_handshake_is_the_honest_one_after_all(tmp_path: Path, text: str, each: float) -> None:
    pauses = Pauses(forever=False)
    house = House(tmp_path, pause=pauses)
    with house.server:
        house.set(text)
        assert house.code() == ""
        assert set(pauses.asked) == {each}
        assert len(pauses.asked) == 1 if text.startswith("slow") else len(pauses.asked) > 1000


def test_flapping_connections(house: House) -> None:
    house.set("flapping=one")
    met = []
    for slot in range(8):
        house.seconds = slot * FLAP
        met.append(house.code())
    assert met == ["none" if is_down("one", slot * FLAP) else "" for slot in range(8)]
    assert set(met) == {"none", ""}


def test_conditions_count_handshakes_that_ask_and_connections(house: House) -> None:
    house.set("revoked@every=2", "reset@after=4")
    assert [house.code() for _ in range(6)] == ["", "revoked", "", "revoked", "none", "none"]
    house.set(f"revoked@serial={1:x}")
    assert house.code() == ""


def test_there_is_room_for_so_many() -> None:
    front = Front(listener := listen(), ("127.0.0.1", 9), Plan(["hang"], lambda: 0.0, SERVER), most=1)
    front.start()
    try:
        with socket.create_connection(listener.getsockname(), timeout=PATIENT) as one:
            one.sendall(b"hello")
            with socket.create_connection(listener.getsockname(), timeout=PATIENT) as other:
                with suppress(ConnectionResetError):
                    assert other.recv(1) == b""
                one.settimeout(0)
                with pytest.raises(BlockingIOError):
                    one.recv(1)
    finally:
        front.close()


def test_the_end_lets_go_of_everybody(tmp_path: Path) -> None:
    pauses = Pauses(forever=True)
    house = House(tmp_path, pause=pauses)
    house.set("slow")
    said: list[str] = []
    with house.server:
        waiting = threading.Thread(target=lambda: said.append(house.code()))
        waiting.start()
        assert pauses.begun.wait(PATIENT)
    waiting.join(PATIENT)
    assert said == ["none"]
    house.server.close()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("404", "404 is for a responder to do"),
        ("crl-expired", "crl-expired is for a responder to do"),
        ("expiring", "expiring is for a responder to do"),
        ("html", "html is for a responder to do"),
        ("slwo", "is it slow?"),
    ],
)
def test_what_a_server_does_not_do(tmp_path: Path, text: str, why: str) -> None:
    folder = Folder(tmp_path)
    with pytest.raises(InputError, match=why.replace("?", r"\?")):
        MisbehavingStapler(tmp_path, folder.leaf.as_chain().links, folder.leaf.key, [text])


def test_it_listens_on_loopback_unless_somebody_knows(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    with pytest.raises(InputError, match="add --i-know"):
        MisbehavingStapler(tmp_path, folder.leaf.as_chain().links, folder.leaf.key, ["reset"], host="0.0.0.0")

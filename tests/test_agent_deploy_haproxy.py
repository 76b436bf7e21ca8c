"""HAProxy takes staples and certificates while it runs, and what it does not take is rolled back and reported."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from deploy_house import Certificate, free_port, give, running, target, wait_for_answer

from mustaple.agent.deploy.contract import DeployError
from mustaple.agent.deploy.haproxy import HaproxyDeployment
from mustaple.agent.deploy.haproxy_socket import HaproxySocket
from mustaple.agent.events import Kind, Severity
from mustaple.core.errors import InputError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.peer("haproxy")

CONFIGURATION = """
global
  maxconn 64
  stats socket {folder}/socket mode 600 level admin
defaults
  mode http
  timeout connect 5s
  timeout client 20s
  timeout server 20s
frontend site
  bind 127.0.0.1:{port} ssl crt {folder}/site.pem
  bind 127.0.0.1:{other_port} ssl crt {folder}/other.pem
  http-request return status 200
"""


class House:
    """An HAProxy that may be started more than once, and two certificates for it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.old, self.new = Certificate(folder, "old"), Certificate(folder, "new")
        self.crt, self.ocsp, self.socket = folder / "site.pem", folder / "site.pem.ocsp", folder / "socket"
        words = {"folder": folder, "port": self.port, "other_port": free_port()}
        (folder / "haproxy.cfg").write_text(CONFIGURATION.format(**words))
        self.crt.write_bytes(self.old.pem)
        (folder / "other.pem").write_bytes(self.new.pem)
        self._stack = ExitStack()

    def start(self) -> subprocess.Popen[bytes]:
        command = [
            "haproxy",
            "-W",
            "-db",
            "-S",
            str(self.folder / "master"),
            "-p",
            str(self.folder / "pid"),
            "-f",
            str(self.folder / "haproxy.cfg"),
        ]
        process = self._stack.enter_context(running(command, self.folder, self.port))
        wait_for_answer(self.socket, b"show version\n")
        wait_for_answer(self.folder / "master", b"show proc\n")  # before that the master hears no signal
        return process

    def stop(self) -> None:
        self._stack.close()

    def settings(self, **more: object) -> HaproxyDeployment:
        ways = more if {"pid_file", "reload"} & more.keys() else {"socket": self.socket, **more}
        table = {"kind": "haproxy", "crt": self.crt, "verify": f"localhost:{self.port}", "patience": 5, **ways}
        return HaproxyDeployment.model_validate(table)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.stop()


def test_a_staple_is_taken_and_replaced_while_it_runs_and_is_there_after_a_restart(house: House) -> None:
    process = house.start()
    to = target(house.settings())
    for later in range(2):
        event = give(to, house.old.without_key, house.old.staples(later))
        assert (event.kind, event.message) == (
            Kind.DEPLOYED,
            f"site: haproxy {house.crt} has 2 of 2 staples",
        )
    assert process.poll() is None
    assert house.ocsp.read_bytes() == house.old.staples(1)[0]
    house.stop()
    house.start()
    again = target(house.settings())
    assert give(again, house.old.without_key, house.old.staples(1)).kind is Kind.DEPLOYED


def test_a_new_certificate_and_its_staple_come_in_one_step(house: House) -> None:
    """RFC 7633 §4.3.2: every handshake has a certificate with its own staple."""
    house.start()
    to = target(house.settings())
    assert give(to, house.old.site, house.old.staples()).kind is Kind.DEPLOYED
    stop, seen = threading.Event(), set[bytes | None]()
    watcher = threading.Thread(target=_watch, args=(house, stop, seen))
    watcher.start()
    try:
        for _ in range(3):
            assert give(to, house.new.site, house.new.staples()).kind is Kind.DEPLOYED
            assert give(to, house.old.site, house.old.staples()).kind is Kind.DEPLOYED
    finally:
        stop.set()
        watcher.join()
    assert seen == {b"old", b"new"}
    assert house.crt.read_bytes() == house.old.pem
    assert house.crt.stat().st_mode & 0o777 == 0o600


def _watch(house: House, stop: threading.Event, seen: set[bytes | None]) -> None:
    from mustaple.net.dial import Deadline
    from mustaple.net.look import look_tls13

    pairs = {
        (each.site.fingerprint, each.staples()[0]): name for name, each in ((b"old", house.old), (b"new", house.new))
    }
    while not stop.is_set():
        flight = look_tls13(("127.0.0.1", house.port), b"localhost", Deadline(5)).flight
        assert flight is not None
        leaf = flight.entries[0].fingerprint
        staples = [each.response for each in flight.sent.staples.get(leaf, ())]
        seen.add(pairs.get((leaf, staples[0])) if staples else None)


def test_a_withdrawn_staple_is_gone_from_the_one_that_runs_and_from_the_disk(house: House) -> None:
    house.start()
    to = target(house.settings())
    give(to, house.old.without_key, house.old.staples())
    event = give(to, house.old.without_key, (None, None))
    assert (event.kind, event.message) == (Kind.DEPLOYED, f"site: haproxy {house.crt} has no staple any more")
    assert not house.ocsp.exists()


def test_what_it_does_not_serve_is_rolled_back(house: House) -> None:
    house.start()
    to = target(house.settings())
    give(to, house.old.site, house.old.staples())
    # Another certificate's: it takes that from nobody.
    event = give(to, house.old.site, (house.new.staples()[0], house.old.staples()[1]))
    assert (event.kind, event.severity) == (Kind.NOT_DEPLOYED, Severity.ERROR)
    assert "serves another staple for CN=localhost; rolled back" in event.message
    assert house.ocsp.read_bytes() == house.old.staples()[0]
    assert give(target(house.settings()), house.old.site, house.old.staples()).kind is Kind.DEPLOYED, "it serves on"


def test_a_dead_socket_is_reported_unless_it_may_be(house: House) -> None:
    unverified = {"verify": None}
    event = give(target(house.settings(**unverified)), house.old.site, house.old.staples())
    assert event.kind is Kind.NOT_DEPLOYED
    assert f"HAProxy does not run: nobody listens at {house.socket}" in event.message
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(house.socket))
    event = give(target(house.settings(**unverified)), house.old.site, house.old.staples())
    assert "nobody listens" in event.message
    event = give(target(house.settings(may_be_down=True, **unverified)), house.old.site, house.old.staples())
    assert event.kind is Kind.DEPLOYED
    house.start()
    assert give(target(house.settings()), house.old.site, house.old.staples()).kind is Kind.DEPLOYED, "it read the file"


def test_a_pem_file_that_it_does_not_know_is_reported(house: House) -> None:
    house.start()
    unknown = house.folder / "unknown.pem"
    unknown.write_bytes(house.old.pem)
    event = give(target(house.settings(crt=unknown)), house.old.without_key, house.old.staples())
    assert event.kind is Kind.NOT_DEPLOYED
    assert f"HAProxy at {house.socket} does not take {unknown}: " in event.message


def test_a_certificate_that_is_in_use_under_another_name_is_new_under_this_one(house: House) -> None:
    house.start()
    other = target(house.settings(crt=house.folder / "other.pem", verify=None))
    assert give(other, house.new.site, house.new.staples()).kind is Kind.DEPLOYED
    assert give(target(house.settings()), house.new.site, house.new.staples()).kind is Kind.DEPLOYED


def test_a_pem_file_may_have_empty_lines(house: House) -> None:
    house.start()
    house.crt.write_bytes(house.new.pem.replace(b"-----BEGIN", b"\n\n-----BEGIN"))
    assert give(target(house.settings()), house.new.without_key, house.new.staples()).kind is Kind.DEPLOYED


def test_a_transaction_that_was_left_by_one_that_died_stands_in_nobodys_way(house: House) -> None:
    house.start()
    other = house.folder / "other.pem"
    HaproxySocket(house.socket, str(other), 5)._must(f"set ssl cert {other}.ocsp <<\n\n", "Transaction ")
    assert give(target(house.settings(timeout=0.5)), house.new.site, house.new.staples()).kind is Kind.DEPLOYED


def test_many_certificates_are_taken_at_once_each_in_its_turn(house: House) -> None:
    house.start()
    pairs = [(house.crt, house.old), (house.folder / "other.pem", house.new)] * 4
    targets = [(target(house.settings(crt=crt, verify=None)), each) for crt, each in pairs]
    with ThreadPoolExecutor(len(targets)) as hands:
        events = list(hands.map(lambda pair: give(pair[0], pair[1].site, (None, None)), targets))
    assert {event.kind for event in events} == {Kind.DEPLOYED}, [event.message for event in events]


def test_without_its_key_a_new_certificate_is_somebody_elses_to_write(house: House) -> None:
    house.start()
    to = target(house.settings())
    event = give(to, house.new.without_key, house.new.staples())
    assert "holds another certificate; with `key`" in event.message
    house.crt.write_bytes(house.new.pem)
    assert give(to, house.new.without_key, house.new.staples()).kind is Kind.DEPLOYED


def test_without_a_socket_it_is_reloaded_once_for_each_change(house: House) -> None:
    house.start()
    to = target(house.settings(pid_file=house.folder / "pid"))
    assert give(to, house.old.site, house.old.staples()).kind is Kind.DEPLOYED
    assert give(to, house.new.site, house.new.staples()).kind is Kind.DEPLOYED
    event = give(to, house.new.site, (house.old.staples()[0], house.new.staples()[1]))
    assert "serves no staple for CN=localhost; rolled back" in event.message
    # A master that is about to reload misses a signal to do so: what it did not take is brought to it again.
    events = (give(to, house.new.site, (None, None)) for _ in range(3))
    assert any(event.kind is Kind.DEPLOYED for event in events)
    log = house.folder / "reloads"
    settings = house.settings(reload=["sh", "-c", f"echo x >>{log}"], verify=None)
    for _ in range(2):
        give(target(settings), house.new.site, house.new.staples())
    assert log.read_text() == "x\n"


def test_one_that_says_nothing_is_not_waited_for(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "socket"))
        silent.listen()
        with pytest.raises(DeployError, match=r"does not answer within 0\.2 s"):
            HaproxySocket(tmp_path / "socket", "site.pem", 0.2).take_staple(b"")


def test_a_path_that_is_no_word_on_the_socket_is_refused(tmp_path: Path) -> None:
    for name in ("a b.pem", "a;b.pem", "a\nb.pem"):
        settings = HaproxyDeployment(kind="haproxy", crt=tmp_path / name, socket=tmp_path / "socket")
        with pytest.raises(InputError, match="it is not one word"):
            settings.deployer("site")

"""The strict client over loopback sockets: servers that keep or break the promise, and peers that are no servers."""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from certtools.chain import to_pem
from certtools.forge import MUTATIONS, good
from mustaple.core.errors import InputError, NetworkError, RefusedError
from mustaple.core.policy import Policy
from mustaple.core.verdict import Code, Outcome, Source, Status
from mustaple.net import dial as dialling
from mustaple.net.client import check, connect
from mustaple.net.dial import Deadline, dial
from mustaple.net.responder.serving import ResponderServer
from mustaple.net.server import StaplingServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

    from certtools.authority import Authority, Issued
    from certtools.forge import Scene

REQUEST = b"GET / HTTP/1.0\r\n\r\n"
SHORT = 0.5  # seconds that a test gives a peer that will not answer


@pytest.fixture(scope="session")
def options(root: Authority, at: datetime) -> dict[str, Any]:
    return {"ca": root.certificate, "at": at}


def _serve(issued: Issued, staple: bytes | None, **more: Any) -> StaplingServer:
    return StaplingServer(issued.chain[:-1], issued.key, staple, **more)


# --- accepted, refused


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_good_server_is_talked_to(leaf: Issued, staple: bytes, options: dict[str, Any], version: str) -> None:
    with _serve(leaf, staple, minimum=version, maximum=version) as server:
        with connect("localhost", server.port, "must-staple", **options) as connection:
            assert connection.verdict.accepted
            assert connection.verdict.protocol == f"TLSv{version}"
            assert connection.fileno() > 0
            assert connection.send(REQUEST) == len(REQUEST)
            page = b"".join(iter(connection.recv, b""))
        assert page.startswith(b"HTTP/1")
        assert connection.fileno() == -1
        connection.close()
        record = server.next_record()
    assert (record.alert, record.application_data, record.server_name) == (None, REQUEST, "localhost")


@pytest.mark.requirement("RFC6066-8-5")
@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize(("mutation", "code"), [(None, Code.PROMISE_BROKEN), ("revoked", Code.REVOKED)])
def test_a_bad_server_gets_an_alert_and_no_data(
    leaf: Issued, scene: Scene, options: dict[str, Any], version: str, mutation: str | None, code: Code
) -> None:
    staple = None if mutation is None else MUTATIONS[mutation](scene)
    with _serve(leaf, staple, minimum=version, maximum=version, ask_client_certificate=True) as server:
        with pytest.raises(RefusedError) as caught:
            connect("localhost", server.port, "must-staple", **options)
        first = server.next_record()
        verdict = check("localhost", server.port, "must-staple", **options)
        second = server.next_record()
    assert [reason.code for reason in caught.value.verdict.all_reasons] == [code]
    assert verdict == caught.value.verdict
    for record in (first, second):
        assert (record.alert, record.application_data, record.client_certificate) == (113, b"", None)


@pytest.mark.parametrize(
    ("host", "server_name", "code"),
    [
        ("localhost", None, None),
        ("127.0.0.1", None, None),
        ("127.0.0.1", "localhost", None),
        ("localhost", "127.0.0.1", None),
        ("localhost", "other.example", Code.NAME_MISMATCH),
        ("127.0.0.1", "127.0.0.2", Code.NAME_MISMATCH),
    ],
)
def test_the_name_asked_for_is_the_name_that_counts(
    leaf: Issued, staple: bytes, options: dict[str, Any], host: str, server_name: str | None, code: Code | None
) -> None:
    with _serve(leaf, staple) as server:
        verdict = check(host, server.port, "must-staple", server_name=server_name, **options)
        record = server.next_record()
    assert [reason.code for reason in verdict.all_reasons] == ([code] if code else [])
    if verdict.accepted:  # the record learns the name at the handshake's end
        name = server_name or host
        assert record.server_name == (None if name[0].isdigit() else name)


def test_the_address_to_connect_to_may_be_another(leaf: Issued, staple: bytes, options: dict[str, Any]) -> None:
    with _serve(leaf, staple) as server:
        address = ("127.0.0.1", server.port)
        assert check("localhost", 1, "must-staple", address=address, **options).accepted
        assert not check("nowhere.invalid", 1, "must-staple", address=address, **options).accepted


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_client_certificate_is_shown_where_the_staple_is_good(
    intermediate: Authority, leaf: Issued, staple: bytes, options: dict[str, Any], tmp_path: Path, version: str
) -> None:
    own = intermediate.leaf(["client.example"], features=None)
    both = tmp_path / "own.pem"
    both.write_bytes(own.chain_pem() + own.key_pem())
    with _serve(leaf, staple, minimum=version, maximum=version, ask_client_certificate=True) as server:
        with connect("localhost", server.port, "must-staple", certificate=both, **options) as connection:
            connection.sendall(REQUEST)
            assert b"".join(iter(connection.recv, b""))
        assert server.next_record().client_certificate == own.certificate
        assert check("localhost", server.port, "must-staple", **options).accepted
        assert server.next_record().client_certificate is None


def test_the_highest_version_may_be_lowered(leaf: Issued, staple: bytes, options: dict[str, Any]) -> None:
    with _serve(leaf, staple) as server:
        for version in ("TLSv1.2", "TLSv1.3"):
            verdict = check("localhost", server.port, "must-staple", maximum=version, **options)
            assert (verdict.accepted, verdict.protocol) == (True, version)


def test_many_at_once_each_get_their_own_verdict(
    leaf: Issued, staple: bytes, scene: Scene, options: dict[str, Any]
) -> None:
    with _serve(leaf, staple) as kept, _serve(leaf, MUTATIONS["revoked"](scene)) as broken:
        ports = [kept.port, broken.port] * 12
        with ThreadPoolExecutor(8) as pool:
            verdicts = list(pool.map(lambda port: check("localhost", port, "must-staple", **options), ports))
    assert [verdict.accepted for verdict in verdicts] == [port == kept.port for port in ports]


# --- what is fetched


def _plain(intermediate: Authority, *urls: str) -> Issued:
    return intermediate.leaf(["localhost"], features=None, ocsp_urls=urls)


@pytest.mark.parametrize("policy", ["soft-fail", "must-staple", "hard-fail"])
@pytest.mark.parametrize(
    ("mutation", "accepted"), [("honest", {"soft-fail", "must-staple", "hard-fail"}), ("revoked", set())]
)
def test_evidence_that_was_not_stapled_is_fetched_before_anything_is_sent(
    intermediate: Authority,
    scene: Scene,
    options: dict[str, Any],
    policy: str,
    mutation: str,
    accepted: set[str],
    at: datetime,
) -> None:
    answer = b""
    with ResponderServer(lambda _: answer) as responder:
        leaf = _plain(intermediate, responder.url)
        link = leaf.as_chain().links[0]
        honest = good(link, intermediate, at)
        on_trial = type(scene)(link=link, issuer=intermediate, other=scene.other, rogue=scene.rogue, at=at)
        answer = honest if mutation == "honest" else MUTATIONS[mutation](on_trial)
        with _serve(leaf, None) as server:
            verdict = check("localhost", server.port, policy, **options)
            record = server.next_record()
    assert verdict.accepted is (policy in accepted)
    (judgement,) = verdict.certificates[0].judgements
    assert (judgement.source, judgement.origin) == (Source.OCSP, responder.url)
    assert judgement.status is (Status.GOOD if mutation == "honest" else Status.REVOKED)
    assert record.application_data == b""


@pytest.mark.requirement("RFC6960-5-1")
@pytest.mark.parametrize(("policy", "accepted"), [("soft-fail", True), ("must-staple", True), ("hard-fail", False)])
@pytest.mark.parametrize("named", [True, False])
def test_a_responder_that_is_down_or_not_named_is_for_the_policy(
    intermediate: Authority, options: dict[str, Any], policy: str, *, accepted: bool, named: bool
) -> None:
    with _nobody() as port:
        leaf = _plain(intermediate, *([f"http://127.0.0.1:{port}/"] if named else []))
        with _serve(leaf, None) as server:
            verdict = check("localhost", server.port, policy, **options)
    assert verdict.accepted is accepted
    certificate = verdict.certificates[0]
    said = {reason.code for reason in (*certificate.reasons, *certificate.notes)}
    assert said == {Code.UNREACHABLE if named else Code.NO_URL}


def test_a_revoked_staple_is_not_asked_about_again(leaf: Issued, scene: Scene, options: dict[str, Any]) -> None:
    asked: list[object] = []
    with (
        ResponderServer(lambda question: asked.append(question) or b""),
        _serve(leaf, MUTATIONS["revoked"](scene)) as server,
    ):
        assert not check("localhost", server.port, "soft-fail", **options).accepted
    assert not asked


# --- peers that are no servers


@contextmanager
def _nobody() -> Iterator[int]:
    """A port that refuses: bound, so that nobody else takes it, and not listened on."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@contextmanager
def _peer(play: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port where one connection is taken and played with; the thread ends with the client."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run() -> None:
            taken, _ = listener.accept()
            with taken, contextlib.suppress(OSError):
                taken.settimeout(30)
                play(taken)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join(30)
        assert not thread.is_alive()


def _until_closed(peer: socket.socket) -> None:
    while peer.recv(1 << 16):
        pass


def _silent(peer: socket.socket) -> None:
    _until_closed(peer)


def _dripping(peer: socket.socket) -> None:
    """A record that never ends, byte by byte: each comes in time, all together never do."""
    peer.recv(1 << 16)
    peer.settimeout(0.02)
    peer.sendall(b"\x16\x03\x03\x40\x00")
    while True:
        peer.sendall(b"\x02")
        with contextlib.suppress(TimeoutError):
            if not peer.recv(1 << 16):
                return


def _garbage(peer: socket.socket) -> None:
    peer.sendall(b"220 mail.example ESMTP ready\r\n")
    _until_closed(peer)


def _closing(peer: socket.socket) -> None:
    peer.recv(1 << 16)


def _resetting(peer: socket.socket) -> None:
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def _alerting(peer: socket.socket) -> None:
    peer.recv(1 << 16)
    peer.sendall(bytes.fromhex("15 0303 0002 0228"))
    _until_closed(peer)


@pytest.mark.parametrize(
    ("play", "said"),
    [
        (_silent, r"did not answer within 0\.5 s"),
        (_dripping, r"did not answer within 0\.5 s"),
        (_garbage, "does not speak TLS"),
        (_closing, "closed the connection"),
        (_resetting, "reset"),
        (_alerting, "the server ended the connection"),
    ],
)
def test_a_peer_that_does_not_shake_hands_is_a_network_error(
    options: dict[str, Any], play: Callable[[socket.socket], None], said: str
) -> None:
    with _peer(play) as port, pytest.raises(NetworkError, match=said) as caught:
        check("localhost", port, "strict", timeout=SHORT, **options)
    assert str(caught.value).startswith(f"localhost:{port}")


def test_a_server_that_falls_silent_after_the_handshake_times_out(
    leaf: Issued, staple: bytes, options: dict[str, Any]
) -> None:
    with _serve(leaf, staple) as server, connect("localhost", server.port, "must-staple", **options) as connection:
        connection.settimeout(SHORT)
        with pytest.raises(NetworkError, match="did not answer in time"):
            connection.recv()


def test_a_port_that_nobody_listens_on_is_a_network_error_with_its_cause(options: dict[str, Any]) -> None:
    with _nobody() as port, pytest.raises(NetworkError, match="connection refused") as caught:
        check("127.0.0.1", port, **options)
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


def test_a_port_that_refuses_is_tried_again_as_long_as_one_waits(
    leaf: Issued, staple: bytes, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with _nobody() as port, contextlib.ExitStack() as later:
        breaths: list[float] = []

        def start_server(seconds: float) -> None:
            breaths.append(seconds)
            server = later.enter_context(_serve(leaf, staple))
            monkeypatch.setattr(socket.socket, "connect", _redirected(port, server.port))

        monkeypatch.setattr(dialling.time, "sleep", start_server)
        assert check("127.0.0.1", port, "must-staple", wait=30.0, **options).accepted
        assert len(breaths) == 1


def _redirected(wanted: int, real: int) -> Callable[[socket.socket, tuple[str, int]], None]:
    original = socket.socket.connect

    def connect_there(self: socket.socket, address: tuple[str, int]) -> None:
        original(self, (address[0], real) if address[1] == wanted else address)

    return connect_there


def test_every_address_of_a_name_is_tried(
    leaf: Issued, staple: bytes, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = socket.getaddrinfo
    with _nobody() as nobody, _serve(leaf, staple) as server:

        def two_addresses(host: str, port: int, *arguments: Any, **more: Any) -> list[Any]:
            if host != "localhost" or more.get("flags"):
                return resolve(host, port, *arguments, **more)
            found = resolve("127.0.0.1", port, *arguments, **more)[0]
            return [(*found[:4], ("127.0.0.1", nobody)), found]

        monkeypatch.setattr(socket, "getaddrinfo", two_addresses)
        assert check("localhost", server.port, "must-staple", **options).accepted


@pytest.mark.parametrize("error", [errno.ENETUNREACH, errno.ETIMEDOUT])
def test_the_last_address_tells_what_was_wrong(monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    def fail(*_: object) -> None:
        raise OSError(error, "no way")

    monkeypatch.setattr(socket.socket, "connect", fail)
    with pytest.raises(NetworkError):
        dial("127.0.0.1", 443, Deadline(1.0))


def test_a_name_that_does_not_resolve_is_a_network_error(options: dict[str, Any]) -> None:
    with pytest.raises(NetworkError, match="resolve"):
        check("nothing.invalid", 443, **options)


def test_a_resolver_that_hangs_is_left_behind(monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]) -> None:
    release = threading.Event()

    def hang(*_: object, **more: object) -> list[object]:
        if more.get("flags"):
            raise OSError
        release.wait(30)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    try:
        with pytest.raises(NetworkError, match=r"did not resolve within 0\.5 s"):
            check("slow.example", 443, timeout=SHORT, **options)
    finally:
        release.set()


# --- arguments of no use


@pytest.mark.parametrize("host", ["", "a..b", "exa mple", "-", "http://localhost", "x" * 300, "münchen..de"])
def test_a_host_that_is_no_name_is_an_input_error(options: dict[str, Any], host: str) -> None:
    with pytest.raises(InputError):
        check(host, 443, address=("127.0.0.1", 1), **options)


def test_a_policy_is_a_preset_or_a_policy(leaf: Issued, staple: bytes, options: dict[str, Any]) -> None:
    with _serve(leaf, staple) as server:
        own = Policy("mine", sources=frozenset({Source.STAPLE, Source.OCSP}))
        assert check("localhost", server.port, own, **options).policy == "mine"
    with pytest.raises(InputError, match="strict"):
        check("localhost", 1, "stern", **options)


def test_a_key_without_a_certificate_is_an_input_error(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="certificate"):
        check("localhost", 1, key="own.key", **options)


def test_a_pending_verdict_never_leaves_the_client(intermediate: Authority, options: dict[str, Any]) -> None:
    leaf = _plain(intermediate)
    for sources in ({Source.OCSP}, {Source.CRL}, {Source.OCSP, Source.CRL}, set(Source)):
        with _serve(leaf, None) as server:
            verdict = check("localhost", server.port, Policy("any", sources=frozenset(sources)), **options)
        assert verdict.outcome is Outcome.REFUSED


# --- whatever happens, the socket is closed (an open one is a warning, and a warning fails the test)


def test_a_connection_whose_peer_is_gone_closes_quietly(leaf: Issued, staple: bytes, options: dict[str, Any]) -> None:
    with _serve(leaf, staple) as server:
        connection = connect("localhost", server.port, "must-staple", **options)
        connection._socket.shutdown(socket.SHUT_RDWR)
        connection.close()
        assert connection.fileno() == -1


def test_no_time_left_is_no_answer() -> None:
    with _nobody() as port, pytest.raises(NetworkError, match="within 0 s"):
        dial("127.0.0.1", port, Deadline(0.0))
    with socket.socket() as sock, pytest.raises(TimeoutError):
        Deadline(0.0).bound(sock)


def test_a_name_that_no_resolver_could_take_is_an_input_error() -> None:
    with pytest.raises(InputError, match="not a host name"):
        dial(f"{'x' * 64}.example", 443, Deadline(5.0))


def test_an_interrupt_while_connecting_comes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(socket.socket, "connect", interrupt)
    with pytest.raises(KeyboardInterrupt):
        dial("127.0.0.1", 443, Deadline(5.0))


def test_a_proxy_that_cannot_be_used_is_told_after_the_handshake(
    intermediate: Authority, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "nonsense://127.0.0.1:1")
    leaf = _plain(intermediate, "http://responder.example/")
    with _serve(leaf, None) as server, pytest.raises(InputError, match="proxy"):
        check("localhost", server.port, "hard-fail", **options)


def test_what_to_trust_may_be_one_thing_or_several(
    root: Authority, rogue: Authority, leaf: Issued, staple: bytes, at: datetime, tmp_path: Path
) -> None:
    file = tmp_path / "root.pem"
    file.write_bytes(to_pem([root.certificate]))
    with _serve(leaf, staple) as server:
        for ca in (file, str(file), tmp_path, root.certificate, [rogue.certificate, file]):
            assert check("localhost", server.port, "must-staple", ca=ca, at=at).accepted
        for ca in (rogue.certificate, [], [rogue.certificate]):
            assert not check("localhost", server.port, "must-staple", ca=ca, at=at).accepted

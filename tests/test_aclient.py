"""The strict client for asyncio: the same verdicts as the other loop, connections, deadlines, and nothing left open."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import uvloop
from clear_servers import AsyncServer, Dialogue, clear_server
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import mustaple
from certtools.chain import to_pem
from certtools.forge import MUTATIONS, good
from mustaple.core.errors import InputError, NetworkError, RefusedError
from mustaple.core.policy import Policy
from mustaple.core.verdict import Code, Outcome, Source, Status
from mustaple.net import dial as dialling
from mustaple.net.aclient import AsyncConnection, acheck, aconnect
from mustaple.net.client import check
from mustaple.net.dial import adial
from mustaple.net.responder.serving import ResponderServer
from mustaple.net.server import StaplingServer
from mustaple.net.stapling_server import ChainStaplingServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

    from certtools.authority import Authority, Issued
    from certtools.forge import Scene

REQUEST = b"GET / HTTP/1.0\r\n\r\n"
SHORT = 0.5  # seconds that a test gives a peer that will not answer
MEGABYTES = bytes(range(256)) * 4096 * 8


@pytest.fixture(scope="session")
def options(root: Authority, at: datetime) -> dict[str, Any]:
    return {"ca": root.certificate, "at": at}


def _serve(issued: Issued, staple: bytes | None, **more: Any) -> StaplingServer:
    return StaplingServer(issued.chain[:-1], issued.key, staple, **more)


# --- accepted, refused


@pytest.mark.parametrize("loop_factory", [None, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_good_server_is_talked_to(
    leaf: Issued, staple: bytes, options: dict[str, Any], version: str, loop_factory: Any
) -> None:
    async def talk(port: int) -> bytes:
        async with await mustaple.aconnect("localhost", port, "must-staple", **options) as connection:
            assert connection.verdict.accepted
            assert connection.verdict.protocol == f"TLSv{version}"
            await connection.send(REQUEST)
            page = b""
            while piece := await connection.recv(100):
                assert len(piece) <= 100
                page += piece
        await connection.close()
        return page

    with (
        _serve(leaf, staple, minimum=version, maximum=version) as server,
        asyncio.Runner(loop_factory=loop_factory) as runner,
    ):
        assert runner.run(talk(server.port)).startswith(b"HTTP/1")
        record = server.next_record()
        assert runner.run(acheck("localhost", server.port, "must-staple", **options)).accepted
        server.next_record()
        with pytest.raises(NetworkError, match="refused"):
            runner.run(acheck("127.0.0.1", 1, **options))
    assert (record.alert, record.application_data, record.server_name) == (None, REQUEST, "localhost")


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize(("mutation", "code"), [(None, Code.PROMISE_BROKEN), ("revoked", Code.REVOKED)])
def test_a_bad_server_gets_an_alert_and_no_data(
    leaf: Issued, scene: Scene, options: dict[str, Any], version: str, mutation: str | None, code: Code
) -> None:
    staple = None if mutation is None else MUTATIONS[mutation](scene)
    with _serve(leaf, staple, minimum=version, maximum=version, ask_client_certificate=True) as server:
        with pytest.raises(RefusedError) as caught:
            asyncio.run(aconnect("localhost", server.port, "must-staple", **options))
        first = server.next_record()
        verdict = asyncio.run(mustaple.acheck("localhost", server.port, "must-staple", **options))
        second = server.next_record()
        assert check("localhost", server.port, "must-staple", **options) == verdict
    assert [reason.code for reason in caught.value.verdict.all_reasons] == [code]
    assert verdict == caught.value.verdict
    for record in (first, second):
        assert (record.alert, record.application_data, record.client_certificate) == (113, b"", None)


def test_a_client_certificate_is_shown_where_the_staple_is_good(
    intermediate: Authority, leaf: Issued, staple: bytes, options: dict[str, Any], tmp_path: Path
) -> None:
    own = intermediate.leaf(["client.example"])
    files = (tmp_path / "own.pem", tmp_path / "own.key")
    files[0].write_bytes(to_pem([own.certificate]))
    files[1].write_bytes(own.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    shown = {"certificate": files[0], "key": files[1]}
    for given, expected in (({}, None), (shown, own.certificate)):
        with _serve(leaf, staple, ask_client_certificate=True) as server:
            assert asyncio.run(acheck("localhost", server.port, "must-staple", **given, **options)).accepted
            assert server.next_record().client_certificate == expected


def test_what_the_staple_lacks_is_fetched(intermediate: Authority, options: dict[str, Any]) -> None:
    with ResponderServer(lambda _: answer) as responder:
        leaf = intermediate.leaf(["localhost"], features=None, ocsp_urls=[responder.url])
        answer = good(leaf.as_chain().links[0], intermediate, options["at"])
        with _serve(leaf, None) as server:
            verdict = asyncio.run(acheck("localhost", server.port, "hard-fail", **options))
    assert verdict.accepted
    (judgement,) = verdict.certificates[0].judgements
    assert (judgement.source, judgement.status) == (Source.OCSP, Status.GOOD)


def test_a_pending_verdict_never_leaves_the_client(intermediate: Authority, options: dict[str, Any]) -> None:
    leaf = intermediate.leaf(["localhost"], features=None)
    for sources in ({Source.OCSP}, {Source.CRL}, {Source.OCSP, Source.CRL}):
        with _serve(leaf, None) as server:
            policy = Policy("any", sources=frozenset(sources))
            verdict = asyncio.run(acheck("localhost", server.port, policy, **options))
        assert verdict.outcome is Outcome.REFUSED


@pytest.mark.parametrize("staples", [2, 1, 0])
@pytest.mark.parametrize("engine", ["auto", "openssl", "rfc6961"])
def test_the_engines_say_what_they_say_in_the_other_loop(
    leaf: Issued, honest: tuple[bytes, bytes], options: dict[str, Any], staples: int, engine: str
) -> None:
    given = (*honest[:staples], *[None] * (2 - staples))
    with ChainStaplingServer(leaf.chain[:-1], leaf.key, given, maximum="1.2") as server:
        verdict = asyncio.run(acheck("localhost", server.port, "strict", engine=engine, **options))
        assert verdict == check("localhost", server.port, "strict", engine=engine, **options)
    assert verdict.accepted is (staples == 2 and engine != "openssl")


# --- the connection


def _echo(issued: Issued, staple: bytes, tmp_path: Path) -> AsyncServer:
    """A server that sends back what it gets, over real TLS; nothing stapled by Python's, so for `ignore`."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    files = (tmp_path / "chain.pem", tmp_path / "key.pem")
    files[0].write_bytes(to_pem(issued.chain[:-1]))
    files[1].write_bytes(issued.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context.load_cert_chain(*files)

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await writer.start_tls(context)
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()

    return AsyncServer(play)


def test_much_data_goes_both_ways_at_once(leaf: Issued, staple: bytes, options: dict[str, Any], tmp_path: Path) -> None:
    async def talk(port: int) -> bytes:
        async with await aconnect("localhost", port, "ignore", **options) as connection:
            sending = asyncio.create_task(connection.send(MEGABYTES))
            back = bytearray()
            while len(back) < len(MEGABYTES):
                back += await connection.recv()
            await sending
        return bytes(back)

    with _echo(leaf, staple, tmp_path) as server:
        assert asyncio.run(talk(server.port)) == MEGABYTES


def test_a_flood_that_nobody_reads_is_held_back(
    leaf: Issued, staple: bytes, options: dict[str, Any], tmp_path: Path
) -> None:
    """The peer's echo stops too, so that in the end the sender waits: nothing grows for ever."""

    async def flood(connection: AsyncConnection) -> None:
        while True:
            await connection.send(MEGABYTES[: 1 << 20])

    async def talk(port: int) -> None:
        async with await aconnect("localhost", port, "ignore", **options) as connection:
            flooding = asyncio.create_task(flood(connection))
            done, _ = await asyncio.wait([flooding], timeout=SHORT)
            assert not done
            flooding.cancel()
            assert connection._wire._waiting < 1 << 20

    with _echo(leaf, staple, tmp_path) as server:
        asyncio.run(talk(server.port))


def test_a_connection_that_is_closed_or_cut_says_so(leaf: Issued, staple: bytes, options: dict[str, Any]) -> None:
    async def cut_off(port: int) -> None:
        async with await aconnect("localhost", port, "must-staple", **options) as connection:
            connection._wire.abort()
            with pytest.raises(NetworkError, match="closed"):
                await connection.recv()
            with pytest.raises(NetworkError, match="closed"):
                await connection.send(REQUEST)

    async def end_of_file(port: int) -> None:
        async with await aconnect("localhost", port, "must-staple", **options) as connection:
            connection._wire.eof_received()
            with pytest.raises(NetworkError, match="without a word"):
                await connection.recv()

    async def silence(port: int) -> None:
        async with await aconnect("localhost", port, "must-staple", **options) as connection:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await connection.recv()
            await connection.send(REQUEST)
            assert await connection.recv()

    with _serve(leaf, staple) as server:
        for talk in (cut_off, end_of_file, silence):
            asyncio.run(talk(server.port))


# --- nobody, or nothing, or not TLS


def _reset(peer: socket.socket) -> None:
    peer.recv(1)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@contextmanager
def _peer(play: Callable[[socket.socket], None]) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run() -> None:
            connection, _ = listener.accept()
            with connection:
                play(connection)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def test_a_reset_within_the_handshake_is_a_network_error(options: dict[str, Any]) -> None:
    with _peer(_reset) as port, pytest.raises(NetworkError, match=r"^localhost:\d+: connection reset by peer$"):
        asyncio.run(acheck("localhost", port, **options))


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak TLS"),
        (b"\x15\x03\x03\x00\x02\x02\x28", "alert"),
        (b"\x16\x03\x03", r"did not answer within 0\.5 s$"),
        (b"", r"did not answer within 0\.5 s$"),
    ],
)
def test_what_is_no_handshake_is_one_clear_error(options: dict[str, Any], said: bytes, error: str) -> None:
    with clear_server(Dialogue((said,), tls=False)) as server, pytest.raises(NetworkError, match=error) as caught:
        asyncio.run(acheck("localhost", server.port, timeout=SHORT, **options))
    assert str(caught.value).startswith(f"localhost:{server.port}")


def test_a_server_that_drips_has_no_longer_than_the_deadline(options: dict[str, Any]) -> None:
    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in b"\x16\x03\x03\x3f\x00\x02\0\x3e\x00" + bytes(1000):
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.02)

    with AsyncServer(play) as server, pytest.raises(NetworkError, match=r"within 0\.5 s"):
        asyncio.run(acheck("localhost", server.port, timeout=SHORT, **options))


def test_a_port_where_nobody_listens(options: dict[str, Any]) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        with pytest.raises(NetworkError, match=f"^127.0.0.1:{port}: connection refused$"):
            asyncio.run(acheck("127.0.0.1", port, **options))


def test_a_port_that_refuses_is_tried_again_as_long_as_one_waits(
    leaf: Issued, staple: bytes, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is opened when the first try has been refused."""
    server = _serve(leaf, staple)
    tried, attempt = 0, dialling._atry_each

    async def refused_first(*arguments: Any) -> socket.socket:
        nonlocal tried
        tried += 1
        if tried == 1:
            raise ConnectionRefusedError(111, "no")
        return await attempt(*arguments)

    monkeypatch.setattr(dialling, "_atry_each", refused_first)
    with server:
        with pytest.raises(NetworkError, match="refused"):
            asyncio.run(acheck("127.0.0.1", server.port, "must-staple", **options))
        tried = 0
        verdict = asyncio.run(acheck("127.0.0.1", server.port, "must-staple", wait=30.0, **options))
        assert verdict.accepted
    assert tried == 2


def test_every_address_of_a_name_is_tried(
    leaf: Issued, staple: bytes, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = socket.getaddrinfo
    with socket.socket() as bound, _serve(leaf, staple) as server:
        bound.bind(("127.0.0.1", 0))

        def two_addresses(host: str, port: int, *arguments: Any, **more: Any) -> list[Any]:
            if host != "localhost" or more.get("flags"):
                return resolve(host, port, *arguments, **more)
            found = resolve("127.0.0.1", port, *arguments, **more)[0]
            return [(*found[:4], bound.getsockname()), found]

        monkeypatch.setattr(socket, "getaddrinfo", two_addresses)
        assert asyncio.run(acheck("localhost", server.port, "must-staple", **options)).accepted


def test_names_that_do_not_resolve_or_are_none(options: dict[str, Any]) -> None:
    with pytest.raises(NetworkError, match=r"nothing\.invalid:443: the name does not resolve"):
        asyncio.run(acheck("nothing.invalid", 443, **options))
    with pytest.raises(InputError, match="neither a host name nor an IP address"):
        asyncio.run(acheck("exa mple", 443, **options))
    with pytest.raises(InputError, match="not a host name"):
        asyncio.run(adial(f"{'x' * 64}.example", 443, 5.0))


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
            asyncio.run(acheck("slow.example", 443, timeout=SHORT, **options))
    finally:
        release.set()


def test_a_check_that_is_cancelled_leaves_nothing_open(options: dict[str, Any]) -> None:
    """An open socket would be a warning, and a warning fails the test."""

    async def give_up(port: int) -> None:
        task = asyncio.create_task(acheck("localhost", port, **options))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def play(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        loop.call_soon_threadsafe(reached.set)
        gone.append(await reader.read())

    gone: list[bytes] = []
    with AsyncServer(play) as server, asyncio.Runner() as runner:
        loop, reached = runner.get_loop(), asyncio.Event()
        runner.run(give_up(server.port))


def test_options_that_there_are_not_are_a_type_error() -> None:
    wrong: Any = {"colour": "red"}
    with pytest.raises(TypeError, match="colour"):
        asyncio.run(acheck("localhost", 443, **wrong))
    with pytest.raises(TypeError, match="colour"):
        check("localhost", 443, **wrong)

"""The fleet's store in a real redis-server: one leader, nothing newer undone, bounds, TLS, and no password told."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from agent_house import honest, leaf
from commands import free_port
from fleet_house import RedisServer, tls_files
from staple_world import world

from mustaple.agent.fleet.record import MAX_BYTES, Record
from mustaple.agent.fleet.redis_store import MAX_CHANGES, MAX_REPLY, Change, RedisStore, Saving, StoreGoneError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.peer("redis-server")
NOW = datetime.now(UTC).replace(microsecond=0)
LINK = leaf("a")
ONE, TWO = LINK.fingerprint, leaf("b").fingerprint


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def server(running: RedisServer) -> RedisServer:
    with running.client() as client:
        client.flushall()
    return running


def ask(url: str, play: Callable[[RedisStore], Awaitable[None]], *, timeout: float = 20.0, **options: object) -> None:
    """Have this done with a store, in a loop of its own."""

    async def main() -> None:
        store = RedisStore(url, prefix="mustaple", timeout=timeout, **options)
        try:
            await play(store)
        finally:
            await store.close()

    asyncio.run(main())


async def until(ask_for: Callable[[], Awaitable[Any]], seen: Callable[[Any], bool]) -> None:
    """Ask until it is so."""
    for _ in range(1000):
        if seen(await ask_for()):
            return
        await asyncio.sleep(0.01)
    pytest.fail("it never came")


def value(after: timedelta = timedelta(0), response: bytes = b"response") -> bytes:
    return Record(NOW + after, NOW + after, None, response).encode()


def test_one_leads_until_its_lock_runs_out_or_it_leaves(server: RedisServer) -> None:
    async def play(store: RedisStore) -> None:
        assert (await store.look("one:a", 60, take=False)).leader == ""
        assert (await store.look("one:a", 60, take=True)).leader == "one:a"
        assert (await store.look("two:b", 60, take=True)).leader == "one:a"
        assert (await store.look("one:a", 60, take=False)).leader == "one:a", "who holds it keeps it"
        await store.resign("two:b")
        assert (await store.look("two:b", 60, take=True)).leader == "one:a", "and nobody takes it from another"
        await store.resign("one:a")
        assert (await store.look("two:b", 0.05, take=True)).leader == "two:b"
        await until(lambda: store.look("one:a", 60, take=True), lambda seen: seen.leader == "one:a")

    ask(server.url, play)


def test_what_is_told_is_found_and_each_change_once(server: RedisServer) -> None:
    async def play(store: RedisStore) -> None:
        assert await store.load([ONE, TWO]) == [b"", b""]
        assert await store.save({ONE: Saving(value(), 60), TWO: Saving(value(), 60)}) == {ONE: b"", TWO: b""}
        assert await store.load([TWO, ONE]) == [value(), value()]
        assert await store.changed_after(0) == [Change(ONE, 1), Change(TWO, 2)]
        later = value(timedelta(seconds=1))
        await store.save({ONE: Saving(later, 60)})
        assert await store.changed_after(0) == [Change(TWO, 2), Change(ONE, 3)]
        assert await store.changed_after(2) == [Change(ONE, 3)]
        assert (await store.look("a", 1, take=False)).changes == 3

    ask(server.url, play)


def test_a_newer_record_is_never_undone_and_one_found_wrong_is_if_it_is_that_one(server: RedisServer) -> None:
    old, new = value(), value(timedelta(seconds=1))

    async def play(store: RedisStore) -> None:
        await store.save({ONE: Saving(new, 60)})
        assert await store.save({ONE: Saving(old, 60)}) == {ONE: new}, "the fence: who was asleep wakes up"
        assert await store.save({ONE: Saving(value(timedelta(seconds=1), b"x"), 60)}) == {ONE: new}, "the first stays"
        assert await store.save({ONE: Saving(old, 60, wrong=b"another")}) == {ONE: new}
        assert await store.load([ONE]) == [new]
        assert await store.save({ONE: Saving(old, 60, wrong=new)}) == {ONE: b""}
        assert await store.load([ONE]) == [old]

    ask(server.url, play)


def test_records_are_gone_in_time(server: RedisServer) -> None:
    async def play(store: RedisStore) -> None:
        await store.save({ONE: Saving(value(), 0.05)})
        await until(lambda: store.load([ONE]), lambda found: found == [b""])

    ask(server.url, play)


def test_many_changes_come_in_pieces(server: RedisServer) -> None:
    with server.client() as client:
        client.zadd("mustaple:1:changes", {f"{number:064x}": number for number in range(1, MAX_CHANGES + 6)})

    async def play(store: RedisStore) -> None:
        first = await store.changed_after(0)
        assert (len(first), first[-1].number) == (MAX_CHANGES, MAX_CHANGES)
        assert len(await store.changed_after(first[-1].number)) == 5

    ask(server.url, play)


def test_whatever_stands_in_its_place_harms_nothing_else(server: RedisServer) -> None:
    with server.client() as client:
        client.rpush(f"mustaple:1:staple:{ONE.hex()}", "a list")
        client.set(f"mustaple:1:staple:{TWO.hex()}", b"9" * 1_000_000)
        client.zadd("mustaple:1:changes", {"garbage": 1, "f" * 64: 1.5, "e" * 63 + "X": 1e300})

    async def play(store: RedisStore) -> None:
        list_, large = await store.load([ONE, TWO])
        assert list_ == b""
        assert len(large) == MAX_BYTES + 1, "too large to be a record, and cut"
        answers = await store.save({ONE: Saving(value(), 60), TWO: Saving(value(), 60)})
        assert "WRONGTYPE" in str(answers[ONE])
        assert answers[TWO] == large
        assert not {each.fingerprint for each in await store.changed_after(0)} - {b"", bytes.fromhex("f" * 64)}

    ask(server.url, play)
    with server.client() as client:
        client.set("mustaple:1:count", "many")
    with pytest.raises(StoreGoneError, match="is no agent's"):
        ask(server.url, lambda store: store.look("a", 1, take=True))


REPLIES = {
    "a gigabyte": b"$1073741824\r\n",
    "a line without an end": b"+" + b"x" * (4 << 20),
    "an endless list": b"*100000000\r\n" + b":1\r\n" * 1_000_000,
    "lists in lists": b"*1\r\n" * 100_000,
    "less than nothing": b"$-7\r\n",
    "another protocol": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "no number": b"$many\r\n",
    "a wrong answer": b":1\r\n",
    "an error": b"-ERR no\r\n",
    "the end": b"",
}


@contextmanager
def saying(reply: bytes) -> Iterator[str]:
    """A server that says this to whoever comes first; its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1 << 16)
                try:
                    connection.sendall(reply)
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(1 << 16):
                        pass
                except OSError:
                    return  # it had enough

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        thread.join(30)


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES)
def test_a_server_that_says_anything_is_gone_within_bounds(reply: bytes) -> None:
    with saying(reply) as address, pytest.raises(StoreGoneError) as caught:
        ask(f"redis://{address}/", lambda store: store.look("a", 1, take=True))
    assert "no answer within" not in str(caught.value)
    if reply.startswith((b"$1", b"*1000")):
        assert f"{MAX_REPLY:,}" in str(caught.value)


def test_a_server_that_says_the_password_aloud_is_not_repeated() -> None:
    with saying(b"-ERR s3cret/word is a bad password\r\n") as address, pytest.raises(StoreGoneError) as caught:
        ask(f"redis://:s3cret%2Fword@{address}/", lambda store: store.look("a", 1, take=True))
    assert "*** is a bad password" in str(caught.value)


def test_one_that_says_nothing_is_gone_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"redis://127.0.0.1:{listener.getsockname()[1]}/"
        with pytest.raises(StoreGoneError, match="no answer within"):
            ask(url, lambda store: store.look("a", 1, take=True), timeout=0.2)


def test_nobody_there_is_told_with_the_address() -> None:
    port = free_port()
    with pytest.raises(StoreGoneError, match=rf"redis://127\.0\.0\.1:{port}/0: .*{port}"):
        ask(f"redis://127.0.0.1:{port}", lambda store: store.look("a", 1, take=True))


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RedisServer, Path]]:
    folder = tmp_path_factory.mktemp("secured")
    with world() as place:
        certificate, key, root = tls_files(folder, place)
        port = free_port()
        options = ("--port", "0", "--tls-port", str(port), "--tls-auth-clients", "no", "--requirepass", "s3cret/word")
        files = ("--tls-cert-file", str(certificate), "--tls-key-file", str(key))
        with RedisServer(folder, *options, *files, port=port) as server:
            yield server, root


def test_tls_and_a_password_in_the_url(secured: tuple[RedisServer, Path]) -> None:
    server, root = secured
    url = f"rediss://:s3cret%2Fword@localhost:{server.port}/2"

    async def play(store: RedisStore) -> None:
        assert store.name == f"rediss://localhost:{server.port}/2"
        assert (await store.look("a", 1, take=True)).leader == "a"
        await store.save({ONE: Saving(value(), 60)})
        assert await store.load([ONE]) == [value()]

    ask(url, play, trust=root)


@pytest.mark.parametrize(
    ("url", "trusted", "said"),
    [
        ("rediss://:s3cret%2Fword@localhost:{port}/2", False, "certificate verify failed"),
        ("rediss://:s3cret%2Fword@localhost.localdomain:{port}/2", True, "localdomain"),
        ("rediss://:wr0ng%2Fword@localhost:{port}/2", True, "password"),
        ("rediss://localhost:{port}/2", True, "Authentication required"),
        ("redis://:s3cret%2Fword@localhost:{port}/2", True, "localhost"),
    ],
    ids=["not trusted", "another name", "wrong password", "no password", "no TLS"],
)
def test_with_one_thing_wrong_it_is_refused_and_no_password_told(
    secured: tuple[RedisServer, Path], url: str, trusted: bool, said: str
) -> None:
    server, root = secured
    trust = root if trusted else None
    with pytest.raises(StoreGoneError, match=said) as caught:
        ask(url.format(port=server.port), lambda store: store.look("a", 1, take=True), trust=trust)
    assert "word" not in str(caught.value).replace("password", "")
    assert caught.value.__cause__ is None


def test_a_real_record_fits(server: RedisServer) -> None:
    response = honest(LINK, NOW)

    async def play(store: RedisStore) -> None:
        await store.save({ONE: Saving(value(response=response), 60)})
        assert await store.load([ONE]) == [value(response=response)]
        large = value(timedelta(seconds=1), bytes(64 * 1024))
        assert await store.save({ONE: Saving(large, 60)}) == {ONE: b""}
        assert await store.load([ONE]) == [large]

    ask(server.url, play)

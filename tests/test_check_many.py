"""Many checks at once: the verdicts of single ones, in order or as they come, bounded, whoever fails among them."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
import subprocess
import sys
import threading
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from clear_servers import HONEST, AsyncServer, clear_server, tunnel

from certtools.chain import to_pem
from mustaple import Checked, Settings, Target, check, check_many
from mustaple.core.errors import InputError, NetworkError
from mustaple.core.verdict import ChainVerdict, Code
from mustaple.net.server import StaplingServer
from mustaple.net.stapling_server import ChainStaplingServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator
    from datetime import datetime
    from pathlib import Path

    from certtools.authority import Authority, Issued

SHORT = 0.5  # seconds that a test gives a server that will not answer


@pytest.fixture(scope="module")
def settings(root: Authority, at: datetime) -> Settings:
    return Settings("must-staple", ca=root.certificate, at=at)


@pytest.fixture(scope="module")
def stapling(leaf: Issued, staple: bytes) -> Iterator[StaplingServer]:
    with StaplingServer(leaf.chain[:-1], leaf.key, staple) as server:
        yield server


@contextmanager
def _nobody() -> Iterator[int]:
    """A port that refuses: bound, so that nobody else takes it, and not listened on."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def _run(targets: Iterable[Target] | AsyncIterator[Target], settings: Settings, **options: Any) -> list[Checked]:
    async def gather() -> list[Checked]:
        return [found async for found in check_many(targets, settings, **options)]

    return asyncio.run(gather())


async def _silence(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def _drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    for byte in b"\x16\x03\x03\x3f\x00\x02\x00\x3e\x00" + bytes(1000):
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.05)


async def _reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


# --- what comes out


@pytest.mark.parametrize("in_order", [True, False])
def test_each_target_gets_the_verdict_of_a_check_of_its_own(
    leaf: Issued, stapling: StaplingServer, settings: Settings, in_order: bool
) -> None:
    with StaplingServer(leaf.chain[:-1], leaf.key) as bare, _nobody() as nobody:
        good, bad = Target("localhost", stapling.port), Target("localhost", bare.port)
        other = Target("localhost", stapling.port, server_name="other.example")
        elsewhere = Target("localhost", 1, address=("127.0.0.1", stapling.port))
        dead, impossible = Target("127.0.0.1", nobody), Target("exa mple", 443)
        targets = [good, bad, dead, other, impossible, elsewhere] * 10
        found = _run(targets, settings, at_once=7, in_order=in_order)
        if in_order:
            assert [each.position for each in found] == list(range(60))
        found.sort(key=lambda each: each.position)
        assert [each.target for each in found] == targets
        options: Any = {"ca": settings.ca, "at": settings.at}
        for each, target in ((found[0], good), (found[1], bad)):
            assert each.result == check(target.host, target.port, "must-staple", **options)
    results = [each.result for each in found]
    for result in results[0::6] + results[5::6]:
        assert isinstance(result, ChainVerdict)
        assert result.accepted
    for result, code in [(each, Code.PROMISE_BROKEN) for each in results[1::6]] + [
        (each, Code.NAME_MISMATCH) for each in results[3::6]
    ]:
        assert isinstance(result, ChainVerdict)
        assert [reason.code for reason in result.all_reasons] == [code]
    assert {str(result) for result in results[2::6]} == {f"127.0.0.1:{nobody}: connection refused"}
    assert all(isinstance(result, InputError) for result in results[4::6])
    assert all(each.seconds >= 0 for each in found)


def test_the_engine_that_asks_for_every_staple_serves_here_too(
    leaf: Issued, honest: tuple[bytes, bytes], root: Authority, at: datetime
) -> None:
    with ChainStaplingServer(leaf.chain[:-1], leaf.key, honest, maximum="1.2") as server:
        for engine, accepted in (("auto", True), ("rfc6961", True), ("openssl", False)):
            settings = Settings("strict", ca=root.certificate, at=at, engine=engine)
            found = _run([Target("localhost", server.port)] * 3, settings)
            assert [isinstance(each.result, ChainVerdict) and each.result.accepted for each in found] == [accepted] * 3


def test_words_before_tls_are_each_targets_own(stapling: StaplingServer, settings: Settings) -> None:
    with (
        clear_server(HONEST["smtp"], stapling.port) as smtp,
        clear_server(HONEST["ldap"], stapling.port) as ldap,
    ):
        targets = [
            Target("localhost", stapling.port),
            Target("localhost", smtp.port, starttls="smtp"),
            Target("localhost", ldap.port, starttls="ldap"),
            Target("localhost", ldap.port, starttls="gopher"),
        ]
        found = _run(targets, settings, in_order=True)
    assert [isinstance(each.result, ChainVerdict) and each.result.accepted for each in found] == [True] * 3 + [False]
    assert isinstance(found[3].result, InputError)


def test_no_target_at_all_is_no_result(settings: Settings) -> None:
    assert _run([], settings) == []


def test_settings_that_cannot_be_used_are_told_before_anything_is_asked(root: Authority) -> None:
    for settings, options in (
        (Settings("stern"), {}),
        (Settings(ca="/nothing.pem"), {}),
        (Settings(engine="steam"), {}),
        (Settings(proxy="nonsense"), {}),
        (Settings(key="own.key"), {}),
        (Settings(ca=root.certificate), {"at_once": 0}),
        (Settings(ca=root.certificate), {"retries": -1}),
    ):
        with pytest.raises(InputError):
            check_many([], settings, **options)


# --- servers that answer late, or never


def test_hosts_that_never_answer_hold_nobody_up_and_have_no_longer_than_their_time(
    stapling: StaplingServer, settings: Settings
) -> None:
    """As they come: the good ones are told while the others are still waited for."""
    hasty = Settings("must-staple", ca=settings.ca, at=settings.at, timeout=SHORT)
    with AsyncServer(_silence) as silent, AsyncServer(_drip) as dripping, AsyncServer(_reset) as resetting:
        bad = [Target("127.0.0.1", server.port) for server in (silent, dripping)]
        targets = [*bad, *[Target("localhost", stapling.port)] * 20, Target("127.0.0.1", resetting.port)]
        found = _run(targets, hasty, at_once=4)
        assert {each.position for each in found[-2:]} == {0, 1}
        ordered = _run(targets, hasty, at_once=4, in_order=True)
    assert [each.position for each in ordered] == list(range(23))
    for each in (*found[-2:], *ordered[:2]):
        assert isinstance(each.result, NetworkError)
        assert "within 0.5 s" in str(each.result)
        assert each.seconds >= SHORT
    assert str(ordered[-1].result).endswith("connection reset by peer")
    assert sum(isinstance(each.result, ChainVerdict) for each in ordered) == 20


@pytest.mark.parametrize(("retries", "accepted"), [(0, False), (1, False), (2, True)])
def test_who_does_not_answer_is_asked_again_as_often_as_one_likes(
    stapling: StaplingServer, settings: Settings, retries: int, accepted: bool
) -> None:
    calls = 0

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        calls += 1
        if calls > 2:
            await tunnel(reader, writer, "127.0.0.1", stapling.port)

    with AsyncServer(play) as flaky:
        (found,) = _run([Target("localhost", flaky.port)], settings, retries=retries)
    assert isinstance(found.result, ChainVerdict) is accepted
    assert calls == 1 + retries


def test_a_refusal_is_an_answer_and_is_not_asked_for_again(leaf: Issued, settings: Settings) -> None:
    with StaplingServer(leaf.chain[:-1], leaf.key) as bare:
        _run([Target("localhost", bare.port)], settings, retries=3)
        bare.next_record()
        assert len(bare.records) == 1


# --- bounds


@pytest.mark.parametrize("in_order", [True, False])
def test_no_more_run_at_once_than_allowed_and_none_is_taken_before_its_time(settings: Settings, in_order: bool) -> None:
    """Each connection is held until as many have come as may; then there must be no other for a moment."""
    at_once, now, most = 5, 0, 0
    taken = 0

    def targets(port: int) -> Iterator[Target]:
        nonlocal taken
        for _ in range(10_000):
            taken += 1
            yield Target("127.0.0.1", port)

    async def play(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await reader.read(1)
        for _ in range(5):
            await asyncio.sleep(0)
        now -= 1

    async def some(port: int) -> int:
        """The most that were taken before anybody read on, after the first result."""
        async with aclosing(check_many(targets(port), settings, at_once=at_once, in_order=in_order)) as results:
            await anext(results)
            before = -1
            while before < taken:
                before = taken
                await asyncio.sleep(0.3)
            for _ in range(20):
                await anext(results)
        return before

    with AsyncServer(play) as server:
        before = asyncio.run(some(server.port))
    assert most == at_once
    assert at_once < before <= 1 + 8 * at_once
    assert taken <= 21 + 8 * at_once


def test_leaving_early_ends_what_is_under_way(settings: Settings) -> None:
    """An open socket would be a warning, and a warning fails the test."""
    answered, ended = threading.Event(), threading.Event()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not answered.is_set():
            answered.set()
            writer.write(b"not TLS at all")
            return
        await reader.read()
        ended.set()

    async def leave(port: int) -> None:
        async with aclosing(check_many([Target("127.0.0.1", port)] * 100, settings, at_once=10)) as results:
            await anext(results)

    with AsyncServer(play) as server:
        asyncio.run(leave(server.port))
        assert ended.wait(30)


@pytest.mark.parametrize("in_order", [True, False])
@pytest.mark.parametrize("asynchronous", [True, False])
def test_what_the_targets_raise_comes_after_the_results_before_it(
    stapling: StaplingServer, settings: Settings, in_order: bool, asynchronous: bool
) -> None:
    def targets() -> Iterator[Target]:
        yield from [Target("localhost", stapling.port)] * 5
        raise InputError("line 6 is no target")

    async def atargets() -> AsyncIterator[Target]:
        for target in targets():
            await asyncio.sleep(0)
            yield target

    found = []

    async def gather() -> None:
        given = atargets() if asynchronous else targets()
        async for each in check_many(given, settings, in_order=in_order):
            found.append(each)  # noqa: PERF401 - those before the error are wanted

    with pytest.raises(InputError, match="line 6"):
        asyncio.run(gather())
    assert not in_order or len(found) == 5


def test_an_error_of_our_own_is_raised_and_not_told_as_a_result(
    stapling: StaplingServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("mustaple.net.check_many.areach", broken)
    with pytest.raises(ZeroDivisionError):
        _run([Target("localhost", stapling.port)], settings)


CHILD = """
import asyncio, json, resource, sys
from datetime import datetime
from mustaple import Settings, Target, check_many
ca, at, good, dead, number = sys.argv[1:]
settings = Settings("must-staple", ca=ca, at=datetime.fromisoformat(at))

def targets():
    for place in range(int(number)):
        yield Target("localhost", int(good), address=("127.0.0.1", int(good if place % 20 == 0 else dead)))

async def main():
    accepted = told = 0
    async for found in check_many(targets(), settings, at_once=32, in_order=True):
        accepted += getattr(found.result, "accepted", False)
        assert found.position == told
        told += 1
    return accepted, told

accepted, told = asyncio.run(main())
print(json.dumps([accepted, told, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))
"""


def test_ten_thousand_targets_most_of_them_dead_take_no_more_memory_than_a_few(
    stapling: StaplingServer, root: Authority, at: datetime, tmp_path: Path
) -> None:
    file = tmp_path / "root.pem"
    file.write_bytes(to_pem([root.certificate]))

    def kilobytes(number: int) -> int:
        arguments = (str(file), at.isoformat(), str(stapling.port), str(nobody), str(number))
        done = subprocess.run(
            [sys.executable, "-c", CHILD, *arguments],
            capture_output=True,
            text=True,
            check=True,
            timeout=100,
            env={**os.environ, "PYTHONWARNINGS": "error"},
        )
        accepted, told, size = json.loads(done.stdout)
        assert (accepted, told) == (number // 20, number)
        return int(size)

    with _nobody() as nobody:
        few, many = kilobytes(500), kilobytes(10_000)
    assert many < few + 4096
